"""Moves datagrams between the sockets and the engine, and wakes the engine when its timer is due."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Final

from pyd2.net.captured import endpoint_text
from pyd2.net.descriptors import Descriptors
from pyd2.net.dns import ServerSockets

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator, Sequence

    from pyd2.net.captured import UpdateCapture
    from pyd2.net.datagrams import Datagrams
    from pyd2.net.read_turns import ReadTurns
    from pyd2.net.troubles import Troubles
    from pyd2.update.drive.hook_jobs import HookJob
    from pyd2.update.engine import Engine, Outgoing
    from pyd2.update.output import Output
    from pyd2.update.server.lane import Lane


TICK: Final = 0.001
"""Seconds that the loop's timers can tell apart."""

ROUNDS: Final = 16
"""How often in a row the engine may answer failed sends with more to send, before the loop gets its turn.

Where no send succeeds, as without a route, a request tries its next server, and the request behind it takes
its place: all in a row would keep the listener from reading.
"""

IDLE_LOOKS: Final = 1024
"""Servers that are searched for idle sockets in turn, at most, when descriptors or ports are short."""

IDLE_AT_A_TIME: Final = 32
"""Servers whose sockets are closed at a time when descriptors or ports are short."""

IDLE_PAUSE: Final = 0.01
"""Seconds until idle servers are looked for again after none were left."""

CLOSE_AT_A_TIME: Final = 32
"""Servers that are not needed any more whose sockets are closed before the loop gets its turn."""

READ_PAUSE: Final = 0.01
"""Seconds from one reading of all sockets to the next: so much later may a try fail for want of an answer.

Where hundreds of servers do not answer, a reading for each timeout would take most of a processor's time.
"""

DROPS_AT_A_TIME: Final = 16
"""Servers at a time whose sockets are asked for dropped replies."""

FAULT_PAUSE: Final = 1.0
"""Seconds until the engine is woken again after a fault that ended its turn, if nothing arrives before."""

FORGET_SECONDS: Final = 10.0
"""How long after a reconfiguration, and how often, to look for sockets that are not needed any more."""


