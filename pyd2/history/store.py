"""The file of the history, as its thread writes it."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.history import FILE, LOCK
from pyd2.history.layout import COLUMNS, CREATE, VERSION, create_indexes, create_segment, table
from pyd2.regular import open_regular

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyd2.history.rows import Row

SEGMENT: Final = 100_000
"""Rows of a segment at most."""
PARTS: Final = 8
"""Into how many segments, at least, the limits of the history are divided: so much is dropped at a time."""
ROW_BYTES: Final = 200
"""Octets of a row with its indexes, about: 136 to 180 were measured."""
MODE: Final = 0o640
"""The file has the names of hosts: other users have no business with it."""
DAY: Final = 86400.0
LAST_CHANGES: Final = 4 << 20
"""Octets that the file of the last changes keeps; to index a segment it takes more for a moment."""
WAIT: Final = 5.0
"""Seconds to wait for another process that changes the file: ``pyd2ctl history forget``."""


class Limits(NamedTuple):
    """How much is kept."""

    rows: int
    octets: int
    days: float

    @property
    def segment(self) -> int:
        """The rows of a segment."""
        return max(1, min(SEGMENT, self.rows // PARTS, self.octets // (PARTS * ROW_BYTES)))


class InUseError(OSError):
    """Another process writes this history."""


class Store:
    """The open file. All methods raise ``sqlite3.Error`` or ``OSError``; changes are made in transactions."""

    def __init__(self, directory: str, limits: Limits) -> None:
        self.path: Final = Path(directory, FILE)
        self.limits = limits
        self._words: dict[str, int] = {"": 0}
        self._lock = _lock(Path(directory, LOCK))
        try:
            # Before SQLite, which would make it with the umask's mode; its other files get that of this one.
            descriptor = open_regular(str(self.path), os.O_CREAT | os.O_RDWR, MODE, follow=False)
            self._identity = _identity(os.fstat(descriptor))
            os.close(descriptor)
            self._database = sqlite3.connect(
                self.path, timeout=WAIT, isolation_level=None, check_same_thread=False
            )
            try:
                self._open()
            except BaseException:
                self._database.close()
                raise
        except BaseException:
            os.close(self._lock)
            raise

    def _open(self) -> None:
        run = self._database.execute
        (version,) = run("PRAGMA user_version").fetchone()
        run("PRAGMA auto_vacuum = INCREMENTAL")
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = NORMAL")
        run(f"PRAGMA journal_size_limit = {LAST_CHANGES}")
        run("PRAGMA secure_delete = FAST")
        self.begin()
        if version == 0:
            for statement in CREATE:
                run(statement)
        elif version != VERSION:
            raise sqlite3.DatabaseError(
                f"it has version {version} of the layout, and this pyd2 knows {VERSION}"
            )
        self._words |= {text: number for number, text in run("SELECT id, text FROM words")}
        self._segments = [number for (number,) in run("SELECT number FROM segments ORDER BY number")]
        self._counts = [self._count(number) for number in self._segments]
        last = max((self._last(number) for number in reversed(self._segments[-2:])), default=0)
        self._next = last + 1
        if not self._segments:
            self._begin_segment()
        self.commit()

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(self._counts)

    @property
    def octets(self) -> int:
        """How many octets of the file are in use."""
        pages, free, size = (
            self._database.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    @property
    def in_place(self) -> bool:
        """Whether the file still has its name: it was not removed, nor another one put in its place."""
        try:
            return _identity(self.path.stat()) == self._identity
        except FileNotFoundError:
            return False

    def word(self, text: str) -> int:
        """Return the number of a text that recurs; a new one is written with the next rows."""
        number = self._words.get(text)
        if number is None:
            number = self._words[text] = len(self._words)
            self._database.execute("INSERT OR IGNORE INTO words VALUES (?, ?)", (number, text))
        return number

    def begin(self) -> None:
        """Begin a transaction."""
        self._database.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """End it."""
        self._database.execute("COMMIT")

    def add(self, rows: Sequence[Row]) -> None:
        """Add rows."""
        while rows:
            free_rows = self.limits.segment - self._counts[-1]
            if free_rows <= 0:
                self._end_segment()
                continue
            some, rows = rows[:free_rows], rows[free_rows:]
            marks = ", ".join("?" * len(COLUMNS))
            self._database.executemany(
                f"INSERT INTO {table(self._segments[-1])} VALUES ({marks})",  # noqa: S608  no text from outside
                [(number, *row) for number, row in enumerate(some, self._next)],
            )
            self._next += len(some)
            self._counts[-1] += len(some)

    def _end_segment(self) -> None:
        """Index the segment that is full, begin another one, and drop what is too much."""
        number = self._segments[-1]
        for statement in create_indexes(number):
            self._database.execute(statement)
        self._database.execute("UPDATE segments SET full = 1 WHERE number = ?", (number,))
        self._begin_segment()
        self.trim()

    def _begin_segment(self) -> None:
        number = self._segments[-1] + 1 if self._segments else 1
        self._database.execute(create_segment(number))
        self._database.execute("INSERT INTO segments VALUES (?, 0)", (number,))
        self._segments.append(number)
        self._counts.append(0)

    def trim(self) -> None:
        """Remove the oldest rows until what is kept, and one more segment, keeps to the limits."""
        while (excess := self._excess()) > 0 and self.rows > 0:
            oldest = self._counts[0]
            # One that was begun under other limits may be far too large: only a part of it goes.
            if len(self._segments) > 1 and oldest <= max(excess, self.limits.segment):
                self._drop(0)
            else:
                self._shorten(min(excess, oldest))
        self._give_back()

    def _excess(self) -> int:
        """Return how many rows are too many, if another segment is to find space."""
        limits, segment = self.limits, self.limits.segment
        octets = self.octets + segment * ROW_BYTES - limits.octets
        return max(self.rows + segment - limits.rows, -(-octets // ROW_BYTES))

    def _shorten(self, count: int) -> None:
        """Remove so many of the oldest rows from the oldest segment."""
        name = table(self._segments[0])
        found = self._database.execute(
            f"DELETE FROM {name} WHERE id IN (SELECT id FROM {name} ORDER BY id LIMIT ?)",  # noqa: S608  ours
            (count,),
        )
        self._counts[0] -= found.rowcount

    def forget_old(self, wall: float) -> None:
        """Remove what is older than the limit of days; ``wall`` is seconds since the epoch."""
        before = int((wall - self.limits.days * DAY) * 1000)
        for place in range(len(self._segments) - 1, -1, -1):
            name = table(self._segments[place])
            oldest, newest = self._database.execute(f"SELECT min(at), max(at) FROM {name}").fetchone()  # noqa: S608
            if oldest is None or oldest >= before:
                continue
            if newest < before and place < len(self._segments) - 1:
                self._drop(place)
            else:
                found = self._database.execute(f"DELETE FROM {name} WHERE at < ?", (before,))  # noqa: S608
                self._counts[place] -= found.rowcount
        self._give_back()

    def _drop(self, place: int) -> None:
        self._database.execute(f"DROP TABLE {table(self._segments[place])}")
        self._database.execute("DELETE FROM segments WHERE number = ?", (self._segments[place],))
        del self._segments[place], self._counts[place]

    def _give_back(self) -> None:
        """Give pages back to the file system."""
        self._database.execute("PRAGMA incremental_vacuum").fetchall()

    def _count(self, number: int) -> int:
        found = self._database.execute(f"SELECT count(*) FROM {table(number)}")  # noqa: S608  a number
        return int(found.fetchone()[0])

    def _last(self, number: int) -> int:
        found = self._database.execute(f"SELECT max(id) FROM {table(number)}")  # noqa: S608  a number
        return int(found.fetchone()[0] or 0)

    def close(self) -> None:
        """Close the file and give up the lock."""
        with suppress(sqlite3.Error):
            self._database.close()
        os.close(self._lock)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _lock(path: Path) -> int:
    """Return the descriptor of a lock that no other process has. Raises InUseError."""
    # No link is followed: a user that may write there must not choose the file that root's daemon makes.
    descriptor = open_regular(str(path), os.O_CREAT | os.O_RDWR, MODE, follow=False)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise InUseError(f"another process writes the history of {path.parent}") from None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def set_aside(directory: str) -> str:
    """Rename a file that cannot be used, with those that belong to it; return its new name."""
    path = Path(directory, FILE)
    aside = path.with_suffix(f".aside-{int(time.time())}")
    for ending in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            Path(f"{path}{ending}").rename(f"{aside}{ending}")
    return str(aside)
