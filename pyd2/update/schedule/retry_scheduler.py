"""Parks retries when transactions have failed, and begins them when ``retry/retry_queue.py`` says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyd2.interpreter import KeptObjects
from pyd2.update.model.faults import Fault, Result
from pyd2.update.model.kinds import KINDS
from pyd2.update.retry.request import RetryRequest, RetryTransaction
from pyd2.update.retry.retry_queue import SHARE_FULL

if TYPE_CHECKING:
    from pyd2.counters import Counters
    from pyd2.messages import Log
    from pyd2.packets.layer import PacketLayer, Request
    from pyd2.update.agenda import Postponed
    from pyd2.update.drive.driver import Driver
    from pyd2.update.drive.outcomes import Ends
    from pyd2.update.retry.retry_queue import RetryQueue
    from pyd2.update.schedule.client_locks import ClientLocks, Followers
    from pyd2.update.schedule.queue_limit import QueueLimit
    from pyd2.update.schedule.routing import Routing


class RetryScheduler:
    """Parks, begins and ends retries. ``now`` is monotonic seconds, ``wall`` seconds since the epoch."""

    def __init__(
        self, driver: Driver, ends: Ends, retries: RetryQueue, clients: ClientLocks, limit: QueueLimit,
        routing: Routing, counters: Counters, log: Log, packets: PacketLayer,
    ) -> None:
        self._driver = driver
        self._ends = ends
        self._failover = driver.failover
        self._retries = retries
        self._clients = clients
        self._limit = limit
        self._routing = routing
        self._counters = counters
        self._log = log
        self._packets = packets
        self._parked = KeptObjects()

    def park(self, postponed: Postponed, now: float, wall: float) -> None:
        """Park a request that has failed and is to be tried again, if its domain has a free place for it."""
        transaction, failure = postponed
        retry = transaction.retried if isinstance(transaction, RetryTransaction) else None
        if retry is None:
            retry = RetryRequest(transaction.ncr, transaction.dhcid, wall)
        else:
            # It may begin again before its lock is passed on, and is not to end then.
            self._clients.part(retry.dhcid)[retry.dhcid].retry = None
        before = retry.forward_left, retry.reverse_left
        if transaction.forward is None or transaction.forward_done:
            retry.forward_left = False  # made, or left out for want of forward zones
        earlier = transaction.forward_failure
        if earlier is not None and earlier.retry is None:
            retry.forward_left = False
            retry.forward_failure = earlier
        retry.reverse_left = retry.reverse_left and not transaction.reverse_done
        if (retry.forward_left, retry.reverse_left) != before:
            self._retries.amend(retry)
        if failure is None:
            domain = transaction.reverse
            assert domain is not None
            self._retries.halt(retry, domain)
            return
        retry.reason = failure.reason
        domain = (transaction.forward if retry.forward_left else None) or transaction.domain
        if not self._retries.has_free_place(retry, domain, wall):
            self._ends.log_failure(transaction, failure)
            self._counters.tally.failed += 1
            self._ends.observe(
                Result.FAILED, transaction.ncr, transaction, Fault.SHARE_FULL, failure.reason
            )
            self._ends.add_dead_letter(transaction.ncr, f"{failure.reason}; {SHARE_FULL}")
            self._ends.finish(transaction.ncr)
            if retry.age is not None:
                self._retries.leave(retry)
            return
        if retry.age is None:
            self._ends.observe(Result.RETRYING, transaction.ncr, transaction, failure.fault, failure.reason)
        assert failure.retry is not None
        pause = self._retries.park(retry, domain, failure.retry, now)
        self._parked.add()  # a transaction ends for each
        if "PYD2_RETRY_SCHEDULED" in self._log.on:
            self._log.emit("PYD2_RETRY_SCHEDULED", retry.ncr.request_id, f"{pause:.1f}", failure.reason)

    def try_again(self, retry: RetryRequest, now: float, wall: float) -> None:
        """Begin a retry, or park it again for its servers, or queue it for the lock of its client."""
        retries = self._retries
        why = retry.over(wall)
        if why:
            self._counters.tally.expired += 1
            ncr = retry.ncr
            self._ends.observe(Result.EXPIRED, ncr, note=retry.reason)
            failure = retry.reason or "an earlier one for its name or address"
            self._log.emit("PYD2_RETRY_ABANDONED", ncr.request_id, why, failure, ncr.text())
            self._ends.add_dead_letter(ncr, f"{why}; {retry.reason}" if retry.reason else why)
            self._ends.finish(ncr)
            retries.leave(retry)
            return
        if not (retry.forward_left or retries.has_ptr_turn(retry, wall)):
            return
        retry.ncr = self._packets.match(retry.ncr, self._routing.plan.index)
        destination = self._routing.destination(retry.ncr)
        domain = destination.forward if retry.forward_left else destination.reverse
        if domain is not None:
            group = retries.group(domain.lanes)
            if domain.retry is not None and group.down and not group.may_probe(now):
                if retries.may_wait(retry, "its servers do not answer", wall):
                    retries.put_off(retry, domain.lanes, domain.retry, now)
                return
            if group.congested:
                retries.make_ready(retry, domain.lanes)
                return
        retries.start(retry)
        if retry.dhcid in self._clients.part(retry.dhcid):
            lane = None if domain is None else self._failover.first_lane(domain, now)
            self._limit.put(self._clients.followers(retry.dhcid, lane), retry)
        else:
            self.begin(retry, now, wall)

    def begin(self, retry: RetryRequest, now: float, wall: float) -> None:
        """Begin the transaction of a retry, which locks its client."""
        self._clients.hold_retry(retry)
        routing = self._routing
        ncr = retry.ncr = self._packets.match(retry.ncr, routing.plan.index)
        found: Request | None = ncr
        destination = routing.destination(ncr)
        forward, reverse = destination.forward, destination.reverse
        if not retry.forward_left:
            forward = None
        elif forward is None:
            found = routing.without_forward(ncr)
        if not retry.reverse_left:
            reverse = None
        elif reverse is None and found is not None:
            found = routing.without_reverse(found)
        domain = forward or reverse
        if found is None or domain is None:
            routing.drop_unmatched(ncr, found, retry.dhcid)
            return
        kind = KINDS[found.kind]
        if routing.plan.policies:
            under_policy = routing.kind_under_policy(found, retry.dhcid, forward, reverse, wall)
            if under_policy is None:
                return
            kind = under_policy
        transaction = RetryTransaction(retry, found, kind, routing.plan, forward, reverse)
        self._driver.begin(transaction, domain, now, wall)

    def end(self, retry: RetryRequest, followers: Followers) -> None:
        """Note that the transaction of a retry has ended, which held the client of ``followers``."""
        if self._retries.under_way(retry):
            self._retries.leave(retry)
        followers.retry = None
