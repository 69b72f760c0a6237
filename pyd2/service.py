"""The update service: listener, durable queue, engine and sockets, in a thread of their own.

Theory of operation
-------------------
The main thread reads configurations, answers commands and runs hook libraries. Each of these may take its
time, and no DNS update waits for it: the update thread has an event loop of its own. The threads
share Python's interpreter lock, which no thread holds for long: each system call releases it, and it is taken
from a thread that computes after half a millisecond (``pyd2.interpreter``).

The daemon calls the service by ``_call``, which runs a function on the update thread and waits for its end;
that takes microseconds. The service never waits for the daemon: it posts to the main thread's loop, hook
jobs (``update/drive/hook_jobs.py``) among them; the main thread posts their results in the same way.
If the update thread fails, the process ends with exit status 1: a service manager can start it again.
"""

from __future__ import annotations

import os
import signal
import time
import traceback
from concurrent.futures import Future
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

import uvloop

from pyd2 import interpreter
from pyd2.control.commands import ShutdownType
from pyd2.hooks.hook_thread import HookJobs
from pyd2.net.captured import CapturedDatagrams
from pyd2.net.engine_io import EngineIO
from pyd2.net.intake import Intake
from pyd2.net.read_turns import ReadTurns
from pyd2.net.troubles import Troubles
from pyd2.queue.choice import make_stores
from pyd2.queue.durable import DurableQueue
from pyd2.queue.end_reports import EndReports
from pyd2.queue.interface import InUseError
from pyd2.update.engine import Engine
from pyd2.update.status import servers_status

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from pyd2.backend import Backend
    from pyd2.capture.writer import Capture
    from pyd2.cluster.host import EngineParts, ServiceHost
    from pyd2.config.addresses import Address
    from pyd2.config.model import Config
    from pyd2.config.policy import PolicySwitches
    from pyd2.config.switches import HistorySwitches, QueueSwitches
    from pyd2.counters import Counters
    from pyd2.data.element import Plain
    from pyd2.history.writer import HistoryWriter
    from pyd2.metrics.reading import EngineReading
    from pyd2.net.datagrams import Datagrams
    from pyd2.net.systemd import ServiceManager
    from pyd2.observe.log import MessageLog
    from pyd2.update.drive.hook_jobs import HookJob
    from pyd2.update.engine import SelectKey
    from pyd2.update.model.plan import Plan
    from pyd2.update.observing.recent import Failures, RecentFailures
    from pyd2.update.observing.requests import EventSink
    from pyd2.update.output import Output
    from pyd2.update.server.lane import Lane

P = ParamSpec("P")
T = TypeVar("T")

DRAIN_SECONDS: Final = 60.0
"""How long a normal shutdown waits for the queue: a service manager kills after 90 s what does not leave."""

KEPT_SECONDS: Final = 5.0
"""The same with a durable queue: what is left over is processed after the restart, which is quick so."""

SERVERS_AT_ONCE: Final = 256
"""DNS servers whose status is put down in one go: a fraction of a millisecond."""

_ROUNDS: Final = 4
"""How often libraries may have something to do while the service settles, each time for some milliseconds."""

_TURNS: Final = 4
"""In the first two, what had arrived may not have been read yet; in the third, not yet been passed on."""


def _what_differs(policy: PolicySwitches, name: bytes, text: str, dhcids: tuple[bytes, bytes]) -> str:
    """See ``pyd2.net.lease_servers``, which is loaded when a policy needs it."""
    from pyd2.net.lease_servers import what_differs

    return what_differs(policy, name, text, dhcids)


