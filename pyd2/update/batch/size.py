"""How many updates a batch may have, and how many batches a server gets: fewer where it takes long."""

from __future__ import annotations

from math import inf
from typing import Final

FIRST: Final = 50
"""Updates of a first batch, at most: nothing is known of the server's time yet."""
AT_A_TIME: Final = 4
"""Batches that a server gets at a time at first."""
AT_A_TIME_LEAST: Final = 2
"""The same for a server that is slow."""
TOO_LONG: Final = 0.2
"""Part of the timeout: a reply that takes longer halves both numbers."""
QUICK: Final = 0.1
"""The same: a reply that takes less adds a quarter to the size, and one to the batches at a time."""
SHORT: Final = 0.05
"""The same: a reply that takes less doubles the size."""
REMOVALS_FIXED: Final = 0.02
"""Seconds that a batch of removals may take, besides ``REMOVALS_EACH``: a commit to a disk, or Knot's."""
REMOVALS_EACH: Final = 0.001
"""Seconds for each removal beyond which nothing is gained: PowerDNS deletes them one by one."""
AGAIN: Final = 60.0
"""Seconds until batches are tried again where their size came down to one."""


class _LastHalving:
    """When something was halved last.

    What was under way then does not halve it again: a server that stands still, as Knot DNS does for a second
    now and then, delays all of that.
    """

    __slots__ = ("_at",)

    def __init__(self) -> None:
        self._at = -inf

    def is_another(self, begun: float, now: float) -> bool:
        """Whether what was sent at ``begun`` halves it now; it is noted then."""
        if begun < self._at:
            return False
        self._at = now
        return True


class BatchSize:
    """The size of the batches of one group. ``now`` is monotonic seconds."""

    __slots__ = ("_again_at", "_halving", "_most", "_present", "_removals")

    def __init__(self, most: int, *, removals: bool) -> None:
        self._most = most
        """What the switch says."""
        self._present = min(most, FIRST)
        self._removals = removals
        self._again_at = 0.0
        self._halving = _LastHalving()

    def limit(self, most: int) -> None:
        """Keep to another switch."""
        self._most = most
        self._present = min(self._present, most)

    def allowed(self, now: float) -> int:
        """Return how many updates a batch may have; 1: there are none."""
        if self._present == 1 and now >= self._again_at:
            self._present = min(2, self._most)
        return self._present

    def answered(self, updates: int, took: float, timeout: float, now: float) -> None:
        """Learn from a reply to so many updates, which took so long; all times are seconds."""
        slow = self._removals and took > REMOVALS_FIXED + updates * REMOVALS_EACH
        if slow or took > timeout * TOO_LONG:
            self.halve(now - took, now)
        elif took < timeout * QUICK and 2 * updates > self._present:
            more = self._present if took < timeout * SHORT else self._present // 4 + 1
            self._present = min(self._present + more, self._most)

    def halve(self, begun: float, now: float) -> None:
        """Make batches half as large from now on, for one that was sent at ``begun``."""
        if self._halving.is_another(begun, now):
            self._present = max(1, self._present // 2)
            if self._present == 1:
                self._again_at = now + AGAIN


class BatchesAtATime:
    """How many batches may be under way to a server, for whatever zones.

    Some servers carry out one message at a time: what is sent for very many zones waits there, and takes
    longer than the timeout though each message is short.
    """

    __slots__ = ("_halving", "number")

    def __init__(self) -> None:
        self.number = AT_A_TIME
        self._halving = _LastHalving()

    def answered(self, under_way: int, took: float, timeout: float, now: float, *, grows: bool) -> None:
        """Learn from a reply that took so many seconds, with so many other batches under way.

        Unless it ``grows``, the number does not, however quick the reply was.
        """
        if took > timeout * TOO_LONG:
            self.halve(now - took, now)
        elif grows and took < timeout * QUICK and under_way + 1 >= self.number:
            self.number += 1

    def halve(self, begun: float, now: float) -> None:
        """Halve how many may be under way, for one that was sent at ``begun``."""
        if self._halving.is_another(begun, now):
            self.number = max(AT_A_TIME_LEAST, self.number // 2)
