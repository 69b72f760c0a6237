"""What a receiver keeps of batches that servers have acknowledged: servers may lose some of them.

A cluster of servers whose leader changes may give up the last messages that it had acknowledged (nats-server
2.10 does: docs/cluster.md). So a receiver keeps a batch until a record says that it is done. If the oldest
one waits for long, it looks whether the servers still have it, and appends it again if they do not: the owner
puts it in its place (``order``).

Servers could refuse a batch that does not follow the one before it. But a message that servers refuse when
they carry it out is what nats-server 2.10 miscounts after a restart, and then loses others.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyd2.queue.shared.batch import octets_of

if TYPE_CHECKING:
    from pyd2.queue.shared.batch import BatchNumber, RequestBatch

MOST_OCTETS: Final = 16 * 1024 * 1024
"""Of the datagrams that are kept: in a backlog the oldest ones are forgotten, which servers do not lose."""


@dataclass(slots=True)
class Kept:
    """A batch that is kept."""

    batch: RequestBatch
    sequence: int
    """Where it is in the queue."""
    since: float
    """When it was acknowledged, or found there, in monotonic seconds."""


class Acknowledged:
    """The batches in the order of their numbers."""

    def __init__(self) -> None:
        self._kept: deque[Kept] = deque()
        self._octets = 0

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, batch: RequestBatch, sequence: int, now: float) -> None:
        """Note that the next batch is in the queue; ``now`` is in monotonic seconds."""
        self._kept.append(Kept(batch, sequence, now))
        self._octets += octets_of(batch.datagrams)
        while self._octets > MOST_OCTETS and len(self._kept) > 1:
            self._forget_first()

    def done(self, number: BatchNumber | None) -> None:
        """Forget the batches up to a number: a record says that they are done."""
        while number is not None and self._kept and self._kept[0].batch.number <= number:
            self._forget_first()

    def behind(self, number: BatchNumber | None) -> Kept | None:
        """Return the first batch behind a number, or the first one of all; None: there is none."""
        return next((kept for kept in self._kept if number is None or kept.batch.number > number), None)

    def _forget_first(self) -> None:
        self._octets -= octets_of(self._kept.popleft().batch.datagrams)