class Service:
    """The service as the main thread sees it; all methods are for that thread.

    ``on_fault`` is the exception handler of its loop; the main thread calls ``on_left`` after the shutdown.
    """

    def __init__(
        self,
        home: asyncio.AbstractEventLoop,
        counters: Counters,
        log: MessageLog,
        backend: Backend,
        manager: ServiceManager,
        on_fault: Callable[[asyncio.AbstractEventLoop, dict[str, object]], None],
        on_left: Callable[[], None],
    ) -> None:
        self._home = home
        self._log = log
        self._on_left = on_left
        loop = self._loop = uvloop.new_event_loop()
        loop.set_exception_handler(on_fault)
        datagrams = self._datagrams = backend.datagrams
        self._engine = Engine(counters, log, backend, _what_differs)
        self._hook_jobs = HookJobs(home, self._bring_back, lambda: self._queue.mark)
        turns = ReadTurns(loop)
        engine_io = self._engine_io = EngineIO(
            loop, self._engine, self._report, datagrams, self._hook_jobs.post, Troubles(counters, log), turns
        )
        stores = make_stores(loop, log)
        self.commit_seconds: Final = stores.commit_seconds
        """How long the commits of the durable queue take."""
        self._queue = DurableQueue(loop, engine_io.requests, counters, log, stores, engine_io.admit)
        self._intake = Intake(loop, self._queue.accept, counters, log, datagrams, manager, turns)
        self._end_reports = EndReports(loop, log, self._queue.done)
        self._history: HistoryWriter | None = None
        """There is one from the first configuration on that asks for a history."""
        self._recent: RecentFailures | None = None
        """What has failed lately; there is one from the first configuration on that has the web page."""
        self._in_force: tuple[Config, SelectKey | None] | None = None
        self._around: Final = (home, loop, backend, turns, counters, log, _what_differs)
        self._host: ServiceHost | None = None
        """What shares the queue with other machines, if the first configuration asks for that."""
        self._leaving: ShutdownType | None = None
        self._left = False
        self._drain_timer: asyncio.TimerHandle | None = None
        """Ends a normal shutdown that takes too long."""
        self._thread = Thread(target=self._run, name="pyd2-dns", daemon=True)

    def start(self) -> None:
        """Start the update thread; before that, and after its end, calls run in the caller's thread."""
        interpreter.share()
        self._thread.start()

    def _run(self) -> None:
        # Signals are for the main thread.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self._loop.run_forever()
        except BaseException:  # what is no error, such as SystemExit, ends the loop
            # Otherwise the main thread would wait for this one, or answer commands while no updates are made.
            try:
                self._log.emit("DHCP_DDNS_FAILED", traceback.format_exc())
                self._log.flush()
            finally:
                os._exit(1)

    def _call(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Have the update thread run a function; return what it returns, raise what it raises."""
        if not self._thread.is_alive():
            return function(*arguments, **named)
        outcome: Future[T] = Future()

        def run() -> None:
            try:
                outcome.set_result(function(*arguments, **named))
            except BaseException as error:  # whatever it is, the caller waits for it
                outcome.set_exception(error)

        self._loop.call_soon_threadsafe(run)
        return outcome.result()

    # Configurations.

    def claim(self, queue: QueueSwitches) -> None:
        """See DurableQueue; not on the update thread, because it waits for a disk."""
        if self._in_force is not None and queue.needs_restart(self._in_force[0].switches.queue):
            raise InUseError("a queue of type 'nats' cannot be changed by a reload: restart the server")
        self._queue.claim(queue)
        if queue.nats is not None and self._host is None:
            from pyd2.cluster.host import ServiceHost, Surroundings

            self._host = ServiceHost(self, Surroundings(*self._around), self._queue, queue)

    def unclaim(self) -> None:
        """Take back ``claim``."""
        self._queue.unclaim()

    def configure(self, config: Config, select_key: SelectKey | None) -> None:
        """Work by a new configuration; see Engine. The main thread calls the ``select_key`` of libraries."""
        # With many zones it takes a second to prepare, and some of that to drop what was before: here.
        self._configure_history(config.switches.history)
        if config.web and self._recent is None:
            from pyd2.update.observing.recent import RecentFailures

            self._recent = RecentFailures()
        first, self._in_force = self._in_force is None, (config, select_key)
        if self._host is not None and first:
            self._host.start()
            return
        plan = self._engine.prepare(config, self._call(lambda: self._engine.lanes), time.time())
        self._call(self._put_in_force, config, plan, select_key).take_apart()

    def replace_engine(self, parts: EngineParts) -> None:
        """Work with a new engine, by the present configuration; see ``pyd2.cluster.host``."""
        assert self._in_force is not None
        config, select_key = self._in_force
        plan = parts.engine.prepare(config, (), time.time())

        def replace() -> Plan:
            parts.engine_io.capture = self._engine_io.capture
            self._engine, self._engine_io, self._hook_jobs = parts
            return self._put_in_force(config, plan, select_key)

        self._call(replace).take_apart()

    def _configure_history(self, switches: HistorySwitches) -> None:
        if self._history is None and switches.enabled:
            from pyd2.history.writer import HistoryWriter

            self._history = HistoryWriter(self._log)
        if self._history is not None:
            self._history.configure(switches)

    def _sink(self, config: Config) -> EventSink | None:
        """Return what looks at the ends of requests: the history, what the web page shows, or both."""
        history = self._history if config.switches.history.enabled else None
        if not config.web or self._recent is None:
            return history
        self._recent.then = history
        return self._recent

    def failures(self) -> Failures | None:
        """Return what has failed since the last call; None: nothing shows it. See RecentFailures."""
        return None if self._recent is None else self._call(self._recent.take)

    def operate(self, action: Callable[[Engine, DurableQueue], T]) -> T:
        """Have an operator's action carried out on the update thread; return what it returns."""

        def act() -> T:
            outcome = action(self._engine, self._queue)
            self._engine_io.flush()
            return outcome

        return self._call(act)

    def history(self) -> tuple[int, str]:
        """Return how many requests are not in the history that ought to be, and why it cannot be written."""
        return (0, "") if self._history is None else (self._history.lost, self._history.fault)

    def _put_in_force(self, config: Config, plan: Plan, select_key: SelectKey | None) -> Plan:
        self._engine.sink = self._sink(config)
        before = self._engine.put_in_force(config, plan, select_key, time.monotonic(), time.time())
        self._loop.call_soon(self._engine_io.forget_unused)  # which takes as long with very many servers
        self._queue.configure(config.switches.queue)
        self._end_reports.configure(config.switches.queue.max_entries)
        self._engine_io.flush()
        return before

    def listen(self, address: Address, port: int) -> None:
        """See Intake."""
        self._call(self._intake.listen, address, port)

    # How it goes.

    @property
    def state(self) -> str:
        """Where requests are listened for, in words."""
        return self._call(lambda: self._intake.state)

    def status(self) -> dict[str, Plain] | None:
        """Return the status of what goes beyond Kea; None when nothing of that is on."""
        wall = time.time()
        status, lanes = self._call(self._status, wall)
        if status is not None:
            servers: list[Plain] = []
            for first in range(0, len(lanes), SERVERS_AT_ONCE):
                servers += self._call(servers_status, lanes[first : first + SERVERS_AT_ONCE], wall)
            status["servers"] = servers
        return status

    def _status(self, wall: float) -> tuple[dict[str, Plain] | None, tuple[Lane, ...]]:
        """Return the status but that of the servers, and these."""
        queue = self._queue.status(wall)
        if queue is None and not self._engine.extended:
            return None, ()
        status = self._engine.status(wall)
        if queue is not None:
            status["queue"] = {**queue, **self._queue.more_status(wall)}
        return status, self._engine.lanes

    def capture(self, capture: Capture | None, *, requests: bool = False, updates: bool = False) -> None:
        """Note requests, and updates with their replies, from now on; None: no more. For any thread."""
        self._call(self._capture, capture, requests, updates)

    def _capture(self, capture: Capture | None, requests: bool, updates: bool) -> None:  # noqa: FBT001  by _call
        datagrams: Datagrams = self._datagrams
        if capture is not None and requests:
            datagrams = CapturedDatagrams(datagrams, capture.note_requests)
        self._intake.use(datagrams)
        self._engine_io.capture = capture if updates else None

    def reading(self) -> EngineReading:
        """Return what metrics show of the engine and the queue."""
        return self._call(self._read)

    def _read(self) -> EngineReading:
        from pyd2.metrics.reading import EngineReading

        engine, wall = self._engine, time.time()
        return EngineReading(
            engine.queued, engine.active, engine.retries, engine.oldest_age(wall), self._queue.status(wall),
            self._queue.usable, self._queue.more_status(wall) or None, engine.lanes, engine.observer,
        )

    def consistently(self, function: Callable[[], T]) -> T:
        """Run a function that reads or changes the counters while no thread counts; return its result."""
        return self._call(function)

    def when_alive(self, answer: Callable[[], None]) -> None:
        """Call a function in the main thread's loop when the service's loop has turned once."""
        self._loop.call_soon_threadsafe(self._home.call_soon_threadsafe, answer)

    def settle(self) -> None:
        """Return when what has arrived until now has been dealt with, as far as it does not wait for others.

        In one thread, as Kea is, that goes without saying: a command's answer includes it.
        """
        for _ in range(_ROUNDS):
            for _ in range(_TURNS):
                self._call(lambda: None)
            if not self._hook_jobs.run_some():
                break

    # What libraries are to do.

    def _bring_back(self, hook_jobs: Sequence[HookJob[Any]]) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._engine_io.hook_jobs_done, hook_jobs)

    # What has ended.

    def _report(self, output: Output) -> None:
        """Report to the durable queue what the engine has done in a turn."""
        if output.amended:
            self._queue.amend(output.amended)
        if output.finished:
            dead = {letter.ncr.number: letter.reason for letter in output.dead_letters}
            self._end_reports.add(output.finished, dead)
        if self._leaving is not None:
            self._leave_if_cleared()

    # The shutdown.

    def leave(self, kind: ShutdownType) -> None:
        """Begin to leave; called again, the kind changes."""
        self._call(self._leave, kind)

    def _leave(self, kind: ShutdownType) -> None:
        self._leaving = kind
        if kind is not ShutdownType.NOW:
            self._intake.stop(self._leave_if_cleared)
        if self._host is not None:
            self._host.leave(self._leave_if_cleared, self._arriving)
        self._leave_if_cleared()
        if kind is ShutdownType.NORMAL and self._drain_timer is None:
            seconds = KEPT_SECONDS if self._queue.durable else DRAIN_SECONDS
            self._drain_timer = self._loop.call_later(seconds, self._drain_timed_out, seconds)

    def stay(self) -> bool:
        """Stay after all, if a shutdown is under way; return whether it is not complete already."""
        return self._call(self._stay)

    def _stay(self) -> bool:
        if not self._left:
            self._leaving = None
            if self._host is not None:
                self._host.stay()
            if self._drain_timer is not None:
                self._drain_timer.cancel()
                self._drain_timer = None
        return not self._left

    def _arriving(self) -> bool:
        """Return whether requests may still come that this shutdown waits for."""
        arriving = self._queue.busy or self._intake.draining or self._engine_io.reading
        return arriving and self._leaving is not ShutdownType.NOW

    def _leave_if_cleared(self) -> None:
        if self._leaving is None or self._left or self._arriving():
            return
        if self._host.left if self._host is not None else self._engine.cleared_for_shutdown(self._leaving):
            self._log.emit("DHCP_DDNS_CLEARED_FOR_SHUTDOWN", self._leaving)
            self._say_left()

    def _drain_timed_out(self, seconds: float) -> None:
        self._drain_timer = None
        if self._leaving is ShutdownType.NORMAL and not self._left:
            if not self._queue.durable:
                left_over = self._engine.queued - self._engine.retries + self._engine.active
                self._log.emit("PYD2_SHUTDOWN_INCOMPLETE", round(seconds), left_over)
            self._say_left()

    def _say_left(self) -> None:
        self._left = True
        self._home.call_soon_threadsafe(self._on_left)

    def stop_listening(self) -> None:
        """Close the port, and log how many requests wait for their next try and are not kept."""
        self._call(self._stop_listening)

    def _stop_listening(self) -> None:
        # The durable queue logs itself how many it keeps.
        without = self._engine.queued + self._engine.active - self._queue.kept
        if (lost := min(self._engine.retries, without)) > 0 and self._host is None:
            self._log.emit("PYD2_RETRIES_LOST", lost)
        self._intake.leave()

    def close(self) -> None:
        """Close the sockets and the durable queue, which is written before, and end the thread."""
        if self._host is not None:
            self._call(self._host.close)
        self._call(self._engine_io.close)
        self._log.flush()
        self._call(self._close_queue)
        self.end()
        if self._history is not None:
            self._history.close()

    def _close_queue(self) -> None:
        self._end_reports.report_all()
        self._queue.close()

    def end(self) -> None:
        """End the thread, whatever it has to do, if it was started and has not ended."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()

    def log_end(self) -> None:
        """Log what Kea logs after its last message."""
        self._intake.log_end()
        if "ASIODNS_FETCH_STOPPED" in self._log.on:
            for lane in self._engine.lanes:
                for _ in self._engine.pending(lane):
                    self._log.emit("ASIODNS_FETCH_STOPPED", lane.address, lane.port)
