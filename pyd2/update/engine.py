"""The engine: requests come in, UPDATE messages go out, replies come in; no IO, no clock.

The shell around it calls a ``receive_...`` method for what arrives, deals with what ``collect_output``
returns, and calls ``handle_timer`` when ``timer`` says. ``now`` is monotonic seconds, never going back;
``wall`` is seconds since the epoch.

The scheduler (``schedule/scheduler.py``) gives a request its turn, the routing (``schedule/routing.py``)
finds its domains and its kind, and the driver (``drive/driver.py``) takes it step by step and server by
server to its end. ``drive/replies.py`` brings the outcome of each try back to the driver;
``drive/outcomes.py`` ends transactions and requests. What that means for others is put on the agenda
(``agenda.py``), which the scheduler works off, and into the output for the shell (``output.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pyd2.errors import NcrError
from pyd2.update.agenda import Agenda
from pyd2.update.drive.driver import Driver
from pyd2.update.drive.outcomes import Ends
from pyd2.update.drive.replies import Replies
from pyd2.update.drive.server_choice import Selection, SelectKey
from pyd2.update.inflight.contract import Outgoing
from pyd2.update.model.plan import make_plan
from pyd2.update.observing.replies import observe_lanes
from pyd2.update.output import DeadLetter, Output, OutputBuffer
from pyd2.update.retry.retry_queue import RetryQueue
from pyd2.update.schedule.queue_limit import QueueLimit
from pyd2.update.schedule.routing import Routing
from pyd2.update.schedule.scheduler import Scheduler
from pyd2.update.status import policies_status, requests_status

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from pyd2.config.model import Config
    from pyd2.counters import Counters
    from pyd2.data.element import Plain
    from pyd2.messages import RequestLog
    from pyd2.update.batch.batcher import Batcher
    from pyd2.update.drive.hook_jobs import HookJob
    from pyd2.update.drive.questions import WhatDiffers
    from pyd2.update.inflight.contract import EngineBackend
    from pyd2.update.model.plan import Plan
    from pyd2.update.model.transaction import Purpose
    from pyd2.update.observing.requests import EventSink, RequestObserver
    from pyd2.update.server.lane import Lane

__all__ = ["DeadLetter", "Engine", "Outgoing", "Output", "SelectKey", "Selection"]


EXPIRIES: Final = 64
"""Tries that fail for want of an answer in one turn, at most."""


class Engine:
    """The update service without its sockets and its clock."""

    def __init__(
        self, counters: Counters, log: RequestLog, backend: EngineBackend,
        what_differs: WhatDiffers | None = None,
    ) -> None:
        """Make an engine without a configuration; ``backend`` serves no other engine.

        ``what_differs`` compares the leases of two clients, in a hook job; None: no policy asks for that.
        """
        packets, tries = self._packets, self._tries = backend.packets, backend.tries
        self._counters = counters
        self._log = log
        agenda, output = self._agenda, self._output = Agenda(), OutputBuffer()
        ends = self._ends = Ends(tries, counters, log, agenda, output)
        driver = self._driver = Driver(backend, ends, agenda, output, counters, log)
        self._replies = Replies(driver, counters, log, packets, what_differs)
        retries = self._retries = RetryQueue(counters, log, tries.draw_place, ends, agenda, output)
        limit = self._limit = QueueLimit(tries, ends, agenda, retries, counters, log)
        routing = Routing(driver, ends, limit, counters, log)
        self._routing = routing
        self._scheduler = Scheduler(driver, ends, agenda, retries, limit, routing, counters, log, packets)
        self._batcher: Batcher | None = None
        """Makes the batches, from the first plan on that has any."""
        self._plan = routing.plan
        self._old_plans: list[Plan] = []
        """Plans that active transactions began under."""
        self._lanes_of: list[Plan] = []
        """The plan and the old ones whose lanes are in ``_lanes``: with very many it takes milliseconds."""
        self._lanes: tuple[Lane, ...] = ()
        self._next_observer: RequestObserver | None = None
        """The observer of requests under the plan that was prepared."""
        self.sink: EventSink | None = None
        """Gets the ends of requests, for the history, from the next configuration on."""

    # What the shell asks.

    @property
    def observer(self) -> RequestObserver | None:
        """Counts how requests end; None while neither metrics nor the history are on."""
        return self._ends.observer

    @property
    def active(self) -> int:
        """Transactions that have begun and not ended."""
        return self._ends.active

    @property
    def queued(self) -> int:
        """Requests whose transaction has not begun, or has ended and is to be tried again."""
        return self._limit.queued + self.retries

    @property
    def retries(self) -> int:
        """Of the queued requests, those that wait to be tried again or behind such a one."""
        return self._retries.waiting + len(self._agenda.postponed)

    @property
    def extended(self) -> bool:
        """Whether requests are tried again, servers passed over, batches sent or policies used somewhere."""
        plan = self._plan
        return plan.policies or any(lane.breaker is not None or lane.batch > 1 for lane in plan.lanes)

    def oldest_age(self, wall: float) -> float:
        """Return the seconds that the oldest retry has waited; 0: there is none."""
        oldest = self._retries.oldest()
        return 0.0 if oldest is None else max(0.0, wall - oldest)

    def status(self, wall: float) -> dict[str, Plain]:
        """Return what status-get shows of an ``extended`` engine beside its servers (``status.py``)."""
        status: dict[str, Plain] = {
            "requests": requests_status(self._counters.tally, self.queued, self.active),
            "retries": {
                "waiting": self.retries,
                "oldest-age": int(self.oldest_age(wall)),
            },
        }
        if self._plan.policies:
            status["policies"] = policies_status(self._counters)
        return status

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """The DNS servers in use: those of the configuration, and those that active transactions may go to.

        The shell keeps sockets for these; it can close those of other lanes.
        """
        plans = [self._plan, *(plan for plan in self._old_plans if plan.active)]
        if plans != self._lanes_of:
            self._lanes_of = plans
            self._lanes = tuple(dict.fromkeys(lane for plan in plans for lane in plan.lanes)) \
                if len(plans) > 1 else self._plan.lanes
        return self._lanes

    @property
    def timeout(self) -> float:
        """Seconds that a try waits for its reply, at present."""
        return self._driver.timeout

    @property
    def outlives_configuration(self) -> bool:
        """Whether transactions of an earlier configuration are still active."""
        return any(plan.active for plan in self._old_plans)

    def cleared_for_shutdown(self, kind: str) -> bool:
        """Whether the daemon may leave, once the listener is closed.

        ``kind`` is ``normal``, ``drain_first`` or ``now`` (contract, section 1). Requests that wait begin
        in any case while the engine is served, so a normal shutdown drains what Kea's would. It does not wait
        for retries: these may take hours.
        """
        if kind == "now":
            return True
        if self._ends.active or self._scheduler.busy:
            return False
        return kind == "normal" or not self._limit.queued

    def timer(self) -> float | None:
        """Return when to call ``handle_timer``, in monotonic seconds; None: not before something arrives.

        0 says at once: a turn had not enough time for all there was to do.
        """
        return self._scheduler.timer()

    def overdue(self, now: float) -> bool:
        """Whether the time of some try is up: it fails at ``handle_timer`` unless its reply comes before."""
        deadline = self._tries.deadline()
        return deadline is not None and deadline <= now

    @property
    def has_output(self) -> bool:
        """Whether ``collect_output`` returns anything."""
        return bool(self._output)

    @property
    def has_messages(self) -> bool:
        """Whether ``collect_output`` returns messages."""
        return bool(self._output.posted or self._output.outgoing)

    def pace(self, share: float) -> None:
        """Limit the following turns to a share of their usual work: more than 0, 1 at most."""
        self._scheduler.pace(share)

    def collect_output(self) -> Output:
        """Return what is for the shell since the last call, which ends a turn; it is the caller's now."""
        self._scheduler.begin_turn()
        return self._output.drain()

    def messages(self, output: Output) -> list[Outgoing]:
        """Return all messages of an output, for a shell that cannot send from C what is posted there."""
        found = list(output.outgoing)
        for lane in output.posted:
            found += self._tries.posted(lane)
        return found

    def pop_unanswered(self, most: int) -> list[Lane]:
        """Return ``most`` lanes at most in which a try has timed out, for the shell to see why; each once."""
        return self._replies.pop_unanswered(most)

    def pending(self, lane: Lane) -> Mapping[int, Purpose]:
        """Return the tries under way to a server by ``slot << 16 | query ID``, to read only."""
        return self._tries.pending(lane)

    # What happens.

    def configure(self, config: Config, select_key: SelectKey | None, now: float, wall: float) -> None:
        """Prepare a configuration and put it in force."""
        self.put_in_force(config, self.prepare(config, self.lanes, wall), select_key, now, wall)

    def prepare(self, config: Config, lanes: Iterable[Lane], wall: float) -> Plan:
        """Return a configuration prepared to be put in force; ``lanes`` are the present ones.

        With many zones this takes a second. It touches nothing that the engine works with, so it may be
        called on another thread than everything else.
        """
        plan = make_plan(
            config, lanes, self._counters, wall, self._packets, self._tries.new_window
        )
        plan.prepare_lanes(self._plan, lanes)
        observe_lanes(plan.lanes, on=config.observed)
        self._next_observer = None
        if config.observed:
            from pyd2.update.observing.requests import RequestObserver

            self._next_observer = self.observer or RequestObserver(self._packets, self._log)
            self._next_observer.prepare(plan)
        if plan.batches and self._batcher is None:
            self._batcher = self._make_batcher()
        if any(lane.breaker is not None for lane in plan.lanes):
            # The message of a server that fails names the cure: the update thread has no time to load it.
            import pyd2.update.model.reasons  # noqa: F401
        return plan

    def _make_batcher(self) -> Batcher:
        # Only where batches are wanted: to import it takes as long as a tenth of the engine.
        from pyd2.update.batch.batcher import Batcher

        return Batcher(
            self._driver, self._replies, self._routing, self._limit, self._ends, self._agenda, self._packets,
            self._log, self._output,
        )

    def put_in_force(
        self, config: Config, plan: Plan, select_key: SelectKey | None, now: float, wall: float
    ) -> Plan:
        """Put a prepared configuration in force; return the plan before it, to be freed in parts.

        Active transactions keep the domain, servers and keys they have; requests that wait are
        matched again (contract, section 2.5). ``select_key`` is None when no library has callouts there.

        Raises nothing that a checked configuration could cause.
        """
        observer = self._ends.observer = self._next_observer
        self._packets.read_at = 0.0
        if observer is not None:
            observer.use(plan, self.sink, now, wall)
        lanes = self.lanes
        self._old_plans = [plan for plan in (*self._old_plans, self._plan) if plan.active]
        before, self._plan = self._plan, plan
        plan.put_in_force()
        self._counters.keep_keys(plan.keys)
        now_in_use = self.lanes
        self._driver.configure(config.dns_server_timeout, select_key, now_in_use)
        self._scheduler.batcher = self._batcher
        if self._batcher is not None:
            self._batcher.configure()
        self._scheduler.match_again(plan, lanes, now_in_use, now, wall)
        return before

    def abandon(self) -> None:
        """Leave the updates under way as they are; the engine is used no more."""
        self._tries.abandon()

    def try_again(self, now: float, wall: float) -> int:
        """Begin all retries, whatever they wait for; return how many there are.

        Servers that are down are asked at once.
        """
        for lane in self.lanes:
            if lane.breaker is not None and lane.down:
                lane.breaker.probe_at = min(now, lane.breaker.probe_at)
        waiting = self.retries
        self._retries.release()
        self._finish((), now, wall)
        return waiting

    def admit(self, datagrams: Sequence[bytes], free: int, now: float, wall: float) -> Sequence[bytes]:
        """Return those datagrams that the durable queue may accept, of which half or more is in use.

        The others are lost: requests for a server that is silent and has taken its share. ``free`` is how
        many places the durable queue has, less the requests that the engine has not got yet: these may be
        for that server, too.
        """
        if not self._plan.begins_at_several:
            return datagrams
        requests = self._packets.read_requests(datagrams, self._plan.index)
        admitted: list[bytes] = []
        for datagram, ncr in zip(datagrams, requests, strict=False):
            left = free - 2 * len(admitted)
            if isinstance(ncr, NcrError) or self._scheduler.admits(ncr, left, now, wall):
                admitted.append(datagram)
        self._counters.tally.received += len(requests) - len(admitted)
        return [*admitted, *datagrams[len(requests) :]]

    def receive_request(self, datagram: bytes, now: float, wall: float, number: int = 0) -> None:
        """Receive a datagram from the NCR port; see receive_requests."""
        self.receive_requests((datagram,), now, wall, (number,) if number else ())

    def receive_requests(
        self, datagrams: Sequence[bytes], now: float, wall: float, numbers: Sequence[int] = ()
    ) -> int:
        """Receive datagrams from the NCR port; return how many: the others are to be given again.

        Those with ``numbers`` other than 0 have been admitted to the durable queue: they are accepted however
        full the engine's queue is, and ``Output.finished`` has the number when the request has ended.
        """
        self._scheduler.begin_accepting()
        if self._ends.observer is not None:
            self._packets.read_at = now
        left = 0  # free places that there are for sure
        invalid = 0
        requests = self._packets.read_requests(datagrams, self._plan.index, numbers)
        accept = self._scheduler.accept
        numbered = bool(numbers)
        for place, ncr in enumerate(requests):
            if isinstance(ncr, NcrError):
                invalid += 1
                self._counters.ncr_invalid.add(wall)
                self._log.emit("DHCP_DDNS_INVALID_NCR", ncr)
                if numbered and numbers[place]:
                    self._output.finished.append(numbers[place])
                continue
            if numbered and numbers[place]:
                self._ends.numbered = True
            elif left > 0:
                left -= 1
            else:
                left = self._limit.free_places() - 1
                if left < 0:
                    self._limit.drop(wall)
                    continue
            accept(ncr, now, wall)
        received = len(requests) - invalid
        if received:
            self._counters.ncr_received.add(wall, received)
            self._counters.tally.received += received
        self._finish((), now, wall)
        return len(requests)

    def _finish(self, lanes: Collection[Lane], now: float, wall: float) -> None:
        """Act on what has happened, and use the free places of some lanes."""
        self._scheduler.finish(lanes, now, wall)
        if self._ends.observer is not None:
            self._ends.observer.settle(now, wall)

    def receive_reply(self, lane: Lane, slot: int, datagram: bytes, now: float, wall: float) -> None:
        """Receive a DNS message from a lane's server; see receive_replies."""
        self.receive_replies(lane, slot, (datagram,), now, wall)

    def receive_replies(
        self, lane: Lane, slot: int, datagrams: Sequence[bytes], now: float, wall: float
    ) -> None:
        """Receive DNS messages from a lane's server.

        The shell has made sure that they came from the server's address and port, or over a connection to it.
        ``slot`` is that of the Outgoing whose local port or connection they came to. A message that answers
        nothing under way is counted and otherwise ignored (docs/differences.md, 4).
        """
        self._replies.receive(lane, slot, datagrams, now, wall)
        self._finish((lane,), now, wall)

    def end_hook_jobs(self, hook_jobs: Sequence[HookJob[Any]], now: float, wall: float) -> None:
        """Continue the transactions of hook jobs that are done."""
        for job in hook_jobs:
            job.end(now, wall)
        self._finish(dict.fromkeys(job.lane for job in hook_jobs), now, wall)

    def send_failed(self, outgoing: Outgoing, error: int | str, now: float, wall: float) -> None:
        """Note that a message could not be sent, or its TCP connection failed; ``error``: errno or reason."""
        self._replies.send_failed(outgoing, error, now, wall)
        self._finish((outgoing.lane,), now, wall)

    def handle_timer(self, now: float, wall: float, *, read_until: float | None = None) -> None:
        """Fail tries whose time is up, and do work that was put off.

        Only tries fail whose time was up at ``read_until``: the monotonic seconds up to which all replies
        have been read; None: up to ``now``. There may be more to do at once: ``timer`` says so.
        """
        lanes: dict[Lane, None] = {}
        until = now if read_until is None else read_until
        left = EXPIRIES
        while left > 0 and (found := self._replies.expire(left, until, now, wall)):
            left -= len(found)
            lanes.update(dict.fromkeys(found))
        self._scheduler.handle_timer(lanes, EXPIRIES - left, now, wall)
        if self._ends.observer is not None:
            self._ends.observer.settle(now, wall)
