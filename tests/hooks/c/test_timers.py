"""Timers of libraries in C: in a loop whose time the test makes, and once in the daemon's own loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from pyd2.data.element import from_plain
from pyd2.errors import HookError
from pyd2.hooks.c import timers
from pyd2.hooks.c.handles import calls
from tests.hooks.conftest import config

from .conftest import with_counters

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.hooks.interface import Chain
    from tests.hooks.conftest import Load, RecordingLog

    from .conftest import Counters, WriteC


class Due:
    """What call_later returns."""

    def __init__(self, when: float, run: Callable[[], object]) -> None:
        self.when = when
        self.run = run
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """As much of an event loop as timers need; time passes when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waiting: list[Due] = []

    def call_later(self, delay: float, run: Callable[..., object], *arguments: object) -> Due:
        due = Due(self.now + delay, lambda: run(*arguments))
        self.waiting.append(due)
        return due

    def pass_time(self, until: float) -> None:
        """Run what is due, in order, up to a point in time."""
        while True:
            self.waiting = [due for due in self.waiting if not due.cancelled]
            ready = [due for due in self.waiting if due.when <= until]
            if not ready:
                self.now = until
                return
            due = min(ready, key=lambda due: due.when)
            self.waiting.remove(due)
            self.now = due.when
            due.run()


def serve(chain: Chain, loop: Any) -> None:
    """Tell the chain of a configuration, as the daemon does."""
    assert chain.configured(config(), from_plain({}), loop) == (True, "")


TICKS = """
    static pyd2_hook_timer *once, *often;
    static int ticks;
    static void tick(pyd2_hook_timer *timer, void *user)
    {
        say("%s %d %d", (const char *)user, timer == once, timer == often);
        if (timer == often && ++ticks == 3)
            outcome("stop", api->timer_cancel(self, timer));
        if (timer == once) {
            outcome("own", api->timer_cancel(self, timer));
            outcome("own again", api->timer_cancel(self, timer));
            outcome("new", api->timer_start(self, 5, 0, tick, "new", NULL));
        }
    }
    static int start(void)
    {
        outcome("null", api->timer_start(self, 1, 0, NULL, NULL, &once));
        return api->timer_start(self, 100, 0, tick, "once", &once)
             | api->timer_start(self, 30, 50, tick, "often", &often);
    }
"""


def test_timers_run_when_they_are_due(load: Load, write_c: WriteC, log: RecordingLog) -> None:
    """From the configuration on; their own functions start and cancel them."""
    chain = load(write_c(TICKS))
    assert log.said() == ["null -1 function is a null pointer"]
    loop = Loop()
    serve(chain, loop)
    loop.pass_time(0.029)
    assert log.said() == []
    loop.pass_time(0.085)
    assert log.said() == ["often 0 1", "often 0 1"]
    serve(chain, loop)  # the same configuration again: no timer restarts
    loop.pass_time(0.1)
    assert log.said() == [
        "once 1 0", "own 0 ", "own again -2 this library has no such timer, or it has ended", "new 0 ",
    ]
    loop.pass_time(9)
    assert log.said() == ["new 0 0", "often 0 1", "stop 0 "]
    assert loop.waiting == []


def test_a_timer_without_a_period_ends_with_its_function(
    load: Load, write_c: WriteC, log: RecordingLog,
) -> None:
    chain = load(write_c("""
        static pyd2_hook_timer *timer;
        static void tick(pyd2_hook_timer *own, void *user) { (void)own; (void)user; }
        static int callout(pyd2_hook_callout *callout, void *user)
        {
            (void)callout; (void)user;
            outcome("late", api->timer_cancel(self, timer));
            outcome("start", api->timer_start(self, 0, 0, tick, NULL, &timer));
            outcome("cancel", api->timer_cancel(self, timer));
            return 0;
        }
        static int start(void)
        {
            return api->timer_start(self, 1, 0, tick, NULL, &timer)
                 | api->register_callout(self, T("command_processed"), callout, NULL);
        }
    """))
    loop = Loop()
    serve(chain, loop)
    loop.pass_time(1)
    log.said()
    chain.command_processed("x", None, None)
    assert log.said() == ["late -2 this library has no such timer, or it has ended", "start 0 ", "cancel 0 "]
    loop.pass_time(2)
    assert loop.waiting == []


def test_timers_end_with_their_library(
    load: Load, write_c: WriteC, log: RecordingLog, counters: Counters,
) -> None:
    """Also if it has no unload, if load fails, or if no configuration ever came."""
    text = """
        static void tick(pyd2_hook_timer *timer, void *user) { (void)timer; ++*(int *)user; }
        static int start(void)
        {
            api->timer_start(self, 10, 10, tick, counters(), NULL);
            return (int)parameter("result");
        }
    """
    loop = Loop()
    chain = load(write_c(text, with_counters(counters)))
    serve(chain, loop)
    loop.pass_time(0.035)
    assert counters[0] == 3
    chain.unload()
    loop.pass_time(1)
    assert counters[0] == 3
    with pytest.raises(HookError):
        load(write_c(text, with_counters(counters, result=1)))
    load(write_c(text, with_counters(counters))).unload()
    loop.pass_time(2)
    assert loop.waiting == []


def test_a_slow_timer_and_a_fault_are_reported(
    load: Load, write_c: WriteC, log: RecordingLog, monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry = write_c("""
        static void tick(pyd2_hook_timer *timer, void *user)
        {
            pyd2_hook_text name;
            (void)timer; (void)user;
            outcome("name", api->library_name(self, &name));
        }
        static int start(void) { return api->timer_start(self, 10, 10, tick, NULL, NULL); }
    """)
    chain = load(entry)
    loop = Loop()
    serve(chain, loop)
    log.lines()
    times = iter([0, 31_000_000])
    monkeypatch.setattr(timers, "perf_counter_ns", lambda: next(times, 0))
    loop.pass_time(0.01)
    assert log.lines() == [
        f"PYD2_HOOK_MESSAGE_INFO hooks library {entry.library}: name 0 ",
        (f"PYD2_HOOK_SLOW hooks library {entry.library} took 31 ms in hook timer; "
         "commands and other callouts waited meanwhile"),
    ]

    def lend_text(_out: object, _text: object) -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(calls, "lend_text", lend_text)
    loop.pass_time(0.02)
    said, fault = log.lines()
    assert said.endswith("name -7 a fault")
    assert fault.startswith(f"PYD2_HOOK_EXCEPTION hooks library {entry.library}: ZeroDivisionError: a fault")


def test_timers_run_in_the_daemons_loop(load: Load, write_c: WriteC, counters: Counters) -> None:
    chain = load(write_c("""
        static void tick(pyd2_hook_timer *timer, void *user) { (void)timer; ++*(int *)user; }
        static int start(void) { return api->timer_start(self, 1, 1, tick, counters(), NULL); }
    """, with_counters(counters)))

    async def wait() -> None:
        while counters[0] < 3:  # noqa: ASYNC110  it is C that counts
            await asyncio.sleep(0)

    loop = uvloop.new_event_loop()
    try:
        serve(chain, loop)
        loop.run_until_complete(asyncio.wait_for(wait(), 20))
    finally:
        chain.unload()
        loop.close()
