"""Packets of capture files: pcap, in either byte order, with micro- or nanoseconds, and pcapng.

The forms are those of draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.tools.replay.errors import CaptureError, CutShortError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

LONGEST: Final = 1 << 20
"""Octets of a packet. What says that it has more is no packet."""
LONGEST_BLOCK: Final = 1 << 24
"""Octets of a block of pcapng."""

_PCAP: Final = {
    b"\xa1\xb2\xc3\xd4": (">", 10**6),
    b"\xd4\xc3\xb2\xa1": ("<", 10**6),
    b"\xa1\xb2\x3c\x4d": (">", 10**9),
    b"\x4d\x3c\xb2\xa1": ("<", 10**9),
}
"""By the first four octets: byte order, and how many parts a second has."""
_PCAPNG: Final = b"\x0a\x0d\x0d\x0a"
MAGICS: Final = frozenset({*_PCAP, _PCAPNG})
"""How the files begin."""
_ORDERS: Final = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}

# The types of blocks of pcapng.
_INTERFACE: Final = 1
_OLD_PACKET: Final = 2
_SIMPLE_PACKET: Final = 3
_PACKET: Final = 6

# The options of an interface.
_RESOLUTION: Final = 9
_OFFSET: Final = 14


class Packet(NamedTuple):
    """A packet as it was captured."""

    place: int
    """The octet of the file where it begins."""
    at: float | None
    """Seconds since the epoch; None if the file does not say."""
    link: int
    """What its octets begin with: a number of the registry of link types."""
    octets: bytes
    whole: bool
    """False: only its beginning was captured."""


class _Interface(NamedTuple):
    link: int
    parts: int
    """Of a second, in which times are given."""
    offset: int
    """Seconds to be added to times."""
    longest: int
    """Octets that were captured of a packet; 0: all."""


def read_packets(file: BinaryIO) -> Iterator[Packet]:
    """Return the packets of a file that is at its beginning.

    Raises CaptureError: CutShortError if the file ends too early.
    """
    return _Reader(file).packets()


class _Reader:
    """Reads a file from its beginning to its end."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._place = 0
        """Where the next octet is."""

    def packets(self) -> Iterator[Packet]:
        magic = self._read(4, "the beginning")
        if magic == _PCAPNG:
            yield from self._pcapng()
        elif magic in _PCAP:
            yield from self._pcap(*_PCAP[magic])
        else:
            raise CaptureError("octet 0: it is neither pcap nor pcapng")

    def _read(self, size: int, what: str) -> bytes:
        octets = self._file.read(size)
        if len(octets) < size:
            raise CutShortError(f"octet {self._place + len(octets)}: the file ends within {what}")
        self._place += size
        return octets

    def _read_or_end(self, size: int, what: str) -> bytes:
        """Return that many octets, or none at the end of the file."""
        octets = self._file.read(1)
        if not octets:
            return b""
        self._place += 1
        return octets + self._read(size - 1, what)

    # pcap

    def _pcap(self, order: str, parts: int) -> Iterator[Packet]:
        major, _, _, _, _, link = struct.unpack(f"{order}HHiIII", self._read(20, "the head of the file"))
        if major != 2:
            raise CaptureError(f"octet 4: version {major} of pcap is not known")
        record = struct.Struct(f"{order}4I")
        while True:
            place = self._place
            head = self._read_or_end(record.size, "the head of a packet")
            if not head:
                return
            seconds, fraction, size, original = record.unpack(head)
            if size > LONGEST:
                raise CaptureError(f"octet {place}: a packet of {size} octets: the file is damaged")
            octets = self._read(size, "a packet")
            yield Packet(place, seconds + fraction / parts, link & 0xFFFF, octets, whole=size >= original)

    # pcapng

    def _pcapng(self) -> Iterator[Packet]:
        order = self._section(0)
        interfaces: list[_Interface] = []
        while True:
            place = self._place
            head = self._read_or_end(4, "the head of a block")
            if not head:
                return
            if head == _PCAPNG:
                order, interfaces = self._section(place), []
                continue
            (kind,) = struct.unpack(f"{order}I", head)
            body = self._body(order, place)
            if kind == _INTERFACE:
                interfaces.append(_interface(order, body, place))
            elif kind in {_PACKET, _OLD_PACKET, _SIMPLE_PACKET}:
                yield _packet(order, kind, body, interfaces, place)

    def _section(self, place: int) -> str:
        """Read the block that begins a section; return the byte order of the section."""
        raw = self._read(4, "the head of a section")
        magic = self._read(4, "the head of a section")
        order = _ORDERS.get(magic)
        if order is None:
            raise CaptureError(f"octet {place + 8}: no byte order of pcapng")
        (length,) = struct.unpack(f"{order}I", raw)
        rest = self._rest(order, length, place, 12)
        if len(rest) < 4 or struct.unpack(f"{order}H", rest[:2])[0] != 1:
            raise CaptureError(f"octet {place + 12}: this version of pcapng is not known")
        return order

    def _body(self, order: str, place: int) -> bytes:
        (length,) = struct.unpack(f"{order}I", self._read(4, "the head of a block"))
        return self._rest(order, length, place, 8)

    def _rest(self, order: str, length: int, place: int, done: int) -> bytes:
        """Return what is left of a block of which ``done`` octets are read, without its last four."""
        if length < done + 4 or length % 4 or length > LONGEST_BLOCK:
            raise CaptureError(f"octet {place + 4}: a block of {length} octets: the file is damaged")
        body = self._read(length - done - 4, "a block")
        (again,) = struct.unpack(f"{order}I", self._read(4, "a block"))
        if again != length:
            raise CaptureError(
                f"octet {self._place - 4}: a block of {length} octets ends as one of {again}: "
                "the file is damaged"
            )
        return body


