"""The work of an owner from a claim on: reads the queue, hands requests to the engine, notes their ends.

A term ends for good when its lease does, or another node has claimed the queue: what is reported of its
requests after that counts no more. The next term, here or elsewhere, repeats what is left of the late batches
(``pyd2.queue.shared.late``), and then what is behind the floor.
"""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.cluster.link import find_batch
from pyd2.queue.shared.interface import SharedQueueError, UnansweredError
from pyd2.queue.shared.newest import REASON, NewestRequests
from pyd2.queue.shared.order import Order
from pyd2.queue.shared.under_way import UnderWay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pyd2.cluster.early import EarlyReader
    from pyd2.cluster.link import Link
    from pyd2.cluster.term_log import TermLog
    from pyd2.queue.interface import DeadLetter
    from pyd2.queue.shared.interface import BatchReader, QueuedBatch
    from pyd2.queue.shared.late import LateBatch
    from pyd2.queue.shared.order import Ready
    from pyd2.queue.shared.progress import Progress
    from pyd2.queue.shared.record import Revision
    from pyd2.update.output import Amendment

READ_AHEAD: Final = 20_000
"""Requests that are read and not done, without those that wait to be tried again, or for other batches."""
OPEN_SECONDS: Final = 0.5
"""How long the first try to begin to read may take. For later ones see ``_open_seconds``."""
_LEADERLESS_SECONDS: Final = 10.0
"""How long servers may show no batch: after that the connection or the reader is no good any more."""
_READ_SECONDS: Final = 10.0
_WAIT_SECONDS: Final = 1.0
"""How long to read at a time, while a batch waits for others."""
_PAUSE: Final = 0.1
"""Seconds before the queue is read again when that has failed."""
_LAG_SECONDS: Final = 5.0
"""How long servers may not have what they have given: a leader that was just chosen may not have it yet."""
_FULL_PAUSE: Final = 0.01
"""Seconds until another look whether more may be read."""


class _MissingError(Exception):
    """Batches are missing before one that was read."""


class TermEvents(NamedTuple):
    """What a term reports."""

    carry_out: Callable[[Sequence[bytes], Sequence[int]], None]
    """Gives requests with their numbers to the engine; ``Term.done`` gets the numbers back."""
    bury: Callable[[Term, Sequence[tuple[int, DeadLetter]]], None]
    """Keeps dead letters, by the numbers of their requests; ``Term.buried`` gets these when they are safe."""
    log: TermLog
    refused: Callable[[str], None]
    """Logs why the queue cannot be read though a server answers; it is tried again."""
    readable: Callable[[], None]
    """Says that it can be read."""
    retries: Callable[[], int]
    """Says how many requests wait in the engine to be tried again."""
    turn_limit: Callable[[], int]
    """Says how many requests the engine may get in this turn of the loop."""


def _open_seconds() -> Iterator[float]:
    """Yield how long each try to begin to read may take; without a connection there is none.

    No answer comes while the servers have no leader, or if it gives the consumer to a server that was killed.
    So the tries are short while servers choose one, which takes up to 9 seconds; later ones are for servers
    that are slow.
    """
    for _ in range(6):
        yield from (OPEN_SECONDS, OPEN_SECONDS, 2 * OPEN_SECONDS)
    seconds = 2 * OPEN_SECONDS
    while True:
        seconds = min(1.5 * seconds, 10 * OPEN_SECONDS)
        yield seconds


