"""What the update service is for a member: the engine that it works with, and another one after each term.

An engine cannot take back what it has begun. So when a term ends, the engine with all that it has under way
is thrown away, and the main thread, which may take its time, prepares a new one for the next term.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from pyd2.backend import make_backend
from pyd2.cluster.fence import FencedEngineIO
from pyd2.cluster.member import Member
from pyd2.hooks.hook_thread import HookJobs
from pyd2.net.troubles import Troubles
from pyd2.queue.end_reports import EndReports
from pyd2.update.engine import Engine

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from pyd2.backend import Backend
    from pyd2.cluster.term import Term
    from pyd2.config.switches import QueueSwitches
    from pyd2.counters import Counters
    from pyd2.net.read_turns import ReadTurns
    from pyd2.observe.log import MessageLog
    from pyd2.queue.durable import DurableQueue
    from pyd2.queue.interface import DeadLetter
    from pyd2.update.drive.hook_jobs import HookJob
    from pyd2.update.drive.questions import WhatDiffers
    from pyd2.update.output import Output

CHUNK: Final = 48
"""Requests that the engine gets in one turn of the loop at most: as many as begin in it.

With more, some turns would take so long that all of them do less (``ReadTurns.share``): that makes more of
them, and each has its cost.
"""
_VALID_PART: Final = 0.5
"""Of the time for which a signature is valid: what is older is not sent any more."""
_RENEW_PAUSE: Final = 1.0
"""Seconds until a new engine is prepared again when that has failed."""


class EngineParts(NamedTuple):
    """An engine with what belongs to it alone."""

    engine: Engine
    engine_io: FencedEngineIO
    hook_jobs: HookJobs


class Surroundings(NamedTuple):
    """What all engines of a service work with."""

    home: asyncio.AbstractEventLoop
    """The loop of the main thread."""
    loop: asyncio.AbstractEventLoop
    """That of the update thread."""
    backend: Backend
    """The first one; another engine gets another one of the same kind."""
    turns: ReadTurns
    counters: Counters
    log: MessageLog
    what_differs: WhatDiffers


class Replaceable(Protocol):
    """The service, which works with one engine at a time."""

    def replace_engine(self, parts: EngineParts) -> None:
        """Put the present configuration in force for a new engine and work with that; for the main thread."""


class ServiceHost:
    """See Host. ``member`` is what the service hands requests to."""

    def __init__(
        self, service: Replaceable, around: Surroundings, queue: DurableQueue, switches: QueueSwitches
    ) -> None:
        """Make the member of a configuration whose directory is locked; for the main thread."""
        self.ready = False
        self._service = service
        self._around = around
        self._queue = queue
        self._ends: EndReports | None = None
        """Where the ends of the present term are reported."""
        self._term: Term | None = None
        self._engine_io: FencedEngineIO | None = None
        self._put_off = False
        """Whether the engine got no requests in the turn before, which had taken long already."""
        self._closed = False
        assert switches.nats is not None
        self._lease = switches.nats.lease
        self._valid = _VALID_PART * switches.nats.tsig_fudge
        self.member: Final = Member(around.loop, switches, self, queue, around.log)

    # For the main thread.

    def start(self) -> None:
        """Take what comes in, and begin to work."""
        self._queue.hand_to(self.member)
        self._replace_engine()
        self._around.loop.call_soon_threadsafe(self.member.start)

    def _replace_engine(self) -> None:
        parts = self._new_parts()
        self._service.replace_engine(parts)
        self._around.loop.call_soon_threadsafe(self._use, parts.engine_io)

    def _new_parts(self) -> EngineParts:
        """Return a new engine, without a configuration, that sends only while its term lasts."""
        around = self._around
        backend = make_backend(around.backend.name)
        backend.packets.interfaces = around.backend.packets.interfaces
        engine = Engine(around.counters, around.log, backend, around.what_differs)

        def bring_back(hook_jobs: Sequence[HookJob[Any]]) -> None:
            if not self._closed:
                around.loop.call_soon_threadsafe(engine_io.hook_jobs_done, hook_jobs)

        hook_jobs = HookJobs(around.home, bring_back)
        engine_io = FencedEngineIO(
            around.loop, engine, self._report, backend.datagrams, hook_jobs.post,
            Troubles(around.counters, around.log), around.turns, self.member.may_send, self._valid,
            self._lease,
        )
        return EngineParts(engine, engine_io, hook_jobs)

    def _renew(self) -> None:
        if self._closed:
            return
        try:
            self._replace_engine()
        except Exception as error:  # without an engine this node would never own the queue again
            message = "a new engine for the shared queue could not be made; pyd2 tries it again"
            self.report({"message": message, "exception": error})
            self._around.home.call_later(_RENEW_PAUSE, self._renew)

    # For the update thread.

    @property
    def left(self) -> bool:
        """Whether this node does not own the queue, and will not: what the engine had is done elsewhere."""
        return self.member.left

    def leave(self, on_left: Callable[[], None], arriving: Callable[[], bool]) -> None:
        """See Member."""
        self.member.leave(on_left, arriving)

    def stay(self) -> None:
        """See Member."""
        self.member.stay()

    def _use(self, engine_io: FencedEngineIO) -> None:
        self._engine_io = engine_io
        self.ready = True

    def begin(self, term: Term) -> None:
        """See Host."""
        self._term = term
        self._ends = EndReports(self._around.loop, self._around.log, term.done)
        self._ends.configure(self.member.max_entries)

    def carry_out(self, datagrams: Sequence[bytes], numbers: Sequence[int]) -> None:
        """See Host."""
        assert self._engine_io is not None
        self._engine_io.requests(datagrams, numbers)

    @property
    def retries(self) -> int:
        """See Host."""
        return self._engine_io.retries if self._engine_io is not None else 0

    @property
    def turn_limit(self) -> int:
        """See Host."""
        turns = self._around.turns
        self._put_off = not self._put_off and turns.used_up()
        return 0 if self._put_off else max(1, int(CHUNK * turns.share))

    def hold(self) -> bool:
        """See Host."""
        return self._engine_io is not None and self._engine_io.hold()

    def resume(self, seconds: float) -> bool:
        """See Host."""
        return self._engine_io is not None and self._engine_io.resume(seconds)

    def drop(self) -> None:
        """See Host."""
        self.ready = False
        if self._engine_io is not None:
            self._engine_io.close()
            self._engine_io = None
        self._ends = self._term = None
        if not self._closed:
            self._around.home.call_soon_threadsafe(self._renew)

    def bury(self, dead: Sequence[DeadLetter]) -> None:
        """See Host."""
        self._queue.bury(dead)

    def report(self, context: dict[str, Any]) -> None:
        """See Host."""
        self._around.loop.call_exception_handler(context)

    def close(self) -> None:
        """End the member's work."""
        self._closed = True
        self.member.close()

    def _report(self, output: Output) -> None:
        """Report what the engine has done in a turn."""
        if output.amended and self._term is not None:
            self._term.amend(output.amended)
        if output.finished and self._ends is not None:
            dead = {letter.ncr.number: letter.reason for letter in output.dead_letters}
            self._ends.add(output.finished, dead)
