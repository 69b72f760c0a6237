"""A loop and a queue thread that take turns, on a clock that is played: every run of a seed is the same.

One of the two runs at a time. The queue thread gives its turn away wherever a real one may lose the
interpreter: where it waits, where it takes its lock, and in each operation of the disk. Whose turn comes next
is drawn, and time passes only when there is nothing to do.
"""

from __future__ import annotations

import asyncio
import math
import random
import selectors
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from selectors import SelectorKey
    from types import TracebackType

_REAL_SECONDS: Final = 60.0
"""A turn that takes longer hangs."""
_WALL: Final = 1_700_000_000.0
"""Seconds since the epoch when the clock begins."""


class ProcessEndError(BaseException):
    """The process has ended: nothing that its threads have not done happens any more."""


class Turns:
    """Who runs, and when it is."""

    def __init__(self, seed: int) -> None:
        self.random: Final = random.Random(seed)
        self.now = 0.0
        self.ended = False
        self._threads: list[PlayedThread] = []
        self._running: PlayedThread | None = None

    # What takes the place of the modules ``time`` and ``threading``.

    @property
    def time(self) -> SimpleNamespace:
        """The module ``time``."""
        return SimpleNamespace(time=lambda: _WALL + self.now, monotonic=lambda: self.now)

    @property
    def threading(self) -> SimpleNamespace:
        """The module ``threading``."""
        def thread(target: Callable[[], None], name: str, *, daemon: bool) -> PlayedThread:
            return PlayedThread(self, target)

        return SimpleNamespace(
            Thread=thread, Condition=lambda: PlayedCondition(self), Event=lambda: PlayedEvent(self)
        )

    def in_thread(self) -> bool:
        """Whether a queue thread has the turn."""
        return self._running is not None

    def wait(self, condition: Callable[[], object], seconds: float | None = None) -> None:
        """Wait until a condition holds, so many seconds at most; others run meanwhile."""
        until = math.inf if seconds is None else self.now + seconds
        thread = self._running
        if thread is not None:
            thread.pause(condition, until)
            return
        while not condition() and self.now < until:
            self._go_on(until)

    def stand_still(self, seconds: float = 0.0) -> None:
        """Let others run for so many seconds; without any, perhaps one turn of theirs."""
        if seconds:
            self.wait(lambda: False, seconds)
        elif self._running is not None and self.random.random() < 0.2:
            self._running.give_way()

    # The loop's side.

    def between_callbacks(self) -> None:
        """Some turns of the queue thread while the loop has callbacks to run."""
        while (ready := self._ready()) and self.random.random() < 0.5:
            self._give_turn(self.random.choice(ready))

    def idle(self, seconds: float | None) -> None:
        """What happens when the loop has nothing to do for so many seconds."""
        self._go_on(math.inf if seconds is None else self.now + seconds)

    def end(self) -> None:
        """End the process, as far as its threads are concerned."""
        self.ended = True
        for thread in self._threads:
            while not thread.over:
                self._give_turn(thread)

    def _ready(self) -> list[PlayedThread]:
        return [thread for thread in self._threads if not thread.over and thread.ready()]

    def _go_on(self, until: float) -> None:
        """One turn of a thread, or time passes."""
        ready = self._ready()
        if ready:
            self._give_turn(self.random.choice(ready))
            return
        until = min([until, *(thread.until for thread in self._threads if not thread.over)])
        assert until < math.inf, "nothing happens any more"
        self.now = max(self.now, until)

    def _give_turn(self, thread: PlayedThread) -> None:
        self._running = thread
        thread.run_on()
        self._running = None

    def begin(self, thread: PlayedThread) -> None:
        """Note a thread that was started."""
        self._threads.append(thread)


class PlayedThread:
    """See threading.Thread."""

    def __init__(self, turns: Turns, target: Callable[[], None]) -> None:
        self._turns = turns
        self._target = target
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._condition: Callable[[], object] = lambda: True
        self.until = math.inf
        """When it continues, whatever its condition."""
        self.over = False
        self.error: BaseException | None = None

    def start(self) -> None:
        self._turns.begin(self)
        threading.Thread(target=self._run, daemon=True).start()

    def join(self, timeout: float | None = None) -> None:
        self._turns.wait(lambda: self.over, timeout)

    def _run(self) -> None:
        self._go.acquire()
        try:
            self._target()
        except ProcessEndError:
            pass
        except BaseException as error:
            self.error = error
        finally:
            self.over = True
            self._back.release()

    def ready(self) -> bool:
        return bool(self._condition()) or self._turns.now >= self.until

    def run_on(self) -> None:
        """Let it run until it pauses; for the loop's thread."""
        self._go.release()
        assert self._back.acquire(timeout=_REAL_SECONDS), "the queue thread hangs"
        if self.error is not None:
            raise self.error

    def pause(self, condition: Callable[[], object], until: float) -> None:
        """Give the turn away until a condition holds, or a time."""
        while not condition() and self._turns.now < until:
            self._condition, self.until = condition, until
            self._give_turn_away()

    def give_way(self) -> None:
        """Give the turn away once."""
        self._condition, self.until = lambda: True, math.inf
        self._give_turn_away()

    def _give_turn_away(self) -> None:
        self._back.release()
        self._go.acquire()
        if self._turns.ended:
            raise ProcessEndError


class PlayedEvent:
    """See threading.Event."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._is_set = False

    def set(self) -> None:
        self._is_set = True

    def wait(self, timeout: float | None = None) -> bool:
        self._turns.wait(lambda: self._is_set, timeout)
        return self._is_set


class PlayedCondition:
    """See threading.Condition. Only who has the turn can have the lock, so there is none."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._inside = False

    def __enter__(self) -> None:
        if self._turns.in_thread():
            self._turns.stand_still()
        assert not self._inside, "the lock is held while something else runs"
        self._inside = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inside = False
        if self._turns.in_thread() and error is None:
            self._turns.stand_still()

    def wait_for(self, condition: Callable[[], object], timeout: float | None = None) -> None:
        self._inside = False
        self._turns.wait(condition, timeout)
        self._inside = True

    def notify(self) -> None:
        assert self._inside


class _Selector(selectors.SelectSelector):
    """Where a loop waits for something to happen."""

    def __init__(self, turns: Turns) -> None:
        super().__init__()
        self._turns = turns

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            self._turns.between_callbacks()
        else:
            self._turns.idle(timeout)
        return []


class PlayedLoop(asyncio.SelectorEventLoop):
    """A loop without sockets."""

    def __init__(self, turns: Turns) -> None:
        super().__init__(_Selector(turns))
        self._turns = turns

    def time(self) -> float:
        return self._turns.now

    def _write_to_self(self) -> None:
        """Nothing is to be woken up."""
