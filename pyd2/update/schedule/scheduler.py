"""The scheduler: when a request gets its turn (contract, section 4; docs/differences.md, 9 and 12).

A request locks its client (its DHCID) when it arrives. If another request has the lock, it queues behind that
one: one transaction per DHCID at a time, in the order of arrival, whatever server is asked. Else it goes to
the lane of the first server it needs, and begins at once if that has a free place, or waits. Kea has one
queue and 32 transactions for all servers, so a dead server stalls every zone; here it stalls its own. Each
step is a dictionary look-up or the end of a deque: what it costs does not depend on how much waits.

The calls of a turn of the loop take a millisecond or two together, whatever there is to do: what goes beyond
``STEP`` waits for the next ``handle_timer``, before which the shell reads what has come, and so does what
further calls find to do until then. Lanes, and what is routed again, have their turns one after the other. A
lane that had nothing to do, and whose server answers, comes before those that have much to do or do not
answer: thousands of these do not keep it waiting.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from pyd2.update.containers import LAST_SHARD, SHIFT
from pyd2.update.retry.request import RetryRequest
from pyd2.update.retry.retry_queue import AT_ONCE_TOGETHER
from pyd2.update.schedule.backlog import Backlog
from pyd2.update.schedule.client_locks import NO_FOLLOWERS, ClientLocks
from pyd2.update.schedule.retry_scheduler import RetryScheduler
from pyd2.update.schedule.steps import (
    AS_A_STEP,
    BEGINNING,
    FOR_PROBES,
    FOR_RETRIES,
    PARKING,
    SENDING,
    STEP,
    TRYING_AGAIN,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pyd2.counters import Counters
    from pyd2.messages import Log
    from pyd2.packets.layer import PacketLayer, Request
    from pyd2.update.agenda import Agenda
    from pyd2.update.batch.batcher import Batcher
    from pyd2.update.drive.driver import Driver
    from pyd2.update.drive.outcomes import Ends
    from pyd2.update.model.plan import Plan
    from pyd2.update.retry.retry_queue import RetryQueue
    from pyd2.update.schedule.client_locks import Followers, Held
    from pyd2.update.schedule.queue_limit import QueueLimit
    from pyd2.update.schedule.routing import Routing
    from pyd2.update.server.lane import Lane


class Scheduler:
    """Requests that wait, and begin. ``now`` is monotonic seconds, ``wall`` seconds since the epoch."""

    def __init__(
        self, driver: Driver, ends: Ends, agenda: Agenda, retries: RetryQueue, limit: QueueLimit,
        routing: Routing, counters: Counters, log: Log, packets: PacketLayer,
    ) -> None:
        self._driver = driver
        self.batcher: Batcher | None = None
        """None: no configuration has asked for batches."""
        self._ends = ends
        self._agenda = agenda
        self._freed = agenda.freed
        self._postponed = agenda.postponed
        self._failover = driver.failover
        self._log = log
        self._packets = packets
        self.clients = ClientLocks()
        self._retries = retries
        self._limit = limit
        self._routing = routing
        self._retry_scheduler = RetryScheduler(
            driver, ends, retries, self.clients, limit, routing, counters, log, packets
        )
        self._backlog = Backlog(limit)
        self._paced: set[Lane] = set()
        """Lanes that will have free places with the time alone."""
        self._fresh: OrderedDict[Lane, None] = OrderedDict()
        """Lanes for the next turn that had nothing to do before and whose servers answer."""
        self._unserved: OrderedDict[Lane, None] = OrderedDict()
        """The other lanes for the next turn. Both are in the order of their turns."""
        self._steps = STEP
        """Steps of a turn at present."""
        self._left = STEP
        """Steps that are left to the calls of this turn; none: nor to those up to ``handle_timer``."""
        self._sending: set[Lane] = set()
        """Lanes whose sending this turn has been charged for, when a request began there."""
        self._shares_matter = False
        """Whether servers may have taken their shares of the queue."""
        self._kept_back = False
        """Whether that, or a backlog, may keep requests back that come."""
        self._retries_left = False
        """Whether retries may begin that had no turn yet."""

    # What the engine calls.

    def pace(self, share: float) -> None:
        """Allow the following turns that share of ``STEP``, more than 0 and at most 1."""
        self._steps = int(STEP * share)

    def begin_turn(self) -> None:
        """Allow what a turn of the loop may cost, unless work is left to ``handle_timer``."""
        if self._left > 0 or not self._work_left:
            self._fill_up()
            self._retries.at_once = AT_ONCE_TOGETHER

    def _fill_up(self) -> None:
        """Allow the steps of a whole turn."""
        self._left = self._steps
        self._sending.clear()

    def begin_accepting(self) -> None:
        """See what may keep requests back, before some are accepted."""
        self._shares_matter = self._limit.shares_matter and self._routing.plan.begins_at_several
        self._kept_back = self._shares_matter or bool(self._backlog.lanes)

    def accept(self, ncr: Request, now: float, wall: float) -> None:
        """Queue a request, or begin it."""
        if "DHCP_DDNS_QUEUE_MGR_QUEUE_RECEIVE" in self._log.on:
            self._log.emit("DHCP_DDNS_QUEUE_MGR_QUEUE_RECEIVE", ncr.request_id)
        dhcid = hash(ncr.dhcid)
        held = self.clients.held[dhcid >> SHIFT & LAST_SHARD]
        if self._kept_back and self._keeps_back(ncr, dhcid, now, wall):
            return
        if dhcid in held:
            self._limit.put(self.clients.followers(dhcid, self._routing.first_lane(ncr, now)), ncr)
            self._log.emit("DHCP_DDNS_NO_ELIGIBLE_JOBS", self._limit.queued, self._ends.active)
            return
        if self._retries.any and not self._admit(ncr, dhcid, wall):
            return
        held[dhcid] = NO_FOLLOWERS
        self._route(ncr, dhcid, now, wall)

    def admits(self, ncr: Request, free: int, now: float, wall: float) -> bool:
        """Whether a request may wait for its server; see QueueLimit.turn_away."""
        lane = self._lane_of(ncr, hash(ncr.dhcid), now)
        return lane is None or not self._limit.turn_away(lane, free, wall)

    def _keeps_back(self, ncr: Request, dhcid: int, now: float, wall: float) -> bool:
        """Whether a request is lost, or has to wait behind older ones that are to be matched again."""
        held = self.clients.part(dhcid)
        lane = self._lane_of(ncr, dhcid, now)
        if lane is None:
            return False
        # What has a number was admitted by the durable queue.
        counts = not ncr.number and (dhcid in held or lane.waiting or lane.backlog)
        if self._shares_matter and counts and self._limit.turn_away(lane, self._limit.free, wall):
            return True
        if dhcid in held or not lane.backlog:
            return False
        if not self._retries.any or self._admit(ncr, dhcid, wall):
            held[dhcid] = NO_FOLLOWERS
            self._limit.put(lane.backlog[-1], ncr)
        return True

    def _lane_of(self, ncr: Request, dhcid: int, now: float) -> Lane | None:
        """Return the lane for which a request counts that has not begun; None: there is none."""
        followers = self.clients.part(dhcid).get(dhcid)
        lane = None if followers is None else followers.lane
        return lane or self._routing.first_lane(ncr, now)

    def finish(self, lanes: Collection[Lane], now: float, wall: float) -> None:
        """Use the free places of some lanes, and act on what has happened."""
        self._serve_all(lanes, now, wall)
        self._work_off_agenda(now, wall)

    def _work_off_agenda(self, now: float, wall: float) -> None:
        """Act on what has happened; what costs too much for this turn is left to ``handle_timer``."""
        agenda = self._agenda
        if agenda.turned:
            self._note_turns()
        while True:
            if agenda.freed or agenda.postponed:
                self._settle(now, wall, min(FOR_PROBES, self._steps // 2) if agenda.retries_ready else 0)
            if agenda.retries_ready:
                self._serve_retries(now, wall)
            if not agenda.ordered:
                break
            # An update that cannot be made leaves a free place.
            self._serve_all(self._driver.flush(now, wall), now, wall)
        if self._fresh or self._unserved:
            self._left = 0  # calls before the next timer leave their work to it, too
        if agenda.full:
            self._paced.update(lane for lane in agenda.full if lane.waits_for_pace())
            agenda.full.clear()
        if chosen := self._driver.selector.chosen:
            chosen.clear()  # keys change meanwhile

    def _note_turns(self) -> None:
        """Act on servers that turned: what waits for one that does not answer may go to another."""
        turned, down = self._agenda.turned, self._failover.down
        for lane in turned:
            (self._retries.server_down if lane in down else self._retries.server_up)(lane)
        for lane in turned if down.issuperset(turned) else [*down]:
            self._backlog.add_all(lane)
            if self.batcher is not None and lane.collecting:
                self.batcher.server_down(lane)
                self._unserved[lane] = None
        turned.clear()

    @property
    def busy(self) -> bool:
        """Whether requests that came are left for the next turn."""
        return bool(self._backlog or self._fresh or self._unserved or self._freed or self._postponed)

    @property
    def _work_left(self) -> bool:
        """Whether ``handle_timer`` has something to do at once."""
        return self.busy or self._retries_left

    def match_again(
        self, plan: Plan, before: Iterable[Lane], lanes: Iterable[Lane], now: float, wall: float
    ) -> None:
        """Work by a new plan: match what waits in the lanes ``before``; ``lanes`` are those there are now."""
        self._routing.plan = plan
        self._limit.max_entries = plan.switches.queue.max_entries
        for lane in before:
            self._backlog.add(lane)
        self._retries.configure(plan.switches.queue.max_entries)
        self._fill_up()
        self._work_off_backlog(now, wall)
        self.finish([lane for lane in lanes if lane.ready or lane.collecting], now, wall)

    def timer(self) -> float | None:
        """Return when to call ``handle_timer``, in monotonic seconds; None: not before something arrives.

        0: at once, because the turn had not enough steps for all there was to do.
        """
        if self._work_left:
            return 0.0
        deadline = self._driver.tries.deadline()
        if self._retries.any:
            retry_due = self._retries.deadline()
            if retry_due is not None:
                deadline = retry_due if deadline is None else min(deadline, retry_due)
        if not self._paced:
            return deadline
        paced_until = min(lane.window.paced_until() for lane in self._paced)
        return paced_until if deadline is None else min(deadline, paced_until)

    def handle_timer(self, lanes: Collection[Lane], expired: int, now: float, wall: float) -> None:
        """Do work that was put off, and use the free places of lanes where so many tries have failed."""
        self._fill_up()
        self._left -= min(self._steps // 2, expired // AS_A_STEP)
        self._retries.at_once = AT_ONCE_TOGETHER
        if self._backlog:
            self._work_off_backlog(now, wall)
        self._agenda.retries_ready |= self._retries.any
        self._unserved.update(dict.fromkeys((*lanes, *self._paced)))
        self._paced.clear()
        self._serve_turns(now, wall)
        self._work_off_agenda(now, wall)

    # Turns.

    def _route(self, ncr: Request, dhcid: int, now: float, wall: float) -> None:
        """Begin a request that has the lock of its client, or let it wait in the lane where it begins."""
        destination = self._routing.destination(ncr)
        lane = destination.lane
        if lane is not None:
            if self._failover.down:
                assert destination.domain is not None
                lane = self._failover.first_lane(destination.domain, now)
            if lane.waiting or self._left <= 0 or lane.ready or (
                # Where it is known it is not asked for, here and in ``_serve``.
                (lane.free_places <= 0 or lane.hook_jobs) and not lane.may_begin(now)
            ):
                if lane.collecting or not (lane.waiting or lane.ready or self._left > 0):
                    (self._unserved if lane.silent else self._fresh)[lane] = None
                elif not lane.waiting:
                    self._agenda.full.add(lane)
                self._limit.put(lane.waiting, ncr)
                if "DHCP_DDNS_AT_MAX_TRANSACTIONS" in self._log.on:
                    self._log.emit("DHCP_DDNS_AT_MAX_TRANSACTIONS", self._limit.queued, lane.window.limit)
                return
            if not lane.orders and lane not in self._sending:
                self._sending.add(lane)
                self._left -= SENDING
        self._left -= BEGINNING
        self._routing.begin(ncr, dhcid, destination, now, wall)

    def _serve_all(self, lanes: Collection[Lane], now: float, wall: float) -> None:
        """Use the free places of some lanes, a part of the turn for each."""
        if not lanes:
            return
        most = max(self._steps // 8, self._steps // len(lanes))
        floor = self._floor()
        for lane in lanes:
            waits = lane.ready or lane.waiting or lane.collecting
            if self._left > floor:
                if (waits or self._retries.any) and self._serve_part(lane, most, floor, now, wall):
                    self._unserved[lane] = None
            elif waits:
                self._unserved[lane] = None

    def _serve_turns(self, now: float, wall: float) -> None:
        """Give the lanes their turns that are left from before; at least one of those that come last."""
        fresh, unserved = self._fresh, self._unserved
        most = max(self._steps // 8, self._steps // max(1, len(fresh) + len(unserved)))
        floor = self._floor()
        again = []
        for turn in range(self._steps):
            if self._left <= floor or not (fresh or unserved):
                break
            lane, _ = (unserved if unserved and (not turn or not fresh) else fresh).popitem(last=False)
            if self._serve_part(lane, most, floor, now, wall):
                again.append(lane)
        unserved.update(dict.fromkeys(again))

    def _floor(self) -> int:
        """Return how many steps lanes leave to retries and to what ended."""
        others = self._agenda.retries_ready or self._freed or self._postponed
        return self._steps // FOR_RETRIES if others else 0

    def _serve_part(self, lane: Lane, most: int, floor: int, now: float, wall: float) -> bool:
        """Use the free places of a lane, in ``most`` steps at most, and leave ``floor`` steps of the turn.

        Returns whether there is more.
        """
        before = self._left
        more = self._serve(lane, max(before - most, floor), now, wall)
        if self._left < before:
            self._left -= SENDING
        if self._retries.any:
            self._retries.lane_served(lane)
        return more

    def _serve(self, lane: Lane, until: int, now: float, wall: float) -> bool:
        """Use the free places of a lane, and unlock the clients of what ended; return whether there is more.

        ``until`` is how many steps are to be left.
        """
        batcher = self.batcher
        if batcher is not None and (lane.batch > 1 or lane.collecting) and batcher.serves(lane, now):
            more, steps = batcher.serve(lane, self._left - until, now, wall)
            self._left -= steps
            return more
        driver = self._driver
        routing = self._routing
        # What ended elsewhere has its time at the end of the call.
        others = bool(self._freed or self._postponed)
        while lane.ready or lane.waiting:
            if (lane.free_places <= 0 or lane.hook_jobs) and not (
                lane.has_free_place(now) if lane.ready else lane.may_begin(now)
            ):
                self._agenda.full.add(lane)
                return False
            if self._left <= until:
                return True
            self._left -= BEGINNING
            if lane.ready:
                driver.send(lane.ready.popleft(), now, wall)
            else:
                ncr = self._limit.pop(lane.waiting)
                routing.begin(ncr, hash(ncr.dhcid), routing.destination(ncr), now, wall)
            if not others and (self._freed or self._postponed):
                self._settle(now, wall, until)
        return False

    def _settle(self, now: float, wall: float, until: int = 0) -> None:
        """Give the lock of each client that became free to its next request, and park what has failed.

        ``until`` is how many steps are to be left. Very much to be parked keeps no other client locked.
        """
        freed, postponed, parts = self._freed, self._postponed, self.clients.held
        while self._left > until:
            if freed:
                dhcid = freed.popleft()
                held = parts[dhcid >> SHIFT & LAST_SHARD]
                followers = held.pop(dhcid)
                if followers is not NO_FOLLOWERS:
                    held[dhcid] = followers
                    self._pass_on(dhcid, held, followers, until, now, wall)
            elif postponed:
                self._left -= PARKING
                ended = postponed.popleft()
                self._retry_scheduler.park(ended, now, wall)
                freed.append(ended.transaction.dhcid)
            else:
                break
        if self._limit.full:
            self._limit.resume()

    def _admit(self, ncr: Request, dhcid: int, wall: float) -> bool:
        """Whether a request may begin, as far as retries go."""
        return self._retries.admit(ncr, dhcid, self._routing.destination(ncr).domain, wall)

    def _pass_on(
        self, dhcid: int, held: Held, followers: Followers, until: int, now: float, wall: float
    ) -> None:
        """Give the lock of a client to its first request that may begin."""
        retries = self._retries
        if followers.retry is not None:
            self._retry_scheduler.end(followers.retry, followers)
        while followers:
            if self._left <= until:
                self._freed.append(dhcid)
                return
            self._left -= BEGINNING
            ncr = self._limit.pop(followers)
            if followers.lane is not None:
                followers.lane.followers -= 1
            if isinstance(ncr, RetryRequest):
                self._retry_scheduler.begin(ncr, now, wall)
                return
            ncr = self._packets.match(ncr, self._routing.plan.index)
            if not retries.any or self._admit(ncr, dhcid, wall):
                if not followers:
                    held[dhcid] = NO_FOLLOWERS
                self._route(ncr, dhcid, now, wall)
                return
        del held[dhcid]

    def _work_off_backlog(self, now: float, wall: float) -> None:
        """Route what waits again, one request of each lane in turn."""
        backlog = self._backlog
        while backlog and self._left > self._steps // 2:
            self._left -= BEGINNING
            if backlog.transactions:
                self._driver.offer_again(backlog.transactions.popleft(), now, wall)
            else:
                ncr = self._packets.match(backlog.pop(), self._routing.plan.index)
                self._route(ncr, hash(ncr.dhcid), now, wall)
            if self._freed or self._postponed:
                self._settle(now, wall, self._steps // 2)

    def _serve_retries(self, now: float, wall: float) -> None:
        """Begin retries that may begin."""
        retries = self._retries
        self._retries_left = True
        while self._left > 0:
            if retries.overwriting:
                self._left -= retries.overwrite(self._left // 2 + 1)
            self._left -= TRYING_AGAIN
            retry = retries.pop(now)
            if retry is None:
                if self._agenda.retries_ready:
                    continue  # there are more groups to search
                self._retries_left = retries.overwriting
                return
            self._retry_scheduler.try_again(retry, now, wall)
            if self._freed or self._postponed:
                self._settle(now, wall)
