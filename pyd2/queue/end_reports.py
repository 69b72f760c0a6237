"""Reports to the durable queue which requests have ended, as soon as their lines are in the log.

A kill between the two must not hide an end: a request whose line is missing is carried out again, which
writes it.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping, Sequence

UNREPORTED_PART: Final = 8
"""One part in so many of the durable queue may be taken by what is done and not in the log yet."""

ENDS_AT_ONCE: Final = 32
"""Turns of the engine whose ends are reported in one go."""


class WrittenLog(Protocol):
    """A log that says when its lines are written; ``pyd2.observe.log.MessageLog``."""

    def after_written(self, call: Callable[[], object]) -> None:
        """Run ``call``, in any thread, when all earlier messages are written, or lost."""


class _Ended(NamedTuple):
    """Requests that have ended in one turn of the engine."""

    number: int
    """Of the turn."""
    finished: Sequence[int]
    dead: Mapping[int, str]


class EndReports:
    """The ends that wait for their lines; ``done(numbers, dead)`` is ``DurableQueue.done``."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, log: WrittenLog,
        done: Callable[[Sequence[int], Mapping[int, str]], None],
    ) -> None:
        self._loop = loop
        self._log = log
        self._done = done
        self._ended: deque[_Ended] = deque()
        self._turn = 0
        self._most = 0
        self._adding_in = 0
        """The thread that is in ``add``; 0: none is."""
        self.unreported = 0
        """Requests that have ended and are not reported."""

    def configure(self, max_entries: int) -> None:
        """Limit the ends that wait to a part of the places of the durable queue."""
        self._most = max_entries // UNREPORTED_PART

    def add(self, finished: Sequence[int], dead: Mapping[int, str]) -> None:
        """Report these ends when their lines, which are logged, are written."""
        self._turn += 1
        self._ended.append(_Ended(self._turn, finished, dead))
        self.unreported += len(finished)
        self._adding_in = get_ident()
        self._log.after_written(partial(self._written, self._turn))
        self._adding_in = 0
        while self.unreported > self._most:
            # A log that hangs must not fill the queue, which would cost requests.
            self._report(self._ended[0].number)

    def report_all(self) -> None:
        """Report all ends: the service stops. If the log hangs, what is done must still not be done again."""
        self._report(self._turn)

    def _written(self, number: int) -> None:
        if get_ident() == self._adding_in:  # no line waits
            self._report_some(number)  # another turn of the loop for each of the engine would cost much more
            return
        with suppress(RuntimeError):  # the loop is closed: all is reported
            self._loop.call_soon_threadsafe(self._report_some, number)

    def _report_some(self, number: int) -> None:
        """Report up to a turn, in parts: behind a log that hung, there may be very many."""
        first = self._ended[0].number if self._ended else number
        self._report(min(number, first + ENDS_AT_ONCE))
        if first + ENDS_AT_ONCE < number:
            self._loop.call_soon(self._report_some, number)

    def _report(self, number: int) -> None:
        ended = self._ended
        while ended and ended[0].number <= number:
            _, finished, dead = ended.popleft()
            self.unreported -= len(finished)
            self._done(finished, dead)
