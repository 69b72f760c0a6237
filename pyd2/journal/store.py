"""The file of the durable queue: an SQLite database in WAL mode, which holds the requests not yet done.

Of a request it holds the datagram as it came, so that it goes through the same door again after a restart. A
row holds up to ROW requests: SQLite's work is by the row, and Python does nothing by the request but what
runs in C. That a request is done is noted beside the rows; from time to time rows that are done go, and what
is left of the others moves together. ``synchronous=FULL``: what was committed survives the loss of power.
All methods block; none locks.

``rows`` says what a row looks like, ``contents`` knows what is in which, ``letters`` has the dead letters,
``database`` is SQLite.
"""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Final
from zlib import crc32

import orjson

from pyd2.journal import letters, rows
from pyd2.journal.contents import Contents
from pyd2.journal.database import Database
from pyd2.journal.entry import DATABASE, DeadLetter, Entries, Entry, StoreError
from pyd2.journal.rows import ROW

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SCHEMA: Final = (
    """
    CREATE TABLE batch (
      id INTEGER PRIMARY KEY,
      head BLOB NOT NULL,          -- of each request the number, then of each the time, and so on: rows.pack
      crc INTEGER NOT NULL,        -- CRC-32 of the head: SQLite finds torn pages, but no flipped bits
      datagrams BLOB NOT NULL      -- one behind the other
    )
    """,
    """
    CREATE TABLE done (
      numbers BLOB NOT NULL        -- of requests that are no more: rows.pack_note
    )
    """,
)
_SELECT: Final = "SELECT id, head, crc, datagrams FROM batch"
_INSERT: Final = "INSERT INTO batch (id, head, crc, datagrams) VALUES "
_AMEND: Final = "UPDATE batch SET head = ?, crc = ?, datagrams = ? WHERE id = ?"
_DELETE: Final = "DELETE FROM batch WHERE id IN (SELECT value FROM json_each(?))"
_NOTE: Final = "INSERT INTO done VALUES (?)"
_ROWS: Final = 16
"""Rows of an INSERT at most; each number of rows is a statement of its own, which is prepared once."""


