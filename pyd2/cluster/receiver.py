"""Appends what comes in to the shared queue, a batch at a time; what takes too long goes to the disk.

A request that is not acknowledged within KEEP_SECONDS is put into the durable queue of this machine
(``pyd2.queue.durable``), and all behind it. When the servers have it, it is removed there. While they do not
answer it stays, and follows later in its order. As long as they do answer, nothing is written to the disk.

What the servers have acknowledged and lose again before it is done, they get once more
(``pyd2.queue.shared.acknowledged``).
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from itertools import groupby
from typing import TYPE_CHECKING, Final, Protocol

from pyd2.cluster.link import in_time
from pyd2.queue.shared.acknowledged import Acknowledged
from pyd2.queue.shared.batch import MOST_REQUESTS, SPOOLED_SECONDS
from pyd2.queue.shared.interface import OutdatedError, SharedQueueError, UnansweredError
from pyd2.queue.shared.record import RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pyd2.cluster.link import Link
    from pyd2.messages import Log
    from pyd2.queue.shared.batch import RequestBatch
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

LOOK_SECONDS: Final = 5.0
"""With nothing to append, a receiver looks so often whether servers still have what is not done."""

_PAUSES: Final = (0.05, 0.1, 0.2, 0.5)
"""Seconds before it is; the last one stays."""

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
        """Whether more waits than is usual, because the shared queue has taken nothing for a while."""

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
        begun, failures = time.monotonic(), 0
        while True:
            batch = self._next()
            if batch is None:
                await self._wait()
                begun = time.monotonic()
                continue
            try:
                await self._append(batch)
            except SharedQueueError as error:
                self._failed(error, failures, time.monotonic() - begun)
                await asyncio.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])
                failures += 1
                self.repeated += 1
            else:
                begun, failures = time.monotonic(), 0

    def _next(self) -> RequestBatch | None:
        """Return the batch to append, the same until it is acknowledged; None: there is none now."""
        now = time.time()
        self._forget_done(self._record())
        lost = self._acknowledged.lost(now)
        if lost is not None:
            return lost
        empty = self._disk_is_empty()
        return self._outgoing.first(now, safe=self._disk.safe, disk_is_empty=empty)

    async def _wait(self) -> None:
        """Return when there may be something to append."""
        if self.waiting:  # the disk is being written
            await asyncio.sleep(_DISK_PAUSE)
            return
        self._wake.clear()
        if not self._acknowledged:
            await self._wake.wait()
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self._wake.wait()
                return
        self._forget_done(self._record())
        if self._acknowledged:
            with suppress(SharedQueueError):  # it looks again
                await self._look()

    async def _append(self, batch: RequestBatch) -> None:
        """Append a batch, or find out that servers do not have the one before it, or have this one."""
        try:
            sequence = await self._link.queue.append(batch, self._acknowledged.behind, ANSWER_SECONDS)
        except OutdatedError:
            if not await self._look():
                raise
        else:
            self._added(batch, sequence)

    async def _look(self) -> bool:
        """Find out which batches the servers have; return whether they are others than was known."""
        queue, acknowledged = self._link.queue, self._acknowledged
        before, under_way = acknowledged.behind, self._outgoing.under_way
        last = await in_time(queue.last_of(self._outgoing.receiver), ANSWER_SECONDS)
        with suppress(RecordError):  # a later pyd2 has written it: what is done is not known
            _, record = await in_time(queue.record(), ANSWER_SECONDS)
            self._forget_done(record)
        lost = acknowledged.found(last)
        if under_way is not None and last is not None and last.batch is not None \
                and last.batch.number == under_way.number:
            self._added(under_way, last.sequence)  # only the answer was lost
        elif lost:
            self._log.emit("PYD2_CLUSTER_APPENDED_AGAIN", self._site, lost)
        return acknowledged.behind != before

    def _forget_done(self, record: Record | None) -> None:
        if record is not None:
            self._acknowledged.done(record.seen.get(self._outgoing.receiver))

    def _added(self, batch: RequestBatch, sequence: int) -> None:
        """Note that a batch is in the shared queue."""
        if self._acknowledged.add(batch, sequence):
            self.appended += len(batch.datagrams)
            self._disk.done(self._outgoing.acknowledged(), {})
        else:
            self.repeated += 1
        self.fault = ""
        if self._behind and self.waiting < MOST_REQUESTS:
            self._behind = False
            self._log.emit("PYD2_CLUSTER_FORWARDED", self._site)

    def _failed(self, error: SharedQueueError, failures: int, seconds: float) -> None:
        if seconds >= LOGGED_SECONDS:
            self.fault = str(error)
            if not self._behind:
                self._behind = True
                self._log.emit("PYD2_CLUSTER_SPOOLING", self._site, error)
        # The first failure may be no more than a message that was lost.
        if failures and isinstance(error, UnansweredError):
            self._link.go_to_next(str(error))
