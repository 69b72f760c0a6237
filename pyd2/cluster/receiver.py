"""Appends what comes in to the shared queue, a batch at a time; what takes too long goes to the disk.

A request that is not acknowledged within KEEP_SECONDS is put into the durable queue of this machine
(``pyd2.queue.durable``), and all behind it. When the servers have it, it is removed there. While they do not
answer it stays, and follows later in its order. As long as they do answer, nothing is written to the disk.

What the servers have acknowledged and lose again before it is done, they get once more
(``pyd2.queue.shared.acknowledged``).
"""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import suppress
from itertools import groupby
from typing import TYPE_CHECKING, Final, Protocol

from pyd2.cluster.link import find_batch, in_time
from pyd2.queue.shared.acknowledged import Acknowledged
from pyd2.queue.shared.batch import MOST_REQUESTS, SPOOLED_SECONDS
from pyd2.queue.shared.interface import SharedQueueError, UnansweredError
from pyd2.queue.shared.progress import name_of
from pyd2.queue.shared.record import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pyd2.cluster.link import Link
    from pyd2.messages import Log
    from pyd2.queue.shared.acknowledged import Kept
    from pyd2.queue.shared.batch import RequestBatch
    from pyd2.queue.shared.interface import QueuedBatch
    from pyd2.queue.shared.outgoing import Outgoing
    from pyd2.queue.shared.record import Record

ANSWER_SECONDS: Final = 1.0
"""After so long without an acknowledgement a batch is appended again."""

KEEP_SECONDS: Final = 0.05
"""A request that is not acknowledged after so long is put on the disk.

A kill before that loses it. To a cluster whose answers take longer each request is on the disk first.
"""

LOGGED_SECONDS: Final = 1.5
"""It is logged that the shared queue has taken nothing for so long: longer than a server takes to restart."""

LOOK_SECONDS: Final = 2.0
"""If what the servers have acknowledged is not done after so long, the receiver looks whether it is there.

And again after so long, unless there is too much for that.
"""
LOOK_PAUSE: Final = 0.25
"""Seconds between two looks, at least."""

LAG_SECONDS: Final = 1.0
"""How long the servers may not have it before it is appended again: a leader that is new may lag behind."""

_PAUSES: Final = (0.05, 0.1, 0.2, 0.5)
"""Seconds between a failure and the next try to append the batch under way; the last one stays."""

_DISK_PAUSE: Final = 0.002
"""How often it is looked whether the disk was written that requests wait for."""
_TICK: Final = 0.001
"""Seconds that timers can tell apart."""


class Disk(Protocol):
    """The durable queue, as the receiver needs it; see DurableQueue."""

    @property
    def is_empty(self) -> bool:
        """Whether no request is there: what was removed has left it for good."""

    @property
    def safe(self) -> int:
        """Requests up to this number are there, or need not wait for it."""

    @property
    def usable(self) -> bool:
        """Whether it works."""

    def keep(self, datagrams: Sequence[bytes], taken: float) -> Sequence[int]:
        """Put requests there that came at ``taken``, in seconds since the epoch; return their numbers."""

    def taken(self, number: int) -> float | None:
        """Return when a request came that is there."""

    def done(self, numbers: Sequence[int], dead: Mapping[int, str]) -> None:
        """Remove requests."""


