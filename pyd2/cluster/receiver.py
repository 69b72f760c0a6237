"""Appends what comes in to the shared queue, a batch at a time, and takes it from the disk after that.

A request comes from the durable queue (``pyd2.queue.durable``), so it is on the disk of this machine. When
the servers have it, it is removed there. While they do not answer it stays, and follows later in its order.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from pyd2.queue.shared.batch import MOST_REQUESTS, SPOOLED_SECONDS
from pyd2.queue.shared.interface import SharedQueueError, UnansweredError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pyd2.cluster.link import Link
    from pyd2.messages import Log
    from pyd2.queue.shared.batch import RequestBatch
    from pyd2.queue.shared.outgoing import Outgoing

ANSWER_SECONDS: Final = 1.0
"""After so long without an acknowledgement a batch is appended again."""

LOGGED_SECONDS: Final = 1.5
"""It is logged that the shared queue has taken nothing for so long: longer than a server takes to restart."""

_PAUSES: Final = (0.05, 0.1, 0.2, 0.5)
"""Seconds before it is; the last one stays."""


class Receiver:
    """``done(numbers, dead)`` removes requests from the disk, and ``taken(number)`` says when one came.

    See DurableQueue.
    """

    def __init__(
        self, outgoing: Outgoing, link: Link, done: Callable[[Sequence[int], Mapping[int, str]], None],
        log: Log, site: str, taken: Callable[[int], float | None] = lambda _: None,
    ) -> None:
        self._outgoing = outgoing
        self._link = link
        self._done = done
        self._taken = taken
        self._log = log
        self._site = site
        self._wake = asyncio.Event()
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
    def oldest(self) -> float | None:
        """When the first of these came, in seconds since the epoch."""
        return self._outgoing.oldest

    def take(self, datagrams: Sequence[bytes], numbers: Sequence[int]) -> None:
        """Take requests with their numbers on the disk."""
        now = time.time()
        first = self._taken(numbers[0]) if numbers else None
        if first is None or now - first < SPOOLED_SECONDS:
            self._outgoing.add(datagrams, numbers, now)
        else:  # they were on the disk when this daemon started
            for datagram, number in zip(datagrams, numbers, strict=True):
                self._outgoing.add((datagram,), (number,), self._taken(number) or now)
        self._wake.set()

    async def run(self) -> None:
        """Append, until this is cancelled."""
        while True:
            batch = self._outgoing.first(time.time())
            if batch is None:
                self._wake.clear()
                await self._wake.wait()
                continue
            await self._append(batch)
            self.appended += len(batch.datagrams)
            self._done(self._outgoing.acknowledged(), {})
            self.fault = ""
            if self._behind and self.waiting < MOST_REQUESTS:
                self._behind = False
                self._log.emit("PYD2_CLUSTER_FORWARDED", self._site)

    async def _append(self, batch: RequestBatch) -> None:
        """Return when the batch is in the shared queue."""
        begun, failures = time.monotonic(), 0
        while True:
            try:
                await self._link.queue.append(batch, ANSWER_SECONDS)
            except SharedQueueError as error:
                self._failed(error, failures, time.monotonic() - begun)
            else:
                return
            await asyncio.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])
            failures += 1
            self.repeated += 1
            batch = self._outgoing.first(time.time()) or batch  # the same; it may say now that it waited

    def _failed(self, error: SharedQueueError, failures: int, seconds: float) -> None:
        if seconds >= LOGGED_SECONDS:
            self.fault = str(error)
            if not self._behind:
                self._behind = True
                self._log.emit("PYD2_CLUSTER_SPOOLING", self._site, error)
        # The first failure may be no more than a message that was lost.
        if failures and isinstance(error, UnansweredError):
            self._link.go_to_next(str(error))
