"""What a receiver has not got acknowledged yet: its requests in their order, one batch of them under way."""

from __future__ import annotations

from collections import deque
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

from pyd2.queue.shared.batch import SPOOLED_SECONDS, BatchNumber, RequestBatch, first_batch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class _Waiting(NamedTuple):
    """A request."""

    number: int
    taken: float
    datagram: bytes


class Outgoing:
    """The requests of one start of a receiver, each of which is on its disk until it is acknowledged.

    The first batch is appended, again and again, until it is acknowledged, and only then the next one: so the
    order is certain, and a repetition is known by its number. What comes meanwhile makes the next batch, so
    batches grow with the load. A new start takes what is on the disk as if it had just come: the batch that
    was under way then comes once more under another number, and all that follows it after that.
    """

    def __init__(self, receiver: str, boot: int) -> None:
        """``boot`` is higher than at the start before."""
        self._receiver = receiver
        self._boot = boot
        self._serial = 0
        self._waiting: deque[_Waiting] = deque()
        self._first: RequestBatch | None = None
        """The batch under way: the first of those that wait."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def oldest(self) -> float | None:
        """When the first of them came, in seconds since the epoch; None: there is none."""
        return self._waiting[0].taken if self._waiting else None

    def add(self, datagrams: Sequence[bytes], numbers: Sequence[int], taken: float) -> None:
        """Add requests with their numbers on the disk; ``taken`` is in seconds since the epoch."""
        self._waiting.extend(
            _Waiting(number, taken, datagram)
            for number, datagram in zip(numbers, datagrams, strict=True)
        )

    def first(self, wall: float = 0.0) -> RequestBatch | None:
        """Return the batch to append: the same one until it is acknowledged. None: there is nothing to do.

        ``wall`` is in seconds since the epoch: requests that have waited say so, and when they came.
        """
        if self._first is None and self._waiting:
            taken = self._waiting[0].taken
            spooled = wall - taken >= SPOOLED_SECONDS
            waiting: Iterable[_Waiting] = self._waiting
            if spooled:
                waiting = takewhile(lambda one: abs(one.taken - taken) < SPOOLED_SECONDS, waiting)
            self._serial += 1
            self._first = RequestBatch(
                self._receiver, BatchNumber(self._boot, self._serial), taken,
                first_batch(one.datagram for one in waiting), spooled,
            )
        elif self._first is not None and wall - self._first.taken >= SPOOLED_SECONDS:
            self._first = self._first._replace(spooled=True)
        return self._first

    def acknowledged(self) -> list[int]:
        """The first batch is in the shared queue; return the numbers of its requests on the disk."""
        assert self._first is not None
        count, self._first = len(self._first.datagrams), None
        return [self._waiting.popleft().number for _ in range(count)]
