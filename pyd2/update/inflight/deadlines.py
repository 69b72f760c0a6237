"""The deadlines of the tries under way: one first-in, first-out queue per length of timeout.

The timeout is the same for all tries until a reconfiguration changes it, so the order of sending is the
order of expiry, and adding, removing and finding the next one take constant time.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyd2.update.model.transaction import Purpose


class Deadlines:
    """Times are monotonic seconds and never go back."""

    __slots__ = ("_fifos",)

    def __init__(self) -> None:
        self._fifos: dict[float, OrderedDict[Purpose, None]] = {}

    def add(self, tried: Purpose, now: float, timeout: float) -> None:
        """Enter a try that was sent ``now``; whoever ends it deletes it from ``tried.fifo``."""
        fifo = self._fifos.get(timeout)
        if fifo is None:
            fifo = self._fifos[timeout] = OrderedDict()
        tried.deadline = now + timeout
        tried.fifo = fifo
        fifo[tried] = None

    def next(self) -> float | None:
        """Return the earliest deadline, or None if nothing is under way."""
        earliest = None
        for fifo in self._fifos.values():
            for first in fifo:
                if earliest is None or first.deadline < earliest:
                    earliest = first.deadline
                break
        return earliest

    def first_expired(self, now: float) -> Purpose | None:
        """Return a try whose deadline is reached, or None; whoever ends it deletes it."""
        for fifo in self._fifos.values():
            for first in fifo:
                if first.deadline <= now:
                    return first
                break
        if len(self._fifos) > 1:
            # Lengths that are no longer in use; one that is will be made again.
            self._fifos = {timeout: fifo for timeout, fifo in self._fifos.items() if fifo}
        return None