class Term:
    """Not many more than ``most`` requests are read and not done, nor many more than READ_AHEAD ready."""

    def __init__(
        self, progress: Progress, events: TermEvents, most: int, epoch: int, *, reads_all: bool = False
    ) -> None:
        """Read what is behind the floor of ``progress``; ``reads_all``: all that is there."""
        self.progress: Final = progress
        self.work: Final = UnderWay(progress, epoch)
        """What was read and is not done."""
        self.closed = False
        self.incomplete = False
        """Whether it has ended because batches are missing: the next one is to read all that is there."""
        self._reads_all = reads_all
        self.begun = 0
        """Requests of these that the engine has got, or whose dead letters are not safe."""
        self._events = events
        self.most = most
        """It may be changed at any time."""
        self._newest = NewestRequests()
        self._order = Order(progress)
        self._blocked = 0.0
        """Seconds for which no more was read, in this turn: too much was under way, or servers were asked."""
        self._after = 0
        """The sequence of the batch that was begun last, or the one behind which this term reads."""

    def close(self) -> None:
        """End it: nothing that is reported from now on counts."""
        self.closed = True

    async def read(self, link: Link, revision: Revision, early: EarlyReader) -> None:
        """Hand on the late batches, as of a revision, and then what is behind the floor, to the end.

        ``early`` may have the first reader. It returns if servers give the sequences of batches that they
        have lost to others: another term is to begin, as after a claim.
        """
        try:
            await self._read(link, revision, early)
        except _MissingError:
            self.incomplete = True

    async def _read(self, link: Link, revision: Revision, early: EarlyReader) -> None:
        begun = in_doubt = False
        tries = _open_seconds()
        while not self.closed:
            reader: BatchReader | None = None
            try:
                if not begun:
                    await self._find_floor(link)
                    await self._begin_late(await link.queue.late(revision, next(tries)))
                    begun = True
                reader = await early.take(link.queue, self._after, next(tries))
                tries = _open_seconds()
                if in_doubt and self._after and await self._has_lost(link):
                    # The reader may begin behind batches that have the sequences of lost ones.
                    self._events.log.lost(self._after)
                    return
                self._events.readable()
                while not self.closed:
                    since, self._blocked = time.monotonic(), 0.0
                    found = await reader.read(_WAIT_SECONDS if self._order.waits else _READ_SECONDS)
                    if not found and self._after:
                        if await self._has_lost(link):
                            # It may be behind batches that have the sequences of lost ones.
                            self._events.log.lost(self._after)
                            return
                        await self._begin_left_out(link, math.inf)
                    for queued in found:
                        await self._begin_left_out(link, queued.sequence)
                        if queued.sequence > self._after:
                            await self._begin(queued)
                        elif self._is_another(queued):
                            self._events.log.lost(queued.sequence)
                            return
                    self._order.wait(time.monotonic() - since - self._blocked)
                    await self._end_overdue()
            except SharedQueueError as error:
                in_doubt = True
                if not isinstance(error, UnansweredError):
                    self._events.refused(str(error))
                await asyncio.sleep(_PAUSE)
            finally:
                if reader is not None:
                    reader.close()

    async def _find_floor(self, link: Link) -> None:
        """Find out whether the servers still have the batch at the floor; without it all is read again."""
        if self._reads_all:
            self.progress.begin_at_start()
        floor = self.progress.floor
        at_floor = await self._there(link, floor, _LAG_SECONDS) if floor else None
        if self.closed:
            return
        self._after = self.progress.begin_after(at_floor)
        if self._after != floor:
            self._events.log.lost(floor)

    async def _begin_left_out(self, link: Link, before: float) -> None:
        """Begin what a reader has left out before a sequence, or what is there if that is infinite.

        One that is made while the servers choose a leader may leave out the first batches that it is to read.
        """
        lag = _LAG_SECONDS if before < math.inf else 0.0
        while not self.closed and 0 < self._after < before - 1:
            left_out = await self._there(link, self._after + 1, lag)
            if left_out is None:
                return  # it was removed, or has not come yet
            await self._begin(left_out)

    async def _has_lost(self, link: Link) -> bool:
        """Whether the servers have lost the batch that was read last."""
        found = await self._there(link, self._after, _LAG_SECONDS)
        return not self.closed and not self.progress.is_last(found)

    async def _there(self, link: Link, sequence: int, lag: float) -> QueuedBatch | None:
        """Return a batch that the servers have given, or should have; None if it is gone."""
        since = time.monotonic()
        try:
            return await find_batch(link, sequence, lag, _LEADERLESS_SECONDS)
        finally:
            self._blocked += time.monotonic() - since

    def _is_another(self, queued: QueuedBatch) -> bool:
        """Whether a batch that comes again is not the one that had its sequence.

        A server that lags behind begins a reader with what it has, whatever was asked for.
        """
        return queued.batch is not None and self.progress.is_new(queued.batch)

    async def _begin_late(self, found: Sequence[LateBatch]) -> None:
        if not self.closed:
            for numbers, batch in zip(self.work.begin_late(found), found, strict=True):
                await self._carry_out(batch.datagrams, numbers)

    async def _begin(self, queued: QueuedBatch) -> None:
        sequence, batch, fault = queued
        since = time.monotonic()
        while self._is_full and not self.closed:
            await self._end_overdue()
            await asyncio.sleep(_FULL_PAUSE)
        self._blocked += time.monotonic() - since
        if self.closed:
            return
        self._after, now = sequence, time.monotonic()
        if batch is None:
            self.progress.begin(sequence, batch, now)
            self._events.log.unreadable(sequence, fault)
            return
        if batch.datagrams and self.progress.is_new(batch):
            self.work.begin(sequence, batch.taken, batch.datagrams)
        for ready in self._order.add(sequence, batch, now):
            await self._begin_ready(ready)

    async def _begin_ready(self, ready: Ready) -> None:
        sequence, batch, missing = ready
        datagrams = batch.datagrams
        if missing:
            self._events.log.missing(batch.receiver, missing, batch.number)
        if self.closed or not datagrams:
            return
        numbers: Sequence[int] = self.work.numbers(sequence)
        if overtaken := {numbers[place] for place in self._newest.overtaken(batch)}:
            numbers = [number for number in numbers if number not in overtaken]
            datagrams = [self.work.datagram(number) for number in numbers]
            self._events.log.overtaken(batch.receiver, len(overtaken))
            self.begun += len(overtaken)
            self.done((), dict.fromkeys(sorted(overtaken), REASON))
        await self._carry_out(datagrams, numbers)

    async def _end_overdue(self) -> None:
        """Read all again if a batch is missing for too long, and begin without it if that was done.

        It may have the sequence of a batch that was read, and that the servers have lost. Raises
        _MissingError.
        """
        while (overdue := self._order.overdue(self.most / 2)) is not None and not self.closed:
            if not self._events.log.knows_gap(overdue.batch):
                self._events.log.note_gaps(overdue.sequence, self._order.names())
                raise _MissingError
            for ready in self._order.give_up(overdue):
                await self._begin_ready(ready)

    @property
    def _is_full(self) -> bool:
        count = self.work.count
        # A DNS server that is down must not keep the requests for others from being read, nor may batches
        # that wait keep the one from being read that they wait for.
        ready = count - self._events.retries() - self._order.requests
        return count >= self.most or ready >= READ_AHEAD

    async def _carry_out(self, datagrams: Sequence[bytes], numbers: Sequence[int]) -> None:
        """Hand requests to the engine, some in each turn of the loop."""
        at = 0
        while at < len(numbers) and not self.closed:
            end = at + self._events.turn_limit()
            if end > at:
                chunk = numbers[at:end]
                self.begun += len(chunk)
                self._events.carry_out(datagrams[at:end], chunk)
            at = end
            await asyncio.sleep(0)

    def amend(self, changes: Sequence[Amendment]) -> None:
        """Note what requests have left to do."""
        if not self.closed:
            self.work.amend(changes)

    def done(self, numbers: Sequence[int], dead: Mapping[int, str]) -> None:
        """Note requests that have ended; the ``dead`` ones become dead letters first, with reasons."""
        if self.closed:
            return
        if dead:
            now = time.time()
            buried = [(number, self.work.dead_letter(number, now, dead[number])) for number in dead]
            self._events.bury(self, buried)
            numbers = [number for number in numbers if number not in dead]
        self.buried(numbers)

    def buried(self, numbers: Sequence[int]) -> None:
        """Note requests that are done, or whose dead letters are safe."""
        if self.closed:
            return
        self.work.end(numbers)
        self.begun -= len(numbers)
