"""The requests that an owner has under way, by their batches, and which of these are late.

An owner writes what is left of late batches first (``next_late``), and only when nothing of that has changed
any more the record, with the floor that ``advance`` has raised.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pyd2.queue.interface import DeadLetter
from pyd2.queue.ncrs import with_changes
from pyd2.queue.shared.late import LateBatch, LateName

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyd2.queue.shared.progress import Progress
    from pyd2.update.output import Amendment

MOST_LATE: Final = 32
"""Batches that become late in one go, at most."""

_INDEX_BITS: Final = 18
"""Of a request's number, for its place in its batch: no message has so many. The others are its batch's."""
_FIRST_LATE: Final = 1 << 44
"""The keys of batches are their sequences; those of late ones that a claim has found are from here on."""


@dataclass(slots=True)
class _Batch:
    """A batch whose requests are not all done."""

    taken: float
    """When its first request was read from the socket, in seconds since the epoch."""
    datagrams: Sequence[bytes]
    """As they were read."""
    first: int
    """The number of the first of its requests."""
    left: int
    """Requests that are not done."""
    late: LateName | None
    """Its name, if it is late: the floor does not wait for it."""
    done: set[int] = field(default_factory=set)
    """The numbers of requests that are done."""
    changed: dict[int, bytes] = field(default_factory=dict)
    """Requests in their present form, if that is another one, by their numbers."""

    def datagram(self, number: int) -> bytes:
        """Return a request in its present form."""
        return self.changed.get(number) or self.datagrams[number - self.first]

    def rest(self) -> list[bytes]:
        """Return those that are not done, in their present form."""
        return [self.changed.get(number) or datagram
                for number, datagram in enumerate(self.datagrams, self.first) if number not in self.done]


class UnderWay:
    """What was begun in one term, whose epoch is this; ``progress`` has the floor."""

    def __init__(self, progress: Progress, epoch: int) -> None:
        self.progress: Final = progress
        self.count = 0
        """Requests that are not done."""
        self._epoch = epoch
        self._batches: dict[int, _Batch] = {}
        """By their keys."""
        self._late: dict[LateName, int] = {}
        """The keys of the late batches."""
        self._changed: dict[LateName, None] = {}
        """Late batches of which less is left than was written."""
        self._unwritten: set[LateName] = set()
        """Late batches that the floor does not pass yet: they were not written."""

    def begin(self, sequence: int, taken: float, datagrams: Sequence[bytes]) -> range:
        """Note a batch that was read; return the numbers of its requests."""
        return self._begin(sequence, taken, datagrams)

    def numbers(self, sequence: int) -> range:
        """Return the numbers of the requests of a batch that was read."""
        batch = self._batches[sequence]
        return range(batch.first, batch.first + len(batch.datagrams))

    def begin_late(self, found: Sequence[LateBatch]) -> list[range]:
        """Note the late batches that a claim has found, before others; return their numbers."""
        numbers = []
        for key, (name, taken, datagrams) in enumerate(found, _FIRST_LATE):
            self._late[name] = key
            numbers.append(self._begin(key, taken, datagrams, name))
            if not datagrams:  # its owner has not come to remove it
                self._changed[name] = None
        return numbers

    def _begin(
        self, key: int, taken: float, datagrams: Sequence[bytes], late: LateName | None = None
    ) -> range:
        self._batches[key] = _Batch(taken, datagrams, key << _INDEX_BITS, len(datagrams), late)
        self.count += len(datagrams)
        return self.numbers(key)

    def datagram(self, number: int) -> bytes:
        """Return a request that is not done, in its present form."""
        return self._batches[number >> _INDEX_BITS].datagram(number)

    def dead_letter(self, number: int, died: float, reason: str) -> DeadLetter:
        """Return the dead letter of a request."""
        return DeadLetter(0, self._batches[number >> _INDEX_BITS].taken, died, reason, self.datagram(number))

    def amend(self, changes: Sequence[Amendment]) -> None:
        """Note what requests have left to do, in case they become late, or dead letters."""
        for number, forward, reverse in changes:
            batch = self._batches.get(number >> _INDEX_BITS)
            if batch is not None and number not in batch.done:
                batch.changed[number] = with_changes(
                    batch.datagram(number), forward=forward, reverse=reverse
                )
                self._note_change(batch)

    def end(self, numbers: Sequence[int]) -> None:
        """Note requests that are done."""
        ordered, end = sorted(numbers), 0
        while end < len(ordered):  # most of those that end together are of one batch
            begin, key = end, ordered[end] >> _INDEX_BITS
            end = bisect_left(ordered, key + 1 << _INDEX_BITS, begin)
            self._end(key, ordered[begin:end])

    def _end(self, key: int, numbers: Sequence[int]) -> None:
        """Note requests of a batch that are done."""
        ended = len(numbers)
        self.count -= ended
        batch = self._batches[key]
        batch.left -= ended
        batch.done.update(numbers)
        if batch.late is None:
            self.progress.done(key, ended)
            if not batch.left:
                del self._batches[key]
        self._note_change(batch)

    # Late batches.

    @property
    def late(self) -> int:
        """Requests that are late and not done."""
        return sum(self._batches[key].left for key in self._late.values())

    def look_for_late(self, now: float) -> None:
        """Note which batches hold the floor back for too long; ``now`` is in monotonic seconds.

        Not before all that is late is written: the floor must rise between.
        """
        if self._changed:
            return
        for sequence in self.progress.held_back_by(now, MOST_LATE):
            name = LateName(self._epoch, sequence)
            if name not in self._late:
                self._late[name] = sequence
                self._batches[sequence].late = name
                self._unwritten.add(name)
                self._changed[name] = None

    def next_late(self) -> LateBatch | None:
        """Return a late batch that is to be written; ``late_written`` or ``late_unwritten`` follows."""
        name = next(iter(self._changed), None)
        if name is None:
            return None
        del self._changed[name]
        batch = self._batches[self._late[name]]
        return LateBatch(name, batch.taken, batch.rest())

    def late_written(self, batch: LateBatch) -> None:
        """Note that a late batch was written as ``next_late`` has returned it."""
        name = batch.name
        if name in self._unwritten:
            self._unwritten.discard(name)
            self.progress.set_late(name.sequence)
        if not batch.datagrams:
            del self._batches[self._late.pop(name)]

    def late_unwritten(self, batch: LateBatch) -> None:
        """Note that it is not known to be written."""
        self._changed[batch.name] = None

    def advance(self) -> bool:
        """Raise the floor, unless less is left of late batches than was written; return whether it rose."""
        return not self._changed and self.progress.advance()

    def _note_change(self, batch: _Batch) -> None:
        if batch.late is not None:
            self._changed[batch.late] = None
