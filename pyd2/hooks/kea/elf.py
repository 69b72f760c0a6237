"""Reads of a shared object, without loading it, what it needs and the hooks version that it would report.

The system's loader trusts what it reads, so a file that was cut off ends the process when it is opened. This
reader takes a bounded number of bounded parts, and raises ElfError for all that is malformed.
"""

from __future__ import annotations

import os
import struct
import sys
from typing import Final, NamedTuple

_MAGIC: Final = b"\x7fELF"
_SIXTY_FOUR: Final = 2
_ENCODING: Final = 1 if sys.byteorder == "little" else 2
_SHARED: Final = 3
_X86_64: Final = 62
_AARCH64: Final = 183
_LOAD: Final = 1
_DYNAMIC: Final = 2
_NEEDED: Final = 1
_STRTAB: Final = 5
_SYMTAB: Final = 6
_STRSZ: Final = 10
_RPATH: Final = 15
_RUNPATH: Final = 29

_HEADER: Final = struct.Struct("=16xHHIQQQIHHHHHH")
_SEGMENT: Final = struct.Struct("=IIQQQQQQ")
_ENTRY: Final = struct.Struct("=qQ")
_SYMBOL: Final = struct.Struct("=IBBHQQ")

MOST_SEGMENTS: Final = 256
MOST_ENTRIES: Final = 4096
"""Of the dynamic section."""
MOST_OCTETS: Final = 1 << 24
"""Of a table of names or symbols."""
LONGEST_NAME: Final = 4096


class ElfError(Exception):
    """The file is malformed, or larger than any library; the text says what is wrong."""


class SharedObject(NamedTuple):
    """What a shared object says of itself."""

    needed: tuple[str, ...]
    """The names of the libraries that it needs, in its order."""
    search: tuple[str, ...]
    """Directories in which the loader looks for these first, as they are written."""
    version: int | None
    """The number that its function ``version`` returns; None where the code does not show it at a glance, and
    where it was not asked for."""


class _Segment(NamedTuple):
    kind: int
    offset: int
    address: int
    size: int
    """In the file."""


def read(fd: int, *, with_version: bool = False) -> SharedObject | None:
    """Read an open file; None if it is no shared object for this machine, of which the loader says why.

    The version takes reading all names. Raises ElfError and OSError.
    """
    header = os.pread(fd, 64, 0)
    if len(header) < _HEADER.size or header[:4] != _MAGIC:
        return None
    if header[4] != _SIXTY_FOUR or header[5] != _ENCODING:
        return None
    kind, _, _, _, _, _, _, _, each, count, *_ = _HEADER.unpack(header)
    if kind != _SHARED or each != _SEGMENT.size or count == 0:
        return None
    return _Reader(fd, header).shared_object(with_version=with_version)


class _Reader:
    def __init__(self, fd: int, header: bytes) -> None:
        self._fd = fd
        self._size = os.fstat(fd).st_size
        _, self._machine, _, _, table, _, _, _, each, count, *_ = _HEADER.unpack(header)
        if count > MOST_SEGMENTS:
            raise ElfError(f"{count} program headers")
        octets = self._part(table, each * count)
        self._segments = []
        for kind, _, offset, address, _, size, _, _ in _SEGMENT.iter_unpack(octets):
            if kind == _LOAD and offset + size > self._size:
                raise ElfError(f"file too short: it has {self._size} octets of {offset + size}")
            self._segments.append(_Segment(kind, offset, address, size))

    def _part(self, offset: int, size: int) -> bytes:
        """Return a part of the file."""
        if size < 0 or size > MOST_OCTETS or offset + size > self._size:
            raise ElfError(f"{size} octets at {offset} in a file of {self._size}")
        return os.pread(self._fd, size, offset)

    def _offset(self, address: int) -> int:
        """Return where the file has what is loaded to an address."""
        for kind, offset, begin, size in self._segments:
            if kind == _LOAD and begin <= address < begin + size:
                return offset + address - begin
        raise ElfError(f"nothing is loaded to the address {address:#x}")

    def shared_object(self, *, with_version: bool) -> SharedObject | None:
        """Return what the file says; None when it has no dynamic section."""
        entries = self._entries()
        if entries is None:
            return None
        tables = dict(reversed(entries))  # of each kind the first
        if _STRTAB not in tables or _STRSZ not in tables:
            raise ElfError("no table of names")
        search = [self._name(tables, value) for kind, value in entries if kind in {_RPATH, _RUNPATH}]
        return SharedObject(
            tuple(self._name(tables, value) for kind, value in entries if kind == _NEEDED),
            tuple(place for text in search for place in text.split(":") if place),
            self._version(tables) if with_version else None,
        )

    def _name(self, tables: dict[int, int], offset: int) -> str:
        """Return a name of the table of names."""
        size = min(tables[_STRSZ] - offset, LONGEST_NAME)
        begin = self._offset(tables[_STRTAB]) + offset
        octets = self._part(begin, min(size, self._size - begin)) if size > 0 else b""
        name, end, _ = octets.partition(b"\0")
        if not end:
            raise ElfError("a name without an end")
        return os.fsdecode(name)

    def _entries(self) -> list[tuple[int, int]] | None:
        """Return the dynamic section, kinds and values; None when there is none."""
        for kind, offset, _, size in self._segments:
            if kind == _DYNAMIC:
                count = min(size // _ENTRY.size, MOST_ENTRIES)
                found = list(_ENTRY.iter_unpack(self._part(offset, count * _ENTRY.size)))
                return found[:next((number for number, (kind, _) in enumerate(found) if kind == 0), count)]
        return None

    def _version(self, tables: dict[int, int]) -> int | None:
        """Return the number that ``version`` returns, if its code only returns a number."""
        first, end = tables.get(_SYMTAB, 0), tables[_STRTAB]
        if not 0 < first < end:  # linkers put the names behind the symbols; nothing else has their number
            return None
        names = self._part(self._offset(end), tables[_STRSZ])
        begin = self._offset(first)
        size = min(end - first, MOST_OCTETS, self._size - begin) // _SYMBOL.size * _SYMBOL.size
        for name, _, _, section, address, _ in _SYMBOL.iter_unpack(self._part(begin, size)):
            if section and names[name:name + 8] == b"version\0":
                begin = self._offset(address)
                return _returned(self._machine, self._part(begin, min(32, self._size - begin)))
        return None


def _returned(machine: int, code: bytes) -> int | None:
    """Return the number that a function returns whose code does nothing else."""
    if machine == _X86_64:
        code = code.removeprefix(b"\xf3\x0f\x1e\xfa").removeprefix(b"\x55\x48\x89\xe5")  # endbr64; push, mov
        number, end = code[1:5], code[5:].removeprefix(b"\x5d")  # pop
        if code[:1] == b"\xb8" and len(number) == 4 and end[:1] == b"\xc3":  # mov, ret
            return int.from_bytes(number, "little")
    if machine == _AARCH64:
        code = code.removeprefix(b"\x5f\x24\x03\xd5")  # bti c
        move, back = code[:4], code[4:8]
        word = int.from_bytes(move, "little")
        if word & ~(0xFFFF << 5) == 0x52800000 and back == b"\xc0\x03\x5f\xd6":  # mov w0, #; ret
            return word >> 5 & 0xFFFF
    return None
