"""SQLite stores by their directories. SQLite and the rest are loaded when the first one is opened."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from pyd2.queue.sqlite import DATABASE

if TYPE_CHECKING:
    import asyncio

    from pyd2.messages import Log
    from pyd2.queue.interface import QueueStore, StoreListener


class SqliteStores:
    """See QueueStores; for the loop of the update thread, and the log that its messages go to."""

    def __init__(self, loop: asyncio.AbstractEventLoop, log: Log) -> None:
        self._loop = loop
        self._log = log

    def path(self, directory: str) -> Path:
        """Return the database's path."""
        return Path(directory, DATABASE)

    def open(self, directory: str, listener: StoreListener, after: QueueStore | None) -> QueueStore:
        """Start the queue thread of a directory."""
        from pyd2.queue.sqlite import writer

        assert after is None or isinstance(after, writer.Writer)
        return writer.Writer(self._loop, listener, self._report, directory, after)

    def leave_note(self, directory: str, present: str, seconds: float) -> str | None:
        """Leave it from a thread."""
        from pyd2.queue.sqlite.elsewhere import leave_note

        return leave_note(directory, present, seconds)

    def report_left(self, directory: str) -> None:
        """Log it from a thread."""
        from pyd2.queue.sqlite.elsewhere import report_left

        report_left(directory, self._report)

    def _report(self, message_id: str, *arguments: object) -> None:
        """Log a message of another thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: the log has ended
            self._loop.call_soon_threadsafe(self._log.emit, message_id, *arguments)
