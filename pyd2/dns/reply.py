"""Replies to UPDATE messages: parsed as strictly as in Kea, and verified (contract, section 6).

Nothing of a reply counts but its response code, yet every record is walked, and one that is malformed
spoils the whole reply. The texts are those of DHCP_DDNS_INVALID_RESPONSE.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from pyd2.dns.constants import Opcode, RRClass, RRType
from pyd2.dns.names import MAX_LABEL, MAX_NAME, ROOT, name_text
from pyd2.dns.tsig import TsigRecord
from pyd2.errors import ReplyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.dns.tsig import SigningContext

_HEADER_LENGTH = 12
_FLAGS = 2
"""The place of the octet with TC."""
_TC = 2
_SECTIONS = ("QUESTION", "ANSWER", "AUTHORITY", "ADDITIONAL")
_ADDITIONAL = 3
_MAX_POINTERS = 127

# Plain numbers, because a lookup of an enum member costs more than the comparison.
_OPT, _TSIG = int(RRType.OPT), int(RRType.TSIG)
_NONE, _ANY = int(RRClass.NONE), int(RRClass.ANY)

_COUNTS = Struct(">HHHH")
"""Records in the four sections."""
_RECORD = Struct(">HHIH")
"""Type, class, TTL and length of the data."""
_TSIG_BEGIN = Struct(">HIHH")
"""Time signed (48 bits), fudge and length of the MAC."""
_TSIG_END = Struct(">HHH")
"""Original ID, error and length of the other data."""
_Tails: TypeAlias = dict[int, tuple[bytes, int]]
"""The names at offsets of a message, and the number of pointers in each."""
_TsigFields: TypeAlias = tuple[bytes, int, int, bytes, int, int, bytes]


class Reply(NamedTuple):
    """The parts of a reply that the engine uses."""

    opcode: int
    is_response: bool
    rcode: int
    """12 bits: the RCODE of the header, extended by an OPT record."""
    zones: int
    """Records in the zone section."""
    tsig: TsigRecord | None


def read_reply(datagram: bytes, context: SigningContext | None, wall: int) -> int:
    """Return the response code (0 to 4095) of a server's reply.

    ``context`` is the one that signed the request; a signature is not checked without one. ``wall`` is
    seconds since the epoch. Whether the query ID is the request's is for the caller to check.

    Raises ReplyError with the text of DHCP_DDNS_INVALID_RESPONSE.
    """
    reply = parse_reply(datagram)
    if context is not None:
        context.verify(datagram, reply.tsig, wall)
    if reply.opcode != Opcode.UPDATE:
        raise ReplyError(
            f"received message is not a DDNS update, received message code is {reply.opcode}"
        )
    if not reply.is_response:
        raise ReplyError(
            "received message should have QR flag set, to indicate that it is a RESPONSE message;"
            " the QR flag in received message is unset"
        )
    if reply.zones > 1:
        raise ReplyError(
            f"received message contains {reply.zones} Zone records, it should contain at most 1 record"
        )
    return reply.rcode


def parse_reply(datagram: bytes) -> Reply:
    """Parse a whole DNS message; raises ReplyError if it is malformed. Octets behind it are ignored."""
    size = len(datagram)
    if size < _HEADER_LENGTH:
        raise ReplyError(f"Malformed DNS message (short length): {size}")
    counts = _COUNTS.unpack_from(datagram, 4)
    at = _HEADER_LENGTH
    tails: _Tails = {}
    for _ in range(counts[0]):
        at = read_name(datagram, at, tails)[1]
        if size - at < 4:
            raise ReplyError(f"Question section too short: {size - at} bytes")
        at += 4
    rcode = datagram[3] & 15
    tsig = None
    if counts[1] or counts[2] or counts[3]:
        extension, tsig = _read_records(datagram, at, counts, tails)
        rcode |= extension << 4
    return Reply(datagram[2] >> 3 & 15, datagram[2] >= 0x80, rcode, counts[0], tsig)


def is_truncated(message: bytes) -> bool:
    """Whether a message, of which there is the whole header, says that the rest of it did not fit (TC)."""
    return bool(message[_FLAGS] & _TC)


def read_name(message: bytes, start: int, tails: _Tails | None = None) -> tuple[bytes, int]:
    """Return the name at an offset, uncompressed, and the offset behind it.

    ``tails`` remembers, from one name of a message to the next, what pointers led to. Raises ReplyError with
    Kea's texts.
    """
    at = start
    try:
        while (octet := message[at]) and octet <= MAX_LABEL:
            at += 1 + octet
    except IndexError:
        octet = MAX_LABEL
    at += 1
    # Most names have no pointer and are one slice.
    if octet == 0 and at - start <= MAX_NAME:
        return message[start:at], at
    return _read_name_carefully(message, start, {} if tails is None else tails)


def _read_name_carefully(message: bytes, start: int, tails: _Tails) -> tuple[bytes, int]:
    """Read a name that is compressed or wrong.

    Each pointer must lead further back than the name's beginning and than the pointers before it, so
    that the walk ends. Kea has no other bound, and a hostile reply of chained pointers would take seconds
    here: a name needs no more pointers than it has labels, and no chain is walked twice.
    """
    labels = []
    size = 0
    pointers = 0
    at = lowest = start
    end = 0
    passed: list[tuple[int, int, int]] = []
    """The targets of pointers, with the size and the number of pointers before each."""
    try:
        while True:
            octet = message[at]
            if octet <= MAX_LABEL:
                size += 1 + octet
                if size > MAX_NAME:
                    raise ReplyError(f"wire name is too long: {size} bytes")
                labels.append(message[at : at + 1 + octet])
                at += 1 + octet
                if octet == 0:
                    break
            elif octet >= 0xC0:
                pointer = (octet & 0x3F) << 8 | message[at + 1]
                if pointer >= lowest:
                    raise ReplyError(f"bad compression pointer (out of range): {pointer}")
                pointers += 1
                if pointers > _MAX_POINTERS:
                    raise ReplyError(f"more than {_MAX_POINTERS} compression pointers in a name")
                end = end or at + 2
                passed.append((pointer, size, pointers))
                tail, more = tails.get(pointer, (b"", 0))
                # The name exceeds a limit: the slow path finds out which one.
                if tail and size + len(tail) <= MAX_NAME and pointers + more <= _MAX_POINTERS:
                    labels.append(tail)
                    pointers += more
                    break
                at = lowest = pointer
            else:
                raise ReplyError(f"unknown label character: {octet}")
    except IndexError:
        raise ReplyError("incomplete wire-format name") from None
    name = b"".join(labels)
    for pointer, size_before, pointers_before in passed:
        tails[pointer] = name[size_before:], pointers - pointers_before
    return name, end or at


def _read_records(
    message: bytes, at: int, counts: tuple[int, ...], tails: _Tails
) -> tuple[int, TsigRecord | None]:
    """Walk the three sections behind the zone; return the upper bits of the RCODE and the TSIG record."""
    extension: int | None = None
    tsig: TsigRecord | None = None
    for section in (1, 2, 3):
        for index in range(counts[section]):
            start = at
            owner, at = read_name(message, at, tails)
            if len(message) - at < 10:
                raise ReplyError(f"{_SECTIONS[section]} section too short: {len(message) - at} bytes")
            rrtype, rrclass, ttl, length = _RECORD.unpack_from(message, at)
            begin = at = at + 10
            if length == 0 and rrclass in (_ANY, _NONE):
                continue
            fields = None
            if rrtype == _TSIG and rrclass == _ANY:
                fields, at = _read_tsig_data(message, at, tails)
            else:
                check = _DATA_CHECKS.get((rrtype, rrclass)) or _DATA_CHECKS.get((rrtype, None)) or _check_any
                reader = _Reader(message, at, tails)
                check(reader, length)
                at = reader.at
            if at - begin != length:
                raise ReplyError(f"RDLENGTH mismatch: {at - begin} != {length}")
            if rrtype == _TSIG:
                if section != _ADDITIONAL:
                    raise ReplyError("TSIG RR found in an invalid section")
                if index != counts[section] - 1:
                    raise ReplyError("TSIG RR is not the last record")
                if fields is None:
                    raise ReplyError(
                        "TSIG record is being constructed from incompatible RDATA:"
                        f" \\# {length} {message[begin:at].hex()}"
                    )
                if ttl != 0:
                    raise ReplyError(f"Unexpected TSIG TTL: {ttl}")
                tsig = TsigRecord(at - start, owner, *fields)
            elif rrtype == _OPT:
                if section != _ADDITIONAL:
                    raise ReplyError("EDNS OPT RR found in an invalid section")
                if extension is not None:
                    raise ReplyError("multiple EDNS OPT RR found")
                extension = _read_edns(owner, ttl)
    return extension or 0, tsig


def _read_edns(owner: bytes, ttl: int) -> int:
    """Return the upper bits of the RCODE from an OPT record's TTL field (RFC 6891, section 6.1.3)."""
    version = ttl >> 16 & 0xFF
    if version > 0:
        raise ReplyError(f"unsupported EDNS version: {version}")
    if owner != ROOT:
        raise ReplyError(f"invalid owner name for EDNS OPT RR: {name_text(owner)}")
    return ttl >> 24


