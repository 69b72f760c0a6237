"""Searches in the history: in a thread of their own, one after the other, each for a limited time.

The thread ``pyd2-search`` lives while there is something to search.
"""

from __future__ import annotations

import signal
from collections import deque
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pyd2.history import FILE
from pyd2.history.search import History, HistoryError, SearchTimeoutError
from pyd2.web.answers import ApiError, json_response

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from pyd2.control.http_later import Later
    from pyd2.control.http_response import Response

MOST_WAITING: Final = 16
"""Searches that wait for their turn; further ones are refused."""
SECONDS: Final = 3.0
"""How long a search may take."""

Search: TypeAlias = "Callable[[History], Any]"
"""Looks into an open history, and returns what is to be answered, as JSON has it. Raises ValueError."""


class Searcher:
    """Carries searches out. ``loop`` is that of the main thread, which calls all but what is private."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = Lock()
        self._waiting: deque[Found] = deque()
        self._running = False

    def add(self, found: Found) -> bool:
        """Take a search; return False if too many wait."""
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                return False
            self._waiting.append(found)
            if not self._running:
                self._running = True
                Thread(target=self._run, name="pyd2-search", daemon=True).start()
        return True

    def _run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while True:
            with self._lock:
                if not self._waiting:
                    self._running = False
                    return
                found = self._waiting.popleft()
            if found.wanted:
                response = response_of(found)
                try:
                    self._loop.call_soon_threadsafe(found.done, response)
                except RuntimeError:  # the loop is closed: the daemon ends
                    return


class Found:
    """The answer to a search: an ``Awaited``."""

    def __init__(self, searcher: Searcher, directory: str, search: Search) -> None:
        self.path: Final = Path(directory, FILE)
        self.search: Final = search
        self.wanted = True
        """Whether its client still waits for it."""
        self._searcher = searcher
        self._later: Later | None = None

    def begin(self, later: Later) -> None:
        """See Awaited."""
        self._later = later
        if not self._searcher.add(self):
            later.respond(ApiError("busy", "too many searches wait; try again in a moment").response)

    def leave(self) -> None:
        """See Awaited: it ends in time by itself."""

    def gone(self) -> None:
        """See Awaited."""
        self.wanted = False

    def done(self, response: Response) -> None:
        """Send the response."""
        if self._later is not None:
            self._later.respond(response)


def response_of(found: Found) -> Response:
    """Return the response to a search, whatever happens in it."""
    try:
        history = History(found.path)
        try:
            history.limit_time(SECONDS)
            return json_response(found.search(history))
        finally:
            history.close()
    except ApiError as error:
        return error.response
    except SearchTimeoutError as error:
        return ApiError("too-slow", str(error)).response
    except HistoryError as error:
        return ApiError("unreadable", str(error)).response
    except ValueError as error:
        return ApiError("bad-request", str(error)).response
    except Exception as error:  # a client that waits gets an answer
        return ApiError("unreadable", f"the history cannot be read: {error!r}").response
