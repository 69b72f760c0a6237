"""What of a shared queue is done: everything up to the floor, and some of what is behind it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyd2.queue.shared.late import LATE_BEHIND, LATE_SECONDS

if TYPE_CHECKING:
    from pyd2.queue.shared.batch import BatchNumber, RequestBatch
    from pyd2.queue.shared.interface import QueuedBatch
    from pyd2.queue.shared.record import Record


@dataclass(slots=True)
class _Begun:
    """A batch that was read."""

    sequence: int
    since: float
    """When it was begun, in monotonic seconds."""
    before: int
    """Requests that were begun before it."""
    count: int
    """Requests that were begun."""
    left: int
    """Requests that are not done, unless the batch is late."""
    name: tuple[str, BatchNumber] | None
    """None if it cannot be read."""
    waits: bool = False
    """Whether it waits for batches that should have come before it."""
    behind: int = 0
    """The sequence of the batch that it has waited for; 0: it has waited for none.

    The floor does not pass it before that one is done, and what that one has waited for in its turn.
    """


class Progress:
    """The work of one owner, from the record that it has claimed with."""

    def __init__(self, record: Record) -> None:
        self.floor = record.floor
        self.at = record.at
        self.seen = dict(record.seen)
        """The last batch of each receiver up to the floor."""
        self._read = dict(record.seen)
        """The last batch of each receiver that has begun."""
        self._waiting: set[tuple[str, BatchNumber]] = set()
        """Batches that wait for others."""
        self._last = record.at
        """The batch that was read last, or the one at the floor; None if it cannot be read."""
        self._begun: deque[_Begun] = deque()
        self._by_sequence: dict[int, _Begun] = {}
        self._requests = 0
        """Requests that were begun."""
        self._done = 0
        """Requests of the batches in ``_begun`` that are done, or late."""

    def begin_after(self, at_floor: QueuedBatch | None) -> int:
        """Return the sequence behind which to read, by what the queue has at the floor.

        If that is another batch, or none, servers have lost what they had acknowledged, and give its
        sequences to others: all that is there is read, and ``seen`` says what of it is done.
        """
        if self.floor and not self.is_last(at_floor):
            self.begin_at_start()
        return self.floor

    def begin_at_start(self) -> None:
        """Read all that is there, whatever is at the floor."""
        self.floor, self.at, self._last = 0, None, None

    def is_last(self, found: QueuedBatch | None) -> bool:
        """Whether a batch is the one that was read last, or, before that, the one at the floor."""
        return found is not None and name_of(found) == self._last

    def begin(
        self, sequence: int, batch: RequestBatch | None, now: float = 0.0, *, waits: bool = False
    ) -> bool:
        """Note a batch that was read; return whether its requests are to be carried out.

        ``now`` is in monotonic seconds. ``waits``: not before ``release``.
        """
        name = self._last = None if batch is None else _name(batch)
        begun = _Begun(sequence, now, self._requests, 0, 0, name)
        if batch is not None and self.is_new(batch):
            begun.waits = waits
            if waits:
                self._waiting.add(_name(batch))
            else:
                self._read[batch.receiver] = batch.number
            begun.count = begun.left = len(batch.datagrams)
            self._requests += begun.count
        self._begun.append(begun)
        self._by_sequence[sequence] = begun
        return begun.left > 0

    def release(self, sequence: int, batch: RequestBatch, behind: int) -> None:
        """Let a batch begin that has waited, for the one with the sequence ``behind``; 0: none has come."""
        begun = self._by_sequence[sequence]
        begun.waits, begun.behind = False, behind
        self._waiting.discard(_name(batch))
        self._read[batch.receiver] = batch.number

    def missing_before(self, batch: RequestBatch) -> int:
        """Return how many batches of its receiver should have begun before a batch, and have not."""
        last = self._read.get(batch.receiver)
        if last is not None and batch.number <= last:
            return 0
        before = last.serial if last is not None and last.boot == batch.number.boot else 0
        return batch.number.serial - before - 1

    def done(self, sequence: int, count: int = 1) -> None:
        """Note that so many requests of a batch are done."""
        begun = self._by_sequence[sequence]
        begun.left -= count
        self._done += count
        assert begun.left >= 0

    def held_back_by(self, now: float, most: int) -> list[int]:
        """Return the sequences of the first batches that hold the floor back for too long, so many at most.

        That counts by what is done behind them. While most of that waits, too, there is a backlog, and such a
        batch is no exception.
        """
        found: list[int] = []
        done = self._done
        for begun in self._begun:
            done -= begun.count - begun.left
            behind = self._requests - begun.before - begun.count
            stuck = now - begun.since >= LATE_SECONDS and done and 2 * done >= behind
            if not (stuck or done >= LATE_BEHIND) or len(found) == most:
                break
            if begun.left and not begun.waits:
                found.append(begun.sequence)
        return found

    def set_late(self, sequence: int) -> None:
        """Let the floor pass a batch, what is left of which is kept beside the record."""
        begun = self._by_sequence[sequence]
        self._done += begun.left
        begun.left = 0

    def advance(self) -> bool:
        """Raise the floor as far as all is done; return whether it has risen."""
        before = self.floor
        while self._begun and self._may_pass(self._begun[0]):
            begun = self._begun.popleft()
            del self._by_sequence[begun.sequence]
            self._done -= begun.count
            self.floor, self.at = begun.sequence, begun.name
            if begun.name is not None:
                receiver, number = begun.name
                self.seen[receiver] = max(number, self.seen.get(receiver, number))
        return self.floor != before

    def _may_pass(self, begun: _Begun) -> bool:
        """Whether a batch is done, and each one that should have come before it."""
        before: _Begun | None = begun
        while before is not None and not (before.left or before.waits):
            before = self._by_sequence.get(before.behind)
        return before is None

    def is_new(self, batch: RequestBatch) -> bool:
        """Whether neither a batch nor a later one of its receiver has begun, nor does it wait."""
        last = self._read.get(batch.receiver)
        return (last is None or batch.number > last) and (
            not self._waiting or _name(batch) not in self._waiting
        )


def name_of(found: QueuedBatch | None) -> tuple[str, BatchNumber] | None:
    """Return the receiver and number of what the queue has; None if it is not there, or cannot be read."""
    return None if found is None or found.batch is None else _name(found.batch)


def _name(batch: RequestBatch) -> tuple[str, BatchNumber]:
    return batch.receiver, batch.number
