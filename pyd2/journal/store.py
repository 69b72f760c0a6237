"""The file of the durable queue: an SQLite database in WAL mode, with a row for each request not yet done.

A row is a request's datagram as it came, so that it goes through the same door again after a restart. That a
request is done is noted beside the rows first: to take single rows out of many pages would write all those.
``synchronous=FULL``: what was committed survives the loss of power. All methods block; none locks.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zlib import crc32

import orjson

from pyd2.errors import Pyd2Error

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

DATABASE: Final = "pyd2-queue.sqlite3"
"""The file's name in its directory."""

VERSION: Final = 1
"""The form of the file, in ``PRAGMA user_version``."""

_APPLICATION_ID: Final = 0x70796432
_SCHEMA: Final = (
    """
    CREATE TABLE request (
      number INTEGER PRIMARY KEY,  -- in the order of arrival
      taken REAL NOT NULL,         -- seconds since the epoch
      datagram BLOB NOT NULL,
      crc INTEGER NOT NULL         -- CRC-32 of the datagram: SQLite finds torn pages, but no flipped bits
    )
    """,
    """
    CREATE TABLE done (
      numbers TEXT NOT NULL        -- of requests that are no more, such as 4,5,7
    )
    """,
)
_SWEEP: Final = 4096
"""Rows of requests that are done are deleted when there are so many."""
_WAL_LIMIT: Final = 16 * 1024 * 1024
"""Octets to which a WAL file that had to grow is cut again."""
_FREE_PAGES: Final = 1024
"""Unused pages (of 4096 octets) that the file may keep."""
_MENDS: Final = {
    sqlite3.SQLITE_FULL: "make room there",
    sqlite3.SQLITE_READONLY: "make it writable for the daemon, with its directory",
    sqlite3.SQLITE_CANTOPEN: "see that the directory exists and is writable for the daemon",
    sqlite3.SQLITE_PERM: "make it writable for the daemon, with its directory",
    sqlite3.SQLITE_IOERR: "look at the disk",
}


class Entry(NamedTuple):
    """A request that is not yet done."""

    number: int
    """Its place in the order of arrival, from 1."""
    taken: float
    """When it was read from the socket: seconds since the epoch."""
    datagram: bytes


