"""The WAL of a database that was not closed: whether SQLite will leave out commits that were acknowledged.

SQLite replays a WAL up to the first frame whose checksum is wrong, and says nothing of those behind it: a
flipped bit costs all later commits. The format is described in <https://www.sqlite.org/fileformat2.html#walformat>.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.journal.database import open_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_HEADER: Final = 32
_FRAME: Final = 24
_MAGIC: Final = (0x377F0682, 0x377F0683)
_MOST: Final = 256 * 1024 * 1024
"""Octets that are checked; a longer WAL holds one transaction that is longer than all others together."""

Sums = tuple[int, int]


class _Frame(NamedTuple):
    at: int
    """Where it begins in the file."""
    commits: bool
    """Whether it is the last one of a transaction."""
    sums: Sums
    octets: bytes
    """What the checksums are of."""


class Verdict(NamedTuple):
    """What is wrong with a WAL."""

    frame: int
    """The first frame that SQLite leaves out, counted from 1."""
    commits: int
    """Commits that it leaves out, as far as they can be told."""
    lost: bool
    """Whether one of them was acknowledged for certain: another transaction began behind it."""


class _Wal:
    """The frames of the present cycle of a WAL; those of earlier ones have another salt."""

    def __init__(self, octets: bytes) -> None:
        magic, _, self.page, _, *_ = struct.unpack(">8I", octets[:_HEADER])
        self.order = ">" if magic & 1 else "<"
        self.first: Sums = struct.unpack(">2I", octets[24:_HEADER])
        self._octets = octets
        self.salt = octets[16:24]

    def frames(self) -> Iterator[_Frame]:
        for at in range(_HEADER, len(self._octets) - _FRAME - self.page + 1, _FRAME + self.page):
            head = self._octets[at : at + _FRAME]
            if head[8:16] == self.salt:
                page = self._octets[at + _FRAME : at + _FRAME + self.page]
                sums = struct.unpack(">2I", head[16:])
                yield _Frame(at, head[4:8] != b"\0\0\0\0", sums, head[:8] + page)

    def sums(self, frame: _Frame, before: Sums) -> Sums:
        """Return the checksums that a frame should have behind those of the one before."""
        words = struct.unpack(f"{self.order}{len(frame.octets) // 4}I", frame.octets)
        one, two = before
        for first, second in zip(words[::2], words[1::2], strict=True):
            one = one + first + two & 0xFFFFFFFF
            two = two + second + one & 0xFFFFFFFF
        return one, two


def _read(path: Path) -> _Wal | None:
    """Return a WAL; None if there is none, or nothing of it can be checked. Raises OSError."""
    try:
        with open_plain(path) as file:
            octets = file.read(_MOST + 1)
    except FileNotFoundError:
        return None
    if not _HEADER < len(octets) <= _MOST or int.from_bytes(octets[:4], "big") not in _MAGIC:
        return None
    wal = _Wal(octets)
    return wal if wal.page in {512 << shift for shift in range(8)} else None


def examine(path: Path, step: Callable[[], None]) -> Verdict | None:
    """Return what SQLite will leave out of a WAL; None if no commit is among it. Raises OSError."""
    wal = _read(path)
    if wal is None:
        return None
    before = wal.first
    broken = 0
    commits = 0
    behind = False
    for number, frame in enumerate(wal.frames(), 1):
        if not broken:
            sums = wal.sums(frame, before)
            step()
            # A frame that is missing among them, for its salt is broken, leaves a gap that the sums show.
            if sums == frame.sums:
                before = sums
                continue
            broken = number
        behind = behind or commits > 0
        commits += frame.commits
    return Verdict(broken, commits, behind) if commits else None


def mend(path: Path) -> None:
    """Write the checksums of all frames anew, in a copy: SQLite reads them all then, whatever is in them."""
    wal = _read(path)
    if wal is None:
        return
    before = wal.first
    with path.open("r+b") as file:
        file.seek(_HEADER)
        for frame in wal.frames():
            before = wal.sums(frame, before)
            head, page = frame.octets[:8], frame.octets[8:]
            file.write(head + wal.salt + struct.pack(">2I", *before) + page)
        file.truncate()
