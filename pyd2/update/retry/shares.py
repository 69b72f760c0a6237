"""How much of the queue the retries of one domain may take up.

The rule: **the retries of one domain never take more of the queue than all retries leave free.** One domain
alone gets half of ``max-entries``, two that fail at the same time a third each, and so on; as much again is
always left for the requests of domains that work. What is beyond its share fails for good.

``schedule/queue_limit.py`` has the same rule for servers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyd2.config.switches import Switches
from pyd2.counters import MinuteReport

if TYPE_CHECKING:
    from pyd2.messages import Log
    from pyd2.update.model.plan import Domain

OCTETS_PER_ENTRY: Final = 512
"""Octets of queued requests for each entry of the queue's limit: four times what most requests have."""


class Share:
    """What the retries of one domain take up, those under way included."""

    __slots__ = ("beyond", "key", "octets", "requests")

    def __init__(self, key: str) -> None:
        self.key = key
        """The name of the domain, in lower case."""
        self.requests = 0
        self.octets = 0
        self.beyond = MinuteReport()


class Shares:
    """The shares of all domains with retries."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._shares: dict[str, Share] = {}
        self.max_entries = Switches().queue.max_entries
        """The limit of the queue."""
        self._requests = 0
        self._octets = 0

    def of(self, domain: Domain) -> Share:
        """Return what a domain's retries take up; a domain is the same as long as its name is."""
        key = domain.name.lower()
        return self._shares.get(key) or Share(key)

    def is_taken(self, share: Share) -> bool:
        """Whether the domain has no free place for another retry."""
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
        """Count a request that was given up, and log once a minute; ``wall`` is seconds since the epoch."""
        self._shares[share.key] = share
        if given_up := share.beyond.add(wall):
            self._log.emit("PYD2_RETRY_SHARE_FULL", share.requests, share.key, given_up)
