"""A transaction: one request on its way through the steps of its kind (contract, section 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections import OrderedDict

    from pyd2.config.switches import RetrySwitches
    from pyd2.counters import KeyCounters
    from pyd2.dns.tsig import SigningContext, SigningKey
    from pyd2.packets.layer import Request
    from pyd2.update.model.holdings import Holding
    from pyd2.update.model.kinds import Kind, Step
    from pyd2.update.model.plan import Domain, Plan, Server
    from pyd2.update.model.route import Route
    from pyd2.update.server.doubts import Asking

Purpose: TypeAlias = "Transaction | BatchTry"
"""What a try is for."""

# The events that a failed transaction reports as its last; names of Kea's state model.
UPDATE_FAILED: Final = "UPDATE_FAILED_EVT"
NO_MORE_SERVERS: Final = "NO_MORE_SERVERS_EVT"
SERVER_IO_ERROR: Final = "SERVER_IO_ERROR_EVT"


class Failure(NamedTuple):
    """How a direction has failed."""

    event: str
    reason: str
    retry: RetrySwitches | None
    """How it is tried again; None: it has failed for good."""
    fault: str
    """What has failed, as ``reasons.py`` names it."""


class Asked(NamedTuple):
    """What a server has said to the question for the DHCIDs of a name."""

    server: Server
    rcode: int
    guards: frozenset[bytes]
    holding: Holding


class Tried:
    """What transactions and messages of batches have in common: one try at a time."""

    __slots__ = ("context", "deadline", "fifo", "key", "number", "query", "sent_at", "server", "tcp")

    feeds_window: ClassVar[bool] = True
    """Whether the time until its reply says something about the server's queue, and its loss, too."""

    server: Server
    key: SigningKey | None
    tcp: bool
    context: SigningContext | None
    """That of the try under way, where its message was made here in Python, or its reply is judged here."""
    number: int
    """The number by which tries in C know it; -1: they do not."""
    # What transactions and questions have, of which messages are made by the batch.
    ncr: Request
    route: Route
    """How the message under way went to ``server``."""
    then: Route
    """How the reverse direction begins, if that is known."""
    # Set when the try goes out, by the tries in Python.
    query: int
    """``slot << 16 | query id``: the place in the lane's ``pending``."""
    sent_at: float
    deadline: float
    fifo: OrderedDict[Purpose, None]
    """The queue of deadlines that holds this try."""


class BatchTry(Tried):
    """A message of a batch, or a question about one of its names: it knows itself what follows."""

    __slots__ = ()

    feeds_window = False

    def receive(self, datagram: bytes, now: float, wall: float) -> None:
        """Use the reply to the try."""
        raise NotImplementedError

    def expire(self, now: float, wall: float) -> None:
        """Continue without a reply: the time of the try is up."""
        raise NotImplementedError

    @property
    def may_fail(self) -> bool:
        """Whether a message that could not be sent ends the try; else it waits for its time."""
        raise NotImplementedError

    def fail(self, now: float, wall: float) -> None:
        """Continue: the message could not be sent, and the try was withdrawn."""
        raise NotImplementedError


class Transaction(Tried):
    """What is known of a transaction. It holds on to the domains, servers and keys it began with,
    so that a reconfiguration does not change them under it (contract, section 2.5).
    """  # noqa: D205  one sentence

    __slots__ = (
        "_fault", "asked", "asking", "dhcid", "domain", "ended", "forward", "forward_done", "forward_failure",
        "hops", "key_counters", "kind", "ncr", "next_server", "passed_over", "plan", "reverse",
        "reverse_done", "route", "routes", "spare_rcode", "step", "then", "tries",
    )

    halts: bool = False
    """Whether it halts before its reverse direction: older requests may still change the PTR."""
    # Set when the first server is selected, and again at every later selection.
    domain: Domain
    next_server: int
    """Index of the server to select next in the domain at work."""
    passed_over: tuple[Server, ...]
    """Servers of the domain that are down and were not asked."""
    step: Step
    key_counters: KeyCounters | None
    routes: dict[Step, Route]
    """How updates with this key go to ``server``."""
    _fault: str
    asked: Asked
    """What the server that was asked last said of the name; only under a policy, once it was asked."""
    asking: Asking
    """What it remembers while it asks if a server takes DHCIDs (``drive/dhcid_support.py``)."""

    def __init__(
        self, ncr: Request, dhcid: int, kind: Kind, plan: Plan, forward: Domain | None, reverse: Domain | None
    ) -> None:
        self.ncr = ncr
        self.dhcid = dhcid
        """What holds the client: the hash of its DHCID."""
        self.number = -1
        self.plan = plan
        self.kind = kind
        self.forward = forward
        self.reverse = reverse
        self.tries = 0
        self.hops = 0
        """How often a reply led from one step to another."""
        self.ended = False
        """Whether it has ended: succeeded, failed, or failed for now."""
        self.forward_done = False
        self.reverse_done = False
        self.forward_failure: Failure | None = None
        """How the forward direction has failed, if the reverse one goes ahead all the same."""
        self.spare_rcode: int | None = None
        """The RCODE of a truncated reply over UDP, while the try is repeated over TCP."""

    @property
    def fault(self) -> str:
        """What failed last, as ``reasons.py`` names it; empty: nothing has."""
        return getattr(self, "_fault", "")

    @fault.setter
    def fault(self, name: str) -> None:
        self._fault = name  # not before: most transactions never have one

    @property
    def retry(self) -> RetrySwitches | None:
        """How the request is tried again that has failed now; None: not at all."""
        server = self._server
        return self.domain.retry if server is None else server.retry

    @property
    def partial_success(self) -> bool:
        """Whether the reverse change is made though the forward change has failed now."""
        failover = (self._server or self.domain.servers[0]).failover
        return failover is not None and failover.partial_success

    @property
    def _server(self) -> Server | None:
        """The server of the domain at work that was selected last; None: there is none yet."""
        server = getattr(self, "server", None)
        return server if server in self.domain.servers else None

    def outcome(self, event: str) -> str:
        """Return how the transaction failed, as Kea words it; ``event`` is the last event."""
        ncr = self.ncr
        parts = [f"Status: Failed, Event: {event}, "]
        if ncr.forward_change:
            parts.append(f" Forward change: {'completed' if self.forward_done else 'failed'}, ")
        if ncr.reverse_change:
            parts.append(f" Reverse change: {'completed' if self.reverse_done else 'failed'}, ")
        parts.append(f" request: {ncr.text()}")
        return "".join(parts)