class EngineIO:
    """The shell around the engine: it reads the clocks and owns the sockets towards the DNS servers.

    ``report`` gets each output of the engine, for what is not the network's; it is called after each turn.
    ``hand_out`` gets hook jobs, to be given back to ``hook_jobs_done``.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, engine: Engine, report: Callable[[Output], None],
        datagrams: Datagrams, hand_out: Callable[[Sequence[HookJob[Any]]], None], troubles: Troubles,
        turns: ReadTurns,
    ) -> None:
        self._loop = loop
        self._datagrams = datagrams
        self._engine = engine
        self._report = report
        self._hand_out = hand_out
        self._troubles = troubles
        self._servers: OrderedDict[Lane, ServerSockets] = OrderedDict()
        """In the order in which they are asked to close what is idle."""
        self._unread: deque[tuple[Sequence[bytes], Sequence[int]]] = deque()
        """Requests that the engine has not got yet, with their numbers: many of them take long to read."""
        self._unused: deque[ServerSockets] = deque()
        """Those of servers that are not needed any more, which are still to be closed."""
        self._descriptors = Descriptors(self._close_idle)
        self._look_for_idle_at = 0.0
        self._timer: asyncio.Handle | None = None
        self._timer_at = 0.0
        self._flush_planned = False
        self._closed = False
        self._turns = turns
        self._woke = False
        """Whether this turn of the loop began with the timer."""
        self._wake_put_off = False
        """Whether the timer has left a turn of the loop to sockets."""
        self._read_at = 0.0
        """When the reading of all sockets began that was finished last, in monotonic seconds."""
        self._reading: Iterator[None] | None = None
        """The one that is not finished."""
        self._reading_since = 0.0
        self._unread_seconds = 0.0
        """How long the kernel may keep what a server does not acknowledge over TCP; see TcpLink."""
        self.capture: UpdateCapture | None = None
        """Notes updates and replies, while a capture is under way."""

    def requests(self, datagrams: Sequence[bytes], numbers: Sequence[int] = ()) -> None:
        """Give NameChangeRequests to the engine and send what it makes of them.

        ``numbers`` are those that they have in the durable queue; without it they have none.
        """
        if self._unread:
            self._unread.append((list(datagrams), numbers))
            return
        self._receive(datagrams, numbers)
        if self._unread:
            self._turns.requests_unread = True
            self._loop.call_soon(self._read_on)

    def _receive(self, datagrams: Sequence[bytes], numbers: Sequence[int]) -> None:
        read = self._engine.receive_requests(datagrams, time.monotonic(), time.time(), numbers)
        if read < len(datagrams):
            self._unread.appendleft((list(datagrams[read:]), numbers[read:]))
        self._worked()

    def _read_on(self) -> None:
        """Read some more of the requests that take long to read; none comes from the socket meanwhile."""
        if not self._closed:
            try:
                self._receive(*self._unread.popleft())
            finally:
                if self._unread:
                    self._loop.call_soon(self._read_on)
                else:
                    self._turns.requests_unread = False

    @property
    def reading(self) -> bool:
        """Whether there are requests that the engine has not got yet, for they take long to read."""
        return bool(self._unread)

    def admit(self, datagrams: Sequence[bytes], free: int) -> Sequence[bytes]:
        """See Engine."""
        return self._engine.admit(datagrams, free, time.monotonic(), time.time())

    def hook_jobs_done(self, hook_jobs: Sequence[HookJob[Any]]) -> None:
        """Give hook jobs that are done back to the engine."""
        self._engine.end_hook_jobs(hook_jobs, time.monotonic(), time.time())
        self._worked()

    def flush(self) -> None:
        """Send what the engine has ready, and set its timer."""
        engine = self._engine
        self._turns.refill()
        for _ in range(ROUNDS):
            output = engine.collect_output()
            if output.posted or output.outgoing:
                self._send(output)
            if output.hook_jobs:
                self._hand_out(output.hook_jobs)
            self._report(output)
            # A message that cannot be sent gives the engine a turn, which may give more to send.
            if not engine.has_output:
                break
        else:
            self._plan_flush()
        self._set_timer()
        self._turns.worked_until = time.monotonic()

    def _send(self, output: Output) -> None:
        """Send the messages of an output, those to one server together."""
        if self.capture is not None:
            self._note_updates(self.capture, output)
        now = time.monotonic()
        for lane in output.posted:
            self._sockets(lane).send_posted(now)
        batches: dict[Lane, list[Outgoing]] = {}
        for message in output.outgoing:
            batch = batches.get(message.lane)
            if batch is None:
                batches[message.lane] = [message]
            else:
                batch.append(message)
        for lane, batch in batches.items():
            self._sockets(lane).send(batch, now)

    def _note_updates(self, capture: UpdateCapture, output: Output) -> None:
        at = time.time()
        for lane in output.posted:
            for message in self._datagrams.waiting(lane):
                capture.note_update(at, endpoint_text(lane), message.slot, message.message)
        for message in output.outgoing:
            capture.note_update(at, endpoint_text(message.lane), message.slot, message.message)

    def _begin(self, now: float) -> None:
        """Begin a turn of the loop; it does as much as the one before could do in time."""
        turns = self._turns
        before = turns.share
        turns.begin(now)
        if turns.share != before:
            self._engine.pace(turns.share)

    def _worked(self) -> None:
        """Note that the engine had a turn, whose output is to be sent."""
        self._turns.worked_until = time.monotonic()
        self._plan_flush()

    def _plan_flush(self) -> None:
        """Have the loop flush when it has done its present work, such as to read all readable sockets."""
        if not self._flush_planned:
            self._flush_planned = True
            self._loop.call_soon(self._planned_flush)

    def _planned_flush(self) -> None:
        self._flush_planned = False
        if not self._woke:
            self._begin(time.monotonic())
        self._woke = False
        if not self._closed:
            try:
                self.flush()
            except BaseException:
                self._wake_later()
                raise

    def _sockets(self, lane: Lane) -> ServerSockets:
        sockets = self._servers.get(lane)
        if sockets is None:
            sockets = ServerSockets(
                self._loop, lane, self._replies, self._failed, self._datagrams, self._timeout,
                self._descriptors, self._troubles.of(lane), self._turns, self._unread_seconds,
                self._may,
            )
            self._servers[lane] = sockets
        return sockets

    def _close_idle(self) -> bool:
        """Close sockets of servers that have nothing to do at present; return whether there were any."""
        now = time.monotonic()
        if now < self._look_for_idle_at:
            return False
        closed = 0
        for _ in range(min(IDLE_LOOKS, len(self._servers))):
            lane, sockets = next(iter(self._servers.items()))
            self._servers.move_to_end(lane)
            closed += sockets.close_if_idle()
            if closed == IDLE_AT_A_TIME:
                break
        if not closed:
            self._look_for_idle_at = now + IDLE_PAUSE
        return closed > 0

    def _may(self) -> bool:
        """Return whether messages may leave now."""
        return True

    def _timeout(self) -> float:
        return self._engine.timeout

    def forget_unused(self) -> None:
        """Close the sockets of servers that no configuration and no transaction needs any more.

        Those that transactions from before a reconfiguration still need are checked again later.
        """
        if self._closed:
            return
        used = set(self._engine.lanes)
        unused = [lane for lane in self._servers if lane not in used]
        closing = bool(self._unused)
        self._unused.extend(map(self._servers.pop, unused))
        if not closing:
            self._close_unused()
        if self._engine.outlives_configuration:
            self._loop.call_later(FORGET_SECONDS, self.forget_unused)

    def _close_unused(self) -> None:
        """Close some sockets, a few in each turn of the loop: there may be thousands."""
        for _ in range(min(CLOSE_AT_A_TIME, len(self._unused))):
            self._unused.popleft().close()
        if self._unused:
            self._loop.call_soon(self._close_unused)

    def close(self) -> None:
        """Close all sockets, stop the timer, and leave the updates under way as they are."""
        self._closed = True
        self._engine.abandon()
        if self._timer is not None:
            self._timer.cancel()
        for sockets in (*self._servers.values(), *self._unused):
            sockets.close()
        self._servers.clear()
        self._unused.clear()
        # What ended in this turn: the flush that is planned for it does nothing now.
        self._report(self._engine.collect_output())

    def _replies(self, lane: Lane, slot: int, datagrams: Sequence[bytes]) -> None:
        if self.capture is not None:
            self.capture.note_replies(endpoint_text(lane), slot, datagrams)
        self._engine.receive_replies(lane, slot, datagrams, time.monotonic(), time.time())
        self._worked()

    def _failed(self, outgoing: Outgoing, error: int | str) -> None:
        self._engine.send_failed(outgoing, error, time.monotonic(), time.time())
        # Within flush the next round sends; the failure of a TCP connection comes at another time.
        self._plan_flush()

    def _set_timer(self) -> None:
        due = self._engine.timer()
        if due is None:
            return
        read_again_at = self._read_at + READ_PAUSE
        if self._read_at < due < read_again_at and self._reading is None and self._engine.overdue(due):
            due = read_again_at  # a try that may not fail before
        if self._timer is not None:
            # One that is early finds nothing due and sets itself again: cheaper than a timer per reply.
            if self._timer_at <= due:
                return
            self._timer.cancel()
        self._timer_at = due
        left = due - time.monotonic()
        # uvloop rounds: less than half a millisecond would be at once, again and again until it is due.
        if left > 0:
            self._timer = self._loop.call_later(max(TICK, left), self._due)
        else:
            self._due()

    def _due(self) -> None:
        # A turn of the loop runs its timers first, and then what was planned before: so there is one wake in
        # a turn, and not another one for what this one leaves.
        self._timer = self._loop.call_soon(self._wake)

    def _wake(self) -> None:
        if self._turns.some_wait and not self._wake_put_off:
            # What this and they would take together would hold the thread for too long.
            self._wake_put_off = True
            self._due()
            return
        self._wake_put_off = False
        self._woke = True
        self._timer = None
        now = time.monotonic()
        self._begin(now)
        try:
            self._read_overdue(now)
            self._engine.handle_timer(time.monotonic(), time.time(), read_until=self._read_at)
            self._count_drops()
            self.flush()
        except BaseException:
            self._wake_later()
            raise

    def _wake_later(self) -> None:
        """Set the timer that a fault has left out: else the engine would sleep until something arrives."""
        if self._timer is None:
            self._timer_at = time.monotonic() + FAULT_PAUSE
            self._timer = self._loop.call_later(FAULT_PAUSE, self._due)

    def _read_overdue(self, now: float) -> None:
        """Read what has arrived from all servers, a part in each call, if the time of some tries is up.

        A loop that was interrupted runs its timers before it reads. A reply that came while the process
        stood still is in time, as it is with Kea, which reads first.
        """
        if self._reading is None:
            if now < self._read_at + READ_PAUSE or self._engine.overdue(self._read_at):
                return
            if not self._engine.overdue(now):
                return
            self._reading, self._reading_since = self._read_all(), now
        for _ in self._reading:
            if self._turns.left <= 0:
                return
        self._reading, self._read_at = None, self._reading_since

    def _read_all(self) -> Iterator[None]:
        """Read from all servers that have not answered everything, a socket or less in each step."""
        for lane, sockets in list(self._servers.items()):
            self._turns.left -= 1  # this step costs something, too
            if lane.window.in_flight:
                yield from sockets.read()
            else:
                yield

    def _count_drops(self) -> None:
        """See whether replies are missing because the kernel has dropped them."""
        for lane in self._engine.pop_unanswered(DROPS_AT_A_TIME):
            if (sockets := self._servers.get(lane)) is not None:
                sockets.count_drops()
