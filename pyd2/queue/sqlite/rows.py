"""Rows of the durable queue's file: one holds many requests, or notes many that are done.

A row has two octet strings, the head and the datagrams, and a CRC-32: SQLite finds torn pages, but no flipped
bits.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final
from zlib import crc32

from pyd2.queue.interface import Entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyd2.queue.interface import Entries

ROW: Final = 32
"""Requests of a row at most: what a flipped bit may cost."""

_HEAD: Final = 24
"""Octets that a request has in its row's head."""


def pack(entries: Entries) -> tuple[bytes, int, bytes]:
    """Return a row's head, the CRC-32 of that, and the datagrams, one behind the other.

    The head has the numbers of the requests, then their times, their sizes, and CRC-32s of the datagrams.
    """
    n, datagrams = len(entries), entries.datagrams
    head = struct.pack(
        f"<{n}q{n}d{n}I{n}I",
        *entries.numbers, *entries.taken, *map(len, datagrams), *map(crc32, datagrams),
    )  # fmt: skip
    return head, crc32(head), b"".join(datagrams)


def sound(head: object, crc: object, datagrams: object) -> list[Entry]:
    """Return those requests of a row that are as they were written; the CRC-32 is the head's."""
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


def numbers(head: object) -> Sequence[int]:
    """Return the numbers of a row's requests; none for what is no head."""
    if not isinstance(head, bytes) or len(head) % _HEAD:
        return ()
    return struct.unpack_from(f"<{len(head) // _HEAD}q", head)


def pack_note(done: Sequence[int]) -> tuple[bytes, int, bytes]:
    """Return a row that notes requests as done; their numbers are in the place of datagrams."""
    octets = struct.pack(f"<{len(done)}q", *done)
    return b"", crc32(octets), octets


def unpack_note(crc: object, octets: object) -> Sequence[int] | None:
    """Return the numbers of a note; None if it is not as it was written."""
    if not isinstance(octets, bytes) or crc32(octets) != crc or len(octets) % 8:
        return None
    return struct.unpack(f"<{len(octets) // 8}q", octets)
