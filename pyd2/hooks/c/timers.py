"""The timers of a hook library in C: they run in the server's loop until unload."""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from pyd2.hooks.c.handles import RefusedError, calls, numbers
from pyd2.hooks.c_abi import lib
from pyd2.hooks.describe import SLOW, explain

if TYPE_CHECKING:
    import asyncio

    from pyd2.messages import Log


class Timer:
    """A function that will be called; times in seconds."""

    __slots__ = ("delay", "due", "function", "number", "period", "user")

    def __init__(
        self, number: int, delay: float, period: float, function: Any, user: Any,  # noqa: ANN401  C data
    ) -> None:
        self.number = number
        self.delay = delay
        self.period = period
        self.function = function
        self.user = user
        self.due: asyncio.TimerHandle | None = None


class Timers:
    """All timers of one library."""

    def __init__(self, library: str) -> None:
        self._library = library
        self._timers: dict[int, Timer] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._log: Log | None = None

    def attach(self, loop: asyncio.AbstractEventLoop, log: Log) -> None:
        """Start the timers that were started before there was a loop."""
        if self._loop is not None:
            return
        self._loop, self._log = loop, log
        for timer in self._timers.values():
            timer.due = loop.call_later(timer.delay, self._fire, timer)

    def start(self, delay: float, period: float, function: Any, user: Any) -> int:  # noqa: ANN401  C data
        """Start a timer; return its handle."""
        timer = Timer(next(numbers), delay, period, function, user)
        self._timers[timer.number] = timer
        if self._loop is not None:
            timer.due = self._loop.call_later(delay, self._fire, timer)
        return timer.number

    def cancel(self, number: int) -> None:
        """End a timer; RefusedError when this library has no such timer."""
        if number not in self._timers:
            raise RefusedError(lib.PYD2_HOOK_E_HANDLE, "this library has no such timer, or it has ended")
        timer = self._timers.pop(number)
        if timer.due is not None:
            timer.due.cancel()

    def cancel_all(self) -> None:
        """End all timers."""
        for number in list(self._timers):
            self.cancel(number)

    def _fire(self, timer: Timer) -> None:
        assert self._loop is not None
        assert self._log is not None
        begin = perf_counter_ns()
        try:
            calls.run(lib.pyd2_glue_timer, timer.function, timer.number, timer.user)
        except Exception as error:  # a fault in pyd2, which the library saw as an error code
            self._log.emit("PYD2_HOOK_EXCEPTION", self._library, explain(error))
        took = perf_counter_ns() - begin
        if took > SLOW:
            self._log.emit("PYD2_HOOK_SLOW", self._library, took // 1_000_000, "timer")
        if timer.number not in self._timers:  # cancelled by its own function
            return
        if timer.period:
            timer.due = self._loop.call_later(timer.period, self._fire, timer)
        else:
            self.cancel(timer.number)
