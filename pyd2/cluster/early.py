"""Has the queue's reader made while the node claims the queue: both take the servers a write to their disks.

A reader alone changes nothing; who does not become the owner closes it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyd2.queue.shared.interface import BatchReader, SharedQueue


class EarlyReader:
    """One reader at most, until a term takes it."""

    def __init__(self) -> None:
        self._making: asyncio.Task[BatchReader] | None = None
        self._after = 0
        """The sequence behind which it reads."""

    def make(self, queue: SharedQueue, after: int, seconds: float) -> None:
        """Begin to make one; see SharedQueue."""
        self.close()
        self._after = after
        self._making = asyncio.get_running_loop().create_task(queue.read(after, seconds))

    async def take(self, queue: SharedQueue, after: int, seconds: float) -> BatchReader:
        """Return the one that is there, if it reads behind this sequence, or a new one; see SharedQueue."""
        making, self._making = self._making, None
        if making is not None and self._after == after:
            try:
                return await making
            except asyncio.CancelledError:
                _end(making)  # it may have been made just now
                raise
        if making is not None:
            _end(making)
        return await queue.read(after, seconds)

    def close(self) -> None:
        """End the one that no term has taken."""
        making, self._making = self._making, None
        if making is not None:
            _end(making)


def _end(making: asyncio.Task[BatchReader]) -> None:
    """Close a reader that is made, or have it not made."""
    if not making.done():
        making.cancel()
    elif not making.cancelled() and making.exception() is None:
        making.result().close()
