"""What a receiver has not got acknowledged yet: its requests in their order, one batch of them under way."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyd2.queue.shared.batch import (
    MOST_REQUESTS,
    SPOOLED_SECONDS,
    BatchNumber,
    Joined,
    RequestBatch,
    first_of,
    joined,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(slots=True)
class _Part:
    """Requests that came together."""

    taken: float
    datagrams: Joined
    numbers: list[int]
    """Those that they have on the disk; empty: they are in memory only."""


class Outgoing:
    """The requests of one start of a receiver: first some that are on its disk, then some in memory only.

    The first batch is appended, again and again, until it is acknowledged, and only then the next one: so the
    order is certain, and a repetition is known by its number. What comes meanwhile makes the next batch, so
    batches grow with the load. A new start takes what is on the disk as if it had just come: the batch that
    was under way then comes once more under another number, and all that follows it after that.

    So that this holds, what a kill leaves on the disk must always be the last of what was appended. So
    requests that go to the disk are appended when they are there, and those in memory only when nothing is
    there any more: else older ones would come again alone.
    """

    def __init__(self, receiver: str, boot: int) -> None:
        """``boot`` is higher than at the start before."""
        self.receiver: Final = receiver
        self._boot = boot
        self._serial = 0
        self._on_disk: deque[_Part] = deque()
        self._in_memory: deque[_Part] = deque()
        """All of them came behind those on the disk."""
        self._first: RequestBatch | None = None
        """The batch under way: the first of those that wait."""
        self.on_disk = 0
        """Requests that wait and are on the disk."""
        self.in_memory = 0
        """Requests that wait and are in memory only."""

    def __len__(self) -> int:
        return self.on_disk + self.in_memory

    @property
    def oldest(self) -> float | None:
        """When the first of them came, in seconds since the epoch; None: there is none."""
        parts = self._on_disk or self._in_memory
        return parts[0].taken if parts else None

    @property
    def oldest_in_memory(self) -> float | None:
        """When the first of those came that are in memory only; None: there is none."""
        return self._in_memory[0].taken if self._in_memory else None

    @property
    def last_on_disk(self) -> int:
        """The highest number of those that are on the disk; 0: none is."""
        return self._on_disk[-1].numbers[-1] if self._on_disk else 0

    def add(self, datagrams: Sequence[bytes], numbers: Sequence[int], taken: float) -> None:
        """Add requests with their numbers on the disk; without numbers they are in memory only.

        ``taken`` is in seconds since the epoch.
        """
        part = _Part(taken, joined(datagrams), list(numbers))
        if numbers:
            assert not self._in_memory, "what is in memory only has come before these"
            self._on_disk.append(part)
            self.on_disk += len(part.datagrams)
        elif datagrams:
            self._in_memory.append(part)
            self.in_memory += len(part.datagrams)

    def keep(self, write: Callable[[Sequence[bytes], float], Sequence[int]]) -> None:
        """Put on the disk what is in memory only: ``write`` gets requests, and when they came, in order.

        It returns their numbers there.
        """
        while self._in_memory:
            part = self._in_memory[0]
            part.numbers = list(write(part.datagrams, part.taken))
            self._on_disk.append(self._in_memory.popleft())
            self.on_disk += len(part.datagrams)
            self.in_memory -= len(part.datagrams)

    def first(
        self, wall: float = 0.0, *, safe: float = math.inf, disk_is_empty: bool = True
    ) -> RequestBatch | None:
        """Return the batch to append: the same one until it is acknowledged. None: there is none now.

        ``wall`` is in seconds since the epoch: requests that have waited say so, and when they came.
        Requests up to the number ``safe`` are on the disk. ``disk_is_empty``: all that was acknowledged has
        left it for good, and no other request is there.
        """
        if self._first is not None:
            if wall - self._first.taken >= SPOOLED_SECONDS:
                self._first = self._first._replace(spooled=True)
        elif self._on_disk:
            if self._on_disk[0].numbers[-1] <= safe:
                self._first = self._new_batch(self._on_disk, wall, safe)
        elif self._in_memory and disk_is_empty:
            self._first = self._new_batch(self._in_memory, wall, safe)
        return self._first

    def _new_batch(self, parts: deque[_Part], wall: float, safe: float) -> RequestBatch:
        taken = parts[0].taken
        spooled = wall - taken >= SPOOLED_SECONDS
        some: list[Joined] = []
        left = MOST_REQUESTS
        for part in parts:
            apart = spooled and abs(part.taken - taken) >= SPOOLED_SECONDS
            if not left or apart or (part.numbers and part.numbers[-1] > safe):
                break
            some.append(part.datagrams if len(part.datagrams) <= left else joined(part.datagrams[:left]))
            left -= len(some[-1])
        self._serial += 1
        number = BatchNumber(self._boot, self._serial)
        return RequestBatch(self.receiver, number, taken, first_of(some), spooled)

    def acknowledged(self) -> list[int]:
        """The first batch is in the shared queue; return the numbers that its requests have on the disk."""
        assert self._first is not None
        count, self._first = len(self._first.datagrams), None
        numbers: list[int] = []
        # It was in memory only if nothing was on the disk; all of it may have gone there since.
        parts = self._on_disk or self._in_memory
        if parts is self._on_disk:
            self.on_disk -= count
        else:
            self.in_memory -= count
        while count:
            part = parts[0]
            numbers += part.numbers[:count]
            if len(part.datagrams) > count:
                part.datagrams = joined(part.datagrams[count:])
                del part.numbers[:count]
                break
            count -= len(part.datagrams)
            parts.popleft()
        return numbers
