"""The way of requests from the queue to the engine: some at a time, in their order, when they may begin."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from pyd2.queue.interface import Entries

CHUNK: Final = 128
"""Requests handed to the engine at a time: as many as the listener reads at a time."""

_PUT_OFF: Final = 8
"""How many turns in a row the engine is kept waiting while the listener reads as many as it can: what waits
here is on the disk, and what waits in the kernel may be lost."""


class Release:
    """Those that the engine has not got; ``carry_out(datagrams, numbers)`` gets them."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, carry_out: Callable[[Sequence[bytes], Sequence[int]], None]
    ) -> None:
        self._loop = loop
        self._carry_out = carry_out
        self._waiting: deque[Entries] = deque()
        """As they came in; none has more than the engine gets at a time."""
        self.safe = 0
        """Requests up to this number may begin."""
        self.burst = False
        """Whether the listener has just read as many as it can."""
        self._put_off = 0
        """Turns that the engine has been kept waiting for that."""
        self._releasing = False

    @property
    def busy(self) -> bool:
        """Whether there are any."""
        return bool(self._waiting)

    @property
    def some_may_begin(self) -> bool:
        """Whether the first of them may begin."""
        # What came together is safe together.
        return bool(self._waiting) and self._waiting[0].numbers[-1] <= self.safe

    def add(self, entries: Entries) -> None:
        """Let requests wait until they may begin."""
        if len(entries) <= CHUNK:
            if entries:
                self._waiting.append(entries)
            return
        for at in range(0, len(entries), CHUNK):
            self._waiting.append(entries[at : at + CHUNK])

    def up_to(self, number: int) -> None:
        """Let the requests up to this number begin."""
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
            self._carry_out(entries.datagrams, entries.numbers)
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
