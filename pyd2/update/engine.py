"""The engine: requests come in, UPDATE messages go out, replies come in; no IO, no clock.

The shell around it calls a ``receive_...`` method for what arrives, sends what ``take_outgoing`` returns,
and calls ``handle_timer`` when ``timer`` says. ``now`` is monotonic seconds, never going back; ``wall`` is
seconds since the epoch.

The scheduler (``schedule/scheduler.py``) gives a request its turn, the routing (``schedule/routing.py``)
finds its domains and its kind, and the driver (``drive/driver.py``) takes it step by step and server by
server to its end. ``drive/replies.py`` brings the outcome of each try back to the driver;
``drive/outcomes.py`` holds what has ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pyd2.errors import NcrError
from pyd2.update.drive.driver import Driver
from pyd2.update.drive.outcomes import Dead
from pyd2.update.drive.replies import Replies
from pyd2.update.drive.server_choice import Selection, SelectKey
from pyd2.update.inflight.contract import Outgoing
from pyd2.update.model.plan import make_plan
from pyd2.update.schedule.scheduler import Scheduler
from pyd2.update.status import requests_status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pyd2.config.model import Config
    from pyd2.counters import Counters
    from pyd2.data.element import Plain
    from pyd2.messages import RequestLog
    from pyd2.update.drive.hook_jobs import HookJob
    from pyd2.update.inflight.contract import EngineBackend
    from pyd2.update.model.plan import Plan
    from pyd2.update.model.transaction import Transaction
    from pyd2.update.server.lane import Lane

__all__ = ["Dead", "Engine", "Outgoing", "SelectKey", "Selection"]


EXPIRIES: Final = 64
"""Tries that fail for want of an answer in one turn, at most."""


class Engine:
    """The whole of the update service but its sockets and its clock."""

    def __init__(self, counters: Counters, log: RequestLog, backend: EngineBackend) -> None:
        """Make an engine without a configuration; ``backend`` serves no other engine."""
        self._packets = backend.packets
        self._counters = counters
        self._log = log
        self._driver = Driver(counters, log, backend)
        self._ends = self._driver.ends
        self._replies = Replies(self._driver, counters, log, self._packets)
        self._scheduler = Scheduler(self._driver, counters, log, self._packets)
        self._retries = self._scheduler.retries
        self._limit = self._scheduler.limit
        self._plan = self._scheduler.matching.plan
        self._old_plans: list[Plan] = []
        """Those that active transactions began under."""

    # What the shell asks.

    @property
    def active(self) -> int:
        """Transactions that have begun and not ended."""
        return self._ends.active

    @property
    def queued(self) -> int:
        """Requests whose transaction has not begun, or has ended and is to be tried again."""
        return self._limit.queued + self.late

    @property
    def late(self) -> int:
        """Of the queued requests, those that wait to be tried again or behind such a one."""
        return self._retries.waiting + self._ends.postponed

    @property
    def extended(self) -> bool:
        """Whether requests are tried again, or servers passed over, in some domain."""
        return any(lane.breaker is not None for lane in self._plan.lanes)

    def status(self, wall: float) -> dict[str, Plain]:
        """Return what is shown of an engine that is ``extended``, beside its servers (``status.py``)."""
        oldest = self._retries.oldest()
        return {
            "requests": requests_status(self._counters.tally, self.queued, self.active),
            "retries": {
                "waiting": self.late,
                "oldest-age": 0 if oldest is None else max(0, int(wall - oldest)),
            },
        }

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """The DNS servers in use: those of the configuration, and those that active transactions may go to.

        The shell keeps sockets for these; those of other lanes it can close.
        """
        old = [lane for plan in self._old_plans if plan.active for lane in plan.lanes]
        if not old:
            return self._plan.lanes
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
        if self._ends.active or self._scheduler.busy:
            return False
        return kind == "normal" or not self._limit.queued

    def timer(self) -> float | None:
        """Return when to call ``handle_timer``, in monotonic seconds; None: not before something arrives."""
        return self._scheduler.timer()

    def overdue(self, now: float) -> bool:
        """Whether the time of some try is up: it fails at ``handle_timer`` unless its reply comes before."""
        deadline = self._driver.tries.deadline()
        return deadline is not None and deadline <= now

    def take_outgoing(self) -> list[Outgoing]:
        """Return the messages to send, in order; they are the caller's from now on. It ends a turn."""
        self._scheduler.begin_turn()
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

    def take_unanswered(self, most: int) -> list[Lane]:
        """Return so many lanes at most in which a try has timed out, for the shell to see why."""
        unanswered = self._replies.unanswered
        return [unanswered.popitem()[0] for _ in range(min(most, len(unanswered)))]

    def take_posted(self) -> list[Lane]:
        """Return the lanes to which messages have been posted in C, for who sends them from there.

        Who does not ask for them gets these messages from ``take_outgoing``, too. It ends a turn.
        """
        self._scheduler.begin_turn()
        return self._driver.sender.take_posted()

    def posted(self, lane: Lane) -> list[Outgoing]:
        """Return the messages that have been posted to a lane, for who cannot send them from there."""
        return self._driver.tries.posted(lane)

    def pending(self, lane: Lane) -> Mapping[int, Transaction]:
        """Return the tries under way to a server by ``slot << 16 | query ID``, to look at."""
        return self._driver.tries.pending(lane)

    def take_hook_jobs(self) -> list[HookJob[Any]]:
        """Return the hook jobs to ``run`` on the hook thread, each then to be passed to end_hook_jobs."""
        return self._driver.hook_jobs.take()

    # What happens.

    def configure(self, config: Config, select_key: SelectKey | None, now: float, wall: float) -> None:
        """Prepare a configuration and put it in force."""
        self.put_in_force(config, self.prepare(config, self.lanes, wall), select_key, now, wall)

    def prepare(self, config: Config, lanes: Iterable[Lane], wall: float) -> Plan:
        """Return a configuration prepared to be put in force; ``lanes`` are the present ones.

        With many zones this takes a second. It touches nothing that the engine works with, so it may be
        called in another thread than all else.
        """
        plan = make_plan(
            config, lanes, self._counters, wall, self._packets, self._driver.tries.new_window
        )
        plan.prepare_lanes(self._plan, lanes)
        return plan

    def put_in_force(
        self, config: Config, plan: Plan, select_key: SelectKey | None, now: float, wall: float
    ) -> Plan:
        """Work by a configuration that was prepared; return the plan before it, to be taken apart.

        Active transactions go on with the domain, servers and keys they have; requests that wait are
        matched again (contract, section 2.5). ``select_key`` is None when no library has callouts there.

        Raises nothing that a checked configuration could cause.
        """
        lanes = self.lanes
        self._old_plans = [plan for plan in (*self._old_plans, self._plan) if plan.active]
        before, self._plan = self._plan, plan
        plan.put_in_force()
        self._counters.keep_keys(plan.keys)
        failover = self._driver.failover
        failover.down = {lane for lane in failover.down if lane.breaker is not None and lane.breaker.down}
        self._driver.selector.select_key = select_key
        self._driver.selector.selected_keys.clear()
        self._driver.sender.timeout_ms = config.dns_server_timeout
        now_in_use = self.lanes
        if failover.down:
            failover.down.intersection_update(now_in_use)
        self._scheduler.match_again(plan, lanes, now_in_use, now, wall)
        return before

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
        self._scheduler.look_at_shares()
        received = 0
        left = 0  # requests that there surely is room for
        for place, ncr in enumerate(self._packets.read_requests(datagrams, self._plan.index, numbers)):
            if isinstance(ncr, NcrError):
                self._counters.ncr_invalid.add(wall)
                self._log.emit("DHCP_DDNS_INVALID_NCR", ncr)
                if numbers and numbers[place]:
                    self._ends.finished.append(numbers[place])
            else:
                received += 1
                if numbers and numbers[place]:
                    self._ends.numbered = True
                    self._scheduler.accept(ncr, now, wall)
                    continue
                if left <= 0:
                    left = self._limit.room()
                if left <= 0:
                    self._limit.drop(wall)
                else:
                    left -= 1
                    self._scheduler.accept(ncr, now, wall)
        if received:
            self._counters.ncr_received.add(wall, received)
            self._counters.tally.received += received
        self._scheduler.finish((), now, wall)

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
        self._scheduler.finish((lane,), now, wall)

    def end_hook_jobs(self, hook_jobs: Sequence[HookJob[Any]], now: float, wall: float) -> None:
        """Take hook_jobs back that are done: their transactions go on."""
        for job in hook_jobs:
            self._driver.hook_jobs.end(job, now, wall)
        self._scheduler.finish(dict.fromkeys(job.lane for job in hook_jobs), now, wall)

    def send_failed(self, outgoing: Outgoing, error: int | str, now: float, wall: float) -> None:
        """Take it that a message could not be sent, or its TCP connection failed; ``error`` is the errno."""
        self._replies.send_failed(outgoing, error, now, wall)
        self._scheduler.finish((outgoing.lane,), now, wall)

    def handle_timer(self, now: float, wall: float, *, expire: bool = True) -> None:
        """Fail tries whose time is up if they may ``expire`` now, and do work that was put off.

        There may be more to do at once: ``timer`` says so.
        """
        lanes: dict[Lane, None] = {}
        left = EXPIRIES if expire else 0
        while left > 0 and (found := self._replies.expire(left, now, wall)):
            left -= len(found)
            lanes.update(dict.fromkeys(found))
        self._scheduler.handle_timer(lanes, now, wall)
