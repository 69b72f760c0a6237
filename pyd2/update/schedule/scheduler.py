"""The scheduler: when a request gets its turn (contract, section 4; decisions 9 and 12).

A request takes hold of its DHCID when it arrives. If another request holds it, it queues behind that one:
one transaction per DHCID at a time, in the order of arrival, whatever server is asked. Else it goes to the
lane of the first server it needs. If the lane's window has room, its transaction begins at once; if not, it
waits in the lane. Kea has one queue and 32 transactions for all servers, so a dead server stalls every zone;
here it stalls its own. Every step is a dictionary look-up or the end of a deque: the cost of an event does
not depend on how much waits.

The calls of a turn of the loop take a millisecond or two together, whatever there is to do: what goes beyond
``STEP`` waits for the next ``handle_timer``, before which the shell reads what has come, and so does what
further calls find to do until then. Lanes, and the queues of a reconfiguration, have their turns one after
the other: one with much to do does not keep another waiting. A lane that had nothing to do, and whose server
answers, comes before those that have much to do or do not answer: thousands of these do not keep it waiting.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final

from pyd2.update.containers import LAST_SHARD, SHIFT
from pyd2.update.retry.request import RetryRequest
from pyd2.update.retry.retry_queue import AT_ONCE_TOGETHER, RetryQueue
from pyd2.update.schedule.client_locks import ClientLocks
from pyd2.update.schedule.queue_limit import QueueLimit
from pyd2.update.schedule.retry_scheduler import RetryScheduler
from pyd2.update.schedule.routing import Routing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pyd2.counters import Counters
    from pyd2.messages import Log
    from pyd2.packets.layer import PacketLayer, Request
    from pyd2.update.drive.driver import Driver
    from pyd2.update.model.plan import Plan
    from pyd2.update.schedule.client_locks import Followers, Held
    from pyd2.update.server.lane import Lane

STEP: Final = 48
"""What the calls of a turn of the loop may cost together, and ``handle_timer`` again: steps of some 10 us."""
BEGINNING: Final = 1
"""Steps of a request that begins or goes on."""
SENDING: Final = 2
"""Steps of a lane whose updates are sent: a system call for each."""
TRYING_AGAIN: Final = 3
"""Steps of a late one that has its next try."""
FOR_RETRIES: Final = STEP // 4
"""Steps of a call that lanes leave to late requests that may begin, and to what follows from ends."""
PARKING: Final = 4
"""Steps of one that is to be tried again later."""
FOR_PROBES: Final = 2 * TRYING_AGAIN
"""Steps of a call that parking leaves to retries that may begin: else nothing would find out that a server is
back while very many requests are parked."""


class Scheduler:
    """Requests that wait, and begin. ``now`` is monotonic seconds, ``wall`` seconds since the epoch."""

    def __init__(self, driver: Driver, counters: Counters, log: Log, packets: PacketLayer) -> None:
        self._driver = driver
        self._ends = driver.ends
        self._failover = driver.failover
        self._log = log
        self._packets = packets
        self.clients = ClientLocks()
        self.retries = RetryQueue(counters, log, driver.tries.draw_place, driver.ends)
        self.limit = QueueLimit(driver, self.retries, counters, log)
        self.matching = Routing(driver, self.limit, counters, log)
        self._late = RetryScheduler(
            driver, self.retries, self.clients, self.limit, self.matching, counters, log, packets
        )
        self._backlog: deque[deque[Request]] = deque()
        """Requests to be matched again since the last reconfiguration; they hold their DHCIDs."""
        self._paced: set[Lane] = set()
        """Lanes that will have room without anything having come."""
        self._fresh: OrderedDict[Lane, None] = OrderedDict()
        """Lanes for the next turn that had nothing to do before and whose servers answer."""
        self._unserved: OrderedDict[Lane, None] = OrderedDict()
        """The other lanes for the next turn. Both are in the order of their turns."""
        self._left = STEP
        """Steps that are left to the calls of this turn; none: nor to those up to ``handle_timer``."""
        self._nearly_full = False
        """Whether so much waits that a server may have taken its share of the queue."""
        self._retries_left = False
        """Whether late requests may begin that had no turn yet."""

    # What the engine tells.

    def begin_turn(self) -> None:
        """Allow what a turn of the loop may cost, unless work is left to ``handle_timer``."""
        if self._left > 0:
            self._left = STEP
            self.retries.at_once = AT_ONCE_TOGETHER

    def look_at_shares(self) -> None:
        """See whether servers may have taken their shares of the queue, before some requests are accepted."""
        self._nearly_full = 2 * (self.limit.queued + self.retries.waiting) >= self.limit.max_entries

    def accept(self, ncr: Request, now: float, wall: float) -> None:
        """Queue a request, or begin it."""
        log = self._log
        if "DHCP_DDNS_QUEUE_MGR_QUEUE_RECEIVE" in log.on:
            log.emit("DHCP_DDNS_QUEUE_MGR_QUEUE_RECEIVE", ncr.request_id)
        dhcid = hash(ncr.dhcid)
        held = self.clients.held[dhcid >> SHIFT & LAST_SHARD]
        if self._nearly_full and not self._has_share(ncr, dhcid, now, wall):
            return
        if dhcid in held:
            self.limit.put(self.clients.followers(dhcid, self._first_lane(ncr, now)), ncr)
            log.emit("DHCP_DDNS_NO_ELIGIBLE_JOBS", self.limit.queued, self._ends.active)
            return
        if self.retries.any and not self._admit(ncr, dhcid, wall):
            return
        held[dhcid] = None
        self._route(ncr, dhcid, now, wall)

    def _has_share(self, ncr: Request, dhcid: int, now: float, wall: float) -> bool:
        """Whether a request may wait where it would have to; if not, it is lost, which is counted."""
        if len(self.matching.plan.lanes) < 2 or ncr.number:  # the durable queue has admitted it
            return True
        held = self.clients.part(dhcid)
        followers = held.get(dhcid)
        lane = None if followers is None else followers.lane
        lane = lane or self._first_lane(ncr, now)
        if lane is None or (dhcid not in held and not lane.waiting):
            return True
        if lane.queued < self.limit.max_entries - self.limit.queued - self.retries.waiting:
            return True
        self.retries.shares.turn_away(lane, wall)
        return False

    def _first_lane(self, ncr: Request, now: float) -> Lane | None:
        """Return the lane where a request begins; None: no domain fits."""
        forward, reverse = self.matching.domains(ncr)
        domain = forward or reverse
        return None if domain is None else self._failover.first_lane(domain, now)

    def finish(self, lanes: Collection[Lane], now: float, wall: float) -> None:
        """Use what room some lanes have, pass on the DHCIDs of what ended, and send what was ordered."""
        self._serve_all(lanes, now, wall)
        self._end_call(now, wall)

    def _end_call(self, now: float, wall: float) -> None:
        """Do what follows from what has been done."""
        driver = self._driver
        if self._failover.turned:
            self._late.note_turns()
        while True:
            if self._ends.freed:
                self._settle(now, wall, FOR_PROBES if self.retries.pressing else 0)
            if self.retries.pressing:
                self._serve_retries(now, wall)
            if not driver.ordered:
                break
            # What cannot be made has made room again.
            self._serve_all(driver.flush(now, wall), now, wall)
        if self._fresh or self._unserved:
            self._left = 0  # calls before the next timer leave their work to it, too
        if driver.held:
            self._paced.update(lane for lane in driver.held if lane.waits_for_pace())
            driver.held.clear()

    @property
    def busy(self) -> bool:
        """Whether requests that came are left for the next turn."""
        return bool(self._backlog or self._fresh or self._unserved or self._ends.freed)

    def match_again(
        self, plan: Plan, before: Iterable[Lane], lanes: Iterable[Lane], now: float, wall: float
    ) -> None:
        """Work by a new plan: match what waits in the lanes ``before``; ``lanes`` are those there are now."""
        self.matching.plan = plan
        self.limit.max_entries = self.retries.shares.max_entries = plan.switches.queue.max_entries
        for lane in before:
            if lane.waiting:
                self._backlog.append(lane.waiting)
                lane.waiting = deque()
        self.retries.match_again()
        self._left = STEP
        self._work_off_backlog(now, wall)
        self.finish([lane for lane in lanes if lane.ready], now, wall)

    def timer(self) -> float | None:
        """Return when to call ``handle_timer``, in monotonic seconds; None: not before something arrives."""
        if self.busy or self._retries_left:
            return 0.0
        deadline = self._driver.tries.deadline()
        if self.retries.any:
            retry_due = self.retries.deadline()
            if retry_due is not None:
                deadline = retry_due if deadline is None else min(deadline, retry_due)
        if not self._paced:
            return deadline
        paced_until = min(lane.window.paced_until() for lane in self._paced)
        return paced_until if deadline is None else min(deadline, paced_until)

    def handle_timer(self, lanes: Collection[Lane], now: float, wall: float) -> None:
        """Do work that was put off, and use what room some lanes have."""
        self._left = STEP
        self.retries.at_once = AT_ONCE_TOGETHER
        if self._backlog:
            self._work_off_backlog(now, wall)
        self.retries.pressing |= self.retries.any
        self._unserved.update(dict.fromkeys(lanes))
        self._unserved.update(dict.fromkeys(self._paced))
        self._paced.clear()
        self._serve_turns(now, wall)
        self._end_call(now, wall)

    # Turns.

    def _route(self, ncr: Request, dhcid: int, now: float, wall: float) -> None:
        """Begin a request that holds its DHCID, or let it wait in the lane where it begins."""
        forward, reverse = self.matching.domains(ncr)
        domain = forward or reverse
        if domain is not None:
            failover = self._failover
            lane = failover.first_lane(domain, now) if failover.down else domain.servers[0].lane
            if self._left <= 0 or lane.ready or lane.waiting or not lane.may_begin(now):
                if self._left <= 0 and not (lane.ready or lane.waiting):
                    self._serve_later(lane)
                elif not lane.waiting:
                    self._driver.held.add(lane)
                self.limit.put(lane.waiting, ncr)
                if "DHCP_DDNS_AT_MAX_TRANSACTIONS" in self._log.on:
                    self._log.emit("DHCP_DDNS_AT_MAX_TRANSACTIONS", self.limit.queued, lane.window.limit)
                return
            if not lane.orders:
                self._left -= SENDING
        self._left -= BEGINNING
        self.matching.begin(ncr, dhcid, forward, reverse, now, wall)

    def _serve_all(self, lanes: Collection[Lane], now: float, wall: float) -> None:
        """Use what room some lanes have, a part of the turn for each."""
        if not lanes:
            return
        most = max(STEP // 8, STEP // len(lanes))
        floor = self._floor()
        for lane in lanes:
            if self._left > floor:
                if self._serve_part(lane, most, floor, now, wall):
                    self._unserved[lane] = None
            elif lane.ready or lane.waiting:
                self._unserved[lane] = None

    def _serve_turns(self, now: float, wall: float) -> None:
        """Let lanes have their turns that are left from before; at least one of those that come last."""
        fresh, unserved = self._fresh, self._unserved
        most = max(STEP // 8, STEP // max(1, len(fresh) + len(unserved)))
        floor = self._floor()
        again = []
        for turn in range(STEP):
            if self._left <= floor or not (fresh or unserved):
                break
            lane, _ = (unserved if unserved and (not turn or not fresh) else fresh).popitem(last=False)
            if self._serve_part(lane, most, floor, now, wall):
                again.append(lane)
        unserved.update(dict.fromkeys(again))

    def _serve_later(self, lane: Lane) -> None:
        """Let a lane that had nothing to do have its turn later."""
        (self._unserved if lane.silent else self._fresh)[lane] = None

    def _floor(self) -> int:
        """Return how many steps lanes leave to others."""
        return FOR_RETRIES if self.retries.pressing or self._ends.freed else 0

    def _serve_part(self, lane: Lane, most: int, floor: int, now: float, wall: float) -> bool:
        """Use what room a lane has, in so many steps at most and with ``floor`` of them left.

        Returns whether there is more.
        """
        before = self._left
        more = self._serve(lane, max(before - most, floor), now, wall)
        if self._left < before:
            self._left -= SENDING
        if self.retries.any:
            self.retries.lane_served(lane)
        return more

    def _serve(self, lane: Lane, until: int, now: float, wall: float) -> bool:
        """Use what room a lane has, and pass on the DHCIDs of what ended; return whether there is more.

        ``until`` is how many steps are to be left.
        """
        driver = self._driver
        matching = self.matching
        others = bool(self._ends.freed)  # what ended elsewhere has its time at the end of the call
        while lane.ready or lane.waiting:
            if not (lane.has_free_place(now) if lane.ready else lane.may_begin(now)):
                driver.held.add(lane)
                return False
            if self._left <= until:
                return True
            self._left -= BEGINNING
            if lane.ready:
                driver.send(lane.ready.popleft(), now, wall)
            else:
                ncr = self.limit.take(lane.waiting)
                forward, reverse = matching.domains(ncr)
                matching.begin(ncr, hash(ncr.dhcid), forward, reverse, now, wall)
            if self._ends.freed and not others:
                self._settle(now, wall, until)
        return False

    def _settle(self, now: float, wall: float, until: int = 0) -> None:
        """Give each DHCID that became free to the next request that wants it.

        ``until`` is how many steps are to be left.
        """
        freed = self._ends.freed
        while freed and self._left > until:
            ended = freed.popleft()
            if isinstance(ended, int):
                dhcid = ended
            else:
                self._left -= PARKING
                self._ends.postponed -= 1
                self._late.park(ended, now, wall)
                dhcid = ended.transaction.dhcid
            held = self.clients.held[dhcid >> SHIFT & LAST_SHARD]
            followers = held[dhcid]
            if followers is None:
                del held[dhcid]
            else:
                self._pass_on(dhcid, held, followers, until, now, wall)
        if self.limit.full:
            self.limit.resume()

    def _admit(self, ncr: Request, dhcid: int, wall: float) -> bool:
        """Whether a request may begin, as far as late ones go."""
        forward, reverse = self.matching.domains(ncr)
        return self.retries.admit(ncr, dhcid, forward or reverse, wall)

    def _pass_on(
        self, dhcid: int, held: Held, followers: Followers, until: int, now: float, wall: float
    ) -> None:
        """Give a DHCID to the first that wants it and may have it."""
        retries = self.retries
        if followers.late is not None:
            self._late.end(followers.late, followers)
        while followers:
            if self._left <= until:
                self._ends.freed.append(dhcid)
                return
            self._left -= BEGINNING
            ncr = self.limit.take(followers)
            if followers.lane is not None:
                followers.lane.followers -= 1
            if isinstance(ncr, RetryRequest):
                if retries.emptied(ncr):
                    continue
                self._late.begin(ncr, now, wall)
                return
            ncr = self._packets.match(ncr, self.matching.plan.index)
            if not retries.any or self._admit(ncr, dhcid, wall):
                if not followers:
                    held[dhcid] = None
                self._route(ncr, dhcid, now, wall)
                return
        del held[dhcid]

    def _work_off_backlog(self, now: float, wall: float) -> None:
        """Match requests again, one of each queue in turn."""
        backlog = self._backlog
        while backlog and self._left > STEP // 2:
            queue = backlog.popleft()
            self._left -= BEGINNING
            ncr = self._packets.match(self.limit.take(queue), self.matching.plan.index)
            if queue:
                backlog.append(queue)
            self._route(ncr, hash(ncr.dhcid), now, wall)
            if self._ends.freed:
                self._settle(now, wall, STEP // 2)

    def _serve_retries(self, now: float, wall: float) -> None:
        """Try late requests again that may be."""
        retries = self.retries
        self._retries_left = True
        while self._left > 0:
            if retries.overwriting:
                self._left -= retries.overwrite(self._left // 2 + 1)
            self._left -= TRYING_AGAIN
            late = retries.take(now)
            if late is None:
                if retries.pressing:
                    continue  # there is more to look at
                self._retries_left = retries.overwriting
                return
            self._late.try_again(late, now, wall)
            if self._ends.freed:
                self._settle(now, wall)
