"""The file of the durable queue: an SQLite database in WAL mode, which holds the requests that are not done.

Of a request it holds the datagram as it came: the same code reads it again after a restart. A row holds up to
ROW requests: SQLite's work is by the row, and Python does nothing by the request but what runs in C. That a
request is done is noted in rows, too; from time to time done requests are removed, and what is left of their
rows moves together. Most commits are a single statement: with each the thread gives up the
interpreter several times, and waits until it gets it back. ``synchronous=FULL``: what was committed survives
the loss of power. All methods block; none locks.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import orjson

from pyd2.queue.interface import DeadLetter, Entries, Entry, Identity, OtherFileError, StoreError
from pyd2.queue.sqlite import DATABASE, dead_letters, rows
from pyd2.queue.sqlite.contents import Contents
from pyd2.queue.sqlite.database import Database
from pyd2.queue.sqlite.rows import ROW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_SCHEMA: Final = (
    """
    CREATE TABLE batch (
      id INTEGER PRIMARY KEY,      -- above 0: requests (rows.pack); below: a note (rows.pack_note)
      head BLOB NOT NULL,
      crc INTEGER NOT NULL,
      datagrams BLOB NOT NULL
    )
    """,
    """
    CREATE TABLE file (
      generation BLOB NOT NULL,    -- 16 random octets, new at each opening by a daemon
      open INTEGER NOT NULL,       -- whether a daemon has it open, or was killed: then there is a WAL
      created REAL NOT NULL,       -- in seconds since the epoch
      complete INTEGER NOT NULL    -- whether it may take its place (folder.py)
    )
    """,
    """
    CREATE TABLE death (           -- requests at which a hook library has ended the process
      number INTEGER PRIMARY KEY,
      deaths INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE moved (           -- generations of files whose requests were taken over
      generation BLOB PRIMARY KEY
    )
    """,
    dead_letters.SCHEMA,
)
_SELECT: Final = "SELECT id, head, crc, datagrams FROM batch WHERE id > 0"
_SELECT_NOTES: Final = "SELECT crc, datagrams FROM batch WHERE id < 0"
_INSERT: Final = "INSERT INTO batch (id, head, crc, datagrams) VALUES "
_AMEND: Final = "UPDATE batch SET head = ?, crc = ?, datagrams = ? WHERE id = ?"
_DELETE: Final = "DELETE FROM batch WHERE id IN (SELECT value FROM json_each(?))"
_DELETE_NOTES: Final = "DELETE FROM batch WHERE id < 0"
_ROWS: Final = 16
"""Rows of an INSERT at most; each number of rows is a statement of its own, which is prepared once."""

_Row = tuple[int, bytes, int, bytes]


class Store:
    """An open file. Any method raises StoreError; the store is of no further use then, but for ``close``."""

    def __init__(
        self, directory: str | Path, name: str = DATABASE, *, read_only: bool = False, create: bool = True,
        only: Identity | None = None, own: bool = False, step: Callable[[], None] = lambda: None,
    ) -> None:
        """Open the file, or make it, with its folder.

        ``read_only`` is for looking into the file of a daemon that runs; it sees what is committed. ``only``:
        raise OtherFileError, and change nothing, when it is another file. ``own``: a daemon uses it now; it
        gets a new generation. ``step`` is called now and then while much is read.
        """
        path = Path(directory, name)
        if create:
            with contextlib.suppress(OSError):  # SQLite tells
                path.parent.mkdir(0o750)
        self._db: Final = Database(path, read_only=read_only, create=create)
        self.path: Final = path
        self.check_place: Final = self._db.check_place
        self.compact: Final = self._db.compact
        self._step: Final = step
        self._prepared = False
        self._contents: Contents | None = None
        """None: not known, for it has not been read, or something went wrong since."""
        try:
            empty = self._db.check(may_be_empty=create)
            if only is not None:
                self._compare(only)
            elif not (read_only or empty):
                self._see_wal()
            if not read_only:
                self._prepare(empty=empty, own=own)
        except StoreError:
            self.close()
            raise

    def _compare(self, only: Identity) -> None:
        if self.identity() != only:
            raise OtherFileError(f"{self.path}: another file, or an older copy, has been put in its place")

    def _see_wal(self) -> None:
        """Raise StoreError if somebody has removed the WAL that a killed daemon has left."""
        with self._db.failing():
            was_open = self._db.value("SELECT open FROM file")
        if was_open and not self._db.has_wal:
            text = "was removed after the server had been killed, and the requests in it are lost"
            raise StoreError(f"{self.path}-wal {text}", damaged=True)

    def close(self) -> None:
        """Close the file; what was committed stays."""
        if self._prepared:
            with contextlib.suppress(sqlite3.Error):
                # Before SQLite removes the WAL.
                self._db.execute("UPDATE file SET open = 0 WHERE open")
        self._db.close(worked_in=self._prepared)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def identity(self) -> Identity:
        """Return what the file is."""
        with self._db.failing():
            generation: bytes = self._db.value("SELECT generation FROM file")
        return Identity(*self._db.device_and_inode, generation)

    @property
    def complete(self) -> bool:
        """Whether a file that was made to take another one's place holds all that it is to hold."""
        with self._db.failing():
            return bool(self._db.value("SELECT complete FROM file"))

    def count(self) -> int:
        """Return how many entries there are."""
        with self._db.snapshot():
            return len(self._load().live())

    @property
    def empty(self) -> bool:
        """Whether there are no entries, as far as is known."""
        return self._contents is not None and self._contents.empty

    def last_number(self) -> int:
        """Return the highest number of an entry."""
        with self._knowing() as contents:
            return max(contents.live(), default=0)

    def read(self) -> list[Entry]:
        """Return the entries in their order."""
        with self._db.snapshot():
            done = self._read_done()
            found: list[Entry] = []
            for row in self._db.execute(_SELECT):
                found += (entry for entry in self._unpack(*row) if entry.number not in done)
                self._step()
            return sorted(found)

    def readable(self) -> list[Entry]:
        """Return what can be read of a damaged file: from both ends up to what SQLite cannot read."""
        found: dict[int, Entry] = {}
        done: set[int] = set()
        for order in ("ASC", "DESC"):
            with contextlib.suppress(sqlite3.Error):
                for crc, octets in self._db.execute(f"{_SELECT_NOTES} ORDER BY id {order}"):
                    done.update(rows.unpack_note(crc, octets) or ())
            with contextlib.suppress(sqlite3.Error):
                for _, head, crc, datagrams in self._db.execute(f"{_SELECT} ORDER BY id {order}"):
                    found.update((entry.number, entry) for entry in rows.sound(head, crc, datagrams))
                    self._step()
        return sorted(entry for number, entry in found.items() if number not in done)

    def write(
        self, entries: Sequence[Entry], removed: Sequence[int] = (), dead: Sequence[DeadLetter] = (),
        raised: Sequence[int] = (),
    ) -> None:
        """Make all these changes in one transaction. On return it is on the disk.

        Adds entries, then removes some by number; adds dead letters, then removes some by their numbers.
        """
        with self._knowing() as contents:
            fresh = self._add(contents, Entries.of(entries)) if entries else []
            full = False
            if removed:
                fresh.append(self._note(contents, removed))
                full = contents.note(removed)
            self._db.check_place()
            if len(fresh) <= _ROWS and not (full or dead or raised):
                with self._db.failing():
                    self._insert(fresh)  # which SQLite commits by itself
            else:
                with self._db.transaction():
                    self._insert(fresh)
                    if full:
                        self._tidy(contents)
                    if dead:
                        dead_letters.bury(self._db, dead)
                    if raised:
                        dead_letters.remove(self._db, raised)
            self._db.note_place()

    def amend(self, entries: Sequence[Entry]) -> None:
        """Change the datagrams of entries that are there, in one transaction."""
        amended = {entry.number: entry for entry in entries}
        with self._knowing() as contents:
            self._db.check_place()
            with self._db.transaction():
                for row in list(contents.find(amended)):
                    some = [amended.get(entry.number, entry) for entry in self._row(row)]
                    self._db.execute(_AMEND, (*rows.pack(Entries.of(some)), row))
            self._db.note_place()

    def replace(self, entries: Sequence[Entry], dead: Sequence[DeadLetter] = (), moved: bytes = b"") -> None:
        """Make these the only entries, and add dead letters, in one transaction; then the file is complete.

        ``moved``: the generation of a file whose requests are among them.
        """
        with self._knowing(), self._db.transaction():
            self._db.execute("DELETE FROM batch")
            self._contents = contents = Contents()
            self._insert(self._add(contents, Entries.of(entries)) if entries else [])
            dead_letters.bury(self._db, dead)
            if moved:
                self._db.execute("INSERT OR IGNORE INTO moved VALUES (?)", (moved,))
            self._db.execute("UPDATE file SET complete = 1")
        self._db.note_place()

    def has_moved(self, generation: bytes) -> bool:
        """Whether the requests of another file were taken over into this one."""
        with self._db.failing():
            return bool(self._db.value("SELECT count(*) FROM moved WHERE generation = ?", generation))

    def give_away(self) -> None:
        """Remove all entries and dead letters, which another file has taken over; it is another file then."""
        with self._knowing(), self._db.transaction():
            self._db.execute("DELETE FROM batch")
            self._db.execute("DELETE FROM dead")
            self._db.execute("UPDATE file SET generation = randomblob(16)")
            self._contents = Contents()

    def count_death(self, number: int) -> int:
        """Note that the process ended while a library was at work for a request; return how often it did."""
        with self._db.transaction():
            self._db.execute("INSERT OR IGNORE INTO death VALUES (?, 0)", (number,))
            self._db.execute("UPDATE death SET deaths = deaths + 1 WHERE number = ?", (number,))
            deaths: int = self._db.value("SELECT deaths FROM death WHERE number = ?", number)
        return deaths

    def reconcile(self, entries: Sequence[Entry], dead: Sequence[DeadLetter] = ()) -> None:
        """Make these the only entries, and add dead letters.

        First the others go, in a transaction of their own: a full disk may have room for that, and a request
        that was done must not come back.
        """
        with self._knowing() as contents:
            present = contents.live()
        self.write((), sorted(present - {entry.number for entry in entries}))
        held = {entry.number: entry.datagram for entry in self.read()}
        self.amend([entry for entry in entries if held.get(entry.number, entry.datagram) != entry.datagram])
        self.write([entry for entry in entries if entry.number not in present], (), dead)

    def read_dead(self, *, sound: bool = False) -> list[DeadLetter]:
        """Return the dead letters, the oldest first; ``sound``: without damaged ones."""
        return dead_letters.read(self._db, sound=sound)

    def count_dead(self) -> int:
        """Return how many dead letters there are."""
        with self._db.failing():
            found: int = self._db.value("SELECT count(*) FROM dead")
        return found

    def _prepare(self, *, empty: bool, own: bool) -> None:
        """Set the file up if it is new, and work in what was noted."""
        self._db.set_up(empty=empty)
        # A transaction also for a file that is there: what cannot be written must be found out at once.
        with self._db.transaction():
            if empty:
                self._db.make(_SCHEMA)
                self._db.execute("INSERT INTO file VALUES (randomblob(16), 0, ?, 0)", (time.time(),))
            self._contents = contents = self._load()
            # The next number is one more than that of the last entry: none that is noted may be beyond it.
            self._tidy(contents, all_rows=True)
            for (number,) in self._db.execute("SELECT number FROM death").fetchall():
                if number not in contents.live():
                    self._db.execute("DELETE FROM death WHERE number = ?", (number,))
        with self._db.failing():
            # What a transaction that was broken off has left in the WAL must not look like one that was lost.
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            if own:
                self._db.execute("UPDATE file SET generation = randomblob(16), open = 1")
                # The database says so itself as soon as the WAL, which holds it now, is there for certain.
                self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        self._db.note_place()
        self._prepared = True

    def _load(self) -> Contents:
        """Read what the file holds."""
        contents = Contents()
        for row, head in self._db.execute("SELECT id, head FROM batch WHERE id > 0 ORDER BY id"):
            contents.add(row, self._numbers(row, head))
            self._step()
        contents.note(self._read_done())
        contents.next_note = self._db.value("SELECT min(0, ifnull(min(id), 0)) - 1 FROM batch")
        return contents

    def _add(self, contents: Contents, entries: Entries) -> list[_Row]:
        """Return the rows that entries take up."""
        if sorted(entries.numbers) != entries.numbers:
            entries = Entries.of(sorted(entries))
        if len(set(entries.numbers)) < len(entries) or contents.has_any(entries.numbers):
            raise StoreError(f"{self.path}: a request has the number of another one")
        return self._rows_of(contents, entries)

    def _rows_of(self, contents: Contents, entries: Entries) -> list[_Row]:
        """Return rows for entries, which are in order."""
        fresh = []
        for at in range(0, len(entries), ROW):
            some = entries[at : at + ROW]
            row = contents.next_row
            contents.add(row, some.numbers)
            fresh.append((row, *rows.pack(some)))
        return fresh

    def _note(self, contents: Contents, done: Sequence[int]) -> _Row:
        """Return a row that notes requests as done."""
        row, contents.next_note = contents.next_note, contents.next_note - 1
        return row, *rows.pack_note(done)

    def _insert(self, fresh: Sequence[_Row]) -> None:
        for at in range(0, len(fresh), _ROWS):
            few = fresh[at : at + _ROWS]
            self._db.execute(_INSERT + ",".join(["(?,?,?,?)"] * len(few)), tuple(chain(*few)))

    def _tidy(self, contents: Contents, *, all_rows: bool = False) -> None:
        """Work in what is done; of all rows, or of those where it pays."""
        tidied = contents.tidy(all_rows=all_rows)
        moving: list[Entry] = []
        for row, left in tidied.left.items():
            moving += (entry for entry in self._row(row) if entry.number in left)
        self._db.execute(_DELETE, (orjson.dumps(tidied.gone).decode(),))
        # They find room where they were.
        self._insert(self._rows_of(contents, Entries.of(sorted(moving))))
        self._db.execute(_DELETE_NOTES)
        if tidied.still:
            self._insert([self._note(contents, sorted(tidied.still))])

    def _row(self, row: int) -> list[Entry]:
        """Return a row's requests."""
        return self._unpack(*self._db.execute(f"{_SELECT} AND id = ?", (row,)).fetchone())

    def _unpack(self, row: int, head: object, crc: object, datagrams: object) -> list[Entry]:
        entries = rows.sound(head, crc, datagrams)
        if len(entries) < len(self._numbers(row, head)):
            raise self._damaged(f"row {row}")
        return entries

    def _numbers(self, row: int, head: object) -> Sequence[int]:
        """Return the numbers of a row's requests."""
        numbers = rows.numbers(head)
        if not numbers:
            raise self._damaged(f"row {row}")
        return numbers

    def _damaged(self, what: str) -> StoreError:
        return StoreError(f"{self.path}: {what} is damaged", damaged=True)

    def _read_done(self) -> set[int]:
        """Return the numbers of requests that are done though their rows are there."""
        done: set[int] = set()
        for crc, octets in self._db.execute(_SELECT_NOTES):
            numbers = rows.unpack_note(crc, octets)
            if numbers is None:
                raise self._damaged("a note of what is done")
            done.update(numbers)
        return done

    @contextlib.contextmanager
    def _knowing(self) -> Iterator[Contents]:
        """Know what is there; after an error it is to be read again."""
        try:
            if self._contents is None:
                with self._db.snapshot():
                    self._contents = self._load()
            yield self._contents
        except BaseException:
            self._contents = None
            raise
