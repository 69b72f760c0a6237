"""The WAL of a database that was not closed: whether SQLite will leave out commits that were acknowledged.

SQLite replays a WAL up to the first frame whose checksum is wrong, and says nothing of those behind it: a
flipped bit costs all later commits. The format is described in <https://www.sqlite.org/fileformat2.html#walformat>.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.queue.sqlite.database import PAGE, open_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_HEADER: Final = 32
_FRAME: Final = 24
_LITTLE: Final = 0x377F0682
"""Says that the checksums are of little-endian words."""
_BIG: Final = 0x377F0683
"""Of big-endian ones; such a WAL is left to SQLite."""
_FORMAT: Final = 3007000
_MOST: Final = 256 * 1024 * 1024
"""Octets that are checked; a longer WAL holds one transaction that is longer than all others together."""

Sums = tuple[int, int]


class _Frame(NamedTuple):
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
        head = octets[:_HEADER]
        self._octets = octets
        sums = struct.unpack(">2I", head[24:])
        self.sound = head[:4] == _LITTLE.to_bytes(4, "big") and _sums(head[:24], (0, 0)) == sums
        """Whether the header is; SQLite leaves out all that follows one that is not."""
        if not self.sound:
            # Made anew, with the first frame's salt; if that is of an earlier cycle, the database has it.
            head = struct.pack(">4I", _LITTLE, _FORMAT, PAGE, 0) + octets[_HEADER + 8 : _HEADER + 16]
            head += struct.pack(">2I", *_sums(head, (0, 0)))
        self.head = head
        self.page = int.from_bytes(head[8:12], "big")
        self.salt = head[16:24]
        self.first: Sums = struct.unpack(">2I", head[24:])

    def frames(self) -> Iterator[_Frame]:
        for at in range(_HEADER, len(self._octets) - _FRAME - self.page + 1, _FRAME + self.page):
            head = self._octets[at : at + _FRAME]
            if head[8:16] == self.salt:
                page = self._octets[at + _FRAME : at + _FRAME + self.page]
                yield _Frame(head[4:8] != b"\0\0\0\0", struct.unpack(">2I", head[16:]), head[:8] + page)


def _sums(octets: bytes, before: Sums) -> Sums:
    """Return the checksums behind some octets, in the order of octets of the machines that we run on."""
    words = struct.unpack(f"<{len(octets) // 4}I", octets)
    one, two = before
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = one + first + two & 0xFFFFFFFF
        two = two + second + one & 0xFFFFFFFF
    return one, two


def _read(path: Path) -> _Wal | None:
    """Return a WAL; None if there is none, or one that is too short or too long. Raises OSError."""
    try:
        with open_plain(path) as file:
            octets = file.read(_MOST + 1)
    except FileNotFoundError:
        return None
    if octets[:4] == _BIG.to_bytes(4, "big") or not _HEADER + _FRAME < len(octets) <= _MOST:
        return None
    return _Wal(octets)


def examine(path: Path, step: Callable[[], None]) -> Verdict | None:
    """Return what SQLite will leave out of a WAL; None if no commit is among it. Raises OSError."""
    wal = _read(path)
    if wal is None:
        return None
    before = wal.first
    broken = 0 if wal.sound else 1
    commits = 0
    behind = not wal.sound
    for number, frame in enumerate(wal.frames(), 1):
        if not broken:
            sums = _sums(frame.octets, before)
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
        file.write(wal.head)
        for frame in wal.frames():
            before = _sums(frame.octets, before)
            file.write(frame.octets[:8] + wal.salt + struct.pack(">2I", *before) + frame.octets[8:])
        file.truncate()
