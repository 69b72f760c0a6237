"""Containers for what may be very many: no step takes longer because much is in them.

A Python dictionary that grows copies all of its entries at once: with 350,000 that takes 13 ms, in which the
update thread does nothing else. So requests that wait stand in *shards* (many small dictionaries in place
of a large one) and in *chains* (linked lists, from whose middle an item leaves in constant time).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

K = TypeVar("K", bound="Hashable")
V = TypeVar("V")
T = TypeVar("T")

SHARDS: Final = 256
"""How many dictionaries take the place of one; a power of two."""
LAST_SHARD: Final = SHARDS - 1
SHIFT: Final = 20
"""The bits of a hash from this one on choose the shard: a dictionary uses those below for itself."""


class Sharded(Generic[K, V]):
    """A dictionary in ``SHARDS`` parts. Clients cannot choose a key's part: hashes of octets are random."""

    __slots__ = ("parts",)

    def __init__(self) -> None:
        self.parts: tuple[dict[K, V], ...] = tuple({} for _ in range(SHARDS))
        """The part of a key is ``parts[hash(key) >> SHIFT & LAST_SHARD]``."""

    def part(self, key: K) -> dict[K, V]:
        """Return the dictionary that has a key if any has."""
        return self.parts[hash(key) >> SHIFT & LAST_SHARD]

    def __len__(self) -> int:
        return sum(map(len, self.parts))


class Link(Generic[T]):
    """An item's place in a chain."""

    __slots__ = ("before", "behind", "item")

    def __init__(self, item: T, before: Link[T] | None) -> None:
        self.item = item
        self.before = before
        self.behind: Link[T] | None = None
        if before is not None:
            before.behind = self

    def leave(self) -> None:
        """Connect the items before and behind this one with each other."""
        if self.before is not None:
            self.before.behind = self.behind
        if self.behind is not None:
            self.behind.before = self.before
        self.before = self.behind = None


class Chain(Generic[T]):
    """A doubly linked list. Empty it before you drop it: its links refer to each other."""

    __slots__ = ("first", "last")

    def __init__(self) -> None:
        self.first: Link[T] | None = None
        self.last: Link[T] | None = None

    def append(self, item: T) -> Link[T]:
        """Add an item at the end; return its place, to be given to ``remove``."""
        link = Link(item, None)
        self.append_link(link)
        return link

    def append_link(self, link: Link[T]) -> None:
        """Add a link at the end that is in no chain: one that ``remove`` has taken out, for example."""
        last = self.last
        if last is None:
            self.first = link
        else:
            last.behind = link
        link.before = last
        self.last = link

    def remove(self, link: Link[T]) -> None:
        """Take out the item of a link that ``append`` of this chain has returned, once."""
        if link is self.first:
            self.first = link.behind
        if link is self.last:
            self.last = link.before
        link.leave()

    def __bool__(self) -> bool:
        return self.first is not None

    def __iter__(self) -> Iterator[T]:
        link = self.first
        while link is not None:
            yield link.item
            link = link.behind
