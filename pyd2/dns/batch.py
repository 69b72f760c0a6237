"""UPDATE messages with the changes of many owners (RFC 2136): a batch.

The records stand as in a message for one owner: all prerequisites, then all updates. An owner is spelled
where it comes first and is a pointer after that, as far as pointers reach; so is the rest of the names that
PTR records point to. Owners must differ, ignoring case: of a message with one owner twice servers make what
no client has asked for.

``cbridge/wire/update_batch.c`` is the same in C, for packed requests; the tests compare them.
"""

from __future__ import annotations

from functools import cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pyd2.dns.constants import Opcode, RRType
from pyd2.dns.update import MAX_MESSAGE, Data
from pyd2.errors import NcrError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pyd2.dns.update import RecordTemplate, UpdateTemplate, Zone

MAX_UDP_BATCH: Final = 1232
"""Octets of a batch that goes over UDP: more may be dropped in silence, by servers or on the way."""
LARGEST_BATCH: Final = 60_000
"""Octets of any batch."""

_HEADER_LENGTH: Final = 12
_MAX_POINTER: Final = 0x3FFF
_MOST_PLACES: Final = 16
_FLAGS: Final = (Opcode.UPDATE << 11).to_bytes(2, "big")
_ONE_ZONE: Final = b"\0\1"

_FIRST, _AGAIN, _TTL, _ADDRESS, _DHCID = range(5)
"""What fills the holes of a format, by position."""


class BatchPart(NamedTuple):
    """The changes of one owner; the fields are those of ``encode_update``."""

    template: UpdateTemplate
    owner: bytes
    target: bytes
    address: bytes
    dhcid: bytes
    ttl: int


class _Piece:
    """Records of one owner, up to the name that a PTR record points to, or behind it."""

    __slots__ = ("fill", "format")

    def __init__(self, pieces: Iterable[bytes], holes: Sequence[int]) -> None:
        self.format = b"".join(pieces)
        self.fill: Callable[[tuple[bytes, ...]], Any] | None = None
        """None: there is nothing to fill in."""
        if len(holes) == 1:
            (only,) = holes
            self.fill = lambda values: (values[only],)
        elif holes:
            self.fill = itemgetter(*holes)

    def filled(self, values: tuple[bytes, ...]) -> bytes:
        octets: bytes = self.format if self.fill is None else self.format % self.fill(values)
        return octets


@cache
def _pieces(records: tuple[RecordTemplate, ...], address_size: int, *, begins: bool) -> tuple[_Piece, ...]:
    """Return what is between the targets of some records; ``begins``: the owner has not come before."""
    found: list[_Piece] = []
    pieces: list[bytes] = []
    holes: list[int] = []
    for number, record in enumerate(records):
        holes.append(_FIRST if begins and number == 0 else _AGAIN)
        rrtype = record.type or (RRType.A if address_size == 4 else RRType.AAAA)
        pieces += b"%b", _constant(_u16(rrtype) + _u16(record.rrclass))
        if record.with_ttl:
            holes.append(_TTL)
        pieces.append(b"%b" if record.with_ttl else bytes(4))
        if record.data is Data.NONE:
            pieces.append(_u16(0))
        elif record.data is Data.ADDRESS:
            holes.append(_ADDRESS)
            pieces += _constant(_u16(address_size)), b"%b"
        elif record.data is Data.DHCID:
            holes.append(_DHCID)
            pieces.append(b"%b")
        else:
            found.append(_Piece(pieces, holes))
            pieces, holes = [], []
    found.append(_Piece(pieces, holes))
    return tuple(found)


def _constant(octets: bytes) -> bytes:
    """Return octets for a place in a format."""
    return octets.replace(b"%", b"%%")


def _u16(number: int) -> bytes:
    return number.to_bytes(2, "big")


class _Targets:
    """The names that PTR records point to, with pointers to the names that they share but for their host."""

    __slots__ = ("_places",)

    def __init__(self) -> None:
        self._places: dict[bytes, bytes] = {}

    def data(self, target: bytes, at: int) -> bytes:
        """Return a target with its length; ``at`` is where it begins in the message."""
        size = 1 + target[0]
        rest = target[size:]
        pointer = self._places.get(rest)
        if pointer is not None:
            target = target[:size] + pointer
        elif len(rest) > 2 and at + size <= _MAX_POINTER and len(self._places) < _MOST_PLACES:
            self._places[rest] = _u16(0xC000 | at + size)
        return _u16(len(target)) + target


def encode_batch(zone: Zone, parts: Sequence[BatchPart]) -> bytes:
    """Return a batch with query ID 0 and without TSIG. The owners must differ, ignoring case.

    Raises NcrError if the message would be larger than a DNS message can be.
    """
    targets = _Targets()
    at = _HEADER_LENGTH + len(zone.section)
    written: list[bytes] = []
    values: list[tuple[bytes, ...]] = []
    counts = [0, 0]
    for section in (0, 1):
        for number, part in enumerate(parts):
            template = part.template
            records = template.updates if section else template.prerequisites
            if section == 0:
                first = zone.table.compress(part.owner)
                dhcid = _u16(len(part.dhcid)) + part.dhcid
                values.append((first, first, part.ttl.to_bytes(4, "big"), part.address, dhcid))
            if not records:
                continue
            counts[section] += len(records)
            begins = section == 0 or not template.prerequisites
            filling = values[number]
            if begins and at <= _MAX_POINTER and len(filling[_FIRST]) > 2:
                filling = values[number] = (filling[_FIRST], _u16(0xC000 | at), *filling[_TTL:])
            behind_target = False
            for piece in _pieces(records, len(part.address), begins=begins):
                if behind_target:
                    octets = targets.data(part.target, at + 2)
                    written.append(octets)
                    at += len(octets)
                octets = piece.filled(filling)
                written.append(octets)
                at += len(octets)
                behind_target = True
    if at > MAX_MESSAGE or max(counts) > 0xFFFF:
        raise NcrError(f"a batch of {at} octets does not fit into a DNS message")
    head = bytes(2) + _FLAGS + _ONE_ZONE + _u16(counts[0]) + _u16(counts[1]) + bytes(2)
    return b"".join((head, zone.section, *written))
