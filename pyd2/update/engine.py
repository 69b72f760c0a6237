"""The engine: requests come in, UPDATE messages go out, replies come in; no IO, no clock.

The shell around it calls a ``receive_...`` method for what arrives, sends what ``take_outgoing`` returns,
and calls ``handle_timer`` when ``timer`` says. ``now`` is monotonic seconds, never going back; ``wall`` is
seconds since the epoch.

How a request gets its turn (contract, section 4; decisions 6, 9 and 12)
-----------------------------------------------------------------------
A request takes hold of its DHCID when it arrives. If another request holds it, it queues behind that one:
one transaction per DHCID at a time, in the order of arrival, whatever server is asked. Else it goes to the
lane of the first server it needs. If the lane's window has room, its transaction begins at once; if not, it
waits in the lane. Kea has one queue and 32 transactions for all servers, so a dead server stalls every zone;
here it stalls its own. Every step is a dictionary look-up or the end of a deque: the cost of an event does
not depend on how much waits.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from math import inf
from typing import TYPE_CHECKING, Final, TypeVar

from pyd2.dns.names import reverse_name
from pyd2.errors import NcrError
from pyd2.ncr import ChangeType, ConflictResolutionMode
from pyd2.packets.layer import PacketLayer, Request, make_layer
from pyd2.packets.packed import PackedRequest
from pyd2.update.driver import Driver
from pyd2.update.ends import Dead
from pyd2.update.kinds import KINDS
from pyd2.update.plan import Plan, make_plan
from pyd2.update.replies import Replies
from pyd2.update.retries import Hold, Late, LateTransaction, Retries
from pyd2.update.selection import Selection, SelectKey
from pyd2.update.status import requests_status, servers_status
from pyd2.update.transaction import Transaction
from pyd2.update.tries import Outgoing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pyd2.config.model import Config
    from pyd2.counters import Counters
    from pyd2.data.element import Plain
    from pyd2.messages import RequestLog
    from pyd2.update.lane import Lane
    from pyd2.update.plan import Domain

__all__ = ["Dead", "Engine", "Outgoing", "SelectKey", "Selection"]

_Queued = TypeVar("_Queued", "Request", "Request | Late")

RESUME_PERCENT: Final = 80
"""The queue counts as full until it is down to this part of its limit."""

LARGEST_REQUEST: Final = 8192
"""Octets that a request takes up at most: a datagram has 4096."""
OCTETS_PER_ENTRY: Final = 512
"""Octets of queued requests for each entry of the queue's limit: four times what most requests have."""

_KINDS: Final = tuple(KINDS[change, mode] for change in ChangeType for mode in ConflictResolutionMode)
"""By the number that a request tells."""

_BACKLOG_STEP: Final = 1000
"""Requests to work off at a time that take no room of a lane, so that replies are not kept waiting."""


