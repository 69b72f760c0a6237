"""The work of an owner from a claim on: reads the queue, hands requests to the engine, notes their ends.

A term ends for good when its lease does, or another node has claimed the queue: what is reported of its
requests after that counts no more. The next term, here or elsewhere, repeats what is behind the floor.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyd2.queue.interface import DeadLetter
from pyd2.queue.shared.interface import SharedQueueError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pyd2.cluster.link import Link
    from pyd2.queue.shared.interface import QueuedBatch
    from pyd2.queue.shared.progress import Progress

_INDEX_BITS: Final = 18
"""Of a request's number, for its place in its batch: no message has so many. The others are the sequence."""
_CHUNK: Final = 128
"""Requests that the engine gets in one turn of the loop."""
_READ_SECONDS: Final = 10.0
_PAUSE: Final = 0.1
"""Seconds before the queue is read again when that has failed."""


@dataclass(slots=True)
class _UnderWay:
    """A batch whose requests are not all done."""

    taken: float
    """When its first request was read from the socket, in seconds since the epoch."""
    datagrams: Sequence[bytes]
    left: int


class Term:
    """``carry_out(datagrams, numbers)`` gives requests to the engine, ``done`` gets their numbers back.

    ``bury`` keeps dead letters; ``unreadable(sequence, fault)`` logs a batch that is skipped. Not many more
    than ``most`` requests are read and not done.
    """

    def __init__(
        self, progress: Progress, carry_out: Callable[[Sequence[bytes], Sequence[int]], None],
        bury: Callable[[Sequence[DeadLetter]], None], unreadable: Callable[[int, str], None],
        most: int,
    ) -> None:
        self.progress: Final = progress
        self.ahead = 0
        """Requests that were read and are not done."""
        self.closed = False
        self._carry_out = carry_out
        self._bury = bury
        self._unreadable = unreadable
        self._most = most
        self._under_way: dict[int, _UnderWay] = {}
        """By their sequences."""
        self._may_read = asyncio.Event()

    def close(self) -> None:
        """End it: nothing that is reported from now on counts."""
        self.closed = True
        self._under_way.clear()
        self._may_read.set()

    async def read(self, link: Link, after: int) -> None:
        """Read the batches behind a sequence and hand their requests on, until the term ends."""
        while not self.closed:
            try:
                reader = await link.queue.read(after)
            except SharedQueueError:
                await asyncio.sleep(_PAUSE)
                continue
            try:
                while not self.closed:
                    for queued in await reader.read(_READ_SECONDS):
                        after = queued.sequence
                        await self._begin(queued)
            except SharedQueueError:
                await asyncio.sleep(_PAUSE)
            finally:
                reader.close()

    async def _begin(self, queued: QueuedBatch) -> None:
        sequence, batch, fault = queued
        while self.ahead >= self._most and not self.closed:
            self._may_read.clear()
            await self._may_read.wait()
        if self.closed:
            return
        begins = self.progress.begin(sequence, batch)
        if batch is None:
            self._unreadable(sequence, fault)
        elif begins:
            datagrams = batch.datagrams
            self._under_way[sequence] = _UnderWay(batch.taken, datagrams, len(datagrams))
            self.ahead += len(datagrams)
            first = sequence << _INDEX_BITS
            for at in range(0, len(datagrams), _CHUNK):
                chunk = datagrams[at : at + _CHUNK]
                self._carry_out(chunk, range(first + at, first + at + len(chunk)))
                await asyncio.sleep(0)
                if self._under_way.get(sequence) is None:  # it was closed meanwhile, or all of this is done
                    return

    def done(self, numbers: Sequence[int], dead: Mapping[int, str]) -> None:
        """Note requests that have ended; the ``dead`` ones become dead letters, with reasons."""
        if self.closed:
            return
        if dead:
            self._bury([self._dead_letter(number, reason) for number, reason in dead.items()])
        for number in numbers:
            sequence = number >> _INDEX_BITS
            self.progress.done(sequence)
            batch = self._under_way[sequence]
            batch.left -= 1
            if not batch.left:
                del self._under_way[sequence]
        self.ahead -= len(numbers)
        if self.ahead < self._most:
            self._may_read.set()

    def _dead_letter(self, number: int, reason: str) -> DeadLetter:
        batch = self._under_way[number >> _INDEX_BITS]
        datagram = batch.datagrams[number & ((1 << _INDEX_BITS) - 1)]
        return DeadLetter(0, batch.taken, time.time(), reason, datagram)
