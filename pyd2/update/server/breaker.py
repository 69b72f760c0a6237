"""Whether a DNS server answers, and when one that does not is tried again.

A server that leaves so many tries in a row without an answer counts as down; the first answer, whatever it
says, and it is up again. While it is down a single update goes there from time to time, to find out. Only
silence and failed sends count: a server that refuses is there.
"""

from __future__ import annotations

from typing import Final

FIRST_PAUSE: Final = 1.0
"""Seconds from the moment a server counts as down to the first update that finds out."""
LONGEST_PAUSE: Final = 5.0
"""Seconds between two such updates at most: how much later its return is noticed."""


class CircuitBreaker:
    """The circuit breaker of one server. ``now`` is monotonic seconds, ``wall`` seconds since the epoch."""

    __slots__ = ("_failures", "_pause", "down", "probe_at", "since", "threshold")

    def __init__(self, threshold: int) -> None:
        self.threshold = threshold
        """Tries in a row without an answer until the server counts as down."""
        self.down = False
        self.since = 0.0
        """``wall`` when it went down."""
        self.probe_at = 0.0
        """``now`` from which an update may find out whether it is up again."""
        self._failures = 0
        self._pause = FIRST_PAUSE

    def heard(self) -> bool:
        """Note that the server has answered; return whether it was down."""
        self._failures = 0
        was_down = self.down
        self.down = False
        return was_down

    def silent(self, now: float, wall: float) -> bool:
        """Note that a try was not answered; return whether the server has just gone down."""
        self._failures += 1
        if not self.down and self._failures >= self.threshold:
            self.down = True
            self.since = wall
            self._pause = FIRST_PAUSE
            self.probe_at = now + self._pause
            return True
        return False

    def may_probe(self, now: float) -> bool:
        """Whether an update may go to the server, which is down, to find out."""
        return now >= self.probe_at

    def probed(self, now: float, timeout: float) -> None:
        """Note that an update goes there, which is answered within ``timeout`` seconds or not at all."""
        if self.may_probe(now):
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            self.probe_at = now + timeout + self._pause