def _read_tsig_data(message: bytes, at: int, tails: _Tails) -> tuple[_TsigFields, int]:
    """Return the fields of a TSIG record's data (RFC 8945, section 4.2) and the offset behind them."""
    algorithm, at = read_name(message, at, tails)
    left = len(message) - at
    if left < 10:
        raise _read_beyond("Data" if left < 6 else "Uint16")
    time_high, time_low, fudge, mac_size = _TSIG_BEGIN.unpack_from(message, at)
    if left < 16 + mac_size:
        raise _read_beyond("Data" if left < 10 + mac_size else "Uint16")
    mac_end = at + 10 + mac_size
    original_id, error, other_size = _TSIG_END.unpack_from(message, mac_end)
    if left < 16 + mac_size + other_size:
        raise _read_beyond("Data")
    end = mac_end + 6 + other_size
    time_signed = time_high << 32 | time_low
    mac = message[at + 10 : mac_end]
    return (algorithm, time_signed, fudge, mac, original_id, error, message[mac_end + 6 : end]), end


def _read_beyond(what: str) -> ReplyError:
    return ReplyError(f"InputBuffer::peek{what} read beyond end of buffer")


class _Reader:
    """A position in the data of a record, which each read moves on."""

    __slots__ = ("at", "message", "tails")

    def __init__(self, message: bytes, at: int, tails: _Tails) -> None:
        self.message = message
        self.at = at
        self.tails = tails

    def u8(self) -> int:
        return self._number(1)

    def u16(self) -> int:
        return self._number(2)

    def u32(self) -> int:
        return self._number(4)

    def _number(self, size: int) -> int:
        at = self.at
        octets = self.message[at : at + size]
        if len(octets) < size:
            raise _read_beyond(f"Uint{8 * size}")
        self.at = at + size
        return int.from_bytes(octets, "big")

    def octets(self, size: int) -> bytes:
        at = self.at
        octets = self.message[at : at + size]
        if len(octets) < size:
            raise _read_beyond("Data")
        self.at = at + size
        return octets

    def name(self) -> bytes:
        name, self.at = read_name(self.message, self.at, self.tails)
        return name

    def left(self) -> int:
        """Return how many octets of the message follow."""
        return len(self.message) - self.at


