"""The file of the durable queue: an SQLite database in WAL mode, which holds the requests that are not done.

Of a request it holds the datagram as it came: the same code reads it again after a restart. A commit is a
single statement, for SQLite and for Python: with each statement the thread gives up the interpreter several
times, and waits until it gets it back. ``synchronous=FULL``: what was committed survives the loss of power.
All methods block; none locks.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from array import array
from itertools import accumulate, chain, groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self
from zlib import crc32

import orjson

from pyd2.queue.interface import DeadLetter, Entries, Entry, Identity, OtherFileError, StoreError
from pyd2.queue.sqlite import DATABASE, dead_letters
from pyd2.queue.sqlite.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SCHEMA: Final = (
    """
    CREATE TABLE request (
      number INTEGER PRIMARY KEY,  -- its place in the order of arrival, from 1
      taken REAL NOT NULL,         -- when it came, in seconds since the epoch
      crc BLOB NOT NULL,           -- CRC-32 of the datagram, begun with the number; least octet first
      datagram BLOB NOT NULL
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


class Change(NamedTuple):
    """A row of the view ``change``: it adds requests and then removes others.

    The new ones have consecutive numbers and came together. So a commit is one statement, whose values are
    few: to bind four for each request costs more than SQLite takes to find them in these.
    """

    first: int
    """The number of the first new request."""
    taken: float
    crcs: bytes | None = None
    """4 octets for each."""
    places: str | None = None
    """In JSON, for each where its datagram begins in ``octets``, and the size in the lower 32 bits."""
    octets: bytes | None = None
    removed: str | None = None
    """The numbers of others in JSON."""


_CHANGE: Final = (
    """
    CREATE TEMP VIEW change (first, taken, crcs, places, octets, removed) AS SELECT 0, 0, 0, 0, 0, 0
    """,
    """
    CREATE TEMP TRIGGER make_change INSTEAD OF INSERT ON change BEGIN
      INSERT INTO request
        SELECT NEW.first + key, NEW.taken, substr(NEW.crcs, 4 * key + 1, 4),
          substr(NEW.octets, (value >> 32) + 1, value & 0xFFFFFFFF)
        FROM json_each(NEW.places);
      DELETE FROM request WHERE number IN (SELECT value FROM json_each(NEW.removed));
    END
    """,
)
_SELECT: Final = "SELECT number, taken, crc, datagram FROM request ORDER BY number"
_ROWS: Final = (1, 4, 16, 64)
"""Rows of a statement, of which those that are not needed are NULL: each size is prepared once."""
_INSERT: Final = "INSERT INTO change SELECT * FROM (VALUES {}) WHERE column1 NOTNULL"
_TOGETHER: Final = 256
"""New requests in a row at most."""


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
            with contextlib.suppress(OSError):  # SQLite reports it
                path.parent.mkdir(0o750)
        self._db: Final = Database(path, read_only=read_only, create=create)
        self.path: Final = path
        self.check_place: Final = self._db.check_place
        self.compact: Final = self._db.compact
        self._step: Final = step
        self._prepared = False
        try:
            empty = self._db.check(may_be_empty=create)
            if only is not None:
                self._compare(only)
            elif not (read_only or empty):
                self._see_wal()
            if not read_only:
                self._prepare(empty=empty, own=own)
            with self._db.failing():
                for statement in _CHANGE:
                    self._db.execute(statement)
        except StoreError:
            self.close()
            raise

    def _compare(self, only: Identity) -> None:
        if self.identity() != only:
            raise OtherFileError(f"{self.path}: another file, or an older copy, has been put in its place")

    def _see_wal(self) -> None:
        """Raise StoreError if the WAL that a killed daemon has left was removed."""
        with self._db.failing():
            was_open = self._db.value("SELECT open FROM file")
        if was_open and not self._db.has_wal:
            text = "was removed after the server had been killed, and the requests in it may be lost"
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
        return self._number("SELECT count(*) FROM request")

    def last_number(self) -> int:
        """Return the highest number of an entry."""
        return self._number("SELECT ifnull(max(number), 0) FROM request")

    def _number(self, statement: str) -> int:
        with self._db.failing():
            found: int = self._db.value(statement)
        return found

    def read(self) -> list[Entry]:
        """Return the entries in their order."""
        found = []
        with self._db.failing():
            for row in self._db.execute(_SELECT):
                if not _is_sound(*row):
                    raise StoreError(f"{self.path}: request {row[0]} is damaged", damaged=True)
                found.append(Entry(row[0], row[1], row[3]))
                self._step()
        return found

    def readable(self) -> list[Entry]:
        """Return what can be read of a damaged file: from both ends up to what SQLite cannot read."""
        found: dict[int, Entry] = {}
        for order in ("ASC", "DESC"):
            with contextlib.suppress(sqlite3.Error, UnicodeDecodeError):
                for row in self._db.execute(f"{_SELECT} {order}"):
                    if _is_sound(*row):
                        found[row[0]] = Entry(row[0], row[1], row[3])
                    self._step()
        return sorted(found.values())

    def write(
        self, entries: Sequence[Entry], removed: Sequence[int] = (), dead: Sequence[DeadLetter] = (),
        raised: Sequence[int] = (),
    ) -> None:
        """Make all these changes in one transaction. On return it is on the disk.

        Adds entries, then removes some by number; adds dead letters, then removes some by their numbers.
        """
        self._db.check_place()
        rows = _rows(Entries.of(entries), removed)
        if dead or raised or len(rows) > _ROWS[-1]:
            with self._db.transaction():
                self._change(rows)
                if dead:
                    dead_letters.bury(self._db, dead)
                if raised:
                    dead_letters.remove(self._db, raised)
        else:
            with self._db.failing():
                self._change(rows)  # which SQLite commits by itself
        self._db.note_place()

    def _change(self, rows: list[Change]) -> None:
        """Insert into ``change``; one statement if there are no more rows than the highest of _ROWS."""
        for at in range(0, len(rows), _ROWS[-1]):
            some: list[Any] = rows[at : at + _ROWS[-1]]
            size = next(size for size in _ROWS if size >= len(some))
            some += [(None,) * 6] * (size - len(some))
            values = ",".join(["(?,?,?,?,?,?)"] * size)
            self._db.execute(_INSERT.format(values), tuple(chain.from_iterable(some)))

    def amend(self, entries: Sequence[Entry]) -> None:
        """Change the datagrams of entries that are there, in one transaction."""
        self._db.check_place()
        with self._db.transaction():
            for number, _, datagram in entries:
                self._db.execute("UPDATE request SET crc = ?, datagram = ? WHERE number = ?",
                                 (_crc(datagram, number), datagram, number))
        self._db.note_place()

    def replace(self, entries: Sequence[Entry], dead: Sequence[DeadLetter] = (), moved: bytes = b"") -> None:
        """Make these the only entries, and add dead letters, in one transaction; then the file is complete.

        ``moved``: the generation of a file whose requests are among them.
        """
        with self._db.transaction():
            self._db.execute("DELETE FROM request")
            self._change(_rows(Entries.of(entries), ()))
            dead_letters.bury(self._db, dead)
            if moved:
                self._db.execute("INSERT OR IGNORE INTO moved VALUES (?)", (moved,))
            self._db.execute("UPDATE file SET complete = 1")
        self._db.note_place()

    def has_moved(self, generation: bytes) -> bool:
        """Whether the requests of another file were taken over into this one."""
        with self._db.failing():
            return bool(self._db.value("SELECT count(*) FROM moved WHERE generation = ?", generation))

    def renew(self) -> None:
        """Make it another file than any that was taken over: it gets requests that were not in that one."""
        with self._db.failing():
            self._db.execute("UPDATE file SET generation = randomblob(16)")

    def give_away(self) -> None:
        """Remove all entries and dead letters, which another file has taken over; it is another file then."""
        with self._db.transaction():
            self._db.execute("DELETE FROM request")
            self._db.execute("DELETE FROM dead")
            self._db.execute("UPDATE file SET generation = randomblob(16)")

    def count_death(self, number: int) -> int:
        """Note that the process ended while a library was at work for a request; return how often it did."""
        with self._db.transaction():
            self._db.execute("INSERT OR IGNORE INTO death VALUES (?, 0)", (number,))
            self._db.execute("UPDATE death SET deaths = deaths + 1 WHERE number = ?", (number,))
            deaths: int = self._db.value("SELECT deaths FROM death WHERE number = ?", number)
        return deaths

    def reconcile(self, entries: Sequence[Entry], dead: Sequence[DeadLetter] = ()) -> None:
        """Make these the only entries, and add dead letters.

        First those go that are done, in a transaction of their own: a full disk may have space for that, and
        they must not be read again. What is here under another number, or becomes a dead letter, stays until
        it is written so.
        """
        held = {entry.number: entry.datagram for entry in self.read()}
        stays = {entry.number for entry in entries}
        gone = [number for number in held if number not in stays]
        wanted = {entry.datagram for entry in entries}.union(one.datagram for one in dead)
        self.write((), [number for number in gone if held[number] not in wanted])
        left = [number for number in gone if held[number] in wanted]
        self.write([entry for entry in entries if entry.number not in held], left, dead)
        self.amend([entry for entry in entries if held.get(entry.number, entry.datagram) != entry.datagram])

    def read_dead(self, *, sound: bool = False) -> list[DeadLetter]:
        """Return the dead letters, the oldest first; ``sound``: without damaged ones."""
        return dead_letters.read(self._db, sound=sound)

    def newest_dead(self, most: int, before: int) -> list[DeadLetter]:
        """Return dead letters with numbers below ``before``, the newest first."""
        return dead_letters.newest(self._db, most, before)

    def dead_of(self, numbers: Sequence[int]) -> list[DeadLetter]:
        """Return the dead letters of these numbers, as far as they are there."""
        return dead_letters.of_numbers(self._db, numbers)

    def count_dead(self) -> int:
        """Return how many dead letters there are."""
        return self._number("SELECT count(*) FROM dead")

    def _prepare(self, *, empty: bool, own: bool) -> None:
        """Set the file up if it is new."""
        self._db.set_up(empty=empty)
        # A transaction also for a file that is there: what cannot be written must be found out at once.
        with self._db.transaction():
            if empty:
                self._db.make(_SCHEMA)
                self._db.execute("INSERT INTO file VALUES (randomblob(16), 0, ?, 0)", (time.time(),))
            self._db.execute("DELETE FROM death WHERE number NOT IN (SELECT number FROM request)")
        with self._db.failing():
            # What a transaction that was broken off has left in the WAL must not look like one that was lost.
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            if own:
                self._db.execute("UPDATE file SET generation = randomblob(16), open = 1")
                # The database says so itself as soon as the WAL, which holds it now, is there for certain.
                self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        self._db.note_place()
        self._prepared = True


def _crc(datagram: bytes, number: int) -> bytes:
    return crc32(datagram, number).to_bytes(4, "little")


def _rows(entries: Entries, removed: Sequence[int]) -> list[Change]:
    """Return the rows of ``change`` that add entries and then remove some."""
    rows: list[Change] = []
    begin = 0
    for taken, together in groupby(entries.taken):
        end = begin + len(list(together))
        while begin < end:
            numbers = entries.numbers[begin : min(end, begin + _TOGETHER)]
            count = len(numbers)
            if numbers[-1] - numbers[0] != count - 1:
                count = next(at for at in range(1, count) if numbers[at] != numbers[0] + at)
            datagrams = entries.datagrams[begin : begin + count]
            sizes = list(map(len, datagrams))
            begins = accumulate(sizes, initial=0)
            places = orjson.dumps([at << 32 | size for at, size in zip(begins, sizes, strict=False)]).decode()
            crcs = array("I", map(crc32, datagrams, numbers))  # little-endian, as the machines that we run on
            rows.append(Change(numbers[0], taken, crcs.tobytes(), places, b"".join(datagrams)))
            begin += count
    if removed:
        last = rows.pop() if rows else Change(0, 0.0)
        rows.append(last._replace(removed=orjson.dumps([*removed]).decode()))
    return rows


def _is_sound(number: int, taken: object, crc: object, datagram: object) -> bool:
    """Whether a request is as it was written: SQLite finds torn pages, but no flipped bits."""
    return isinstance(taken, float) and isinstance(datagram, bytes) and _crc(datagram, number) == crc
