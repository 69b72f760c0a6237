"""From a request to its transaction: the domains that its changes belong to, or why there is none.

See contract, section 4. ``model/zones.py`` finds the domain of a name.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pyd2.dns.names import reverse_name
from pyd2.ncr import ChangeType
from pyd2.update.model.faults import Fault, Result
from pyd2.update.model.kinds import KINDS
from pyd2.update.model.plan import Plan
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

    def domains(self, ncr: Request) -> tuple[Domain | None, Domain | None]:
        """Return the domains of a request's forward and reverse change."""
        plan = self.plan
        numbers = ncr.domains
        if numbers is not None:
            forward, reverse = numbers
            return plan.domains[forward], plan.domains[reverse]
        return (
            plan.forward.find(ncr.fqdn) if ncr.forward_change else None,
            plan.reverse.find_address(ncr.address) if ncr.reverse_change else None,
        )

    def begin(
        self,
        ncr: Request,
        dhcid: int,
        forward: Domain | None,
        reverse: Domain | None,
        now: float,
        wall: float,
    ) -> None:
        """Begin the transaction of a request that was matched, or log why there is none."""
        found: Request | None = ncr
        if self.plan.switches.expired == "drop" and _adds_ended_lease(ncr, wall):
            self._log.emit("PYD2_REQUEST_EXPIRED", ncr.request_id, ncr.text())
            self._counters.tally.expired += 1
            self._ends.observe(Result.EXPIRED, ncr)
            self._drop(ncr, dhcid)
            return
        if forward is None and ncr.forward_change:
            found = self.without_forward(ncr)
        if reverse is None and found is not None and found.reverse_change:
            found = self.without_reverse(found)
        if found is None or (forward is None and reverse is None):
            self.drop_unmatched(ncr, found, dhcid)
            return
        kind = KINDS[found.kind]
        if self.plan.policies:
            under_policy = self.kind_under_policy(found, dhcid, forward, reverse, wall)
            if under_policy is None:
                return
            kind = under_policy
        self._driver.begin(Transaction(found, dhcid, kind, self.plan, forward, reverse), now, wall)

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
