"""Which store the durable queue has: the one in SQLite. All other modules know it by its interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyd2.queue.sqlite.stores import SqliteStores

if TYPE_CHECKING:
    import asyncio

    from pyd2.messages import Log
    from pyd2.queue.interface import OfflineStores, QueueStores


def make_stores(loop: asyncio.AbstractEventLoop, log: Log) -> QueueStores:
    """Return the stores for a daemon whose update thread has this loop."""
    return SqliteStores(loop, log)


def offline_stores() -> OfflineStores:
    """Return the stores for tools, which work without a daemon or beside one."""
    from pyd2.queue.sqlite import offline

    return offline
