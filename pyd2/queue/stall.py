"""Notices that the disk does not answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


class StallWatch:
    """Looks again and again whether anything goes on, as long as somebody waits for the disk.

    ``seen`` returns what changes while the disk answers, None when nobody waits; ``stalled`` is called when
    it has not changed.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, seen: Callable[[], object | None], stalled: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._seen = seen
        self._stalled = stalled
        self._before: object | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, seconds: float) -> None:
        """Look after so many seconds, unless it is looked already."""
        if self._timer is None:
            self._before = self._seen()
            self._timer = self._loop.call_later(seconds, self.look, seconds)

    def end(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def look(self, seconds: float) -> None:
        """See whether something has gone on."""
        self._timer = None
        seen = self._seen()
        if seen is None:
            return
        if seen != self._before:
            self.begin(seconds)
        else:
            self._stalled()
