"""The thread that hook libraries run in: the only one they know.

The DNS updates have a thread of their own, where the last use of a library's key may end. What the library
destroys then, it destroys at home.
"""

from __future__ import annotations

import signal
from collections import deque
from contextlib import suppress
from threading import get_ident
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine, Iterable


class Home:
    """The thread, which is the one that makes this object, and its event loop."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        """Without it, what was dropped elsewhere ends when ``clear`` is called."""
        self._thread = get_ident()
        self._dropped: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()

    def end(self, function: Callable[..., object], *arguments: object) -> None:
        """Call a function that ends something of a library's: now, or soon if this is another thread."""
        if get_ident() == self._thread:
            function(*arguments)
            return
        self._dropped.append((function, arguments))
        if self.loop is not None:
            with suppress(RuntimeError):  # the loop is closed: the process ends
                self.loop.call_soon_threadsafe(self.clear)

    def clear(self) -> None:
        """End what was dropped in other threads."""
        while self._dropped:
            function, arguments = self._dropped.popleft()
            function(*arguments)


home = Home()


def run_through(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None], signals: Iterable[int],
) -> None:
    """Run the loop until the work is done, whatever leaves the callbacks and tasks of libraries meanwhile.

    SystemExit and KeyboardInterrupt end a loop, and so does its ``stop``. Here its exception handler is told,
    and it goes on where it was. ``signals`` are those that the loop handles. Raises what ``work`` raises.
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
            message = "the event loop was ended, by a hook library most likely; it goes on"
            loop.call_exception_handler({"message": message, "exception": error})
    task.result()
