"""The requests that are not done, by their numbers: what the file of the durable queue is the mirror of."""

from __future__ import annotations

from collections import deque
from itertools import repeat
from typing import TYPE_CHECKING

from pyd2.journal.entry import Entries, Entry

if TYPE_CHECKING:
    from collections.abc import Sequence


class Pending:
    """Requests in the order of their arrival."""

    def __init__(self) -> None:
        self._held: dict[int, tuple[float, bytes]] = {}
        """When each was taken, and its datagram."""

    def __len__(self) -> int:
        return len(self._held)

    def add(self, entries: Entries) -> None:
        """Take in requests that are later than all that are here."""
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

    def entries(self) -> list[Entry]:
        """Return all, in their order."""
        return [Entry(number, *held) for number, held in self._held.items()]

    def oldest(self) -> float | None:
        """Return when the first of them was taken, in seconds since the epoch."""
        return next((taken for taken, _ in self._held.values()), None)
