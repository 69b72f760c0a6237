"""SQLite stores by their directories. SQLite is loaded when the first one is opened or checked."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyd2.counters import Histogram
from pyd2.queue.sqlite import DATABASE, UNKNOWN

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from pyd2.messages import Log
    from pyd2.queue.interface import DeadLetter, QueueStore, StoreListener
    from pyd2.queue.sqlite.store import Store

COMMIT_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""The bounds of the times that commits take."""


class StoredDeadLetters:
    """See DeadLetters."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def page(self, most: int, before: int) -> tuple[Sequence[DeadLetter], int]:
        """Read some, and count all."""
        with self._open() as store:
            return store.newest_dead(most, before), store.count_dead()

    def of_numbers(self, numbers: Sequence[int]) -> Sequence[DeadLetter]:
        """Read those of some numbers."""
        with self._open() as store:
            return store.dead_of(numbers)

    def _open(self) -> Store:
        from pyd2.queue.sqlite.store import Store

        return Store(self._directory, read_only=True)


class SqliteStores:
    """See QueueStores; for the loop of the update thread, and the log that its messages go to."""

    def __init__(self, loop: asyncio.AbstractEventLoop, log: Log) -> None:
        self._loop = loop
        self._log = log
        self.commit_seconds: Final = Histogram(COMMIT_SECONDS)
        """How long commits take, in all directories."""

    def path(self, directory: str) -> Path:
        """Return the database's path."""
        return Path(directory, DATABASE)

    def open(self, directory: str, listener: StoreListener, after: QueueStore | None) -> QueueStore:
        """Start the queue thread of a directory."""
        from pyd2.queue.sqlite import writer

        assert after is None or isinstance(after, writer.Writer)
        return writer.Writer(
            self._loop, listener, self._report, directory, after, self.commit_seconds
        )

    def dead_letters(self, directory: str) -> StoredDeadLetters:
        """Return what reads them; each call opens the database for itself."""
        return StoredDeadLetters(directory)

    def report_left(self, directory: str) -> None:
        """Log it from a thread: the disk may hang."""
        def look() -> None:
            from pyd2.queue.sqlite.folder import NEW
            from pyd2.queue.sqlite.salvage import count

            path = self.path(directory)
            # A kill may have come before the new file took the place of the old one.
            for place in (path, Path(directory, NEW, path.name)):
                try:
                    place.stat()
                except (FileNotFoundError, NotADirectoryError, ValueError):
                    continue
                except OSError:
                    pass  # it may hold requests
                number = count(place)
                if number != 0:
                    self._report("PYD2_QUEUE_NOT_USED", place, number or UNKNOWN)
                return

        threading.Thread(target=look, name="pyd2-queue-left", daemon=True).start()

    def _report(self, message_id: str, *arguments: object) -> None:
        """Log a message of another thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: the log has ended
            self._loop.call_soon_threadsafe(self._log.emit, message_id, *arguments)
