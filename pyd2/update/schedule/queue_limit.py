"""The limit of a queue, and what happens when it is reached (contract, section 4; decision 6).

The engine counts all requests that wait together: behind another one of their client, in a server lane, or to
be tried again. The durable queue counts its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from pyd2.config.switches import Switches

if TYPE_CHECKING:
    from collections import deque

    from pyd2.counters import Counters
    from pyd2.messages import Log
    from pyd2.packets.layer import Request
    from pyd2.update.drive.driver import Driver
    from pyd2.update.retry.retry_queue import RetryQueue, RetryRequest

_Queued = TypeVar("_Queued", "Request", "Request | RetryRequest")

RESUME_PERCENT: Final = 80
"""The queue counts as full until it is down to this part of its limit."""

LARGEST_REQUEST: Final = 8192
"""Octets that a request takes up at most: a datagram has 4096."""
OCTETS_PER_ENTRY: Final = 512
"""Octets of queued requests for each entry of the queue's limit: four times what most requests have."""


class FullQueue:
    """Counts requests for which a queue has no place; logs when it becomes full, and when it no longer is."""

    def __init__(self, counters: Counters, log: Log) -> None:
        self._counters = counters
        self._log = log
        self.max_entries = Switches().queue.max_entries
        self.full = False

    def drop(self, wall: float, lost: int = 1) -> None:
        """Count requests that are lost, at ``wall`` in seconds since the epoch."""
        self._counters.queue_full.add(wall, lost)
        self._counters.tally.lost += lost
        if not self.full:
            self.full = True
            self._log.emit("DHCP_DDNS_QUEUE_MGR_QUEUE_FULL", self.max_entries)

    def resume_at(self, waiting: int) -> None:
        """Accept requests again, if only so many still wait that the queue counts as full no more."""
        resume_at = self.max_entries * RESUME_PERCENT // 100
        if waiting <= resume_at:
            self.full = False
            self._log.emit("DHCP_DDNS_QUEUE_MGR_RESUMING", resume_at, self.max_entries)


class QueueLimit(FullQueue):
    """What the engine has queued, and how much may be."""

    def __init__(self, driver: Driver, retries: RetryQueue, counters: Counters, log: Log) -> None:
        super().__init__(counters, log)
        self._tries = driver.tries
        self._ends = driver.ends
        self._retries = retries
        self.queued = 0
        """Requests in queues, without those that wait to be tried again."""
        self.octets = 0
        """Of these."""

    def put(self, queue: deque[_Queued], ncr: _Queued) -> None:
        """Put a request into a queue."""
        queue.append(ncr)
        self.queued += 1
        self.octets += ncr.size

    def take(self, queue: deque[_Queued]) -> _Queued:
        """Take the first request out of a queue."""
        ncr = queue.popleft()
        self.queued -= 1
        self.octets -= ncr.size
        return ncr

    def room(self) -> int:
        """Return how many requests at least can be taken."""
        room = self.max_entries - self._entries()
        octets = self.max_entries * OCTETS_PER_ENTRY - self.octets - self._retries.octets
        return min(room, -(-octets // LARGEST_REQUEST))

    def resume(self) -> None:
        """Accept requests again, if enough of them have gone since the queue was full."""
        self.resume_at(self._entries())

    def _entries(self) -> int:
        """Requests held that wait for something else than a reply."""
        late = self._retries.waiting + self._ends.postponed
        return self.queued + late + self._ends.active - self._tries.in_flight
