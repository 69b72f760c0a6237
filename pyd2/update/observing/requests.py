"""What becomes of requests: by zone, and how long it takes. Only while metrics are on.

A request that is done costs little: the transaction is put into a list, and at the end of the turn all are
counted in one call of C. Other ends are rare, and are counted one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from pyd2.counters import Histogram
from pyd2.dns.names import reverse_name
from pyd2.update.model.faults import Fault, Result
from pyd2.update.observing.failures import FailureLog

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyd2.messages import Log
    from pyd2.packets.layer import EndedTally, PacketLayer, Request
    from pyd2.update.model.plan import Plan
    from pyd2.update.model.transaction import Transaction

REQUEST_SECONDS: Final = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    60.0,
    600.0,
    3600.0,
)
"""The bounds of the times from reading a request to its end."""


OF_ZONES: Final = tuple(Result)[: Result.UNMATCHED]
"""The ends that are counted by zone."""
ENDS: Final = tuple(Result)[: Result.RETRYING]
_FAILURES: Final = (Result.FAILED, Result.UNMATCHED, Result.RETRYING)
"""Those that the log explains."""
_DONE_IN_C: Final = len(OF_ZONES)
"""Behind the counts of a zone: what C has counted under earlier plans."""


class End(NamedTuple):
    """A request that has ended otherwise than by success."""

    result: Result
    zone: str
    """The domain of its forward change, or of its reverse change if it has no forward change; empty: none."""
    request: Request
    transaction: Transaction | None
    """That of the request, as it has ended; None: it has none."""
    fault: str
    """What has failed, as ``model/reasons.py`` names it; empty: the result says it."""
    note: str
    """What else is known."""

    @property
    def failed_zone(self) -> str:
        """The domain whose update has failed: it may be that of the reverse change. Else as ``zone``."""
        return self.zone if self.transaction is None else self.transaction.domain.name


class EventSink(Protocol):
    """Takes what becomes of requests: the history."""

    def add(self, wall: float, now: float, done: Sequence[Transaction], ends: Sequence[End]) -> None:
        """Take what has ended in a turn; nothing of it changes any more."""


class ZoneBook:
    """The counts by zone under one plan."""

    __slots__ = ("_before", "counts", "names", "zones")

    def __init__(self, plan: Plan, before: ZoneBook | None, counts: object) -> None:
        """Prepare the book of a plan; the zones that were in the one before keep their counts."""
        old = {} if before is None else before.zones
        self._before = before
        self.counts = counts
        """What C counts, by the numbers of domains; None: nothing."""
        self.names: Sequence[str] = ["" if domain is None else domain.name for domain in plan.domains]
        """By the numbers of domains; 0 stands for none."""
        self.zones: dict[str, list[int]] = {
            name: old.get(name) or [0] * (_DONE_IN_C + 1) for name in self.names[1:]
        }
        """The counts of Python by zone, in the order of OF_ZONES, and what C counted under earlier plans."""

    def fold(self, tally: EndedTally | None) -> None:
        """Take over what C counted under the plan before, which is in force no more."""
        before, self._before = self._before, None
        if before is None or tally is None:
            return
        for name, count in zip(before.names, tally.read(before.counts), strict=True):
            if count and name in self.zones:
                self.zones[name][_DONE_IN_C] += count


class RequestObserver:
    """Counts how requests end. ``settle`` and what it calls are for the update thread."""

    def __init__(self, packets: PacketLayer, log: Log) -> None:
        self._failures = FailureLog(log)
        self.done: list[Transaction] = []
        """Transactions that have made their changes and are still to be counted."""
        self._ends: list[End] = []
        self.sink: EventSink | None = None
        """What keeps all this for later; None: nothing does."""
        self._tally = packets.new_tally(REQUEST_SECONDS)
        self._seconds = {result: Histogram(REQUEST_SECONDS) for result in ENDS}
        self._plan: Plan | None = None
        self._book: ZoneBook | None = None
        self._next: ZoneBook | None = None

    # For the main thread.

    def prepare(self, plan: Plan) -> None:
        """Prepare the book of the plan that is put in force next; it may have very many zones."""
        if self._book is not None:
            self._book.fold(self._tally)
        counts = None if self._tally is None else self._tally.new_counts(len(plan.domains))
        self._next = ZoneBook(plan, self._book, counts)

    def zones(self) -> Iterator[tuple[str, tuple[int, int, int, int]]]:
        """Return each zone with its counts in the order of OF_ZONES: in that of the configuration."""
        book = self._book
        if book is None:
            return
        book.fold(self._tally)
        in_c: dict[str, int] = {}
        if self._tally is not None:
            for name, count in zip(book.names, self._tally.read(book.counts), strict=True):
                if count:
                    in_c[name] = in_c.get(name, 0) + count
        for name, (done, failed, expired, superseded, before) in book.zones.items():
            yield name, (done + before + in_c.get(name, 0), failed, expired, superseded)

    def seconds(self, result: Result) -> Histogram:
        """Return how long requests took that have ended so."""
        found = Histogram(REQUEST_SECONDS)
        found += self._seconds[result]
        if result is Result.DONE and self._tally is not None:
            found += self._tally.read_seconds()
        return found

    # For the update thread.

    def use(self, plan: Plan, sink: EventSink | None, now: float, wall: float) -> None:
        """Count by the plan that was prepared."""
        self.settle(now, wall)
        self.sink = sink
        self._plan, self._book = plan, self._next
        if self._tally is not None and self._next is not None:
            self._tally.use(self._next.counts)

    def ended(
        self,
        result: Result,
        request: Request,
        transaction: Transaction | None = None,
        fault: str = "",
        note: str = "",
    ) -> None:
        """Note that a request has ended otherwise than by success; see ``End``."""
        if transaction is not None:
            zone = zone_of(transaction)
        elif self._plan is None:
            zone = ""
        elif result is Result.UNMATCHED:
            zone, note = "", _missing_domains(self._plan, request)
        else:
            forward = self._plan.forward.find(request.fqdn) if request.forward_change else None
            domain = forward or self._plan.reverse.find_address(request.address)
            zone = "" if domain is None else domain.name
        self._ends.append(End(result, zone, request, transaction, fault, note))

    def settle(self, now: float, wall: float) -> None:
        """Count what has ended; ``now`` is monotonic seconds, ``wall`` seconds since the epoch."""
        done, ends = self.done, self._ends
        if done:
            self.done = []
            self._count_done(done, now)
        if ends:
            self._ends = []
            for end in ends:
                fault = Fault.UNMATCHED if end.result is Result.UNMATCHED else end.fault
                if fault and end.result in _FAILURES:
                    self._failures.add(fault, end.failed_zone, end.transaction, wall)
                if end.result is not Result.RETRYING:
                    self._count(end.result, end.zone, end.request, now)
        if self.sink is not None and (done or ends):
            self.sink.add(wall, now, done or (), ends or ())  # an empty list is filled again

    def _count_done(self, done: list[Transaction], now: float) -> None:
        if self._tally is not None:
            plan = self._plan
            together = [each.ncr for each in done if each.ncr.packed and each.plan is plan]
            self._tally.add(together, now)
            if len(together) == len(done):
                return
            done = [each for each in done if not each.ncr.packed or each.plan is not plan]
        for each in done:
            self._count(Result.DONE, zone_of(each), each.ncr, now)

    def _count(self, result: Result, zone: str, request: Request, now: float) -> None:
        counts = None if self._book is None else self._book.zones.get(zone)
        if counts is not None:
            counts[result] += 1
        if request.read_at:
            self._seconds[result].add(now - request.read_at)


def _missing_domains(plan: Plan, request: Request) -> str:
    """Return what no domain of a plan holds of a request; a direction without domains is off."""
    missing, off = [], []
    if request.forward_change and plan.forward.find(request.fqdn) is None:
        missing += [f"no forward domain holds {request.fqdn}"] if plan.forward else []
        off += [] if plan.forward else ["forward-ddns has no domains"]
    if request.reverse_change and plan.reverse.find_address(request.address) is None:
        missing += [f"no reverse domain holds {reverse_name(request.address)}"] if plan.reverse else []
        off += [] if plan.reverse else ["reverse-ddns has no domains"]
    return "; ".join(missing or off)


def zone_of(transaction: Transaction) -> str:
    """Return the zone that a transaction's request counts for."""
    domain = transaction.forward or transaction.reverse
    assert domain is not None
    return domain.name
