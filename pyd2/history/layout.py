"""The layout of the file, which writing and searching share.

Events are in *segments*, a table each. Only the last one grows; it gets its indexes when it is full, since
rows under live indexes cost ten times as much (measured). The oldest one is dropped whole. Texts that recur
are in one table of words, and rows have their numbers; 0 is the empty text.
"""

from __future__ import annotations

from typing import Final

VERSION: Final = 1
"""``user_version`` of the file."""

COLUMNS: Final = (
    "id",
    "at",
    "kind",
    "name",
    "address",
    "client",
    "result",
    "ways",
    "fault",
    "step",
    "zone",
    "server",
    "key",
    "tries",
    "us",
    "note",
)
"""``at`` is milliseconds since the epoch, ``us`` microseconds from reading the request to its end.
``kind`` is a RequestKind, ``result`` a Result, ``client`` the DHCID, ``address`` its octets, ``ways`` the sum
of the bits below; ``fault`` to ``key`` are words.
"""
FORWARD, REVERSE, FORWARD_DONE, REVERSE_DONE = 1, 2, 4, 8
"""The bits of ``ways``: the changes that were asked for, and in the same order those that were made."""

CREATE: Final = (
    "CREATE TABLE words (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE)",
    "CREATE TABLE segments (number INTEGER PRIMARY KEY, full INTEGER NOT NULL)",
    f"PRAGMA user_version = {VERSION}",
)


def table(number: int) -> str:
    """Return the name of a segment's table."""
    return f"segment_{number}"


def create_segment(number: int) -> str:
    """Return the statement that makes a segment."""
    return (
        f"CREATE TABLE {table(number)} (id INTEGER PRIMARY KEY, at INTEGER, kind INTEGER, name TEXT, "
        "address BLOB, "
        "client BLOB, result INTEGER, ways INTEGER, fault INTEGER, step INTEGER, zone INTEGER, server "
        "INTEGER, "
        "key INTEGER, tries INTEGER, us INTEGER, note TEXT)"
    )


def create_indexes(number: int) -> tuple[str, ...]:
    """Return the statements that index a segment that is full.

    Of a DHCID the last four octets of its hash are enough to find it.
    """
    name = table(number)
    return (
        f"CREATE INDEX {name}_name ON {name} (name)",
        f"CREATE INDEX {name}_address ON {name} (address)",
        f"CREATE INDEX {name}_client ON {name} (substr(client, -4))",
    )
