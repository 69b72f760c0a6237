"""The WAL of a database that was not closed: whether SQLite will leave out commits that were acknowledged.

SQLite replays a WAL up to the first frame whose checksum is wrong, and reports nothing of those behind it: a
flipped bit costs all later commits. The format: <https://www.sqlite.org/fileformat2.html#walformat>.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from pyd2.queue.interface import StoreError
from pyd2.queue.sqlite.database import PAGE, open_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_HEADER: Final = 32
_FRAME: Final = 24
_LITTLE: Final = b"\x37\x7f\x06\x82"
"""Says that the checksums are of little-endian words."""
_BIG: Final = b"\x37\x7f\x06\x83"
"""Of big-endian ones; such a WAL is left to SQLite."""
_FORMAT: Final = 3007000
_MOST: Final = 256 * 1024 * 1024
"""Octets that are checked; a longer WAL holds one transaction that is longer than all others together."""

_Sums = tuple[int, int]


class _Wal:
    """The frames of the present cycle of a WAL; those of earlier cycles have another salt."""

    def __init__(self, octets: bytes) -> None:
        head = octets[:_HEADER]
        self._octets = octets
        self.sound = head[:4] == _LITTLE and _sums(head[:24], (0, 0)) == struct.unpack(">2I", head[24:])
        """Whether the header is; SQLite leaves out all that follows one that is not."""
        if not self.sound:
            # Made anew, with the first frame's salt; if that is of an earlier cycle, the database has it.
            head = _LITTLE + struct.pack(">3I", _FORMAT, PAGE, 0) + octets[_HEADER + 8 : _HEADER + 16]
            head += struct.pack(">2I", *_sums(head, (0, 0)))
        self.head = head
        self.salt = head[16:24]
        self.first: _Sums = struct.unpack(">2I", head[24:])
        self._page = int.from_bytes(head[8:12], "big")

    def frames(self) -> Iterator[tuple[bool, _Sums, bytes]]:
        """Give whether each frame is the last one of a transaction, its checksums, and what they are of."""
        for at in range(_HEADER, len(self._octets) - _FRAME - self._page + 1, _FRAME + self._page):
            head = self._octets[at : at + _FRAME]
            if head[8:16] == self.salt:
                page = self._octets[at + _FRAME : at + _FRAME + self._page]
                yield head[4:8] != b"\0\0\0\0", struct.unpack(">2I", head[16:]), head[:8] + page


def _sums(octets: bytes, before: _Sums) -> _Sums:
    """Return the checksums behind some octets, in the octet order of the machines that we run on."""
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
    if octets[:4] == _BIG or not _HEADER + _FRAME < len(octets) <= _MOST:
        return None
    return _Wal(octets)


def examine(path: Path, step: Callable[[], None]) -> str:
    """Return which commits SQLite will leave out of a WAL, in words; empty if none.

    Raises StoreError if one of them was acknowledged for certain: another transaction began behind it. Raises
    OSError, too.
    """
    wal = _read(path)
    if wal is None:
        return ""
    before = wal.first
    broken = 0 if wal.sound else 1
    commits = 0
    lost = not wal.sound
    for number, (ends, sums, octets) in enumerate(wal.frames(), 1):
        if not broken:
            step()
            # A frame that is missing among them, for its salt is broken, leaves a gap that the sums show.
            if _sums(octets, before) == sums:
                before = sums
                continue
            broken = number
        lost = lost or commits > 0
        commits += ends
    text = (f"{path}: frame {broken} is damaged, and SQLite would leave out {commits} commits from there on"
            if commits else "")  # fmt: skip
    if commits and lost:
        raise StoreError(text, damaged=True)
    return text


def mend(path: Path) -> None:
    """Write the checksums of all frames anew, in a copy: SQLite reads them all then, whatever is in them."""
    wal = _read(path)
    if wal is None:
        return
    before = wal.first
    with path.open("r+b") as file:
        file.write(wal.head)
        for _, _, octets in wal.frames():
            before = _sums(octets, before)
            file.write(octets[:8] + wal.salt + struct.pack(">2I", *before) + octets[8:])
        file.truncate()
