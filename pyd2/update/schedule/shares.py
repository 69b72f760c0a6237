"""How much of the queue one domain or one DNS server may take up.

The rule: **the retries of one domain never take more of the queue than all retries leave free.** One domain
alone gets half of ``max-entries``, two that fail at the same time a third each, and so on; as much again is
always left for the requests of domains that work. What is beyond its share fails for good.

The same holds for requests that have not begun: those that wait for one server, and those behind them of the
same clients, never take more than all requests that wait leave free. What comes beyond that is lost, as from
a full queue. A server that is the only one of a configuration has no share: it may use the whole queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyd2.config.switches import Switches
from pyd2.update.schedule.queue_limit import OCTETS_PER_ENTRY

if TYPE_CHECKING:
    from pyd2.counters import Counters
    from pyd2.messages import Log
    from pyd2.update.model.plan import Domain
    from pyd2.update.server.lane import Lane

TOLD_SECONDS: Final = 60.0
"""How often it is told of a domain that requests are given up."""


class Share:
    """What the late requests of one domain take up, those under way included."""

    __slots__ = ("given_up", "key", "octets", "requests", "tell_at")

    def __init__(self, key: str) -> None:
        self.key = key
        """The name of the domain, in lower case."""
        self.requests = 0
        self.octets = 0
        self.given_up = 0
        """Requests beyond the share since the last message that tells of some."""
        self.tell_at = 0.0
        """``wall`` from which there may be another such message."""


class Shares:
    """Those of all domains with late requests."""

    def __init__(self, counters: Counters, log: Log) -> None:
        self._counters = counters
        self._log = log
        self._shares: dict[str, Share] = {}
        self._turned_away: dict[str, Share] = {}
        """By server, requests that were lost since it had taken its share."""
        self.max_entries = Switches().queue.max_entries
        """The limit of the queue."""
        self._requests = 0
        self._octets = 0

    def of(self, domain: Domain) -> Share:
        """Return what a domain's late requests take up; a domain is the same as long as its name is."""
        key = domain.name.lower()
        return self._shares.get(key) or Share(key)

    def is_taken(self, share: Share) -> bool:
        """Whether there is no room for another late request."""
        return (
            share.requests >= self.max_entries - self._requests
            or share.octets >= self.max_entries * OCTETS_PER_ENTRY - self._octets
        )

    def enter(self, share: Share, size: int) -> None:
        """Count a request of so many octets."""
        self._shares[share.key] = share
        share.requests += 1
        share.octets += size
        self._requests += 1
        self._octets += size

    def leave(self, share: Share, size: int) -> None:
        """Count it no more."""
        share.requests -= 1
        share.octets -= size
        self._requests -= 1
        self._octets -= size
        if not share.requests:
            self._shares.pop(share.key, None)

    def give_up(self, share: Share, wall: float) -> None:
        """Count a request that was given up, and tell the operator once a minute; ``wall`` is in seconds."""
        self._shares[share.key] = share
        self._report(share, share.requests, "PYD2_RETRY_SHARE_FULL", wall)

    def turn_away(self, lane: Lane, wall: float) -> None:
        """Count a request that is lost because its server has taken its share; ``wall`` is in seconds."""
        self._counters.queue_full.add(wall)
        self._counters.tally.lost += 1
        share = self._turned_away.setdefault(lane.text, Share(lane.text))
        self._report(share, lane.queued, "PYD2_QUEUE_SHARE_FULL", wall)

    def _report(self, share: Share, requests: int, message: str, wall: float) -> None:
        share.given_up += 1
        if wall >= share.tell_at or share.tell_at > wall + TOLD_SECONDS:
            self._log.emit(message, requests, share.key, share.given_up)
            share.given_up = 0
            share.tell_at = wall + TOLD_SECONDS
