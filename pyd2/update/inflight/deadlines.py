"""The deadlines of the tries under way: one first-in, first-out queue per length of timeout.

The timeout is the same for all tries until a reconfiguration changes it, so the order of sending is the
order of expiry, and adding, removing and finding the next one take constant time.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyd2.update.model.transaction import Transaction


class Deadlines:
    """Times are monotonic seconds and never go back."""

    __slots__ = ("_fifos",)

    def __init__(self) -> None:
        self._fifos: dict[float, OrderedDict[Transaction, None]] = {}

    def add(self, transaction: Transaction, now: float, timeout: float) -> None:
        """Enter a try that was sent ``now``; whoever ends it deletes it from ``transaction.fifo``."""
        fifo = self._fifos.get(timeout)
        if fifo is None:
            fifo = self._fifos[timeout] = OrderedDict()
        transaction.deadline = now + timeout
        transaction.fifo = fifo
        fifo[transaction] = None

    def next(self) -> float | None:
        """Return the earliest deadline, or None if nothing is under way."""
        earliest = None
        for fifo in self._fifos.values():
            for first in fifo:
                if earliest is None or first.deadline < earliest:
                    earliest = first.deadline
                break
        return earliest

    def first_expired(self, now: float) -> Transaction | None:
        """Return a try whose deadline is reached, or None; whoever ends it deletes it."""
        for fifo in self._fifos.values():
            for first in fifo:
                if first.deadline <= now:
                    return first
                break
        if len(self._fifos) > 1:
            # Lengths that are no longer in use; one that is will be made anew.
            self._fifos = {timeout: fifo for timeout, fifo in self._fifos.items() if fifo}
        return None
