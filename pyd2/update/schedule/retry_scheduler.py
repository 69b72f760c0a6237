"""Retries in the engine: parked when a try has failed, begun again when ``retry/retry_queue.py`` says so."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Final

from pyd2.update.drive.outcomes import Dead
from pyd2.update.model.kinds import KINDS
from pyd2.update.retry.request import RetryRequest, RetryTransaction
from pyd2.update.retry.retry_queue import SHARE_FULL

if TYPE_CHECKING:
    from pyd2.counters import Counters
    from pyd2.messages import Log
    from pyd2.packets.layer import PacketLayer, Request
    from pyd2.update.drive.driver import Driver
    from pyd2.update.drive.outcomes import Postponed
    from pyd2.update.retry.retry_queue import RetryQueue
    from pyd2.update.schedule.client_locks import ClientLocks, Followers
    from pyd2.update.schedule.queue_limit import QueueLimit
    from pyd2.update.schedule.routing import Routing


PARKED_UNSEEN: Final = 64
"""Requests that are parked between two looks of the garbage collector."""


class RetryScheduler:
    """The course of late requests. ``now`` is monotonic seconds, ``wall`` seconds since the epoch."""

    def __init__(
        self, driver: Driver, retries: RetryQueue, clients: ClientLocks, limit: QueueLimit, matching: Routing,
        counters: Counters, log: Log, packets: PacketLayer,
    ) -> None:
        self._driver = driver
        self._ends = driver.ends
        self._failover = driver.failover
        self._retries = retries
        self._clients = clients
        self._limit = limit
        self._matching = matching
        self._counters = counters
        self._log = log
        self._packets = packets
        self._parked = 0

    def park(self, postponed: Postponed, now: float, wall: float) -> None:
        """Let a request wait that has failed and is to be tried again, if its domain has room for it."""
        transaction, failure, retry = postponed
        late = transaction.late if isinstance(transaction, RetryTransaction) else None
        if late is None:
            late = RetryRequest(transaction.ncr, transaction.dhcid, wall)
        late.reason = failure.reason
        late.forward_left = late.forward_left and not transaction.forward_done
        earlier = transaction.forward_failure
        if earlier is not None and earlier.retry is None:
            late.forward_left = False
            late.forward_failure = earlier
        late.reverse_left = late.reverse_left and not transaction.reverse_done
        domain = (transaction.forward if late.forward_left else None) or transaction.domain
        if not self._retries.has_free_place(late, domain, wall):
            outcome = transaction.outcome(failure.event)
            self._log.emit(transaction.kind.failed, transaction.ncr.request_id, outcome)
            self._counters.tally.failed += 1
            self._ends.dead.append(Dead(transaction.ncr, f"{failure.reason}; {SHARE_FULL}"))
            self._ends.finish(transaction.ncr)
            return
        pause = self._retries.park(late, domain, retry, now)
        self._parked += 1
        if self._parked % PARKED_UNSEEN == 0:
            # The collector counts new objects less those that end. Here a transaction ends for each request
            # that is parked, so it would look at none for long, and then at those of 100,000 requests in one
            # go: 50 ms.
            gc.collect(1)
        if "PYD2_RETRY_SCHEDULED" in self._log.on:
            self._log.emit("PYD2_RETRY_SCHEDULED", late.ncr.request_id, f"{pause:.1f}", failure.reason)

    def note_turns(self) -> None:
        """Take note of servers that do not answer any more, or again."""
        turned, self._failover.turned = self._failover.turned, []
        for lane in turned:
            if lane in self._failover.down:
                self._retries.server_down(lane)
            else:
                self._retries.server_up(lane)

    def try_again(self, late: RetryRequest, now: float, wall: float) -> None:
        """Begin a late request, or let it wait on, for its servers or its client."""
        retries = self._retries
        why = late.over(wall)
        if why:
            self._counters.tally.expired += 1
            ncr = late.ncr
            failure = late.reason or "an earlier one for its name"
            self._log.emit("PYD2_RETRY_ABANDONED", ncr.request_id, why, failure, ncr.text())
            self._ends.dead.append(Dead(ncr, f"{why}; {late.reason}" if late.reason else why))
            self._ends.finish(ncr)
            retries.leave(late)
            return
        late.ncr = self._packets.match(late.ncr, self._matching.plan.index)
        forward, reverse = self._matching.domains(late.ncr)
        domain = forward if late.forward_left else reverse
        if domain is not None:
            room = retries.room(domain.lanes)
            if domain.retry is not None and room.down and room.probe_at > now:
                retries.put_off(late, domain.lanes, domain.retry, now)
                return
            if room.crowded:
                retries.make_ready(late, domain.lanes)
                return
        retries.start(late)
        if late.dhcid in self._clients.part(late.dhcid):
            lane = None if domain is None else self._failover.first_lane(domain, now)
            self._limit.put(self._clients.followers(late.dhcid, lane), late)
        else:
            self.begin(late, now, wall)

    def begin(self, late: RetryRequest, now: float, wall: float) -> None:
        """Begin the transaction of a late request, which takes hold of its client."""
        self._clients.hold_retry(late)
        matching = self._matching
        ncr = late.ncr = self._packets.match(late.ncr, matching.plan.index)
        found: Request | None = ncr
        forward, reverse = matching.domains(ncr)
        if not late.forward_left:
            forward = None
        elif forward is None:
            found = matching.without_forward(ncr)
        if not late.reverse_left:
            reverse = None
        elif reverse is None and found is not None:
            found = matching.without_reverse(found)
        if found is None or (forward is None and reverse is None):
            matching.drop_unmatched(ncr, found, late.dhcid)
        else:
            kind = KINDS[found.kind]
            transaction = RetryTransaction(late, found, kind, matching.plan, forward, reverse)
            self._driver.begin(transaction, now, wall)

    def end(self, late: RetryRequest, followers: Followers) -> None:
        """Note that the transaction of a retry has ended, which held the client of ``followers``."""
        if self._retries.under_way(late):
            self._retries.leave(late)
        followers.late = None
