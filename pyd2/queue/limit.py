"""The limit of the durable queue: what does not fit is counted, and told once until there is room again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pyd2.counters import Counters
    from pyd2.messages import Log

RESUME_PERCENT: Final = 80
"""The queue counts as full until it is down to this part of its limit."""


class Limit:
    """How many requests may wait."""

    def __init__(self, counters: Counters, log: Log) -> None:
        self.most = 0
        self._counters = counters
        self._log = log
        self._full = False

    def drop(self, lost: int, wall: float) -> None:
        """Take it that so many requests are lost since the queue is full."""
        self._counters.queue_full.add(wall, lost)
        self._counters.tally.received += lost
        self._counters.tally.lost += lost
        if not self._full:
            self._full = True
            self._log.emit("DHCP_DDNS_QUEUE_MGR_QUEUE_FULL", self.most)

    def look(self, waiting: int) -> None:
        """See whether there is room again, with so many requests that wait."""
        resume_at = self.most * RESUME_PERCENT // 100
        if self._full and waiting <= resume_at:
            self._full = False
            self._log.emit("DHCP_DDNS_QUEUE_MGR_RESUMING", resume_at, self.most)
