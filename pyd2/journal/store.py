"""The file of the durable queue: an SQLite database in WAL mode, which holds the requests not yet done.

Of a request it holds the datagram as it came, so that it goes through the same door again after a restart. A
row holds up to ROW requests: SQLite's work is by the row, and Python does nothing by the request but what
runs in C. That a request is done is noted beside the rows; from time to time rows that are done go, and what
is left of the others moves together. Dead letters, which have failed for good where such are tried again,
have a table of their own. ``synchronous=FULL``: what was committed survives the loss of power.
All methods block; none locks.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import struct
import tempfile
from collections import Counter
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import orjson

from pyd2.journal.entry import DATABASE, DeadLetter, Entry, StoreError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

VERSION: Final = 2
"""The form of the file, in ``PRAGMA user_version``."""

MOST_DEAD: Final = 100_000
"""Dead letters that are kept, the newest."""

ROW: Final = 32
"""Requests of a row at most: what a flipped bit may cost."""

_APPLICATION_ID: Final = 0x70796432
_SCHEMA: Final = (
    """
    CREATE TABLE batch (
      id INTEGER PRIMARY KEY,
      head BLOB NOT NULL,          -- of each request the number, then of each the time, and so on: see _pack
      crc INTEGER NOT NULL,        -- CRC-32 of the head: SQLite finds torn pages, but no flipped bits
      datagrams BLOB NOT NULL      -- one behind the other
    )
    """,
    """
    CREATE TABLE done (
      numbers BLOB NOT NULL        -- of requests that are no more, each of 8 octets
    )
    """,
)
_DEAD_SCHEMA: Final = """
    CREATE TABLE IF NOT EXISTS dead (
      number INTEGER PRIMARY KEY AUTOINCREMENT,
      taken REAL NOT NULL,         -- when it came, in seconds since the epoch
      died REAL NOT NULL,          -- when it was given up
      reason TEXT NOT NULL,
      datagram BLOB NOT NULL,
      crc INTEGER NOT NULL         -- CRC-32 of the datagram
    )
    """
_HEAD: Final = 24
"""Octets that a request has in its row's head."""
_TIDY: Final = 4096
"""Notes of requests that are done are worked in when there are so many."""
_WAL_LIMIT: Final = 16 * 1024 * 1024
"""Octets to which a WAL file that had to grow is cut again."""
_CHECKPOINT: Final = 3000
"""Pages in the WAL that move to the database together: most were written again and again meanwhile."""
_FREE_PAGES: Final = 1024
"""Unused pages (of 4096 octets) that the file may keep."""
_MENDS: Final = {
    sqlite3.SQLITE_FULL: "make room there",
    sqlite3.SQLITE_READONLY: "make it writable for the daemon, with its directory",
    sqlite3.SQLITE_CANTOPEN: "see that the directory exists and is writable for the daemon",
    sqlite3.SQLITE_PERM: "make it writable for the daemon, with its directory",
    sqlite3.SQLITE_IOERR: "look at the disk",
}


