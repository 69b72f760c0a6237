"""The hook thread: all library code runs on it, one call at a time. It is the daemon's main thread.

The update thread hands work to it: hook jobs (``pyd2.update.drive.hook_jobs``), and library objects whose
last use ends there, for only the hook thread may destroy them.
"""

from __future__ import annotations

import signal
from collections import deque
from contextlib import suppress
from threading import get_ident
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine, Iterable, Sequence
    from mmap import mmap

    from pyd2.update.drive.hook_jobs import HookJob

T = TypeVar("T")

SLICE: Final = 0.002
"""Seconds after which finished hook jobs go back, and the loop does other work before it continues."""


class Inbox(Generic[T]):
    """A queue from any thread to the hook thread; its event loop then runs ``work``, once for many items."""

    __slots__ = ("_scheduled", "_work", "items", "loop")

    def __init__(self, work: Callable[[], object], loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.items: deque[T] = deque()
        self.loop = loop
        """None: ``work`` has to be called by other means."""
        self._work = work
        self._scheduled = False
        """Whether the loop will run ``work``: set after, and cleared before, a change of ``items``."""

    def post(self, items: Iterable[T]) -> None:
        """Add items, from any thread."""
        self.items.extend(items)
        if not self._scheduled and self.loop is not None:
            self._scheduled = True
            with suppress(RuntimeError):  # the loop is closed: the process ends
                self.loop.call_soon_threadsafe(self._run)

    def _run(self) -> None:
        self._scheduled = False
        self._work()


class HookThread:
    """The hook thread, which is the one that makes this object, and its event loop."""

    def __init__(self) -> None:
        self._thread = get_ident()
        self._inbox: Inbox[tuple[Callable[..., object], tuple[Any, ...]]] = Inbox(self.run_posted)

    def use_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run posted functions in a loop. Without one they wait for ``run_posted``."""
        waiting = self._inbox.items
        self._inbox = Inbox(self.run_posted, loop)
        self._inbox.post(waiting)

    def run(self, function: Callable[..., object], *arguments: object) -> None:
        """Call a function on the hook thread: at once if that is the calling thread, else soon."""
        if get_ident() == self._thread:
            function(*arguments)
        else:
            self._inbox.post([(function, arguments)])

    def run_posted(self) -> None:
        """Call the functions that other threads have posted. If one raises, the loop calls the next ones."""
        posted = self._inbox.items
        try:
            while posted:
                function, arguments = posted.popleft()
                function(*arguments)
        finally:
            if posted:
                self._inbox.post(())


hook_thread = HookThread()


class HookJobs:
    """Runs hook jobs in order on the hook thread, between the other work of its loop."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, give_back: Callable[[Sequence[HookJob[Any]]], None],
        find_mark: Callable[[], mmap | None] = lambda: None,
    ) -> None:
        """``give_back`` gets finished jobs, on the hook thread.

        ``find_mark`` returns where to store, in the first 8 octets, the number of a job's request, or None:
        if the process dies in a job, the number tells which request it was for (queue/sqlite/opening.py).
        """
        self._inbox: Inbox[HookJob[Any]] = Inbox(self._run, loop)
        self._give_back = give_back
        self._find_mark = find_mark

    def post(self, jobs: Sequence[HookJob[Any]]) -> None:
        """Have further jobs run; for the update thread."""
        self._inbox.post(jobs)

    def _run(self) -> None:
        self.run_some()
        if self._inbox.items:
            self._inbox.post(())

    def run_some(self) -> bool:
        """Run jobs for ``SLICE`` seconds; return whether there were any."""
        jobs = self._inbox.items
        done = []
        end = monotonic() + SLICE
        mark = self._find_mark() if jobs else None
        while jobs:
            job = jobs.popleft()
            if mark is not None:
                mark[:8] = job.number.to_bytes(8, "little")
            job.run()
            done.append(job)
            if monotonic() >= end:
                break
        if mark is not None:
            mark[:8] = bytes(8)
        if done:
            self._give_back(done)
        return bool(done)


def run_through(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None], signals: Iterable[int],
) -> None:
    """Run the loop until ``work`` is done, whatever callbacks and tasks of libraries raise.

    SystemExit and KeyboardInterrupt end a loop, and so does its ``stop``. Here its exception handler reports
    them, and the loop continues. ``signals`` are those that the loop handles. Raises what ``work`` raises.
    """
    signals = frozenset(signals)
    task = loop.create_task(work)
    while not task.done():
        try:
            loop.run_until_complete(task)
        except BaseException as error:
            if loop.is_closed():
                raise
            if task.done() and (task.cancelled() or task.exception() is error):
                break
            # The loop does not see a signal that comes while it does not run.
            signal.pthread_sigmask(signal.SIG_BLOCK, signals)
            loop.call_soon(signal.pthread_sigmask, signal.SIG_UNBLOCK, signals)
            message = "the event loop was ended, most likely by a hook library; it continues"
            loop.call_exception_handler({"message": message, "exception": error})
    task.result()
