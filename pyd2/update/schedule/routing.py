"""From a request to its transaction: the domains that its changes belong to, or why there is none.

See contract, section 4. ``model/zones.py`` finds the domain of a name.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from pyd2.dns.names import reverse_name
from pyd2.ncr import ChangeType
from pyd2.update.model.faults import Fault, Result
from pyd2.update.model.kinds import KINDS
from pyd2.update.model.plan import Destination, Plan
from pyd2.update.model.transaction import Transaction

if TYPE_CHECKING:
    from pyd2.counters import Counters
    from pyd2.messages import Log
    from pyd2.packets.layer import Request
    from pyd2.update.drive.driver import Driver
    from pyd2.update.drive.outcomes import Ends
    from pyd2.update.model.kinds import Kind
    from pyd2.update.model.plan import Domain
    from pyd2.update.schedule.queue_limit import QueueLimit
    from pyd2.update.server.lane import Lane

MOST_DESTINATIONS: Final = 32768
"""How many are kept. More would take milliseconds when the dictionary grows."""


class Routing:
    """Begins transactions by the plan in force. ``now`` is monotonic seconds, ``wall`` since the epoch."""

    def __init__(
        self, driver: Driver, ends: Ends, limit: QueueLimit, counters: Counters, log: Log
    ) -> None:
        self._driver = driver
        self._ends = ends
        self._limit = limit
        self._counters = counters
        self._log = log
        self.plan = Plan()

    def destination(self, ncr: Request) -> Destination:
        """Return where a request goes."""
        plan = self.plan
        destination = plan.destinations.get(ncr.alike)
        if destination is None:
            destination = self._find_destination(ncr)
            if ncr.alike is not None:
                if len(plan.destinations) >= MOST_DESTINATIONS:
                    plan.destinations.clear()
                plan.destinations[ncr.alike] = destination
        return destination

    def _find_destination(self, ncr: Request) -> Destination:
        plan = self.plan
        if ncr.domains is not None:
            forward, reverse = (plan.domains[number] for number in ncr.domains)
        else:
            forward = plan.forward.find(ncr.fqdn) if ncr.forward_change else None
            reverse = plan.reverse.find_address(ncr.address) if ncr.reverse_change else None
        missing = (forward is None and ncr.forward_change) or (reverse is None and ncr.reverse_change)
        looks = missing or plan.policies or plan.switches.expired == "drop"
        return Destination(forward, reverse, None if looks else KINDS[ncr.kind])

    def first_lane(self, ncr: Request, now: float) -> Lane | None:
        """Return the lane where a request begins; None: no domain fits."""
        domain = self.destination(ncr).domain
        return None if domain is None else self._driver.failover.first_lane(domain, now)

    def begin(self, ncr: Request, dhcid: int, destination: Destination, now: float, wall: float) -> None:
        """Begin the transaction of a request, or log why there is none."""
        kind = destination.kind
        if kind is None:
            looked_at = self._look_at(ncr, dhcid, destination, wall)
            if looked_at is None:
                return
            ncr, kind = looked_at
        domain = destination.domain
        assert domain is not None
        transaction = Transaction(ncr, dhcid, kind, self.plan, destination.forward, destination.reverse)
        self._driver.begin(transaction, domain, now, wall)

    def _look_at(
        self, ncr: Request, dhcid: int, destination: Destination, wall: float
    ) -> tuple[Request, Kind] | None:
        """Return what is to be done of a request, and its kind; None: nothing, it has ended."""
        forward, reverse = destination.forward, destination.reverse
        found: Request | None = ncr
        if self.plan.switches.expired == "drop" and _adds_ended_lease(ncr, wall):
            self._log.emit("PYD2_REQUEST_EXPIRED", ncr.request_id, ncr.text())
            self._counters.tally.expired += 1
            self._ends.observe(Result.EXPIRED, ncr)
            self._drop(ncr, dhcid)
            return None
        if forward is None and ncr.forward_change:
            found = self.without_forward(ncr)
        if reverse is None and found is not None and found.reverse_change:
            found = self.without_reverse(found)
        if found is None or (forward is None and reverse is None):
            self.drop_unmatched(ncr, found, dhcid)
            return None
        kind: Kind | None = KINDS[found.kind]
        if self.plan.policies:
            kind = self.kind_under_policy(found, dhcid, forward, reverse, wall)
        return None if kind is None else (found, kind)

    def kind_under_policy(
        self, ncr: Request, dhcid: int, forward: Domain | None, reverse: Domain | None, wall: float
    ) -> Kind | None:
        """Return the kind of a request, one of whose domains is given; None: it is a removal not to be made.

        It has ended then.
        """
        domain = forward or reverse
        assert domain is not None
        policy = domain.policy
        if policy is None:
            return KINDS[ncr.kind]
        if policy.keeps(ncr):
            self._log.emit("PYD2_REMOVAL_KEPT", ncr.request_id, ncr.fqdn, ncr.text())
            self._counters.removals_kept.add(wall)
            self._counters.tally.superseded += 1
            self._ends.observe(Result.SUPERSEDED, ncr, fault=Fault.KEPT)
            self._drop(ncr, dhcid)
            return None
        return policy.kinds[ncr.kind]

    def without_forward(self, ncr: Request) -> Request | None:
        """Return a request without its forward change, which has no domain; None: it is dropped."""
        log = self._log
        if self.plan.forward:
            log.emit("DHCP_DDNS_NO_MATCH", ncr.fqdn)
            log.emit("DHCP_DDNS_NO_FWD_MATCH_ERROR", ncr.request_id, ncr.text())
            return None
        ncr = ncr.without_forward()
        if "DHCP_DDNS_FWD_REQUEST_IGNORED" in log.on:
            log.emit("DHCP_DDNS_FWD_REQUEST_IGNORED", ncr.request_id, ncr.text())
        return ncr

    def without_reverse(self, ncr: Request) -> Request | None:
        """Return a request without its reverse change, which has no domain; None: it is dropped."""
        log = self._log
        if self.plan.reverse:
            log.emit("DHCP_DDNS_NO_MATCH", reverse_name(ncr.address))
            log.emit("DHCP_DDNS_NO_REV_MATCH_ERROR", ncr.request_id, ncr.text())
            return None
        ncr = ncr.without_reverse()
        if "DHCP_DDNS_REV_REQUEST_IGNORED" in log.on:
            log.emit("DHCP_DDNS_REV_REQUEST_IGNORED", ncr.request_id, ncr.text())
        return ncr

    def drop_unmatched(self, ncr: Request, found: Request | None, dhcid: int) -> None:
        """Drop a request; ``found`` is what had no domain left, unless that was logged."""
        if found is not None and "DHCP_DDNS_REQUEST_DROPPED" in self._log.on:
            self._log.emit("DHCP_DDNS_REQUEST_DROPPED", found.request_id, found.text())
        self._counters.tally.unmatched += 1
        self._ends.observe(Result.UNMATCHED, ncr)
        if self.plan.retries:
            self._ends.add_dead_letter(ncr, "no domain fits")
        self._drop(ncr, dhcid)

    def _drop(self, ncr: Request, dhcid: int) -> None:
        self._ends.end_request(ncr, dhcid)
        self._log.emit("DHCP_DDNS_NO_ELIGIBLE_JOBS", self._limit.queued, self._ends.active)


def _adds_ended_lease(ncr: Request, wall: float) -> bool:
    """Whether a request adds what is over already; both times are in UTC."""
    now = f"{datetime.fromtimestamp(wall, UTC):%Y%m%d%H%M%S}"
    return ncr.change_type is ChangeType.ADD and ncr.lease_expires_on < now
