"""Threads in which answers are made that may take long: one after the other, and only so many wait.

A thread lives while it has something to do.
"""

from __future__ import annotations

import signal
from collections import deque
from threading import Lock, Thread
from typing import TYPE_CHECKING, Final, Protocol

from pyd2.web.answers import ApiError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from pyd2.control.http_later import Later
    from pyd2.control.http_response import Response

MOST_WAITING: Final = 16
"""Answers that wait for their turn; further ones are refused."""


class Jobs(Protocol):
    """What carries jobs out: a ``Worker``."""

    def add(self, job: Job) -> bool:
        """Take a job; return False if too many wait."""


class Worker:
    """A thread of the name ``thread``; ``loop`` is that of the main thread, which calls ``add``."""

    def __init__(self, loop: asyncio.AbstractEventLoop, thread: str) -> None:
        self._loop = loop
        self._thread = thread
        self._lock = Lock()
        self._waiting: deque[Job] = deque()
        self._running = False

    def add(self, job: Job) -> bool:
        """Take a job; return False if too many wait."""
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                return False
            self._waiting.append(job)
            if not self._running:
                self._running = True
                Thread(target=self._run, name=self._thread, daemon=True).start()
        return True

    def _run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while True:
            with self._lock:
                if not self._waiting:
                    self._running = False
                    return
                job = self._waiting.popleft()
            if job.wanted:
                response = job.work()
                try:
                    self._loop.call_soon_threadsafe(job.done, response)
                except RuntimeError:  # the loop is closed: the daemon ends
                    return


class Job:
    """An answer that a worker makes: an ``Awaited``. ``work`` makes it, and raises nothing."""

    def __init__(self, worker: Jobs, work: Callable[[], Response]) -> None:
        self.work: Final = work
        self.wanted = True
        """Whether its client still waits for it."""
        self._worker = worker
        self._later: Later | None = None

    def begin(self, later: Later) -> None:
        """See Awaited."""
        self._later = later
        if not self._worker.add(self):
            later.respond(ApiError("busy", "too many requests wait; try again in a moment").response)

    def leave(self) -> None:
        """See Awaited: it ends in time by itself."""

    def gone(self) -> None:
        """See Awaited."""
        self.wanted = False

    def done(self, response: Response) -> None:
        """Send the response."""
        if self._later is not None:
            self._later.respond(response)