class Receiver:
    """What it has not got acknowledged is in ``outgoing``; ``record`` returns the newest record it knows."""

    def __init__(
        self, outgoing: Outgoing, link: Link, disk: Disk, log: Log, site: str,
        record: Callable[[], Record | None] = lambda: None,
    ) -> None:  # fmt: skip
        self._outgoing = outgoing
        self._acknowledged = Acknowledged()
        self._link = link
        self._disk = disk
        self._log = log
        self._site = site
        self._record = record
        self._look_at = -math.inf
        """When it may look again, in monotonic seconds."""
        self._read_record_at = -math.inf
        """When to read the record again: what is done is removed long after that says so (``removal``)."""
        self._wake = asyncio.Event()
        self._keeper: asyncio.TimerHandle | None = None
        """Runs while there are requests that are in memory only."""
        self._empty = False
        """Whether the disk is known to be empty."""
        self.appended = 0
        """Requests that were appended since the start."""
        self.repeated = 0
        """How often a batch was appended again."""
        self.fault = ""
        """Why the shared queue takes nothing at present; empty: it does."""
        self._behind = False
        """Whether it was logged that the shared queue takes nothing; until what waited is handed over."""

    @property
    def waiting(self) -> int:
        """Requests that the shared queue has not got."""
        return len(self._outgoing)

    @property
    def has_only_copy(self) -> bool:
        """Whether a stop may lose requests that ``keep`` has put on the disk, for that fails, or is slow."""
        written = self._disk.usable and self._outgoing.last_on_disk <= self._disk.safe
        return self.waiting > 0 and not written

    @property
    def oldest(self) -> float | None:
        """When the first of these came, in seconds since the epoch."""
        return self._outgoing.oldest

    @property
    def in_memory(self) -> int:
        """Requests that neither the shared queue nor the disk has."""
        return self._outgoing.in_memory

    def take(self, datagrams: Sequence[bytes], numbers: Sequence[int]) -> None:
        """Take requests with their numbers on the disk; without numbers they are not there."""
        now = time.time()
        first = self._disk.taken(numbers[0]) if numbers else None
        if first is None or now - first < SPOOLED_SECONDS:
            self._outgoing.add(datagrams, numbers, now)
        else:  # they were on the disk when this daemon started
            begin = 0
            for taken, together in groupby(numbers, lambda number: self._disk.taken(number) or now):
                end = begin + len(list(together))
                self._outgoing.add(datagrams[begin:end], numbers[begin:end], taken)
                begin = end
        if numbers:
            self._empty = False
        elif self._keeper is None:
            self._keeper = asyncio.get_running_loop().call_later(KEEP_SECONDS, self._keep_some)
        self._wake.set()

    def keep(self) -> None:
        """Put all on the disk that is in memory only."""
        if self._outgoing.in_memory:
            self._empty = False
            self._outgoing.keep(self._disk.keep)

    def _keep_some(self) -> None:
        """Put on the disk what has waited for too long, and all behind it."""
        self._keeper = None
        oldest = self._outgoing.oldest_in_memory
        if oldest is None:
            return
        # What came before the clock was set back has waited for an unknown time.
        left = KEEP_SECONDS - abs(time.time() - oldest)
        if left < _TICK:
            self.keep()
        else:
            self._keeper = asyncio.get_running_loop().call_later(left, self._keep_some)

    def _disk_is_empty(self) -> bool:
        if not self._empty:
            self._empty = not self._outgoing.on_disk and self._disk.is_empty
        return self._empty

    async def run(self) -> None:
        """Append, until this is cancelled."""
        while True:
            await self._look()
            empty = self._disk_is_empty()
            batch = self._outgoing.first(time.time(), safe=self._disk.safe, disk_is_empty=empty)
            if batch is None:
                await self._wait()
                continue
            sequence = await self._append(batch)
            self._acknowledged.add(batch, sequence, time.monotonic())
            self.appended += len(batch.datagrams)
            self._disk.done(self._outgoing.acknowledged(), {})
            self.fault = ""
            if self._behind and self.waiting < MOST_REQUESTS:
                self._behind = False
                self._log.emit("PYD2_CLUSTER_FORWARDED", self._site)

    async def _wait(self) -> None:
        """Return when there may be something to append, or to look for."""
        if self.waiting:  # the disk is being written
            await asyncio.sleep(_DISK_PAUSE)
            return
        self._wake.clear()
        left = self._next_look() - time.monotonic()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(left, _TICK) if left < math.inf else None):
                await self._wake.wait()

    async def _append(self, batch: RequestBatch) -> int:
        """Return the sequence of the batch when it is in the shared queue."""
        begun, failures = time.monotonic(), 0
        while True:
            try:
                return await self._link.queue.append(batch, ANSWER_SECONDS)
            except SharedQueueError as error:
                self._failed(error, failures, time.monotonic() - begun)
            await asyncio.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])
            failures += 1
            self.repeated += 1
            batch = self._outgoing.first(time.time()) or batch  # the same; it may say now that it waited

    async def _look(self) -> None:
        """See that the servers still have what they have acknowledged, if it is not done for long."""
        self._forget_done(self._record())
        if (now := time.monotonic()) < self._next_look():
            return
        self._look_at = now + LOOK_SECONDS  # if it fails
        again = 0
        # It looks again. Without the record, which a later pyd2 may have written, it cannot tell what is lost
        # from what is done and was removed.
        with suppress(SharedQueueError, RecordError):
            if now >= self._read_record_at:
                _, record = await in_time(self._link.queue.record(), ANSWER_SECONDS)
                self._forget_done(record)
                self._read_record_at = now + LOOK_SECONDS
            kept = await self._first_lost(self._acknowledged.look(now - LOOK_SECONDS, now))
            while kept is not None and not await self._is_there(kept, 0.0 if again else LAG_SECONDS):
                kept.sequence = await self._link.queue.append(_as_of_now(kept.batch), ANSWER_SECONDS)
                again += 1
                kept = self._acknowledged.behind(kept.batch.number)
            self._look_at = now + LOOK_PAUSE
        if again:
            self.repeated += again
            self._log.emit("PYD2_CLUSTER_APPENDED_AGAIN", self._site, again)

    def _next_look(self) -> float:
        """Return when to look next, in monotonic seconds."""
        since = self._acknowledged.next_look
        return math.inf if since is None else max(since + LOOK_SECONDS, self._look_at)

    def _forget_done(self, record: Record | None) -> None:
        """Forget what is done, as a record says."""
        if record is not None:
            self._acknowledged.done(record.seen.get(self._outgoing.receiver))

    async def _first_lost(self, some: Sequence[Kept]) -> Kept | None:
        """Return the first batch of some that the servers do not have."""
        calls = [find_batch(self._link, kept.sequence) for kept in some]
        found = await asyncio.gather(*calls)
        lost = [kept for kept, there in zip(some, found, strict=True) if not _is_it(kept, there)]
        return min(lost, key=lambda kept: kept.batch.number, default=None)

    async def _is_there(self, kept: Kept, lag: float) -> bool:
        """Whether the servers have a batch; see ``find_batch``."""
        return _is_it(kept, await find_batch(self._link, kept.sequence, lag))

    def _failed(self, error: SharedQueueError, failures: int, seconds: float) -> None:
        if seconds >= LOGGED_SECONDS:
            self.fault = str(error)
            if not self._behind:
                self._behind = True
                self._log.emit("PYD2_CLUSTER_SPOOLING", self._site, error)
        # The first failure may be no more than a message that was lost.
        if failures and isinstance(error, UnansweredError):
            self._link.go_to_next(str(error))


def _is_it(kept: Kept, found: QueuedBatch | None) -> bool:
    return name_of(found) == (kept.batch.receiver, kept.batch.number)


def _as_of_now(batch: RequestBatch) -> RequestBatch:
    """Return a batch that comes again: by now it may have waited for long."""
    return batch._replace(spooled=batch.spooled or time.time() - batch.taken >= SPOOLED_SECONDS)
