"""The requests that are not done, with their numbers: the store mirrors them.

They are in blocks of consecutive numbers: no step in the update thread takes longer for a longer backlog.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from pyd2.queue.interface import Entries, Entry, Held

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyd2.queue.interface import DeadLetter
    from pyd2.queue.ncrs import Newer

MOST_DEAD: Final = 100_000
"""Dead letters that are kept here while the store does not work; further ones are in the log only."""

BLOCK_BITS: Final = 11
"""A block has 2048 numbers: a part of this size is handed to the store at a time."""


class Pending:
    """Requests in the order of their arrival, and the changes that the store does not know yet."""

    def __init__(self) -> None:
        self._blocks: dict[int, dict[int, tuple[float, bytes]]] = {}
        """By the number's upper bits, then by the number: when each was accepted, and its datagram."""
        self._count = 0
        self._handed_over = 0
        """The store got the requests up to this number; it knows nothing of higher ones."""
        self._gone: list[int] = []
        """Requests that it got and that have ended."""
        self._amended: list[int] = []
        """Requests that it got and that have changed."""
        self._dead: list[DeadLetter] = []
        """Those that are not known to be in the store."""
        self._dead_handed_over = 0
        """So many of the first of them were handed over with what the store is to hold."""
        self._next = 1
        """The number of the next request."""
        self._fresh = False
        """Whether a store is expected whose requests keep their numbers, for no others have any."""
        self._newer: Newer | None = None
        """The clients whose requests were accepted while the store was unread."""

    def __len__(self) -> int:
        return self._count

    @property
    def last(self) -> int:
        """No request has a higher number."""
        return self._next - 1

    @property
    def unburied(self) -> int:
        """Dead letters that are not known to be in the store."""
        return len(self._dead)

    def oldest(self) -> float | None:
        """Return when the first of them was accepted, in seconds since the epoch."""
        return next((taken for block in self._blocks.values() for taken, _ in block.values()), None)

    def number(self, datagrams: Sequence[bytes], wall: float) -> Entries:
        """Add requests that were accepted at ``wall``, in seconds since the epoch, and return them."""
        return self._numbered([wall] * len(datagrams), list(datagrams))

    def _numbered(self, taken: list[float], datagrams: list[bytes]) -> Entries:
        first = self._next
        self._next += len(datagrams)
        entries = Entries(list(range(first, self._next)), taken, datagrams)
        self._add(entries)
        return entries

    def _add(self, entries: Entries) -> None:
        """Add requests, whose numbers are above all others."""
        numbers, held = entries.numbers, list(zip(entries.taken, entries.datagrams, strict=True))
        begin = 0
        while begin < len(numbers):
            block = numbers[begin] >> BLOCK_BITS
            end = bisect_left(numbers, block + 1 << BLOCK_BITS, begin)
            added = zip(numbers[begin:end], held[begin:end], strict=True)
            self._blocks.setdefault(block, {}).update(added)
            begin = end
        self._count += len(numbers)

    def forget(self, numbers: Sequence[int]) -> None:
        """Remove requests; those that are not here are no error."""
        blocks = self._blocks
        for number in numbers:
            block = blocks.get(number >> BLOCK_BITS)
            if block is not None and block.pop(number, None) is not None:
                self._count -= 1
                if not block:
                    del blocks[number >> BLOCK_BITS]

    def get(self, number: int) -> Entry | None:
        """Return a request; None if it is not here."""
        found = self._blocks.get(number >> BLOCK_BITS, {}).get(number)
        return None if found is None else Entry(number, *found)

    def change(self, entry: Entry) -> None:
        """Give a request that is here another datagram."""
        self._blocks[entry.number >> BLOCK_BITS][entry.number] = entry.taken, entry.datagram

    # Requests of a store that was unread.

    def expect_file(self) -> None:
        """Prepare for the requests of a store."""
        # If there are others, the store's numbers could be theirs.
        self._fresh, self._newer = not self._count, None

    def renumber(self) -> None:
        """Give the store's requests other numbers: requests have begun, or will, before they are read."""
        self._fresh = False

    def note_newer(self, datagrams: Sequence[bytes]) -> None:
        """Note the clients of requests that begin while the store is unread."""
        self._newer_clients().add(datagrams)

    def add_found(self, entries: Entries) -> tuple[Entries, bool]:
        """Add requests of the store; return those that are processed, and whether they may begin now."""
        if self._fresh:
            # Never less than before: that requests up to a number are safe was reported of others.
            self._next = max(self._next, entries.numbers[-1] + 1)
            self._add(entries)
            return entries, False
        kept, dead = self._newer_clients().judge(entries)
        self.bury(dead)
        return self._numbered(kept.taken, kept.datagrams), True

    def all_found(self) -> Newer | None:
        """Return what was judged of the store's requests; None if they keep their numbers."""
        if self._fresh:
            self._fresh = False
            return None
        newer, self._newer = self._newer_clients(), None
        return newer

    def _newer_clients(self) -> Newer:
        from pyd2.queue.ncrs import Newer

        self._newer = self._newer or Newer()
        return self._newer

    # What the store gets.

    def bury(self, dead: Sequence[DeadLetter]) -> None:
        """Keep dead letters until they are in the store."""
        self._dead += dead
        excess = len(self._dead) - MOST_DEAD
        if excess > 0:
            self.buried(excess)
            self._dead_handed_over = max(0, self._dead_handed_over - excess)

    def buried(self, count: int) -> None:
        """Forget so many of the first dead letters."""
        del self._dead[:count]

    def note(self, gone: Iterable[int] = (), amended: Iterable[int] = ()) -> None:
        """Keep what the store does not get now, of requests that it has."""
        handed_over = self._handed_over
        self._gone += (number for number in gone if number <= handed_over)
        self._amended += (number for number in amended if number <= handed_over)

    def hold(self, after: int) -> Held:
        """Return the part behind a number of what the store is to hold; 0: it begins again."""
        if after == 0:
            self.forget_handed_over()
        entries = self._next_part()
        complete = self._handed_over >= self._last_held()
        if complete:
            self._dead_handed_over = len(self._dead)
        return Held(entries, list(self._dead) if complete else [], complete)

    def hold_all(self) -> Held:
        """Return all that the store is to hold; for the end of the daemon, since it takes some time."""
        held = self.hold(0)
        while not held.complete:
            more = self.hold(held.entries.numbers[-1])
            held.entries.extend(more.entries)
            held = more._replace(entries=held.entries)
        return held

    def more(self) -> tuple[Entries, list[Entry], bool]:
        """Return some requests that came since ``hold``, some that changed, and whether these are all."""
        entries = self._next_part()
        some, self._amended = self._amended[: 1 << BLOCK_BITS], self._amended[1 << BLOCK_BITS :]
        amended = [entry for entry in map(self.get, some) if entry is not None]
        return entries, amended, not self._amended and self._handed_over >= self._last_held()

    def ended(self) -> tuple[list[int], list[DeadLetter]]:
        """Return the requests that have ended since ``hold``, and the dead letters."""
        self.buried(self._dead_handed_over)
        gone, self._gone, self._dead_handed_over = self._gone, [], 0
        return gone, list(self._dead)

    def forget_handed_over(self) -> None:
        """Forget what the store got: it will ask for all that it is to hold."""
        self._handed_over = 0
        self._gone, self._amended, self._dead_handed_over = [], [], 0

    def _next_part(self) -> Entries:
        """Return the requests of the first block that the store has not got; now it gets them."""
        handed_over = self._handed_over
        for place, block in self._blocks.items():
            if place >= handed_over >> BLOCK_BITS:
                numbers = [number for number in block if number > handed_over]
                if numbers:
                    self._handed_over = numbers[-1]
                    taken, datagrams = zip(*map(block.__getitem__, numbers), strict=True)
                    return Entries(numbers, list(taken), list(datagrams))
        return Entries([], [], [])

    def _last_held(self) -> int:
        return next(reversed(next(reversed(self._blocks.values()), {})), 0)
