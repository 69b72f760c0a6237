"""Query IDs whose time was up a short while ago.

The reply to such a try may still come. Kea has closed its socket by then; here the socket stays open, and the
reply would be taken for the answer to another update if that had the same query ID. So the ID is left alone
for a while: for longer than new tries go out from one socket.

``cbridge/wire/quarantine.c`` is the same in C, for the compiled tries; the tests run both side by side.
"""

from __future__ import annotations

from math import inf
from typing import Final

PERIOD: Final = 10.0
"""Seconds that an ID is left alone at least; twice as long at most, unless nothing more times out."""
MOST: Final = 4096
"""IDs of one period that are left alone: with more, too few would be left to draw from."""


class QuarantinedIds:
    """The IDs of the present period and of the one before. Times are monotonic seconds."""

    __slots__ = ("_before", "_now", "_since")

    def __init__(self) -> None:
        self._now: set[int] = set()
        self._before: set[int] = set()
        self._since = -inf

    def add(self, query_id: int, now: float) -> None:
        """Leave an ID alone from now on."""
        if now - self._since > PERIOD:
            self._before, self._now, self._since = self._now, set(), now
        if len(self._now) < MOST:
            self._now.add(query_id)

    def __contains__(self, query_id: int) -> bool:
        return query_id in self._now or query_id in self._before
