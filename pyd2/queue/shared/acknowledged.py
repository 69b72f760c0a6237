"""What a receiver still keeps of batches that servers have acknowledged: servers may lose some of them.

A cluster of servers whose leader changes may give up the last messages that it had acknowledged (nats-server
2.10 does: docs/cluster.md). So a receiver keeps a batch until a record says that it is done. Each batch is
appended *behind* the one before it: servers that have lost that one refuse, and the receiver appends again
what they do not have, in its order. So no batch is ever missing between two others.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from pyd2.queue.shared.batch import SPOOLED_SECONDS

if TYPE_CHECKING:
    from pyd2.queue.shared.batch import BatchNumber, RequestBatch
    from pyd2.queue.shared.interface import QueuedBatch

MOST_OCTETS: Final = 16 * 1024 * 1024
"""Of the datagrams that are kept: in a backlog the oldest ones are forgotten, which servers do not lose."""


class Acknowledged:
    """The batches in their order; those that servers are known to have lost are the last ones."""

    def __init__(self) -> None:
        self._batches: deque[RequestBatch] = deque()
        self._there = 0
        """So many of the first ones are in the queue."""
        self._octets = 0
        self._newest: BatchNumber | None = None
        """The number of the last one that was ever added."""
        self.behind: int | None = None
        """The sequence of the last one that is in the queue; 0: none is. None: it may have been removed."""

    def __len__(self) -> int:
        return len(self._batches)

    def add(self, batch: RequestBatch, sequence: int) -> bool:
        """Note that a batch is in the queue: the first one that was lost, or a new one; return which."""
        new = self._newest is None or batch.number > self._newest
        if new:
            self._newest = batch.number
            self._batches.append(batch)
            self._octets += sum(map(len, batch.datagrams))
        elif self.lost(0.0) is None or self._batches[self._there].number != batch.number:
            return False  # it was done meanwhile
        self._there += 1
        self.behind = sequence
        while self._octets > MOST_OCTETS and self._there > 1:
            self._forget_first()
        return new

    def done(self, number: BatchNumber | None) -> None:
        """Forget the batches up to a number: a record says that they are done."""
        while number is not None and self._batches and self._batches[0].number <= number:
            self._forget_first()
        if not self._batches:
            self.behind = None

    def found(self, last: QueuedBatch | None) -> int:
        """Note which batch of the receiver is the last one in the queue; return how many are lost."""
        number = last.batch.number if last is not None and last.batch is not None else None
        self._there = 0 if number is None else sum(batch.number <= number for batch in self._batches)
        if self._batches:
            self.behind = 0 if last is None else last.sequence
        return len(self._batches) - self._there

    def lost(self, wall: float) -> RequestBatch | None:
        """Return the first batch that servers have lost, to be appended again; None: there is none.

        ``wall`` is in seconds since the epoch.
        """
        if self._there == len(self._batches):
            return None
        batch = self._batches[self._there]
        return batch._replace(spooled=batch.spooled or wall - batch.taken >= SPOOLED_SECONDS)

    def _forget_first(self) -> None:
        self._octets -= sum(map(len, self._batches.popleft().datagrams))
        self._there = max(0, self._there - 1)
