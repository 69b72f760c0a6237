"""The WAL of a database that was not closed: whether SQLite would leave out commits that were acknowledged.

SQLite replays a WAL up to the first frame whose checksum or salt is wrong, and reports nothing of those
behind it: a flipped bit costs all later commits. The ``-shm`` file says how many frames are committed,
which a kill leaves as it is; after a loss of power nothing is known of that. The formats:
<https://www.sqlite.org/fileformat2.html#walformat> and <https://www.sqlite.org/walformat.html>.
"""

from __future__ import annotations

import contextlib
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
_INDEX: Final = 48
"""Octets of the header of a ``-shm`` file, which stands there twice: SQLite writes the second one first."""
_MOST: Final = 256 * 1024 * 1024
"""Octets that are checked; a longer WAL holds one transaction that is longer than all others together."""

_Sums = tuple[int, int]


class _Wal:
    """The frames of the present cycle of a WAL; those of earlier cycles have another salt."""

    def __init__(self, octets: bytes, index: bytes) -> None:
        """Work on the octets of a WAL, and those of the ``-shm`` file's two headers."""
        head = octets[:_HEADER]
        self._octets = octets
        self.sound = head[:4] == _LITTLE and _sums(head[:24], (0, 0)) == struct.unpack(">2I", head[24:])
        """Whether the header is; SQLite leaves out all that follows one that is not."""
        if not self.sound:
            # Made again, with the first frame's salt; if that is of an earlier cycle, the database has it.
            head = _LITTLE + struct.pack(">3I", _FORMAT, PAGE, 0) + octets[_HEADER + 8 : _HEADER + 16]
            head += struct.pack(">2I", *_sums(head, (0, 0)))
        self.head = head
        self.salt = head[16:24]
        self.first: _Sums = struct.unpack(">2I", head[24:])
        self._page = int.from_bytes(head[8:12], "big")
        self.committed = _committed(index, self.salt)
        """So many frames were committed for certain; 0 if that is not known."""

    def frames(self) -> Iterator[tuple[bool, _Sums | None, bytes]]:
        """Give whether each frame is the last one of a transaction, its checksums, and what they are of.

        A frame that was committed and has a wrong salt has no checksums.
        """
        places = range(_HEADER, len(self._octets) - _FRAME - self._page + 1, _FRAME + self._page)
        for number, at in enumerate(places, 1):
            head = self._octets[at : at + _FRAME]
            salted = head[8:16] == self.salt
            if salted or number <= self.committed:
                page = self._octets[at + _FRAME : at + _FRAME + self._page]
                sums = struct.unpack(">2I", head[16:]) if salted else None
                yield head[4:8] != b"\0\0\0\0", sums, head[:8] + page


def _committed(index: bytes, salt: bytes) -> int:
    """Return how many frames of the WAL with this salt are committed, by the headers of the ``-shm`` file."""
    for head in (index[:_INDEX], index[_INDEX : 2 * _INDEX]):
        if len(head) == _INDEX and _sums(head[:40], (0, 0)) == struct.unpack("<2I", head[40:]):
            return int.from_bytes(head[16:20], "little") if head[32:40] == salt else 0
    return 0


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
    index = b""
    with contextlib.suppress(OSError), open_plain(path.with_name(path.name[:-4] + "-shm")) as file:
        index = file.read(2 * _INDEX)
    return _Wal(octets, index)


def examine(path: Path, step: Callable[[], None]) -> str:
    """Return where a WAL was not written whole, in words, if no acknowledged commit is missing; else empty.

    Raises StoreError if SQLite would leave out an acknowledged commit: the frame was committed by the
    ``-shm`` file, or another transaction began behind it. Raises OSError, too.
    """
    wal = _read(path)
    if wal is None:
        return ""
    before = wal.first
    whole = commits = 0
    broken = lost = not wal.sound
    for ends, sums, octets in wal.frames():
        if not broken:
            step()
            # A frame that is missing among them, for its salt is broken, leaves a gap that the sums show.
            if _sums(octets, before) == sums:
                before = sums
                whole += 1
                continue
            broken = True
        lost = lost or commits > 0
        commits += ends
    text = f"{path}: frame {whole + 1} is damaged or missing, and SQLite leaves out all that follows"
    if whole < wal.committed or (commits and lost):
        raise StoreError(text, damaged=True)
    # What a kill has interrupted was not acknowledged.
    return text if commits and not wal.committed else ""


def mend(path: Path) -> None:
    """Write new checksums of all frames, in a copy: SQLite reads them all then, whatever is in them."""
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
