"""Runs what the engine wants of hook libraries, in the thread where they run."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence
    from mmap import mmap

    from pyd2.update.errands import Errand

SLICE: Final = 0.002
"""Seconds after which what is done goes back, and the loop gets its turn."""


class ErrandRunner:
    """Does errands in their order, between the other things that the loop does; ``give_back`` gets them."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, give_back: Callable[[Sequence[Errand[Any]]], None],
        find_mark: Callable[[], mmap | None] = lambda: None,
    ) -> None:
        self._loop = loop
        self._give_back = give_back
        self._find_mark = find_mark
        """Returns where to store, in the first 8 octets, the number of the request that libraries are at work
        for: what stands there when the process dies tells which request it was (queue/sqlite/opening.py)."""
        self._waiting: deque[Errand[Any]] = deque()
        self._planned = False
        """Whether the loop will see to them: set behind, and cleared before, a change of ``_waiting``."""

    def hand_out(self, errands: Sequence[Errand[Any]]) -> None:
        """Have further errands done; for the engine's thread."""
        self._waiting.extend(errands)
        if not self._planned:
            self._planned = True
            with suppress(RuntimeError):  # the loop is closed: the daemon has left
                self._loop.call_soon_threadsafe(self._run)

    def _run(self) -> None:
        self._planned = False
        self.run_some()
        if self._waiting and not self._planned:
            self._planned = True
            self._loop.call_soon(self._run)

    def run_some(self) -> bool:
        """Do errands for a while; return whether there were any."""
        done = []
        ends = monotonic() + SLICE
        mark = self._find_mark() if self._waiting else None
        while self._waiting:
            errand = self._waiting.popleft()
            if mark is not None:
                mark[:8] = errand.number.to_bytes(8, "little")
            errand.run()
            done.append(errand)
            if monotonic() >= ends:
                break
        if mark is not None:
            mark[:8] = bytes(8)
        if done:
            self._give_back(done)
        return bool(done)