def _interface(order: str, body: bytes, place: int) -> _Interface:
    if len(body) < 8:
        raise CaptureError(f"octet {place}: the block of an interface is too short")
    link, _, longest = struct.unpack(f"{order}HHI", body[:8])
    parts, offset, at = 10**6, 0, 8
    while at + 4 <= len(body):
        code, size = struct.unpack_from(f"{order}HH", body, at)
        value = body[at + 4 : at + 4 + size]
        if not code or len(value) < size:
            break
        if code == _RESOLUTION and size == 1:
            parts = 2 ** (value[0] & 0x7F) if value[0] & 0x80 else 10 ** value[0]
        elif code == _OFFSET and size == 8:
            (offset,) = struct.unpack(f"{order}q", value)
        at += 4 + size + -size % 4
    return _Interface(link, parts, offset, longest)


def _packet(order: str, kind: int, body: bytes, interfaces: list[_Interface], place: int) -> Packet:
    head = 4 if kind == _SIMPLE_PACKET else 20
    if len(body) < head:
        raise CaptureError(f"octet {place}: the block of a packet is too short")
    number = high = low = 0
    if kind == _SIMPLE_PACKET:
        (original,) = struct.unpack_from(f"{order}I", body)
    elif kind == _PACKET:
        number, high, low, size, original = struct.unpack_from(f"{order}5I", body)
    else:
        number, _, high, low, size, original = struct.unpack_from(f"{order}2H4I", body)
    if number >= len(interfaces):
        raise CaptureError(f"octet {place}: a packet of interface {number}, which the file does not describe")
    interface = interfaces[number]
    at: float | None = None
    if kind == _SIMPLE_PACKET:
        size = min(original, interface.longest or original, len(body) - head)
    else:
        at = interface.offset + (high << 32 | low) / interface.parts
    if size > len(body) - head:
        raise CaptureError(
            f"octet {place}: a packet of {size} octets in a block of {len(body)}: the file is damaged"
        )
    return Packet(place, at, interface.link, body[head : head + size], whole=size >= original)
