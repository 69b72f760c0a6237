"""The requests that are not done, and their numbers: what the file of the durable queue is the mirror of."""

from __future__ import annotations

from collections import deque
from itertools import repeat, takewhile
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.queue.interface import Changes, Entries, Entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyd2.queue.interface import DeadLetter
    from pyd2.queue.newer import Newer


MOST_DEAD: Final = 100_000
"""Dead letters that are kept here while the file cannot be used; further ones are in the log only."""


class Held(NamedTuple):
    """What is held here, and the file is to hold."""

    held: dict[int, tuple[float, bytes]]
    dead: list[DeadLetter]

    @property
    def entries(self) -> Entries:
        """The requests, in their order; for the writer's thread, since it takes some time."""
        return Entries(list(self.held), [taken for taken, _ in self.held.values()],
                       [datagram for _, datagram in self.held.values()])  # fmt: skip


class Pending:
    """Requests in the order of their arrival, and what has become of them while the file was not told."""

    def __init__(self) -> None:
        self._held: dict[int, tuple[float, bytes]] = {}
        """When each was taken, and its datagram."""
        self._told_up_to = 0
        """The highest number when the file was told what it is to hold; of higher ones it knows nothing."""
        self._gone: list[int] = []
        self._amended: list[int] = []
        self._dead: list[DeadLetter] = []
        """Those that are not known to be in the file."""
        self._dead_told = 0
        """How many of the first of them were among what the file is to hold."""
        self._next = 1
        """The number of the next request."""
        self._fresh = False
        """Whether a file is expected whose requests are the only ones that have numbers: they keep theirs."""
        self._newer: Newer | None = None
        """Whose requests were taken while the file was unread."""

    def __len__(self) -> int:
        return len(self._held)

    @property
    def last(self) -> int:
        """No request has a higher number."""
        return self._next - 1

    def number(self, datagrams: Sequence[bytes], wall: float) -> Entries:
        """Take in requests that have come at some time, in seconds since the epoch; return them."""
        n = len(datagrams)
        entries = Entries(list(range(self._next, self._next + n)), [wall] * n, list(datagrams))
        self._next += n
        self._add(entries)
        return entries

    # Requests of a file.

    def expect_file(self) -> None:
        """Take it that a file will be read."""
        # If there are others, its numbers could be theirs.
        self._fresh, self._newer = not self._held, None

    def number_anew(self) -> None:
        """Take it that requests have begun, or will, before the file is read: its own get other numbers."""
        self._fresh = False

    def note_newer(self, datagrams: Sequence[bytes]) -> None:
        """Note whose requests begin while the file is unread."""
        self._newer_ones().add(datagrams)

    def take_found(self, entries: Entries) -> tuple[Entries, bool]:
        """Take in requests of the file; return those that go on, and whether they may begin now."""
        if self._fresh:
            # Never less than before: that requests up to a number are safe has been said of others.
            self._next = max(self._next, entries.numbers[-1] + 1)
            self._add(entries)
            return entries, False
        kept, dead = self._newer_ones().judge(entries)
        self.bury(dead)
        kept = Entries(list(range(self._next, self._next + len(kept))), kept.taken, kept.datagrams)
        self._next += len(kept)
        self._add(kept)
        return kept, True

    def all_found(self) -> Newer | None:
        """Take it that the file was read; return what was judged, None if there was nothing to judge."""
        if self._fresh:
            self._fresh = False
            return None
        newer, self._newer = self._newer_ones(), None
        return newer

    def _newer_ones(self) -> Newer:
        from pyd2.queue.newer import Newer

        if self._newer is None:
            self._newer = Newer()
        return self._newer

    # Those that are here.

    def _add(self, entries: Entries) -> None:
        held = zip(entries.taken, entries.datagrams, strict=True)
        self._held.update(zip(entries.numbers, held, strict=True))

    def forget(self, numbers: Sequence[int]) -> None:
        """Let requests go; those that are not here are no error."""
        deque(map(self._held.pop, numbers, repeat(None)), maxlen=0)  # runs through it in C

    def get(self, number: int) -> Entry | None:
        """Return a request; None if it is not here."""
        found = self._held.get(number)
        return None if found is None else Entry(number, *found)

    def change(self, entry: Entry) -> None:
        """Give a request that is here another datagram."""
        self._held[entry.number] = entry.taken, entry.datagram

    def bury(self, dead: Sequence[DeadLetter]) -> None:
        """Keep dead letters until they are in the file."""
        self._dead += dead
        del self._dead[:-MOST_DEAD]

    def buried(self, count: int) -> None:
        """Let so many of them go, the first ones."""
        del self._dead[:count]

    def note(self, gone: Iterable[int] = (), amended: Iterable[int] = ()) -> None:
        """Keep what the file is not told now; of requests that it knows nothing of, nothing."""
        known = self._told_up_to
        self._gone += (number for number in gone if number <= known)
        self._amended += (number for number in amended if number <= known)

    def hold(self) -> Held:
        """Return what the file is to hold."""
        self._told_up_to = next(reversed(self._held), 0)
        self._gone, self._amended, self._dead_told = [], [], len(self._dead)
        return Held(self._held.copy(), list(self._dead))

    def changes(self) -> Changes:
        """Return what has changed since ``hold``; the file holds that."""
        numbers = list(takewhile(lambda number: number > self._told_up_to, reversed(self._held)))[::-1]
        more = Entries.of([Entry(number, *self._held[number]) for number in numbers])
        amended = [Entry(number, *self._held[number]) for number in self._amended if number in self._held]
        self.buried(self._dead_told)
        changes = Changes(more, amended, self._gone, list(self._dead))
        self._gone, self._amended, self._dead_told = [], [], 0
        return changes

    def forget_told(self) -> None:
        """Take it that the file cannot be used: it will be told anew what it is to hold."""
        self._told_up_to = 0
        self.number_anew()
        self._gone, self._amended = [], []

    def oldest(self) -> float | None:
        """Return when the first of them was taken, in seconds since the epoch."""
        return next((taken for taken, _ in self._held.values()), None)
