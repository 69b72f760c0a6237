"""The hook thread: other threads post work to it, and no library in Python ends its loop."""

from __future__ import annotations

import asyncio
import json
from asyncio import CancelledError
from threading import Thread, get_ident
from typing import TYPE_CHECKING

import pytest
import uvloop

from pyd2.hooks.hook_thread import HookThread, Inbox, run_through
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LIBRARY = """
import asyncio

def version(): return 20603

def load(handle):
    global how
    how = handle.get_parameter("how")
    handle.register_command("begin", begin)

def fail():
    if how.startswith("stop"): loop.stop()
    elif how.startswith("cancel"):
        for one in asyncio.all_tasks(loop): one.cancel()
    elif how.startswith("interrupt"): raise KeyboardInterrupt("by the library")
    else: raise SystemExit(7)

async def failing():
    await asyncio.sleep(0)
    fail()

def d2_srv_configured(handle):
    global loop
    loop = handle.get_argument("io_context")

def begin(handle):
    global task
    if how.endswith("timer"): loop.call_later(0, fail)
    elif how.endswith("callback"): loop.call_soon(fail)
    elif how.endswith("thread"): loop.call_soon_threadsafe(fail)
    elif how.endswith("task"): task = loop.create_task(failing())
    handle.set_argument("response", {"result": 0})
"""
PLACES = ("timer", "callback", "thread", "task")
WAYS = [f"{what} {where}" for what in ("exit", "interrupt") for where in PLACES]


@pytest.mark.parametrize("how", [*WAYS, "stop timer", "cancel timer"])
def test_what_ends_a_loop_does_not_end_the_daemon(d2_binary: str, is_pyd2: bool, how: str) -> None:
    if not is_pyd2:
        return
    with private_directory() as directory, PortLease() as lease:
        (directory / "ender.py").write_text(LIBRARY)
        libraries: list[Mapping[str, object]] = [{"library": "ender.py", "parameters": {"how": how}}]
        made = config(lease.take(), {"hooks-libraries": libraries})
        (directory / "d2.json").write_text(json.dumps(made))
        with D2(d2_binary, directory, env={"KEA_HOOKS_PATH": "@DIR@"}) as d2:
            d2.wait_for_commands()
            for count in (1, 2):
                assert d2.command("begin")["result"] == 0
                d2.wait_for_log("PYD2_INTERNAL_ERROR", count)
                assert d2.command("status-get")["result"] == 0
            d2.command("config-reload")
            assert d2.stop() == 0
            text = d2.stdout()
    what = "the server's task was cancelled" if how.startswith("cancel") else "the event loop was ended"
    assert text.count(f"{what}, most likely by a hook library; it continues") == 2
    assert "DCTL_SHUTDOWN DhcpDdns has shut down" in text


def test_what_comes_when_the_work_is_done_does_not_change_the_end() -> None:
    """A timer of a library that is due in the last turn of the loop: the server still ends in order."""
    loop = uvloop.new_event_loop()
    faults: list[object] = []
    loop.set_exception_handler(lambda _, context: faults.append(context["exception"]))

    def fail() -> None:
        raise SystemExit(7)

    async def work() -> None:
        loop.call_soon(fail)

    run_through(loop, work(), [])
    loop.close()
    assert [str(fault) for fault in faults] == ["7"]


@pytest.mark.parametrize("fault", [ValueError("x"), SystemExit(3), KeyboardInterrupt(), CancelledError()])
def test_what_the_work_raises_is_raised(fault: BaseException) -> None:
    loop = uvloop.new_event_loop()

    async def work() -> None:
        raise fault

    with pytest.raises(type(fault)):
        run_through(loop, work(), [])
    loop.close()


def on_another_thread(function: Callable[..., object], *arguments: object) -> None:
    thread = Thread(target=function, args=arguments)
    thread.start()
    thread.join()


def test_what_another_thread_posts_runs_on_the_hook_thread() -> None:
    """Without a loop it waits, and then moves to the loop."""
    loop, thread = uvloop.new_event_loop(), HookThread()
    ran: list[tuple[str, int]] = []

    def note(name: str) -> None:
        ran.append((name, get_ident()))
        if name == "last":
            loop.stop()

    thread.run(note, "at once")
    on_another_thread(thread.run, note, "posted before the loop")
    assert [name for name, _ in ran] == ["at once"]
    thread.use_loop(loop)
    on_another_thread(thread.run, note, "last")
    loop.run_forever()
    loop.close()
    assert ran == [(name, get_ident()) for name in ("at once", "posted before the loop", "last")]


@pytest.mark.parametrize("fault", [RuntimeError("x"), SystemExit(7)])
def test_a_posted_function_that_fails_does_not_hold_up_those_behind_it(fault: BaseException) -> None:
    loop, thread = uvloop.new_event_loop(), HookThread()
    thread.use_loop(loop)
    faults: list[object] = []
    loop.set_exception_handler(lambda _, context: faults.append(context["exception"]))
    ran = loop.create_future()

    def fail() -> None:
        raise fault

    async def work() -> None:
        async with asyncio.timeout(10):
            await ran

    def post() -> None:
        thread.run(fail)
        thread.run(ran.set_result, None)

    on_another_thread(post)
    run_through(loop, work(), [])
    loop.close()
    assert faults == [fault]


def test_many_items_cost_one_wake_of_the_loop() -> None:
    loop = uvloop.new_event_loop()
    turns: list[list[int]] = []

    def work() -> None:
        turns.append([*inbox.items])
        inbox.items.clear()
        loop.stop()

    inbox: Inbox[int] = Inbox(work, loop)
    for posted in ([1, 2], [3], []):
        on_another_thread(inbox.post, posted)
    loop.run_forever()
    on_another_thread(inbox.post, [4])
    loop.run_forever()
    loop.close()
    on_another_thread(inbox.post, [5])  # the process ends: this stays
    assert turns == [[1, 2, 3], [4]]
