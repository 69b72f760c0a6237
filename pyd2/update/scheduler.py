"""The scheduler: when a request gets its turn (contract, section 4; decisions 9 and 12).

A request takes hold of its DHCID when it arrives. If another request holds it, it queues behind that one:
one transaction per DHCID at a time, in the order of arrival, whatever server is asked. Else it goes to the
lane of the first server it needs. If the lane's window has room, its transaction begins at once; if not, it
waits in the lane. Kea has one queue and 32 transactions for all servers, so a dead server stalls every zone;
here it stalls its own. Every step is a dictionary look-up or the end of a deque: the cost of an event does
not depend on how much waits.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from pyd2.update.clients import Clients
from pyd2.update.late_requests import LateRequests
from pyd2.update.matching import Matching
from pyd2.update.queue_limit import QueueLimit
from pyd2.update.retries import Hold, Late, Retries

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyd2.counters import Counters
    from pyd2.messages import Log
    from pyd2.packets.layer import PacketLayer, Request
    from pyd2.update.driver import Driver
    from pyd2.update.lane import Lane
    from pyd2.update.plan import Plan

_BACKLOG_STEP: Final = 1000
"""Requests to work off at a time that take no room of a lane, so that replies are not kept waiting."""


class Scheduler:
    """Requests that wait, and begin. ``now`` is monotonic seconds, ``wall`` seconds since the epoch."""

    def __init__(self, driver: Driver, counters: Counters, log: Log, packets: PacketLayer) -> None:
        self._driver = driver
        self._ends = driver.ends
        self._failover = driver.failover
        self._log = log
        self._packets = packets
        self.clients = Clients()
        self.retries = Retries(counters, log, driver.tries.draw_place, driver.ends.finish)
        self.limit = QueueLimit(driver, self.retries, counters, log)
        self.matching = Matching(driver, self.limit, counters, log)
        self._late = LateRequests(
            driver, self.retries, self.clients, self.limit, self.matching, counters, log, packets
        )
        self._backlog: deque[Request] = deque()
        """Requests to be matched again since the last reconfiguration; they hold their DHCIDs."""
        self._paced: set[Lane] = set()
        """Lanes that will have room without anything having come."""
        self._unserved: set[Lane] = set()
        """Lanes that have room left, for the next turn."""
        self._late_left = False
        """Whether late requests may begin that had no turn yet."""

    # What the engine tells.

    def accept(self, ncr: Request, now: float, wall: float) -> None:
        """Queue a request, or begin it."""
        log = self._log
        if "DHCP_DDNS_QUEUE_MGR_QUEUE_RECEIVE" in log.on:
            log.emit("DHCP_DDNS_QUEUE_MGR_QUEUE_RECEIVE", ncr.request_id)
        dhcid = hash(ncr.dhcid)
        held = self.clients.held
        if dhcid in held:
            self.limit.put(self.clients.followers(dhcid), ncr)
            log.emit("DHCP_DDNS_NO_ELIGIBLE_JOBS", self.limit.queued, self._ends.active)
            return
        if self.retries.any and not self.retries.admit(ncr, dhcid, wall):
            return
        held[dhcid] = None
        self._route(ncr, dhcid, now, wall)

    def finish(self, lanes: Iterable[Lane], now: float, wall: float) -> None:
        """Use what room some lanes have, pass on the DHCIDs of what ended, and send what was ordered."""
        driver = self._driver
        for lane in lanes:
            self._serve(lane, now, wall)
        if self._failover.turned:
            self._late.note_turns()
        while True:
            if self._ends.freed:
                self._settle(now, wall)
            if self.retries.pressing:
                self._serve_late(now, wall)
            if not driver.ordered:
                break
            # What cannot be made has made room again.
            for lane in driver.flush(now, wall):
                self._serve(lane, now, wall)
        if driver.held:
            self._paced.update(lane for lane in driver.held if lane.waits_for_pace())
            driver.held.clear()

    def match_again(
        self, plan: Plan, before: Iterable[Lane], lanes: Iterable[Lane], now: float, wall: float
    ) -> None:
        """Work by a new plan: match what waits in the lanes ``before``; ``lanes`` are those there are now."""
        self.matching.plan = plan
        self.limit.max_entries = plan.switches.queue.max_entries
        for lane in before:
            self._backlog.extend(lane.waiting)
            lane.waiting.clear()
        self.retries.match_again()
        self._work_off_backlog(now, wall)
        self.finish(lanes, now, wall)

    def timer(self) -> float | None:
        """Return when to call ``handle_timer``, in monotonic seconds; None: not before something arrives."""
        if self._backlog or self._unserved or self._late_left:
            return 0.0
        deadline = self._driver.tries.deadline()
        if self.retries.any:
            late_due = self.retries.deadline()
            if late_due is not None:
                deadline = late_due if deadline is None else min(deadline, late_due)
        if not self._paced:
            return deadline
        paced_until = min(lane.window.paced_until() for lane in self._paced)
        return paced_until if deadline is None else min(deadline, paced_until)

    def handle_timer(self, now: float, wall: float) -> None:
        """Do work that was put off."""
        if self._backlog:
            self._work_off_backlog(now, wall)
        self.retries.pressing |= self.retries.any
        again = self._paced | self._unserved
        self._paced.clear()
        self._unserved.clear()
        self.finish(again, now, wall)

    # Turns.

    def _route(self, ncr: Request, dhcid: int, now: float, wall: float) -> None:
        """Begin a request that holds its DHCID, or let it wait in the lane where it begins."""
        forward, reverse = self.matching.domains(ncr)
        domain = forward or reverse
        if domain is not None:
            failover = self._failover
            lane = failover.first_lane(domain, now) if failover.down else domain.servers[0].lane
            if lane.ready or lane.waiting or not lane.may_begin(now):
                if not lane.waiting:
                    self._driver.held.add(lane)
                self.limit.put(lane.waiting, ncr)
                if "DHCP_DDNS_AT_MAX_TRANSACTIONS" in self._log.on:
                    self._log.emit("DHCP_DDNS_AT_MAX_TRANSACTIONS", self.limit.queued, lane.window.limit)
                return
        self.matching.begin(ncr, dhcid, forward, reverse, now, wall)

    def _serve(self, lane: Lane, now: float, wall: float) -> None:
        """Use what room a lane has, and pass on the DHCIDs of what ended."""
        driver = self._driver
        matching = self.matching
        left = _BACKLOG_STEP
        while lane.ready or lane.waiting:
            if not (lane.has_room(now) if lane.ready else lane.may_begin(now)):
                driver.held.add(lane)
                return
            if not left:
                # Requests that are only dropped take no room; replies must not be kept waiting by them.
                self._unserved.add(lane)
                return
            left -= 1
            if lane.ready:
                driver.send(lane.ready.popleft(), now, wall)
            else:
                ncr = self.limit.take(lane.waiting)
                forward, reverse = matching.domains(ncr)
                matching.begin(ncr, hash(ncr.dhcid), forward, reverse, now, wall)
            if self._ends.freed:
                self._settle(now, wall)

    def _settle(self, now: float, wall: float) -> None:
        """Give each DHCID that became free to the next request that wants it."""
        freed = self._ends.freed
        held = self.clients.held
        while freed:
            if self._ends.postponed:
                self._late.park(now, wall)
            dhcid = freed.pop()
            followers = held[dhcid]
            if followers is None:
                del held[dhcid]
            else:
                self._pass_on(dhcid, followers, now, wall)
        if self.limit.full:
            self.limit.resume()

    def _pass_on(self, dhcid: int, followers: deque[Request | Late], now: float, wall: float) -> None:
        """Give a DHCID to the first that wants it and may have it."""
        retries = self.retries
        if isinstance(followers, Hold):
            self._late.end(followers)
        while followers:
            ncr = self.limit.take(followers)
            if isinstance(ncr, Late):
                if retries.emptied(ncr):
                    continue
                self._late.begin(ncr, now, wall)
                return
            if not retries.any or retries.admit(ncr, dhcid, wall):
                if not followers:
                    self.clients.held[dhcid] = None
                self._route(self._packets.match(ncr, self.matching.plan.index), dhcid, now, wall)
                return
        del self.clients.held[dhcid]

    def _work_off_backlog(self, now: float, wall: float) -> None:
        backlog = self._backlog
        for _ in range(min(len(backlog), _BACKLOG_STEP)):
            ncr = self._packets.match(self.limit.take(backlog), self.matching.plan.index)
            self._route(ncr, hash(ncr.dhcid), now, wall)
        self._settle(now, wall)

    def _serve_late(self, now: float, wall: float) -> None:
        """Try late requests again that may be."""
        self._late_left = False
        for _ in range(_BACKLOG_STEP):
            late = self.retries.take(now)
            if late is None:
                return
            self._late.try_again(late, now, wall)
            if self._ends.freed:
                self._settle(now, wall)
        self._late_left = True