class Engine:
    """The whole of the update service but its sockets and its clock."""

    def __init__(self, counters: Counters, log: RequestLog, *, packets: PacketLayer | None = None) -> None:
        """Make an engine without a configuration; ``packets`` is the packet layer, the best by default."""
        self._packets = packets or make_layer()
        self._counters = counters
        self._log = log
        self._driver = Driver(counters, log, self._packets)
        self._replies = Replies(self._driver, counters, log, self._packets)
        self._ends = self._driver.ends
        self._failover = self._driver.failover
        self._plan = Plan()
        self._old_plans: list[Plan] = []
        """Those that active transactions began under."""
        self._chains: dict[int, deque[Request | Late] | None] = {}
        """DHCIDs that are held, each with the requests that queue behind the holder.

        They stand here by their hashes, for the sake of memory. Two that share one, which is unlikely and in
        nobody's power, go one after the other, which does no harm.
        """
        self._backlog: deque[Request] = deque()
        """Requests to be matched again since the last reconfiguration; they hold their DHCIDs."""
        self._paced: set[Lane] = set()
        """Lanes that will have room without anything having come."""
        self._unserved: set[Lane] = set()
        """Lanes that have room left, for the next turn."""
        self._retries = Retries(counters, log, self._driver.tries.draw_place, self._ends.finish)
        self._late_left = False
        """Whether late requests may begin that had no turn yet."""
        self._queued = 0
        self._octets = 0
        """Of the requests that are queued, without those that wait to be tried again."""
        self._full = False

    # What the shell asks.

    @property
    def active(self) -> int:
        """Transactions that have begun and not ended."""
        return self._ends.active

    @property
    def queued(self) -> int:
        """Requests whose transaction has not begun, or has ended and is to be tried again."""
        return self._queued + self._retries.waiting

    @property
    def late(self) -> int:
        """Of the queued requests, those that wait to be tried again or behind such a one."""
        return self._retries.waiting

    @property
    def extended(self) -> bool:
        """Whether requests are tried again, or servers passed over, in some domain."""
        return any(lane.health is not None for lane in self._plan.lanes)

    def status(self, wall: float) -> dict[str, Plain]:
        """Return what is told of an engine that is ``extended``."""
        oldest = self._retries.oldest()
        return {
            "requests": requests_status(self._counters.tally, self.queued, self.active),
            "servers": servers_status(self.lanes, wall),
            "retries": {
                "waiting": self._retries.waiting,
                "oldest-age": 0 if oldest is None else max(0, int(wall - oldest)),
            },
        }

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """The DNS servers in use: those of the configuration, and those that active transactions may go to.

        The shell keeps sockets for these; those of other lanes it can close.
        """
        old = (lane for plan in self._old_plans if plan.active for lane in plan.lanes)
        return tuple(dict.fromkeys((*self._plan.lanes, *old)))

    @property
    def timeout(self) -> float:
        """Seconds that a try waits for its reply, at present."""
        return self._driver.sender.timeout_ms / 1000

    @property
    def outlives_configuration(self) -> bool:
        """Whether transactions go on that began under an earlier configuration."""
        return any(plan.active for plan in self._old_plans)

    def cleared_for_shutdown(self, kind: str) -> bool:
        """Whether the daemon may leave, once the listener is closed.

        ``kind`` is ``normal``, ``drain_first`` or ``now`` (contract, section 1). Requests that wait begin
        in any case while the engine is served, so a normal shutdown drains what Kea's would. Nobody waits
        for those that are tried again later: that may be hours.
        """
        if kind == "now":
            return True
        return not self._ends.active and (kind == "normal" or not self._queued)

    def timer(self) -> float | None:
        """Return when to call ``handle_timer``, in monotonic seconds; None: not before something arrives."""
        if self._backlog or self._unserved or self._late_left:
            return 0.0
        deadline = self._driver.tries.deadline()
        if self._retries.any:
            late_due = self._retries.deadline()
            if late_due is not None:
                deadline = late_due if deadline is None else min(deadline, late_due)
        if not self._paced:
            return deadline
        paced_until = min(lane.window.paced_until() for lane in self._paced)
        return paced_until if deadline is None else min(deadline, paced_until)

    def overdue(self, now: float) -> bool:
        """Whether the time of some try is up: it fails at ``handle_timer`` unless its reply comes before."""
        deadline = self._driver.tries.deadline()
        return deadline is not None and deadline <= now

    def take_outgoing(self) -> list[Outgoing]:
        """Return the messages to send, in order; they are the caller's from now on."""
        return self._driver.sender.take_outgoing()

    def take_finished(self) -> list[int]:
        """Return the numbers of the requests that have ended for good, in the order of their ends."""
        finished = self._ends.finished
        if finished:
            self._ends.finished = []
        return finished

    def take_dead(self) -> list[Dead]:
        """Return the requests that have failed for good though such are tried again."""
        dead = self._ends.dead
        if dead:
            self._ends.dead = []
        return dead

    def take_amended(self) -> list[tuple[int, bool, bool]]:
        """Return the numbers of requests that have less left to do, each with its forward and reverse change.

        After a restart they must come as requests for these changes only: newer ones may have been carried
        out meanwhile that what they have done already, or leave to others, must not undo.
        """
        if not self._retries.amended:
            return []  # as in all turns without late tries
        amended, self._retries.amended = self._retries.amended, []
        return [(late.ncr.number, late.forward_left, late.reverse_left) for late in amended
                if late.forward_left or late.reverse_left]

    def take_posted(self) -> list[Lane]:
        """Return the lanes to which messages have been posted in C, for who sends them from there.

        Who does not ask for them gets these messages from ``take_outgoing``, too.
        """
        return self._driver.sender.take_posted()

    def posted(self, lane: Lane) -> list[Outgoing]:
        """Return the messages that have been posted to a lane, for who cannot send them from there."""
        return self._driver.tries.posted(lane)

    def pending(self, lane: Lane) -> Mapping[int, Transaction]:
        """Return the tries under way to a server by ``slot << 16 | query ID``, to look at."""
        return self._driver.tries.pending(lane)

    # What happens.

    def configure(self, config: Config, select_key: SelectKey | None, now: float, wall: float) -> None:
        """Work by a new configuration from now on.

        Active transactions go on with the domain, servers and keys they have; requests that wait are
        matched again (contract, section 2.5). ``select_key`` is None when no library has callouts there.

        Raises nothing that a checked configuration could cause.
        """
        lanes = self.lanes
        self._old_plans = [plan for plan in (*self._old_plans, self._plan) if plan.active]
        self._plan = make_plan(
            config, lanes, self._counters, wall, self._packets, self._driver.tries.new_window
        )
        self._driver.selector.select_key = select_key
        self._driver.selector.chosen_keys.clear()
        self._driver.sender.timeout_ms = config.dns_server_timeout
        for lane in lanes:
            self._backlog.extend(lane.waiting)
            lane.waiting.clear()
        for lane in self.lanes:
            lane.room_known = False
        self._failover.down = {lane for lane in self.lanes if lane.health is not None and lane.health.down}
        self._retries.match_again()
        self._work_off_backlog(now, wall)
        self._finish(self.lanes, now, wall)

    def receive_request(self, datagram: bytes, now: float, wall: float, number: int = 0) -> None:
        """Take a datagram from the NCR port; see receive_requests."""
        self.receive_requests((datagram,), now, wall, (number,) if number else ())

    def receive_requests(
        self, datagrams: Sequence[bytes], now: float, wall: float, numbers: Sequence[int] = ()
    ) -> None:
        """Take datagrams from the NCR port.

        Those with ``numbers`` other than 0 have been admitted to the durable queue: they are never turned
        away for want of room, and ``take_finished`` tells when they have ended.
        """
        received = 0
        left = 0  # requests that there surely is room for
        for place, ncr in enumerate(self._packets.read_requests(datagrams, self._plan.index)):
            if isinstance(ncr, NcrError):
                self._counters.ncr_invalid.add(wall)
                self._log.emit("DHCP_DDNS_INVALID_NCR", ncr)
                if numbers and numbers[place]:
                    self._ends.finished.append(numbers[place])
            else:
                received += 1
                if numbers and numbers[place]:
                    self._ends.numbered = True
                    self._accept(ncr.with_number(numbers[place]), now, wall)
                    continue
                if left <= 0:
                    left = self._room()
                if left <= 0:
                    self._drop_overflow(wall)
                else:
                    left -= 1
                    self._accept(ncr, now, wall)
        if received:
            self._counters.ncr_received.add(wall, received)
            self._counters.tally.received += received
        self._finish((), now, wall)

    def _accept(self, ncr: Request, now: float, wall: float) -> None:
        """Queue a request, or begin it."""
        log = self._log
        if "DHCP_DDNS_QUEUE_MGR_QUEUE_RECEIVE" in log.on:
            log.emit("DHCP_DDNS_QUEUE_MGR_QUEUE_RECEIVE", ncr.request_id)
        dhcid = hash(ncr.dhcid)
        chains = self._chains
        if dhcid in chains:
            followers = chains[dhcid]
            if followers is None:
                followers = chains[dhcid] = deque()
            self._enqueue(followers, ncr)
            log.emit("DHCP_DDNS_NO_ELIGIBLE_JOBS", self._queued, self._ends.active)
            return
        if self._retries.any and not self._retries.admit(ncr, dhcid, wall):
            return
        chains[dhcid] = None
        self._route(ncr, dhcid, now, wall)

    def receive_reply(self, lane: Lane, slot: int, datagram: bytes, now: float, wall: float) -> None:
        """Take a DNS message from a lane's server; see receive_replies."""
        self.receive_replies(lane, slot, (datagram,), now, wall)

    def receive_replies(
        self, lane: Lane, slot: int, datagrams: Sequence[bytes], now: float, wall: float
    ) -> None:
        """Take DNS messages from a lane's server.

        The shell has made sure that they came from the server's address and port, or over a connection to it.
        ``slot`` is that of the Outgoing whose local port or connection they came to. A message that answers
        nothing under way is counted and otherwise ignored (decision 4).
        """
        self._replies.receive(lane, slot, datagrams, now, wall)
        self._finish((lane,), now, wall)

    def send_failed(self, outgoing: Outgoing, error: int | str, now: float, wall: float) -> None:
        """Take it that a message could not be sent, or its TCP connection failed; ``error`` is the errno."""
        self._replies.send_failed(outgoing, error, now, wall)
        self._finish((outgoing.lane,), now, wall)

    def handle_timer(self, now: float, wall: float) -> None:
        """Let the tries fail whose time is up, and do work that was put off."""
        while lanes := self._replies.expire(now, wall):
            self._finish(lanes, now, wall)
        if self._backlog:
            self._work_off_backlog(now, wall)
        self._retries.pressing |= self._retries.any
        again = self._paced | self._unserved
        self._paced.clear()
        self._unserved.clear()
        self._finish(again, now, wall)

    # Turns.

    def _enqueue(self, queue: deque[_Queued], ncr: _Queued) -> None:
        queue.append(ncr)
        self._queued += 1
        self._octets += ncr.size

    def _dequeue(self, queue: deque[_Queued]) -> _Queued:
        ncr = queue.popleft()
        self._queued -= 1
        self._octets -= ncr.size
        return ncr

    def _route(self, ncr: Request, dhcid: int, now: float, wall: float) -> None:
        """Begin a request that holds its DHCID, or let it wait in the lane where it begins."""
        forward, reverse = self._match(ncr)
        domain = forward or reverse
        if domain is not None:
            lane = self._failover.first_lane(domain, now) if self._failover.down else domain.servers[0].lane
            if lane.ready or lane.waiting or not lane.has_room(now):
                if not lane.waiting:
                    self._driver.held.add(lane)
                self._enqueue(lane.waiting, ncr)
                if "DHCP_DDNS_AT_MAX_TRANSACTIONS" in self._log.on:
                    self._log.emit("DHCP_DDNS_AT_MAX_TRANSACTIONS", self._queued, lane.window.limit)
                return
        self._begin(ncr, dhcid, forward, reverse, now, wall)

    def _finish(self, lanes: Iterable[Lane], now: float, wall: float) -> None:
        """Use what room some lanes have, pass on the DHCIDs of what ended, and send what was ordered."""
        driver = self._driver
        for lane in lanes:
            self._serve(lane, now, wall)
        if self._failover.turned:
            self._note_turns()
        while True:
            if self._ends.freed:
                self._settle(now, wall)
            if self._retries.pressing:
                self._serve_late(now, wall)
            if not driver.ordered:
                break
            # What cannot be made has made room again.
            for lane in driver.flush(now, wall):
                self._serve(lane, now, wall)
        if driver.held:
            self._paced.update(lane for lane in driver.held if lane.window.paced_until() < inf)
            driver.held.clear()

    def _serve(self, lane: Lane, now: float, wall: float) -> None:
        """Use what room a lane has, and pass on the DHCIDs of what ended."""
        driver = self._driver
        left = _BACKLOG_STEP
        while lane.ready or lane.waiting:
            if not lane.has_room(now):
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
                ncr = self._dequeue(lane.waiting)
                forward, reverse = self._match(ncr)
                self._begin(ncr, hash(ncr.dhcid), forward, reverse, now, wall)
            if self._ends.freed:
                self._settle(now, wall)

    def _settle(self, now: float, wall: float) -> None:
        """Give each DHCID that became free to the next request that wants it."""
        freed = self._ends.freed
        chains = self._chains
        while freed:
            if self._ends.postponed:
                self._park(now, wall)
            dhcid = freed.pop()
            followers = chains[dhcid]
            if followers is None:
                del chains[dhcid]
            else:
                self._pass_on(dhcid, followers, now, wall)
        if self._full:
            self._resume()

    def _pass_on(self, dhcid: int, followers: deque[Request | Late], now: float, wall: float) -> None:
        """Give a DHCID to the first that wants it and may have it."""
        chains = self._chains
        retries = self._retries
        if isinstance(followers, Hold) and followers.late is not None:
            if retries.under_way(followers.late):
                retries.leave(followers.late)
            followers.late = None
        while followers:
            ncr = self._dequeue(followers)
            if isinstance(ncr, Late):
                self._begin_late(ncr, now, wall)
                return
            if not retries.any or retries.admit(ncr, dhcid, wall):
                if not followers:
                    chains[dhcid] = None
                self._route(self._packets.match(ncr, self._plan.index), dhcid, now, wall)
                return
        del chains[dhcid]

    def _work_off_backlog(self, now: float, wall: float) -> None:
        backlog = self._backlog
        for _ in range(min(len(backlog), _BACKLOG_STEP)):
            ncr = self._packets.match(self._dequeue(backlog), self._plan.index)
            self._route(ncr, hash(ncr.dhcid), now, wall)
        self._settle(now, wall)

    # Matching.

    def _match(self, ncr: Request) -> tuple[Domain | None, Domain | None]:
        plan = self._plan
        if isinstance(ncr, PackedRequest):
            forward, reverse = ncr.domains
            return plan.domains[forward], plan.domains[reverse]
        return (
            plan.forward.find(ncr.fqdn) if ncr.forward_change else None,
            plan.reverse.find_address(ncr.address) if ncr.reverse_change else None,
        )

    def _begin(
        self,
        ncr: Request,
        dhcid: int,
        forward: Domain | None,
        reverse: Domain | None,
        now: float,
        wall: float,
    ) -> None:
        """Begin the transaction of a request that was matched, or say why there is none."""
        found: Request | None = ncr
        if self._plan.switches.expired == "drop" and _adds_ended_lease(ncr, wall):
            self._log.emit("PYD2_REQUEST_EXPIRED", ncr.request_id, ncr.text())
            self._counters.tally.expired += 1
            self._drop(ncr, dhcid)
            return
        if forward is None and ncr.forward_change:
            found = self._without_forward(ncr)
        if reverse is None and found is not None and found.reverse_change:
            found = self._without_reverse(found)
        if found is None or (forward is None and reverse is None):
            self._drop_unmatched(ncr, found, dhcid)
        else:
            kind = _KINDS[found.kind]
            self._driver.begin(Transaction(found, dhcid, kind, self._plan, forward, reverse), now, wall)

    def _drop_unmatched(self, ncr: Request, found: Request | None, dhcid: int) -> None:
        """Drop a request; ``found`` is what was left of it when there was no domain, unless that was said."""
        if found is not None and "DHCP_DDNS_REQUEST_DROPPED" in self._log.on:
            self._log.emit("DHCP_DDNS_REQUEST_DROPPED", found.request_id, found.text())
        self._counters.tally.unmatched += 1
        if self._plan.retries:
            self._ends.dead.append(Dead(ncr, "no domain fits"))
        self._drop(ncr, dhcid)

    def _without_forward(self, ncr: Request) -> Request | None:
        """Return a request without its forward change, which has no domain; None: it must not go on."""
        log = self._log
        if self._plan.forward:
            log.emit("DHCP_DDNS_NO_MATCH", ncr.fqdn)
            log.emit("DHCP_DDNS_NO_FWD_MATCH_ERROR", ncr.request_id, ncr.text())
            return None
        ncr = ncr.without_forward()
        if "DHCP_DDNS_FWD_REQUEST_IGNORED" in log.on:
            log.emit("DHCP_DDNS_FWD_REQUEST_IGNORED", ncr.request_id, ncr.text())
        return ncr

    def _without_reverse(self, ncr: Request) -> Request | None:
        """Return a request without its reverse change, which has no domain; None: it must not go on."""
        log = self._log
        if self._plan.reverse:
            log.emit("DHCP_DDNS_NO_MATCH", reverse_name(ncr.address))
            log.emit("DHCP_DDNS_NO_REV_MATCH_ERROR", ncr.request_id, ncr.text())
            return None
        ncr = ncr.without_reverse()
        if "DHCP_DDNS_REV_REQUEST_IGNORED" in log.on:
            log.emit("DHCP_DDNS_REV_REQUEST_IGNORED", ncr.request_id, ncr.text())
        return ncr

    def _drop(self, ncr: Request, dhcid: int) -> None:
        self._ends.end_request(ncr, dhcid)
        self._log.emit("DHCP_DDNS_NO_ELIGIBLE_JOBS", self._queued, self._ends.active)

    # Late requests.

    def _park(self, now: float, wall: float) -> None:
        """Let requests wait that have failed and are to be tried again."""
        postponed, self._ends.postponed = self._ends.postponed, []
        for transaction, retry, reason in postponed:
            late = transaction.late if isinstance(transaction, LateTransaction) else None
            if late is None:
                late = Late(transaction.ncr, transaction.dhcid, wall)
            late.reason = reason
            late.forward_left = late.forward_left and not transaction.forward_done
            failure = transaction.forward_failure
            if failure is not None and failure.retry is None:
                late.forward_left = False
                late.forward_failure = failure
            late.reverse_left = late.reverse_left and not transaction.reverse_done
            domain = (transaction.forward if late.forward_left else None) or transaction.domain
            pause = self._retries.park(late, domain.lanes, retry, now)
            if "PYD2_RETRY_LATER" in self._log.on:
                self._log.emit("PYD2_RETRY_LATER", late.ncr.request_id, f"{pause:.1f}", reason)

    def _note_turns(self) -> None:
        """Take note of servers that do not answer any more, or again."""
        turned, self._failover.turned = self._failover.turned, []
        for lane in turned:
            if lane in self._failover.down:
                self._retries.server_down(lane)
            else:
                self._retries.server_up(lane)

    def _serve_late(self, now: float, wall: float) -> None:
        """Try late requests again that may be."""
        self._late_left = False
        for _ in range(_BACKLOG_STEP):
            late = self._retries.take(now)
            if late is None:
                return
            self._try_again(late, now, wall)
            if self._ends.freed:
                self._settle(now, wall)
        self._late_left = True

    def _try_again(self, late: Late, now: float, wall: float) -> None:
        """Begin a late request, or let it wait on, for its servers or its client."""
        retries = self._retries
        why = late.over(wall)
        if why:
            self._counters.tally.expired += 1
            ncr = late.ncr
            failure = late.reason or "an earlier one for its name"
            self._log.emit("PYD2_RETRY_ENDED", ncr.request_id, why, failure, ncr.text())
            self._ends.dead.append(Dead(ncr, f"{why}; {late.reason}" if late.reason else why))
            self._ends.finish(ncr)
            retries.leave(late)
            return
        late.ncr = self._packets.match(late.ncr, self._plan.index)
        forward, reverse = self._match(late.ncr)
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
        followers = self._chains.get(late.dhcid)
        if late.dhcid not in self._chains:
            self._begin_late(late, now, wall)
            return
        if followers is None:
            followers = self._chains[late.dhcid] = deque()
        self._enqueue(followers, late)

    def _begin_late(self, late: Late, now: float, wall: float) -> None:
        """Begin the transaction of a late request, which takes hold of its client."""
        self._chains[late.dhcid] = Hold(late, self._chains.get(late.dhcid))
        ncr = late.ncr = self._packets.match(late.ncr, self._plan.index)
        found: Request | None = ncr
        forward, reverse = self._match(ncr)
        if not late.forward_left:
            forward = None
        elif forward is None:
            found = self._without_forward(ncr)
        if not late.reverse_left:
            reverse = None
        elif reverse is None and found is not None:
            found = self._without_reverse(found)
        if found is None or (forward is None and reverse is None):
            self._drop_unmatched(ncr, found, late.dhcid)
        else:
            kind = _KINDS[found.kind]
            transaction = LateTransaction(late, found, kind, self._plan, forward, reverse)
            self._driver.begin(transaction, now, wall)

    # The limit.

    def _entries(self) -> int:
        """Requests held that wait for something else than a reply."""
        driver = self._driver
        return self._queued + self._retries.waiting + self._ends.active - driver.tries.in_flight

    def _room(self) -> int:
        """Return how many requests at least can be taken."""
        most = self._plan.switches.queue.max_entries
        room = most - self._entries()
        octets = most * OCTETS_PER_ENTRY - self._octets - self._retries.octets
        return min(room, -(-octets // LARGEST_REQUEST))

    def _drop_overflow(self, wall: float) -> None:
        self._counters.queue_full.add(wall)
        self._counters.tally.lost += 1
        if not self._full:
            self._full = True
            self._log.emit("DHCP_DDNS_QUEUE_MGR_QUEUE_FULL", self._plan.switches.queue.max_entries)

    def _resume(self) -> None:
        max_entries = self._plan.switches.queue.max_entries
        resume_at = max_entries * RESUME_PERCENT // 100
        if self._entries() <= resume_at:
            self._full = False
            self._log.emit("DHCP_DDNS_QUEUE_MGR_RESUMING", resume_at, max_entries)


def _adds_ended_lease(ncr: Request, wall: float) -> bool:
    """Whether a request adds what is over already; both times are in UTC."""
    now = f"{datetime.fromtimestamp(wall, UTC):%Y%m%d%H%M%S}"
    return ncr.change_type is ChangeType.ADD and ncr.lease_expires_on < now
