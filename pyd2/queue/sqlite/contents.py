"""What the file of the durable queue holds, by the row; known without reading it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

_TIDY: Final = 4096
"""Notes of requests that are done are worked in when there are so many."""

_PART: Final = 8
"""Or more, when the rows have so many times as many requests: each is looked at for that."""


class Tidied(NamedTuple):
    """How what is done is worked in; all notes go."""

    gone: list[int]
    """Rows to remove."""
    left: dict[int, set[int]]
    """The requests of these rows that are not done, by the row: they move."""
    still: set[int]
    """What is to be noted anew, of rows where removing does not pay yet."""


class Contents:
    """The numbers of the requests in each row, and those that are noted as done."""

    def __init__(self) -> None:
        self._rows: dict[int, Sequence[int]] = {}
        """In the order of the rows; the numbers of each ascend."""
        self.done: set[int] = set()
        """Requests noted as done, in the file or not."""
        self._count = 0
        """Requests in the rows, done ones included."""
        self._most_noted = _TIDY
        self._last = 0
        """No request has a higher number."""
        self.next_row = 1
        self.next_note = -1
        """Notes are rows, too; their numbers go down."""

    def add(self, row: int, numbers: Sequence[int]) -> None:
        """Note that a row was added; ``numbers`` ascend."""
        self._rows[row] = numbers
        self._count += len(numbers)
        self._last = max(self._last, numbers[-1])
        self.next_row = max(self.next_row, row + 1)

    def has_any(self, numbers: Sequence[int]) -> bool:
        """Whether a row has a request with one of these numbers, which ascend, done or not."""
        if numbers[0] > self._last:
            return False
        wanted = set(numbers)
        return any(not wanted.isdisjoint(others) for others in self._rows.values())

    @property
    def empty(self) -> bool:
        """Whether all requests in the rows are done."""
        return self._count == len(self.done)

    def live(self) -> set[int]:
        """Return the numbers of the requests that are not done."""
        return set().union(*self._rows.values()) - self.done

    def find(self, numbers: Collection[int]) -> Iterator[int]:
        """Return the rows with requests of these numbers that are not done."""
        wanted = set(numbers) - self.done
        low, high = min(wanted, default=1), max(wanted, default=0)
        for row, others in self._rows.items():
            if others[0] <= high and others[-1] >= low and not wanted.isdisjoint(others):
                yield row

    def note(self, numbers: Iterable[int]) -> bool:
        """Note requests as done; return whether it is time to ``tidy``."""
        self.done.update(numbers)
        return len(self.done) >= max(self._most_noted, self._count // _PART)

    def tidy(self, *, all_rows: bool = False) -> Tidied:
        """Remove the rows that are done, and those that are partly done: all of them, or where it pays."""
        tidied = Tidied([], {}, set())
        begun: list[tuple[int, Sequence[int], set[int]]] = []
        for row, numbers in self._rows.items():
            ended = self.done.intersection(numbers)
            if len(ended) == len(numbers):
                tidied.gone.append(row)
            elif ended:
                begun.append((row, numbers, ended))
        # The engine works on the few: they are gone soon, to move them would be work for nothing.
        stay = not all_rows and sum(len(numbers) for _, numbers, _ in begun) <= _TIDY
        for row, numbers, ended in begun:
            if stay or (not all_rows and 2 * len(ended) < len(numbers)):
                tidied.still.update(ended)
            else:
                tidied.gone.append(row)
                tidied.left[row] = set(numbers) - ended
        for row in tidied.gone:
            self._count -= len(self._rows.pop(row))
        self.done = tidied.still
        self.next_note = -1
        # So that to write the notes again costs no more than to write them once.
        self._most_noted = max(_TIDY, 2 * len(tidied.still))
        return tidied
