"""Puts the batches of each receiver in the order of their numbers, whatever servers have lost.

A batch that servers have lost comes again behind those that followed it. These wait for it; the floor waits
for them, and does not pass them before that one is done: what a record has seen of a receiver is complete.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from pyd2.queue.shared.batch import BatchNumber, RequestBatch
    from pyd2.queue.shared.progress import Progress

WAIT_SECONDS: Final = 10.0
"""So long a batch waits for those that are missing before it."""


class Arrived(NamedTuple):
    """A batch that was read."""

    sequence: int
    batch: RequestBatch
    since: float
    """When it was read, by the clock of the order."""


class Ready(NamedTuple):
    """A batch that can begin."""

    sequence: int
    batch: RequestBatch
    missing: int
    """So many batches of its receiver do not come any more that should have come before it."""


class Order:
    """The order of one term, for its progress."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._waiting: dict[str, dict[BatchNumber, Arrived]] = {}
        """By receiver, and number."""
        self._waited = 0.0
        """The clock of the order: for how long it was possible that what is missing is read."""
        self.requests = 0
        """Requests of the batches that wait."""

    @property
    def waits(self) -> bool:
        """Whether a batch waits for others."""
        return bool(self._waiting)

    def add(self, sequence: int, batch: RequestBatch, now: float) -> list[Ready]:
        """Note a batch that was read; return those that can begin now, in their order.

        ``now`` is in monotonic seconds. Those that have waited say so, as spooled ones.
        """
        progress = self._progress
        if not progress.is_new(batch):
            progress.begin(sequence, batch, now)
            return []
        receiver, number = batch.receiver, batch.number
        waiting = self._waiting.get(receiver, {})
        first = min(waiting, default=number)
        if first < number or progress.missing_before(batch):
            progress.begin(sequence, batch, now, waits=True)
            self._waiting.setdefault(receiver, {})[number] = Arrived(sequence, batch, self._waited)
            self.requests += len(batch.datagrams)
            if first.boot < number.boot:
                # What an earlier start of the receiver has not appended again does not come any more.
                waiting[first] = waiting[first]._replace(since=-math.inf)
            return []
        progress.begin(sequence, batch, now)
        return [Ready(sequence, batch, 0), *self._follow(receiver, sequence)]

    def wait(self, seconds: float) -> None:
        """Note for how long the queue was read, without the time in which no more could be read."""
        self._waited += seconds

    def overdue(self, most: float = math.inf) -> Arrived | None:
        """Return a batch that has waited for too long, or with so many requests; None: there is none."""
        for waiting in self._waiting.values():
            first = waiting[min(waiting)]
            if self._waited - first.since >= WAIT_SECONDS or self.requests >= most:
                return first
        return None

    def names(self) -> set[tuple[str, BatchNumber]]:
        """Return the receivers and numbers of the batches that wait."""
        return {(receiver, number) for receiver, waiting in self._waiting.items() for number in waiting}

    def give_up(self, arrived: Arrived) -> list[Ready]:
        """Let a batch begin that waits; return it and those that can follow it."""
        receiver = arrived.batch.receiver
        return [self._release(self._waiting[receiver], 0), *self._follow(receiver, arrived.sequence)]

    def _follow(self, receiver: str, behind: int) -> list[Ready]:
        """Let those begin that have waited for the batch with this sequence."""
        waiting = self._waiting.get(receiver, {})
        ready = []
        while waiting and not self._progress.missing_before(waiting[min(waiting)].batch):
            ready.append(self._release(waiting, behind))
            behind = ready[-1].sequence
        if receiver in self._waiting and not waiting:
            del self._waiting[receiver]
        return ready

    def _release(self, waiting: dict[BatchNumber, Arrived], behind: int) -> Ready:
        sequence, batch, _ = waiting.pop(min(waiting))
        self.requests -= len(batch.datagrams)
        missing = self._progress.missing_before(batch)
        self._progress.release(sequence, batch, behind)
        # Another receiver may have handed over newer requests of its clients meanwhile.
        return Ready(sequence, batch._replace(spooled=True), missing)