class Store:
    """An open file. Any method raises StoreError; the store is of no further use then, but for ``close``."""

    def __init__(
        self, directory: str, name: str = DATABASE, *, read_only: bool = False, create: bool = True
    ) -> None:
        """Open the file, or make it.

        ``read_only`` is for looking into the file of a daemon that runs; it sees what is committed.
        """
        self.path: Final = Path(directory, name)
        mode = "ro" if read_only else "rwc" if create else "rw"
        with self._failing():
            uri = f"{self.path.absolute().as_uri()}?mode={mode}"
            self._db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
        self._known = False
        """Whether the following agrees with the file."""
        self._where: dict[int, int] = {}
        """The row of each request that is not done, by its number."""
        self._size: dict[int, int] = {}
        """How many requests each row holds."""
        self._left: dict[int, int] = {}
        """How many of them are not done."""
        self._begun: set[int] = set()
        """The rows with requests that are done."""
        self._noted = 0
        """How many numbers were noted since the notes were worked in."""
        self._most_noted = _TIDY
        self._next = 1
        """The next row."""
        try:
            with self._failing():
                self._prepare(read_only=read_only)
                found = self.path.stat()
                self._identity: Final = found.st_dev, found.st_ino
        except StoreError:
            self.close()
            raise

    def close(self) -> None:
        """Close the file; what was committed stays."""
        with contextlib.suppress(sqlite3.Error):
            self._db.close()

    def read(self) -> list[Entry]:
        """Return the entries in their order."""
        with self._failing(), self._snapshot():
            done = self._read_done()
            rows = self._db.execute(_SELECT)
            return sorted(entry for row in rows for entry in self._unpack(*row) if entry.number not in done)

    def readable(self) -> list[Entry]:
        """Return what can be read of a damaged file: from both ends up to what SQLite cannot read."""
        found: dict[int, Entry] = {}
        done: set[int] = set()
        with contextlib.suppress(sqlite3.Error, StoreError):
            done = self._read_done()
        for order in ("ASC", "DESC"):
            with contextlib.suppress(sqlite3.Error):
                for _, head, crc, datagrams in self._db.execute(f"{_SELECT} ORDER BY id {order}"):
                    found.update((entry.number, entry) for entry in _sound(head, crc, datagrams))
        return sorted(entry for number, entry in found.items() if number not in done)

    def write(
        self, entries: Sequence[Entry], removed: Sequence[int] = (), dead: Sequence[DeadLetter] = (),
        raised: Sequence[int] = (),
    ) -> None:
        """Make all these changes in one transaction. On return it is on the disk.

        Adds entries, then removes some by number; adds dead letters, then removes some by their numbers.
        """
        with self._transaction():
            if entries:
                self._insert(entries)
            if removed:
                self._remove(removed)
            if dead:
                self._db.executemany(_BURY, [(*letter[1:], crc32(letter.datagram)) for letter in dead])
                self._db.execute(_FORGET_DEAD, (MOST_DEAD,))
            if raised:
                self._db.execute(_RAISE, (_json(raised),))

    def amend(self, entries: Sequence[Entry]) -> None:
        """Change the datagrams of entries that are there, in one transaction."""
        with self._transaction():
            for entry in entries:
                row = self._where.get(entry.number)
                if row is not None:
                    some = [entry if other.number == entry.number else other for other in self._row(row)]
                    head, datagrams = _pack(some)
                    self._db.execute(_AMEND, (head, crc32(head), datagrams, row))

    def read_dead(self) -> list[DeadLetter]:
        """Return the dead letters, the oldest first."""
        with self._failing():
            rows = self._db.execute(_SELECT_DEAD).fetchall() if self._has_dead() else []
        found = []
        for number, taken, died, reason, datagram, crc in rows:
            if not isinstance(datagram, bytes) or crc32(datagram) != crc:
                raise StoreError(f"{self.path}: dead letter {number} is damaged", damaged=True)
            found.append(DeadLetter(number, taken, died, reason, datagram))
        return found

    def count_dead(self) -> int:
        """Return how many dead letters there are."""
        with self._failing():
            count: int = self._value("SELECT count(*) FROM dead") if self._has_dead() else 0
            return count

    def _has_dead(self) -> bool:
        """Whether the file, which may be open only for reading, has the table."""
        count: int = self._value("SELECT count(*) FROM sqlite_schema WHERE name = 'dead'")
        return count != 0

    def replace(self, entries: Sequence[Entry]) -> None:
        """Make these the only entries, in one transaction."""
        with self._transaction():
            self._db.execute("DELETE FROM batch")
            self._db.execute("DELETE FROM done")
            self._load()
            if entries:
                self._insert(entries)

    def reconcile(self, entries: Sequence[Entry]) -> None:
        """Make these the only entries.

        First the others go, in a transaction of their own: a full disk may have room for that, and a request
        that was done must not come back.
        """
        with self._transaction():
            present = set(self._where)
            self._remove(list(present - {entry.number for entry in entries}))
        held = {entry.number: entry.datagram for entry in self.read()}
        self.amend([entry for entry in entries if held.get(entry.number, entry.datagram) != entry.datagram])
        self.write([entry for entry in entries if entry.number not in present])

    def check_place(self) -> None:
        """See that the file is still there: SQLite goes on writing one that was removed or moved away."""
        with self._failing():
            found = self.path.stat()
        if (found.st_dev, found.st_ino) != self._identity:
            raise StoreError(f"{self.path}: another file has been put in its place")

    def compact(self) -> None:
        """Give unused pages back to the file system, some at a time."""
        with self._failing():
            free: int = self._value("PRAGMA freelist_count")
            if free > _FREE_PAGES:
                # It steps once for each page; execute would stop at the first.
                self._db.executescript(f"PRAGMA incremental_vacuum({_FREE_PAGES})")

    def _prepare(self, *, read_only: bool) -> None:
        """Check whose file it is, and set it up if it is new."""
        db = self._db
        version = self._value("PRAGMA user_version")
        application = self._value("PRAGMA application_id")
        empty = self._value("SELECT count(*) FROM sqlite_schema") == 0
        if not empty and application != _APPLICATION_ID:
            raise StoreError(f"{self.path} is no file of pyd2: move it away", foreign=True)
        if not empty and version != VERSION:
            text = (
                f"{self.path} has version {version}, and this pyd2 knows {VERSION}: "
                "let the pyd2 that wrote it work it off, or move the file away"
            )
            raise StoreError(text, foreign=True)
        if read_only:
            return
        if empty:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            self._known = True
        db.execute("PRAGMA temp_store = MEMORY")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT}")
        db.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT}")
        # Also for a file that is there: what cannot be written must be found out at once.
        with self._transaction():
            if empty:
                db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                for statement in _SCHEMA:
                    db.execute(statement)
            db.execute(_DEAD_SCHEMA)
            # The next number is one more than that of the last entry: none that is noted may be beyond it.
            self._tidy((), all_rows=True)
            db.execute(f"PRAGMA user_version = {VERSION}")
        if empty:
            _sync_directory(self.path.parent)

    def _load(self) -> None:
        """Learn what the file holds."""
        done = self._read_done()
        self._where, self._size, self._left, self._begun = {}, {}, {}, set()
        self._noted, self._next = len(done), 1
        for row, head in self._db.execute("SELECT id, head FROM batch ORDER BY id"):
            numbers = self._numbers(row, head)
            left = [number for number in numbers if number not in done]
            self._where.update(zip(left, repeat(row)))
            self._size[row], self._left[row] = len(numbers), len(left)
            if len(left) < len(numbers):
                self._begun.add(row)
            self._next = row + 1
        self._known = True

    def _insert(self, entries: Sequence[Entry]) -> None:
        numbers = {entry.number for entry in entries}
        if len(numbers) < len(entries) or not self._where.keys().isdisjoint(numbers):
            raise StoreError(f"{self.path}: a request has the number of another one")
        self._put(entries)

    def _put(self, entries: Sequence[Entry]) -> None:
        """Add rows for entries."""
        values: list[int | bytes] = []
        for at in range(0, len(entries), ROW):
            some = entries[at : at + ROW]
            head, datagrams = _pack(some)
            row, self._next = self._next, self._next + 1
            values += (row, head, crc32(head), datagrams)
            self._where.update(zip((entry.number for entry in some), repeat(row)))
            self._size[row] = self._left[row] = len(some)
        # One statement, as far as it goes: with each the thread gives up the interpreter and waits for it.
        for at in range(0, len(values), 4 * _ROWS):
            few = values[at : at + 4 * _ROWS]
            self._db.execute(_INSERT + ",".join(["(?,?,?,?)"] * (len(few) // 4)), few)

    def _remove(self, numbers: Sequence[int]) -> None:
        if self._noted + len(numbers) >= self._most_noted:
            self._tidy(numbers)
        else:
            self._db.execute("INSERT INTO done VALUES (?)", (struct.pack(f"<{len(numbers)}q", *numbers),))
            self._noted += len(numbers)
            self._count(numbers)

    def _count(self, numbers: Collection[int]) -> None:
        """Take it that requests are done."""
        counts = Counter(map(self._where.pop, numbers, repeat(0)))
        del counts[0]  # none of these
        for row, count in counts.items():
            self._left[row] -= count
        self._begun.update(counts)

    def _tidy(self, numbers: Collection[int], *, all_rows: bool = False) -> None:
        """Work in what is done: what was noted, and these; of all rows, or of those where it pays."""
        self._count(numbers)
        done = self._read_done().union(numbers)
        gone, kept = [], []
        entries: list[Entry] = []
        for row in self._begun:
            left = self._left[row]
            if all_rows or 2 * left <= self._size[row]:
                gone.append(row)
                if left:
                    entries += (entry for entry in self._row(row) if entry.number not in done)
            else:
                kept.append(row)
        self._db.execute("DELETE FROM batch WHERE id IN (SELECT value FROM json_each(?))", (_json(gone),))
        for row in gone:
            del self._size[row], self._left[row]
        self._begun = set(kept)
        # They find room where they were.
        self._put(sorted(entries))
        self._db.execute("DELETE FROM done")
        still = done.intersection(set().union(*map(self._row_numbers, kept)))
        if still:
            self._db.execute("INSERT INTO done VALUES (?)", (struct.pack(f"<{len(still)}q", *still),))
        self._noted = len(still)
        # So that to write the notes again costs no more than to write them once.
        self._most_noted = max(_TIDY, 2 * len(still))

    def _row(self, row: int) -> list[Entry]:
        """Return a row's requests."""
        return self._unpack(*self._db.execute(f"{_SELECT} WHERE id = ?", (row,)).fetchone())

    def _row_numbers(self, row: int) -> Sequence[int]:
        return self._numbers(row, self._value("SELECT head FROM batch WHERE id = ?", row))

    def _numbers(self, row: int, head: object) -> Sequence[int]:
        """Return the numbers of a row's requests."""
        if not isinstance(head, bytes) or len(head) % _HEAD:
            raise StoreError(f"{self.path}: row {row} is damaged", damaged=True)
        return struct.unpack_from(f"<{len(head) // _HEAD}q", head)

    def _unpack(self, row: int, head: object, crc: object, datagrams: object) -> list[Entry]:
        entries = _sound(head, crc, datagrams)
        if len(entries) < len(self._numbers(row, head)):
            raise StoreError(f"{self.path}: row {row} is damaged", damaged=True)
        return entries

    def _read_done(self) -> set[int]:
        """Return the numbers of requests that are done though their rows are there."""
        done: set[int] = set()
        for (numbers,) in self._db.execute("SELECT numbers FROM done"):
            if not isinstance(numbers, bytes) or len(numbers) % 8:
                raise StoreError(f"{self.path}: a note of what is done is damaged", damaged=True)
            done.update(struct.unpack(f"<{len(numbers) // 8}q", numbers))
        return done

    @contextlib.contextmanager
    def _snapshot(self) -> Iterator[None]:
        """Read one state of the file, whatever is written meanwhile."""
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.execute("COMMIT")

    def _value(self, statement: str, *values: int) -> Any:  # noqa: ANN401  what SQLite returns
        return self._db.execute(statement, values).fetchone()[0]

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._failing():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                if not self._known:
                    self._load()
                yield
                self._db.execute("COMMIT")
            except BaseException:
                self._known = False
                if self._db.in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        self._db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """Turn SQLite's errors into ours."""
        try:
            yield
        except sqlite3.Error as error:
            # Extended codes have the primary one in their low octet.
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
            if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
                raise StoreError(f"{self.path}: {error}", damaged=True) from error
            mend = _MENDS.get(code)
            text = f"{self.path}: {error}" + (f" ({mend})" if mend else "")
            raise StoreError(text) from error
        except OSError as error:
            raise StoreError(f"{self.path}: {error.strerror or error}") from error


_SELECT: Final = "SELECT id, head, crc, datagrams FROM batch"
_INSERT: Final = "INSERT INTO batch (id, head, crc, datagrams) VALUES "
_AMEND: Final = "UPDATE batch SET head = ?, crc = ?, datagrams = ? WHERE id = ?"
_BURY: Final = "INSERT INTO dead (taken, died, reason, datagram, crc) VALUES (?, ?, ?, ?, ?)"
_FORGET_DEAD: Final = "DELETE FROM dead WHERE number <= (SELECT max(number) FROM dead) - ?"
_RAISE: Final = "DELETE FROM dead WHERE number IN (SELECT value FROM json_each(?))"
_SELECT_DEAD: Final = "SELECT number, taken, died, reason, datagram, crc FROM dead ORDER BY number"
_ROWS: Final = 16
"""Rows of an INSERT at most; each number of rows is a statement of its own, which is prepared once."""


def _json(numbers: Sequence[int]) -> str:
    return orjson.dumps(numbers).decode()


def _pack(entries: Sequence[Entry]) -> tuple[bytes, bytes]:
    """Return a row's head and its datagrams.

    The head has of each request the number, then the times, the sizes, and CRC-32s of the datagrams.
    """
    numbers, times, datagrams = zip(*entries, strict=True)
    n = len(entries)
    head = struct.pack(
        f"<{n}q{n}d{n}I{n}I", *numbers, *times, *map(len, datagrams), *map(crc32, datagrams)
    )
    return head, b"".join(datagrams)


def _sound(head: object, crc: object, datagrams: object) -> list[Entry]:
    """Return those requests of a row that are as they were written."""
    if not isinstance(head, bytes) or not isinstance(datagrams, bytes) or crc32(head) != crc:
        return []
    n = len(head) // _HEAD
    fields = struct.unpack(f"<{n}q{n}d{n}I{n}I", head)
    found = []
    at = 0
    for number, taken, size, crc_of_it in zip(*(fields[n * k : n * k + n] for k in range(4)), strict=True):
        datagram = datagrams[at : at + size]
        at += size
        if crc32(datagram) == crc_of_it:
            found.append(Entry(number, taken, datagram))
    return found


def _files(directory: str, name: str) -> list[Path]:
    """Return the database and what SQLite may keep beside it."""
    return [Path(directory, name + suffix) for suffix in ("", "-wal", "-shm")]


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _scratch(directory: str) -> tempfile.TemporaryDirectory[str]:
    """Return a directory for a copy: in the queue's own, where the daemon may write if it may anywhere."""
    prefix = "pyd2-queue-"
    try:
        return tempfile.TemporaryDirectory(prefix=prefix, dir=directory)
    except OSError:
        pass
    try:
        return tempfile.TemporaryDirectory(prefix=prefix)
    except OSError as error:
        raise StoreError(f"{error.filename}: {error.strerror}") from error


def salvage(directory: str, name: str = DATABASE) -> list[Entry]:
    """Return the entries that can be read of a file that is damaged or cannot be written.

    It is read from a copy, for SQLite writes where it reads. Raises StoreError when the file cannot be read
    at all, or is none of ours.
    """
    with _scratch(directory) as copy:
        try:
            for file in _files(directory, name)[:2]:
                with contextlib.suppress(FileNotFoundError):
                    shutil.copyfile(file, Path(copy, file.name))
        except OSError as error:
            raise StoreError(f"{error.filename}: {error.strerror}") from error
        try:
            store = Store(copy, name, read_only=True)
        except StoreError as error:
            if error.foreign:
                raise
            return []
        try:
            return store.readable()
        finally:
            store.close()


def set_aside(directory: str) -> Path:
    """Rename the file, so that a new one can be made in its place; return its new name. Raises StoreError."""
    database, *others = _files(directory, DATABASE)
    number = 1
    while (aside := Path(directory, f"{DATABASE}.aside-{number}")).exists():
        number += 1
    try:
        for other in others:
            if other.exists():
                other.rename(Path(directory, aside.name + other.name.removeprefix(DATABASE)))
        database.rename(aside)
    except OSError as error:
        raise StoreError(f"{error.filename}: {error.strerror}") from error
    return aside
