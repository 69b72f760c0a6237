"""The order of retries: queues of forward changes by their name, and of reverse changes by their address."""

from __future__ import annotations

from typing import Generic, TypeVar

from pyd2.update.containers import Link, Sharded

T = TypeVar("T")


class Queues(Generic[T]):
    """Which request waits behind which. Each step costs the same, however many are in a queue."""

    def __init__(self) -> None:
        self._last: Sharded[bytes, Link[T]] = Sharded()
        """The last of each queue."""

    def __len__(self) -> int:
        return len(self._last)

    def last(self, key: bytes) -> T | None:
        """Return the last request in the queue of a key; None: there is no queue."""
        last = self._last.part(key).get(key)
        return None if last is None else last.item

    def enter(self, key: bytes, retry: T) -> Link[T]:
        """Add a request at the end of a queue; return its place, to be given to ``leave``."""
        part = self._last.part(key)
        place = part[key] = Link(retry, part.get(key))
        return place

    def leave(self, key: bytes, place: Link[T]) -> T | None:
        """Remove a request from its queue; return the one right behind it."""
        before, behind = place.before, place.behind
        place.leave()
        if behind is not None:
            return behind.item
        part = self._last.part(key)
        if before is None:
            del part[key]
        else:
            part[key] = before
        return None


def is_first(place: Link[T] | None) -> bool:
    """Whether no request is before a place in its queue, or there is no such place."""
    return place is None or place.before is None


def follower(place: Link[T] | None) -> T | None:
    """Return the request right behind a place in its queue."""
    behind = None if place is None else place.behind
    return None if behind is None else behind.item


def predecessor(place: Link[T] | None) -> T | None:
    """Return the request right before a place in its queue."""
    before = None if place is None else place.before
    return None if before is None else before.item
