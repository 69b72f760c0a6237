"""The limit of a queue, and what happens when it is reached (contract, section 4; docs/differences.md, 6).

The engine counts all requests that wait together: behind another one of their client, in a server lane, or to
be tried again. The durable queue counts its own, and asks the engine which new ones it may accept
(``Engine.admit``): what it has accepted is never lost.

A server that does not answer has a share: its requests that have not begun, and those behind them of the same
clients, may take as much of the queue as all requests that wait leave free. What comes beyond that is lost,
as from a full queue. A server that answers may use the whole queue, and so may the server where the requests
of all domains begin. ``retry/shares.py`` has a similar rule for the retries of a domain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from pyd2.config.switches import Switches
from pyd2.counters import MinuteReport
from pyd2.update.retry.shares import OCTETS_PER_ENTRY

if TYPE_CHECKING:
    from collections import deque

    from pyd2.counters import Counters
    from pyd2.messages import Log
    from pyd2.packets.layer import Request
    from pyd2.update.agenda import Agenda
    from pyd2.update.drive.outcomes import Ends
    from pyd2.update.inflight.contract import Tries
    from pyd2.update.retry.request import RetryRequest
    from pyd2.update.retry.retry_queue import RetryQueue
    from pyd2.update.server.lane import Lane

_Queued = TypeVar("_Queued", "Request", "Request | RetryRequest")

RESUME_PERCENT: Final = 80
"""The queue counts as full until it is down to this part of its limit."""

LARGEST_REQUEST: Final = 8192
"""Octets that a request takes up at most: a datagram has 4096."""


class FullQueue:
    """Counts requests for which a queue has no free place; logs when it becomes full and when no longer."""

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

    def __init__(
        self, tries: Tries, ends: Ends, agenda: Agenda, retries: RetryQueue, counters: Counters, log: Log
    ) -> None:
        super().__init__(counters, log)
        self._tries = tries
        self._ends = ends
        self._agenda = agenda
        self._retries = retries
        self.queued = 0
        """Requests in queues, without those that wait to be tried again."""
        self.octets = 0
        """Of these."""
        self._beyond: dict[str, MinuteReport] = {}
        """By server, requests that were lost since it had taken its share."""

    def put(self, queue: deque[_Queued], ncr: _Queued) -> None:
        """Append a request to a queue."""
        queue.append(ncr)
        self.queued += 1
        self.octets += ncr.size

    def pop(self, queue: deque[_Queued]) -> _Queued:
        """Remove and return the first request of a queue."""
        ncr = queue.popleft()
        self.queued -= 1
        self.octets -= ncr.size
        return ncr

    @property
    def free(self) -> int:
        """Entries that the requests not begun, and the retries, leave free; it may be below zero."""
        return self.max_entries - self.queued - self._retries.waiting

    def free_places(self) -> int:
        """Return how many requests at least can be accepted: by their number and by their octets."""
        entries = self.max_entries - self._entries()
        octets = self.max_entries * OCTETS_PER_ENTRY - self.octets - self._retries.octets
        return min(entries, -(-octets // LARGEST_REQUEST))

    def resume(self) -> None:
        """Accept requests again, if enough of them have gone since the queue was full."""
        self.resume_at(self._entries())

    def _entries(self) -> int:
        """Requests held that wait for something else than a reply."""
        retries = self._retries.waiting + len(self._agenda.postponed)
        return self.queued + retries + self._ends.active - self._ends.sharing - self._tries.in_flight

    # The share of one server.

    @property
    def shares_matter(self) -> bool:
        """Whether so much waits that a silent server may have taken its share."""
        return 2 * self.free <= self.max_entries

    def turn_away(self, lane: Lane, free: int, wall: float) -> bool:
        """Count a request as lost if its server is silent and has taken its share; return whether it is.

        ``free`` is what all requests that wait leave free.
        """
        if not lane.silent or lane.queued < free:
            return False
        self._counters.queue_full.add(wall)
        self._counters.tally.lost += 1
        if lost := self._beyond.setdefault(lane.text, MinuteReport()).add(wall):
            self._log.emit("PYD2_QUEUE_SHARE_FULL", lane.queued, lane.text, lost)
        return True
