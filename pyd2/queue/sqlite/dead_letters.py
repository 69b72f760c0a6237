"""Dead letters: requests that have failed for good where such are tried again, in a table of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from zlib import crc32

import orjson

from pyd2.queue.interface import DeadLetter, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyd2.queue.sqlite.database import Database

MOST_DEAD: Final = 100_000
"""Dead letters that are kept, the newest."""

SCHEMA: Final = """
    CREATE TABLE dead (
      number INTEGER PRIMARY KEY AUTOINCREMENT,
      taken REAL NOT NULL,         -- when it came, in seconds since the epoch
      died REAL NOT NULL,          -- when it was given up
      reason TEXT NOT NULL,
      datagram BLOB NOT NULL,
      crc INTEGER NOT NULL         -- CRC-32 of the datagram
    )
    """


def bury(database: Database, dead_letters: Sequence[DeadLetter]) -> None:
    """Add dead letters, and remove the oldest if there are too many; within a transaction."""
    add = "INSERT INTO dead (taken, died, reason, datagram, crc) VALUES (?, ?, ?, ?, ?)"
    for dead_letter in dead_letters:
        database.execute(add, (*dead_letter[1:], crc32(dead_letter.datagram)))
    database.execute("DELETE FROM dead WHERE number <= (SELECT max(number) FROM dead) - ?", (MOST_DEAD,))


def remove(database: Database, numbers: Sequence[int]) -> None:
    """Remove dead letters by their numbers; within a transaction."""
    some = orjson.dumps(numbers).decode()
    database.execute("DELETE FROM dead WHERE number IN (SELECT value FROM json_each(?))", (some,))


def read(database: Database, *, sound: bool = False) -> list[DeadLetter]:
    """Return them, the oldest first; ``sound``: without damaged ones. Raises StoreError."""
    return _select(database, "ORDER BY number", (), sound=sound)


def newest(database: Database, most: int, before: int) -> list[DeadLetter]:
    """Return some with numbers below ``before``, the newest first. Raises StoreError."""
    return _select(database, "WHERE number < ? ORDER BY number DESC LIMIT ?", (before, most), sound=True)


def of_numbers(database: Database, numbers: Sequence[int]) -> list[DeadLetter]:
    """Return those of these numbers that are there. Raises StoreError."""
    some = orjson.dumps(numbers).decode()
    rest = "WHERE number IN (SELECT value FROM json_each(?)) ORDER BY number"
    return _select(database, rest, (some,), sound=True)


def _select(database: Database, rest: str, values: tuple[int | str, ...], *, sound: bool) -> list[DeadLetter]:
    select = f"SELECT number, taken, died, reason, datagram, crc FROM dead {rest}"  # noqa: S608  ours
    found = []
    with database.failing():
        for number, taken, died, reason, datagram, crc in database.execute(select, values):
            if isinstance(datagram, bytes) and crc32(datagram) == crc:
                found.append(DeadLetter(number, taken, died, reason, datagram))
            elif not sound:
                raise StoreError(f"{database.path}: dead letter {number} is damaged", damaged=True)
    return found