class StoreError(Pyd2Error):
    """The file cannot be used; the text says why, and what to do."""

    def __init__(self, text: str, *, damaged: bool = False, foreign: bool = False) -> None:
        super().__init__(text)
        self.damaged = damaged
        """Its content is broken: no waiting will mend it."""
        self.foreign = foreign
        """It is none of ours, or of a later version: hands off."""


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
        self._noted = 0
        """How many numbers stand in ``done``, or about that after a failure."""
        try:
            with self._failing():
                self._prepare(read_only=read_only)
        except StoreError:
            self.close()
            raise

    def close(self) -> None:
        """Close the file; what was committed stays."""
        with contextlib.suppress(sqlite3.Error):
            self._db.close()

    def read(self, after: int = 0, count: int = -1) -> list[Entry]:
        """Return up to ``count`` entries in their order, those behind a number; -1: all."""
        with self._failing(), self._snapshot():
            done = self._read_done()
            found: list[Entry] = []
            while count < 0 or len(found) < count:
                rows = list(self._rows(after, count))
                found += [entry for entry in rows if entry.number not in done]
                if not rows or count < 0:
                    break
                after = rows[-1].number
            return found[:count] if count >= 0 else found

    def readable(self) -> list[Entry]:
        """Return what can be read of a damaged file: from both ends up to what SQLite cannot read."""
        found: dict[int, Entry] = {}
        done: set[int] = set()
        with contextlib.suppress(sqlite3.Error, StoreError):
            done = self._read_done()
        for order in ("ASC", "DESC"):
            with contextlib.suppress(sqlite3.Error):
                for number, taken, datagram, crc in self._db.execute(f"{_SELECT} ORDER BY number {order}"):
                    if _sound(datagram, crc) and number not in done:
                        found[number] = Entry(number, taken, datagram)
        return sorted(found.values())

    def write(self, entries: Sequence[Entry], removed: Collection[int] = ()) -> None:
        """Add entries, then remove some by number, in one transaction. On return it is on the disk."""
        with self._transaction():
            self._insert(entries)
            if removed:
                self._remove(removed)

    def replace(self, entries: Sequence[Entry]) -> None:
        """Make these the only entries, in one transaction."""
        with self._transaction():
            self._db.execute("DELETE FROM request")
            self._db.execute("DELETE FROM done")
            self._noted = 0
            self._insert(entries)

    def reconcile(self, entries: Sequence[Entry]) -> None:
        """Make these the only entries, where those of the same number are the same.

        First the others go, in a transaction of their own: a full disk may have room for that, and a request
        that was done must not come back.
        """
        self.sweep()
        with self._failing():
            present = {number for (number,) in self._db.execute("SELECT number FROM request")}
        self.write((), present - {entry.number for entry in entries})
        self.write([entry for entry in entries if entry.number not in present])

    def sweep(self) -> None:
        """Delete the rows of requests that are done."""
        with self._transaction():
            self._delete(self._read_done())

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
        if version > VERSION:
            text = (
                f"{self.path} has version {version}, and this pyd2 knows {VERSION}: "
                "let the pyd2 that wrote it work it off, or move the file away"
            )
            raise StoreError(text, foreign=True)
        if read_only:
            return
        if empty:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA temp_store = MEMORY")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT}")
        # Also for a file that is there: what cannot be written must be found out at once.
        with self._transaction():
            if empty:
                db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                for statement in _SCHEMA:
                    db.execute(statement)
            # The next number is one more than that of the last entry, and must be free.
            self._delete(self._read_done())
            db.execute(f"PRAGMA user_version = {VERSION}")
        if empty:
            _sync_directory(self.path.parent)

    def _rows(self, after: int, count: int) -> Iterator[Entry]:
        statement = f"{_SELECT} WHERE number > ? ORDER BY number LIMIT ?"
        for number, taken, datagram, crc in self._db.execute(statement, (after, count)):
            if not _sound(datagram, crc):
                raise StoreError(f"{self.path}: entry {number} is damaged", damaged=True)
            yield Entry(number, taken, datagram)

    def _insert(self, entries: Sequence[Entry]) -> None:
        rows = []
        at = 1
        for number, taken, datagram in entries:
            rows.append((number, taken, at, len(datagram), crc32(datagram)))
            at += len(datagram)
        octets = b"".join([entry.datagram for entry in entries])
        self._db.execute(_INSERT, (octets, orjson.dumps(rows).decode()))

    def _remove(self, numbers: Collection[int]) -> None:
        if self._noted + len(numbers) < _SWEEP:
            self._db.execute("INSERT INTO done VALUES (?)", (",".join(map(str, numbers)),))
            self._noted += len(numbers)
        else:
            self._delete(self._read_done().union(numbers))

    def _delete(self, numbers: Collection[int]) -> None:
        """Delete rows; all that are noted as done must be among them."""
        self._db.execute(_DELETE, (orjson.dumps(sorted(numbers)).decode(),))
        self._db.execute("DELETE FROM done")
        self._noted = 0

    def _read_done(self) -> set[int]:
        """Return the numbers of requests whose rows are still there though they are done."""
        done: set[int] = set()
        for (numbers,) in self._db.execute("SELECT numbers FROM done"):
            try:
                done.update(map(int, numbers.split(",")))
            except (AttributeError, ValueError) as error:
                raise StoreError(f"{self.path}: {error}", damaged=True) from error
        return done

    @contextlib.contextmanager
    def _snapshot(self) -> Iterator[None]:
        """Read one state of the file, whatever is written meanwhile."""
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.execute("COMMIT")

    def _value(self, statement: str) -> Any:  # noqa: ANN401  what SQLite returns
        return self._db.execute(statement).fetchone()[0]

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._failing():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
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


_SELECT: Final = "SELECT number, taken, datagram, crc FROM request"


# One statement for all rows: for each statement the thread gives up the interpreter and waits to get it back.
_INSERT: Final = """
INSERT INTO request
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'),
       substr(?1, json_extract(value, '$[2]'), json_extract(value, '$[3]')), json_extract(value, '$[4]')
FROM json_each(?2)
"""
_DELETE: Final = "DELETE FROM request WHERE number IN (SELECT value FROM json_each(?1))"


def _sound(datagram: object, crc: object) -> bool:
    return isinstance(datagram, bytes) and crc32(datagram) == crc


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
                if file.exists():
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