class Store:
    """An open file. Any method raises StoreError; the store is of no further use then, but for ``close``."""

    def __init__(
        self, directory: str, name: str = DATABASE, *, read_only: bool = False, create: bool = True
    ) -> None:
        """Open the file, or make it.

        ``read_only`` is for looking into the file of a daemon that runs; it sees what is committed.
        """
        self._db: Final = Database(directory, name, read_only=read_only, create=create)
        self.path: Final = self._db.path
        self._contents: Contents | None = None
        """None: not known, for it has not been read, or something went wrong since."""
        try:
            empty = self._db.check()
            if not read_only:
                self._prepare(empty=empty)
        except StoreError:
            self.close()
            raise
        self.check_place: Final = self._db.check_place
        self.compact: Final = self._db.compact

    def close(self) -> None:
        """Close the file; what was committed stays."""
        self._db.close()

    def read(self) -> list[Entry]:
        """Return the entries in their order."""
        with self._db.snapshot():
            done = self._read_done()
            found = self._db.execute(_SELECT)
            return sorted(entry for row in found for entry in self._unpack(*row) if entry.number not in done)

    def readable(self) -> list[Entry]:
        """Return what can be read of a damaged file: from both ends up to what SQLite cannot read."""
        found: dict[int, Entry] = {}
        done: set[int] = set()
        with contextlib.suppress(sqlite3.Error, StoreError):
            done = self._read_done()
        for order in ("ASC", "DESC"):
            with contextlib.suppress(sqlite3.Error):
                for _, head, crc, datagrams in self._db.execute(f"{_SELECT} ORDER BY id {order}"):
                    found.update((entry.number, entry) for entry in rows.sound(head, crc, datagrams))
        return sorted(entry for number, entry in found.items() if number not in done)

    def write(
        self, entries: Sequence[Entry], removed: Sequence[int] = (), dead: Sequence[DeadLetter] = (),
        raised: Sequence[int] = (),
    ) -> None:
        """Make all these changes in one transaction. On return it is on the disk.

        Adds entries, then removes some by number; adds dead letters, then removes some by their numbers.
        """
        with self._changing() as contents:
            if entries:
                self._insert(contents, Entries.of(entries))
            if removed:
                self._db.execute(_NOTE, (rows.pack_note(removed),))
                if contents.note(removed):
                    self._tidy(contents)
            if dead:
                letters.bury(self._db, dead)
            if raised:
                letters.remove(self._db, raised)

    def amend(self, entries: Sequence[Entry]) -> None:
        """Change the datagrams of entries that are there, in one transaction."""
        amended = {entry.number: entry for entry in entries}
        with self._changing() as contents:
            for row, _ in list(contents.find(amended)):
                some = [amended.get(entry.number, entry) for entry in self._row(row)]
                head, datagrams = rows.pack(Entries.of(some))
                self._db.execute(_AMEND, (head, crc32(head), datagrams, row))

    def replace(self, entries: Sequence[Entry]) -> None:
        """Make these the only entries, in one transaction."""
        with self._changing():
            self._db.execute("DELETE FROM batch")
            self._db.execute("DELETE FROM done")
            self._contents = contents = Contents()
            if entries:
                self._insert(contents, Entries.of(entries))

    def reconcile(self, entries: Sequence[Entry]) -> None:
        """Make these the only entries.

        First the others go, in a transaction of their own: a full disk may have room for that, and a request
        that was done must not come back.
        """
        with self._changing() as contents:
            present = contents.live()
        self.write((), sorted(present - {entry.number for entry in entries}))
        held = {entry.number: entry.datagram for entry in self.read()}
        self.amend([entry for entry in entries if held.get(entry.number, entry.datagram) != entry.datagram])
        self.write([entry for entry in entries if entry.number not in present])

    def read_dead(self) -> list[DeadLetter]:
        """Return the dead letters, the oldest first."""
        return letters.read(self._db)

    def count_dead(self) -> int:
        """Return how many dead letters there are."""
        return letters.count(self._db)

    def _prepare(self, *, empty: bool) -> None:
        """Set the file up if it is new, and work in what was noted."""
        self._db.set_up(empty=empty)
        # A transaction also for a file that is there: what cannot be written must be found out at once.
        with self._db.transaction():
            self._db.make(_SCHEMA if empty else ())
            self._db.execute(letters.SCHEMA)
            self._contents = contents = self._load()
            # The next number is one more than that of the last entry: none that is noted may be beyond it.
            self._tidy(contents, all_rows=True)
        if empty:
            self._db.sync_directory()

    def _load(self) -> Contents:
        """Read what the file holds."""
        contents = Contents()
        for row, head in self._db.execute("SELECT id, head FROM batch ORDER BY id"):
            contents.add(row, self._numbers(row, head))
        contents.note(self._read_done())
        return contents

    def _insert(self, contents: Contents, entries: Entries) -> None:
        """Add entries."""
        if sorted(entries.numbers) != entries.numbers:
            entries = Entries.of(sorted(entries))
        if len(set(entries.numbers)) < len(entries) or contents.has_any(entries.numbers):
            raise StoreError(f"{self.path}: a request has the number of another one")
        self._put(contents, entries)

    def _put(self, contents: Contents, entries: Entries) -> None:
        """Add rows for entries, which are in order."""
        values: list[int | bytes] = []
        for at in range(0, len(entries), ROW):
            some = entries[at : at + ROW]
            head, datagrams = rows.pack(some)
            row = contents.next_row
            contents.add(row, some.numbers)
            values += (row, head, crc32(head), datagrams)
        # One statement, as far as it goes: with each the thread gives up the interpreter and waits for it.
        for at in range(0, len(values), 4 * _ROWS):
            few = values[at : at + 4 * _ROWS]
            self._db.execute(_INSERT + ",".join(["(?,?,?,?)"] * (len(few) // 4)), few)

    def _tidy(self, contents: Contents, *, all_rows: bool = False) -> None:
        """Work in what is done; of all rows, or of those where it pays."""
        tidied = contents.tidy(all_rows=all_rows)
        moving: list[Entry] = []
        for row, left in tidied.left.items():
            moving += (entry for entry in self._row(row) if entry.number in left)
        self._db.execute(_DELETE, (orjson.dumps(tidied.gone).decode(),))
        # They find room where they were.
        self._put(contents, Entries.of(sorted(moving)))
        self._db.execute("DELETE FROM done")
        if tidied.still:
            self._db.execute(_NOTE, (rows.pack_note(sorted(tidied.still)),))

    def _row(self, row: int) -> list[Entry]:
        """Return a row's requests."""
        return self._unpack(*self._db.execute(f"{_SELECT} WHERE id = ?", (row,)).fetchone())

    def _unpack(self, row: int, head: object, crc: object, datagrams: object) -> list[Entry]:
        entries = rows.sound(head, crc, datagrams)
        if len(entries) < len(self._numbers(row, head)):
            raise StoreError(f"{self.path}: row {row} is damaged", damaged=True)
        return entries

    def _numbers(self, row: int, head: object) -> Sequence[int]:
        """Return the numbers of a row's requests."""
        numbers = rows.numbers(head)
        if not numbers:
            raise StoreError(f"{self.path}: row {row} is damaged", damaged=True)
        return numbers

    def _read_done(self) -> set[int]:
        """Return the numbers of requests that are done though their rows are there."""
        done: set[int] = set()
        for (octets,) in self._db.execute("SELECT numbers FROM done"):
            numbers = rows.unpack_note(octets)
            if numbers is None:
                raise StoreError(f"{self.path}: a note of what is done is damaged", damaged=True)
            done.update(numbers)
        return done

    @contextlib.contextmanager
    def _changing(self) -> Iterator[Contents]:
        """Make all changes or none, knowing what is there."""
        try:
            with self._db.transaction():
                if self._contents is None:
                    self._contents = self._load()
                yield self._contents
        except BaseException:
            self._contents = None
            raise
