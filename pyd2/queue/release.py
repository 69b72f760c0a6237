"""The way of requests to the engine: in their order, when they may begin, some at a time."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from pyd2.queue.interface import Entries

CHUNK: Final = 128
"""Requests that the engine gets at a time: as many as the listener reads at a time."""

_PUT_OFF: Final = 8
"""Turns in a row that the engine waits while the listener reads as many as it can: what waits here is on the
disk, what waits in the kernel may be lost."""


class Release:
    """The requests that the engine has not got; ``carry_out(datagrams, numbers)`` gets them."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, carry_out: Callable[[Sequence[bytes], Sequence[int]], None]
    ) -> None:
        self._loop = loop
        self.carry_out = carry_out
        self._waiting: deque[Entries] = deque()
        """As they came in; none has more than CHUNK."""
        self.count = 0
        """Requests in ``_waiting``."""
        self.safe = 0
        """Requests up to this number may begin."""
        self.burst = False
        """Whether the listener has just read as many as it can."""
        self._put_off = 0
        """Turns that the engine has waited for that."""
        self._releasing = False

    @property
    def busy(self) -> bool:
        """Whether requests wait."""
        return bool(self._waiting)

    @property
    def some_may_begin(self) -> bool:
        """Whether the first of them may begin."""
        # Requests that came together are safe together.
        return bool(self._waiting) and self._waiting[0].numbers[-1] <= self.safe

    def add(self, entries: Entries) -> None:
        """Add requests, which wait until they may begin."""
        self.count += len(entries)
        if len(entries) <= CHUNK:
            if entries:
                self._waiting.append(entries)
            return
        for at in range(0, len(entries), CHUNK):
            self._waiting.append(entries[at : at + CHUNK])

    def up_to(self, number: int) -> None:
        """Allow the requests up to this number to begin."""
        self.safe = max(self.safe, number)
        self.go_on()

    def go_on(self) -> None:
        """Hand requests that may begin to the engine, some at a time."""
        if self._releasing:
            return
        if self.some_may_begin:
            entries = self._waiting.popleft()
            while self.some_may_begin and len(entries) + len(self._waiting[0]) <= CHUNK:
                entries.extend(self._waiting.popleft())
            self.count -= len(entries)
            try:
                self.carry_out(entries.datagrams, entries.numbers)
            finally:  # whatever it raises, those behind must not wait for others to come
                if self.some_may_begin:
                    self._releasing = True
                    self._loop.call_soon(self._release_more)

    def _release_more(self) -> None:
        if self.burst and self._put_off < _PUT_OFF:
            self.burst = False
            self._put_off += 1
            self._loop.call_soon(self._release_more)
            return
        self._put_off = 0
        self._releasing = False
        self.go_on()
