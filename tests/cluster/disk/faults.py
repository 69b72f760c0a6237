"""A disk that is played below SQLite's statements: it works, fails, or hangs, for a while or for good."""

from __future__ import annotations

import errno
import sqlite3
from typing import TYPE_CHECKING, Any, Final

from pyd2.cluster import numbering
from pyd2.queue.sqlite import database
from tests.cluster.disk.turns import ProcessEndError

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.cluster.disk.turns import Turns

ERRORS: Final = sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT
SECONDS: Final = 0.0, 0.0, 0.0005, 0.003, 0.02
"""How long an operation may take."""


class Disk:
    """Each statement of the queue thread, and each look at the files, is an operation that may go wrong."""

    def __init__(self, turns: Turns, patch: pytest.MonkeyPatch) -> None:
        self.failing = 0.0
        """The share of the operations that fail."""
        self.hangs = False
        self.operations = 0
        self.failed = 0
        self._turns = turns
        self._open: list[sqlite3.Connection] = []
        real, look, write = sqlite3.connect, database.Database._look, numbering._write
        disk = self

        class Connection(sqlite3.Connection):
            """One whose statements are operations of this disk."""

            def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
                fails = disk.operate()
                found = super().execute(statement, *values)
                if fails:
                    raise disk.error()
                return found

        def connect(place: str, **options: Any) -> sqlite3.Connection:
            connection = real(place, factory=Connection, **options)
            self._open.append(connection)
            return connection

        def looked(there: database.Database, known: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
            if self.operate():
                with there.failing():
                    raise self.error()
            return look(there, known)

        def written(path: Path, text: bytes) -> None:
            if turns.random.random() < self.failing:
                raise OSError(errno.EIO, "sick")
            write(path, text)

        patch.setattr(sqlite3, "connect", connect)
        patch.setattr(database.Database, "_look", looked)
        patch.setattr(numbering, "_write", written)

    def operate(self) -> bool:
        """Begin an operation; return whether it fails though it was carried out. Raises SQLite's error."""
        turns = self._turns
        if turns.ended:
            raise ProcessEndError
        if not turns.in_thread():
            return False  # a look of the test
        self.operations += 1
        turns.stand_still(turns.random.choice(SECONDS))
        turns.wait(lambda: not self.hangs)
        if turns.random.random() >= self.failing:
            return False
        self.failed += 1
        if turns.random.random() < 0.7:
            raise self.error()
        return True

    def error(self) -> sqlite3.Error:
        """Return an error as SQLite raises it."""
        error = sqlite3.OperationalError("sick")
        error.sqlite_errorcode = self._turns.random.choice(ERRORS)
        return error

    def end(self) -> None:
        """Close what an ended process has left open."""
        for connection in self._open:
            connection.close()
        self._open.clear()