def _check_any(reader: _Reader, length: int) -> None:
    reader.octets(length)


def _check_nothing(reader: _Reader, length: int) -> None:
    """Kea knows the type CH/A but reads none of its data."""


def _check_a(reader: _Reader, length: int) -> None:
    _check_address(reader, length, "IN/A", 4)


def _check_aaaa(reader: _Reader, length: int) -> None:
    _check_address(reader, length, "IN/AAAA", 16)


def _check_address(reader: _Reader, length: int, kind: str, size: int) -> None:
    failure = f"{kind} RDATA construction from wire failed:"
    if length != size:
        raise ReplyError(f"{failure} Invalid length: {length}")
    if reader.left() < size:
        raise ReplyError(f"{failure} insufficient buffer length: {reader.left()}")
    reader.octets(size)


def _check_name(reader: _Reader, length: int) -> None:  # noqa: ARG001  the caller compares
    reader.name()


def _check_soa(reader: _Reader, length: int) -> None:  # noqa: ARG001  the caller compares
    reader.name()
    reader.name()
    reader.octets(20)


def _check_txt(reader: _Reader, length: int) -> None:
    failure = "Error in parsing TXT RDATA:"
    if length == 0:
        raise ReplyError(f"{failure} 0-length character string")
    while length > 0:
        size = reader.u8()
        if size + 1 > length:
            raise ReplyError(f"{failure} character string length is too large: {size}")
        reader.octets(size)
        length -= size + 1


def _check_dhcid(reader: _Reader, length: int) -> None:
    if length == 0:
        raise ReplyError("Missing DHCID rdata")
    reader.octets(length)


def _check_opt(reader: _Reader, length: int) -> None:
    total = 0
    while length > 0:
        if length < 4:
            raise ReplyError(f"Pseudo OPT RR record too short: {length} bytes")
        reader.u16()
        size = reader.u16()
        length -= 4
        if total + size > 0xFFFF:
            raise ReplyError(f"Option length {size} would overflow OPT RR RDLEN (currently {total}).")
        if size > length:
            raise ReplyError("Corrupt pseudo OPT RR record")
        reader.octets(size)
        total += size
        length -= size


def _check_rrsig(reader: _Reader, length: int) -> None:
    if length < 18:
        raise ReplyError("RRSIG too short")
    begin = reader.at
    if reader.left() < 2:
        raise ReplyError("incomplete wire-format RR type")
    reader.u16()
    reader.u8()
    reader.u8()
    reader.u32()
    reader.u32()
    reader.u32()
    reader.u16()
    reader.name()
    used = reader.at - begin
    if length <= used:
        raise ReplyError("RRSIG too short")
    reader.octets(length - used)


def _check_tkey(reader: _Reader, length: int) -> None:  # noqa: ARG001  the caller compares
    reader.name()
    reader.u32()
    reader.u32()
    reader.u16()
    reader.u16()
    reader.octets(reader.u16())
    reader.octets(reader.u16())


_DATA_CHECKS: dict[tuple[int, int | None], Callable[[_Reader, int], None]] = {
    (RRType.A, RRClass.IN): _check_a,
    (RRType.A, RRClass.CH): _check_nothing,
    (RRType.NS, None): _check_name,
    (RRType.SOA, None): _check_soa,
    (RRType.PTR, None): _check_name,
    (RRType.TXT, None): _check_txt,
    (RRType.AAAA, RRClass.IN): _check_aaaa,
    (RRType.OPT, None): _check_opt,
    (RRType.RRSIG, None): _check_rrsig,
    (RRType.DHCID, RRClass.IN): _check_dhcid,
    (RRType.TKEY, None): _check_tkey,
}
"""The checks that Kea makes of record data, by type and class; None: every class."""
