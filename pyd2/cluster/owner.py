"""A node that owns the shared queue, or waits to: it keeps the record, and begins and ends terms.

The rules are those of ``pyd2.queue.shared.ownership``; here are the calls and the clocks. The term pauses
with the lease, at a timer or when something is to be sent before that (``may_send``): nothing is sent from
then on. If this node can then renew the record, no other node has owned the queue meanwhile, and the term
goes on. Else the engine with all that it had under way is thrown away, as it is if TCP has some of that.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pyd2.cluster.burial import Burial
from pyd2.cluster.contact import Contact
from pyd2.cluster.early import EarlyReader
from pyd2.cluster.link import in_time
from pyd2.cluster.removal import Removal
from pyd2.cluster.term import OPEN_SECONDS, Term, TermEvents
from pyd2.cluster.term_log import TermLog
from pyd2.queue.shared.interface import OutdatedError, SharedQueueError, UnansweredError
from pyd2.queue.shared.ownership import Change, Moment
from pyd2.queue.shared.progress import Progress
from pyd2.queue.shared.record import RecordError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyd2.cluster.interface import Host
    from pyd2.cluster.link import Link
    from pyd2.messages import Log
    from pyd2.queue.shared.batch import BatchNumber
    from pyd2.queue.shared.interface import SharedQueue
    from pyd2.queue.shared.late import LateBatch
    from pyd2.queue.shared.ownership import Ownership, Write
    from pyd2.queue.shared.record import Record, Revision

LOOK_SECONDS: Final = 0.25
"""How often a node that does not own the queue looks at its clocks, and at the record if that has failed."""
COMMIT_SECONDS: Final = 0.05
"""How often the owner writes what is done."""
ANSWER_SECONDS: Final = 1.0
"""How long a read or a write of the record may take."""
FINISH_SECONDS: Final = 1.0
"""How long an owner that leaves lets what is under way continue."""
_LEAVING_PAUSE: Final = 0.005
"""How often it looks whether that has ended."""

_PAUSE: Final = 0.1
"""Seconds before the next try when a call has failed, or one that has left looks whether it is to stay."""
_FAULT_PAUSE: Final = 1.0
"""Seconds until the next term when reading has ended by a defect: each costs an engine."""


def moment() -> Moment:
    """Return the time by both clocks."""
    return Moment(time.clock_gettime(time.CLOCK_BOOTTIME), time.time())


class Owner:
    """``ownership`` has the rules, with this lease; ``most`` requests may be under way."""

    def __init__(
        self, ownership: Ownership, lease: float, host: Host, link: Link, log: Log, site: str, most: int
    ) -> None:
        self._ownership = ownership
        self._lease = lease
        self._host = host
        self._link = link
        self._log = log
        self._site = site
        self._most = most
        self.burial: Final = Burial(link, host.bury, log, site, lambda: ownership.may_send(moment()))
        self._contact = Contact(link, log, site)
        self._term_log = TermLog(log, site)
        self.claims = 0
        """How often this node has become the owner since its start."""
        self._previous: str | None = None
        """Whose place it takes, until servers have confirmed that it is the owner."""
        self._known = False
        """Whether this node knows the record: it was read, or written, and nothing has failed since."""
        self._term: Term | None = None
        self._begin_at = 0.0
        """When the next one may begin, by ``Moment.boot``."""
        self._reading: asyncio.Task[None] | None = None
        self._early = EarlyReader()
        self._watch: asyncio.TimerHandle | None = None
        """Ends the term when the lease is over."""
        self._removal = Removal(self._contact)
        self._read_all = False
        """Whether the next term is to read all that is there."""
        self._renew_at = 0.0
        """When to renew the lease though nothing has been done, by ``Moment.boot``."""
        self._looked_at = 0.0
        """When the clocks last allowed updates, by ``Moment.boot``: what waits to be sent is no older."""
        self._paused_since: float | None = None
        """That time, while the term pauses; None: it does not."""
        self._leave_at: float | None = None
        """When to leave whatever is under way, by ``Moment.boot``; None: it stays."""
        self._leaving = asyncio.Event()
        self.left = asyncio.Event()
        """Set when the node is to leave and does not own the queue any more."""

    # What the service asks.

    def may_send(self) -> bool:
        """Return whether updates may leave now; the term ends if they may not."""
        term = self._term
        if term is None or self._paused_since is not None:
            return False
        now = moment()
        if self._ownership.may_send(now):
            self._looked_at = now.boot
            return True
        self._paused_since = self._looked_at
        self._log.emit("PYD2_CLUSTER_PAUSED", self._site, f"{self._lease:g}")
        # Not now: the engine is in the middle of sending.
        asyncio.get_running_loop().call_soon(self._hold, term)
        return False

    def configure(self, most: int) -> None:
        """Let so many requests be under way from now on."""
        self._most = most
        if self._term is not None:
            self._term.most = most

    def leave(self) -> None:
        """Give the queue up, soon; ``left`` is set then."""
        self._leave_at = moment().boot + FINISH_SECONDS
        self._leaving.set()
        self._stop_reading()

    def stay(self) -> None:
        """Own the queue again, if it is free."""
        self._leave_at = None
        self._leaving.clear()
        self.left.clear()
        self._end_term(self._term)  # it reads no more

    def status(self) -> dict[str, str | int | float]:
        """Return what status-get shows."""
        record, now = self._ownership.record, moment()
        if self._ownership.may_send(now):
            state = "owner"
        else:
            state = "paused" if self._ownership.is_owner else "standby"
        status: dict[str, str | int | float] = {"state": state}
        if record is not None:
            status |= {"owner": record.node, "epoch": record.epoch, "floor": record.floor}
        status |= {
            "claims": self.claims, "overtaken": self._term_log.overtaken_requests,
            "missing": self._term_log.missing_batches, "dead-letters": self.burial.buried,
        }
        if self._term is not None:
            status |= {"waiting": self._term.work.count, "late": self._term.work.late}
        if self._ownership.is_owner:
            status["lease-left"] = round(self._ownership.lease_left(now), 1)
        return status

    # Its work.

    async def run(self) -> None:
        """Own the queue, or wait to, until this is cancelled; ``burial.run`` is to run beside it."""
        try:
            while True:
                try:
                    await self._turn()
                    self._contact.not_refused()
                except UnansweredError as error:
                    self._known = False
                    self._contact.unanswered(str(error))
                    await asyncio.sleep(_PAUSE)
                except (RecordError, SharedQueueError) as error:
                    self._known = False
                    self._contact.refused(str(error))
                    await asyncio.sleep(LOOK_SECONDS)
        finally:
            self._end_term(self._term)
            self._early.close()
            self._removal.cancel()

    async def _turn(self) -> None:
        ownership = self._ownership
        if not ownership.is_owner:
            self._early.close()
        if self._leave_at is not None and (self.left.is_set() or not ownership.is_owner):
            self.left.set()
            await asyncio.sleep(_PAUSE)
            return
        queue = self._link.queue
        if not (self._known and ownership.is_owner):
            await self._observe(queue)
        if ownership.is_owner:
            await self._own(queue)
        elif self._host.ready and ownership.may_claim(moment()):
            await self._claim(queue)
        else:
            await self._stand_by(queue)

    async def _observe(self, queue: SharedQueue) -> None:
        revision, record = await in_time(queue.record(), ANSWER_SECONDS)
        self._known = True
        self._observed(revision, record)

    async def _stand_by(self, queue: SharedQueue) -> None:
        """Watch the record until this node may claim the queue, owns it, or is to leave."""
        ownership, record = self._ownership, self._ownership.record
        assert record is not None
        try:
            watch = await queue.watch(ownership.revision, record, ANSWER_SECONDS)
        except UnansweredError:  # to make a consumer takes more of the servers than to show the record
            await asyncio.sleep(LOOK_SECONDS)
            return
        except SharedQueueError as error:
            self._contact.unwatched(str(error))
            await asyncio.sleep(LOOK_SECONDS)
            return
        self._contact.watched()
        try:
            while self._leave_at is None and not ownership.is_owner:
                if self._host.ready and ownership.may_claim(moment()):
                    await self._claim(queue)
                    return
                left = ownership.seconds_to_claim(moment())
                found = await watch.next(min(left, LOOK_SECONDS) if left > 0 else LOOK_SECONDS)
                if found is not None:
                    self._observed(*found)
        finally:
            watch.close()

    def _observed(self, revision: Revision, record: Record) -> None:
        self._contact.read(changed=revision != self._ownership.revision)
        change = self._ownership.observed(revision, record, moment())
        if change is Change.GAINED:
            self._previous = "unknown"  # what shows it may be old: another node may have claimed since
        elif change is Change.LOST:
            left = self._term.work.count if self._term is not None else 0
            self._end_term(self._term)
            self._paused_since = None
            self._log.emit("PYD2_CLUSTER_FENCED", self._site, record.node or "none", record.epoch, left)

    async def _claim(self, queue: SharedQueue) -> None:
        before = self._ownership.record
        assert before is not None
        if not self._contact.failing:  # else each try would leave the servers a consumer, for 30 seconds
            self._early.make(queue, before.floor, OPEN_SECONDS)
        self._previous = before.node or "none"
        await self._write(queue, self._ownership.claim(moment()))

    async def _own(self, queue: SharedQueue) -> None:
        """Renew, and let a term begin or the node leave; then pause."""
        ownership, term, now = self._ownership, self._term, moment()
        if self._leave_at is not None:
            if term is None or not term.begun or now.boot >= self._leave_at:
                await self._leave(queue, term)
                return
            self._stop_reading()
        elif term is None and now.boot >= self._begin_at and self._host.ready and ownership.may_send(now):
            if ownership.revision.last == ownership.revision.record:
                self._begin_term()
                return
            self._renew_at = 0.0  # what is read of the late batches is as of the record
        risen = term is not None and await self._advance(queue, term)
        now = moment()
        if ownership.may_write() and (risen or now.boot >= self._renew_at or not ownership.may_send(now)):
            await self._write(queue, ownership.renew(now, *self._done()))
            record = ownership.record
            if record is not None and ownership.is_owner:
                self._removal.go_on(queue, record)
        if self._paused_since is not None:
            await asyncio.sleep(0)  # the answer may have come before the turn of ``_hold``
            self._resume()
        if self._leave_at is not None:
            await asyncio.sleep(_LEAVING_PAUSE)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(COMMIT_SECONDS):
                await self._leaving.wait()

    async def _advance(self, queue: SharedQueue, term: Term) -> bool:
        """Write what is left of late batches, and raise the floor as far as all is done.

        What changes meanwhile is written before the floor rises, too: with more than can be written now, it
        waits. Returns whether it has risen.
        """
        work = term.work
        if not term.closed:
            work.look_for_late(time.monotonic())
        # Only the record prolongs the lease.
        while not term.closed and self._ownership.may_write() and moment().boot < self._renew_at:
            batch = work.next_late()
            if batch is None:
                break
            await self._keep_late(queue, term, batch)
        return not term.closed and work.advance()

    async def _keep_late(self, queue: SharedQueue, term: Term, batch: LateBatch) -> None:
        """Write what is left of a late batch; see ``_write``."""
        ownership = self._ownership
        try:
            revision = await queue.keep_late(batch, ownership.keep(moment()), ANSWER_SECONDS)
        except BaseException as error:
            term.work.late_unwritten(batch)
            self._known = False
            if isinstance(error, OutdatedError):
                ownership.refused()
                return
            ownership.unanswered()
            self._contact.unwritten(error)
            raise
        ownership.kept(revision, moment())
        if not batch.datagrams:
            self._removal.add_late(batch.name, revision)
        term.work.late_written(batch)

    def _done(self) -> tuple[int, tuple[str, BatchNumber] | None, Mapping[str, BatchNumber]]:
        """Return what the record is to say of floor, batch at the floor, and batches seen."""
        term, record = self._term, self._ownership.record
        assert record is not None
        if term is None or term.closed:
            return record.floor, record.at, record.seen
        return term.progress.floor, term.progress.at, dict(term.progress.seen)

    async def _write(self, queue: SharedQueue, write: Write) -> None:
        """Write the record. After a failure it is read before anything else."""
        ownership = self._ownership
        try:
            revision = await queue.replace(write.record, write.expected, ANSWER_SECONDS)
        except OutdatedError:
            ownership.refused()
            self._known = False
            return
        except BaseException as error:
            ownership.unanswered()
            self._known = False
            self._contact.unwritten(error)
            raise
        self._contact.written()
        ownership.written(revision, moment())
        self._renew_at = write.begun.boot + self._lease / 4
        previous, self._previous = self._previous, None
        if previous is not None and ownership.is_owner:
            self.claims += 1
            record = write.record
            self._log.emit("PYD2_CLUSTER_CLAIMED", self._site, record.epoch, record.floor + 1, previous)

    # Terms.

    def _begin_term(self) -> None:
        record = self._ownership.record
        assert record is not None
        if self._paused_since is not None:
            self._log.emit("PYD2_CLUSTER_RESUMED", self._site, record.floor + 1)
        self._paused_since = None
        events = TermEvents(
            self._carry_out, self.burial.add, self._term_log,
            self._contact.unread, self._contact.readable, lambda: self._host.retries,
            lambda: self._host.turn_limit,
        )
        reads_all, self._read_all = self._read_all, False
        term = Term(Progress(record), events, self._most, record.epoch, reads_all=reads_all)
        self._term = term
        self._host.begin(term)
        reading = term.read(self._link, self._ownership.revision, self._early)
        self._reading = asyncio.get_running_loop().create_task(reading)
        self._reading.add_done_callback(self._read_to_end)
        self._watch_lease()

    def _watch_lease(self) -> None:
        """Pause when the lease is over: a connection that is being made would send after that."""
        if self._watch is not None:
            self._watch.cancel()
        self._watch = None
        if self.may_send():
            left = self._ownership.lease_left(moment())
            self._watch = asyncio.get_running_loop().call_later(max(0.001, left), self._watch_lease)

    def _hold(self, term: Term) -> None:
        """Keep what a term has under way, or throw it away if that cannot be kept."""
        if term is self._term and not self._host.hold():
            self._end_term(term)

    def _resume(self) -> None:
        """Go on where the term has paused, if there is a lease: no other node has owned the queue between."""
        term, since, now = self._term, self._paused_since, moment()
        if term is None or since is None or not self._ownership.may_send(now):
            return
        self._paused_since = None
        if self._host.resume(now.boot - since):
            self._log.emit("PYD2_CLUSTER_RESUMED", self._site, term.progress.floor + 1)
            self._watch_lease()
        else:  # the next term says that it resumes
            self._paused_since = since
            self._end_term(term)

    def _carry_out(self, datagrams: Sequence[bytes], numbers: Sequence[int]) -> None:
        try:
            self._host.carry_out(datagrams, numbers)
        except Exception as error:  # those behind them must not wait for ever; a next term repeats these
            message = "some requests of the shared queue were not begun; the next ones begin"
            self._host.report({"message": message, "exception": error})

    def _read_to_end(self, task: asyncio.Task[None]) -> None:
        """End a term whose reading has ended: an error that is none of the queue's is a defect."""
        if task.cancelled() or task is not self._reading:
            return
        if (error := task.exception()) is not None:
            self._host.report({"message": "reading the shared queue has failed", "exception": error})
            self._begin_at = moment().boot + _FAULT_PAUSE
        if self._term is not None and self._term.incomplete:
            self._read_all = True
            self._removal.begin_again()
        self._end_term(self._term)

    def _stop_reading(self) -> None:
        self._early.close()
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _end_term(self, term: Term | None) -> None:
        """Throw away what a term has under way, if it is the present one."""
        if term is not None and term is self._term:
            self._term = None
            term.close()
            if self._watch is not None:
                self._watch.cancel()
                self._watch = None
            self._stop_reading()
            self._host.drop()

    async def _leave(self, queue: SharedQueue, term: Term | None) -> None:
        """Write what is done, and that the queue is free."""
        ownership = self._ownership
        if term is not None and ownership.may_send(moment()):
            await self._advance(queue, term)
        done, left = self._done(), term.work.count if term is not None else 0
        self._end_term(term)
        if ownership.may_write():
            await self._write(queue, ownership.leave(moment(), *done))
            if not ownership.is_owner:
                self._log.emit("PYD2_CLUSTER_RELEASED", self._site, left)
