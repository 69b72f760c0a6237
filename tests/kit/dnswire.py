"""Takes UPDATE messages apart, tolerantly: whatever a server under test sends must be describable.

It shares no code with pyd2's codec: names are dnspython's, the rest is read off RFC 1035, 2136
and 8945 directly.
"""

import base64
import hashlib
import hmac
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import dns.name

A, PTR, SOA, AAAA, DHCID, TSIG = 1, 12, 6, 28, 49, 250
IN, NONE, ANY = 1, 254, 255
_TYPES = {A: "A", PTR: "PTR", SOA: "SOA", AAAA: "AAAA", 41: "OPT", DHCID: "DHCID", TSIG: "TSIG", 255: "ANY"}
_CLASSES = {IN: "IN", NONE: "NONE", ANY: "ANY"}
_DIGESTS = {"hmac-md5.sig-alg.reg.int.": hashlib.md5, "hmac-sha1.": hashlib.sha1,
            "hmac-sha224.": hashlib.sha224, "hmac-sha256.": hashlib.sha256, "hmac-sha384.": hashlib.sha384,
            "hmac-sha512.": hashlib.sha512}

Keys = Mapping[str, bytes]  # lower-case key name with its final dot -> secret


@dataclass(frozen=True)
class Tsig:
    """A TSIG record and where its parts stand in the message (RFC 8945, section 4.2)."""

    start: int
    name: dns.name.Name
    algorithm: dns.name.Name
    time_signed: int
    fudge: int
    mac: bytes
    original_id: int
    error: int
    other: bytes
    time_at: int = 0
    mac_at: int = 0
    original_id_at: int = 0


@dataclass(frozen=True)
class Message:
    """A message taken apart; the RRs are in the text form of the recorded cases."""

    wire: bytes
    id: int
    flags: int
    counts: list[int]
    zone: list[str] = field(default_factory=list)
    prereq: list[str] = field(default_factory=list)
    update: list[str] = field(default_factory=list)
    additional: list[str] = field(default_factory=list)
    zone_end: int = 12
    tsig: Tsig | None = None

    @property
    def unsigned(self) -> bytes:
        """The message as it was before the TSIG was added."""
        if self.tsig is None:
            return self.wire
        return self.wire[:10] + struct.pack("!H", self.counts[3] - 1) + self.wire[12:self.tsig.start]


def _rdata_text(wire: bytes, at: int, kind: int, length: int) -> str:
    data = wire[at:at + length]
    if not data:
        return ""
    if kind == A and length == 4:
        return socket.inet_ntop(socket.AF_INET, data)
    if kind == AAAA and length == 16:
        return socket.inet_ntop(socket.AF_INET6, data)
    if kind == PTR:
        return dns.name.from_wire(wire, at)[0].to_text()
    if kind == DHCID:
        return base64.b64encode(data).decode()
    return f"\\# {length} {data.hex()}"


def _read_tsig(wire: bytes, start: int, name: dns.name.Name, at: int) -> Tsig:
    algorithm, used = dns.name.from_wire(wire, at)
    time_at = at + used
    high, low, fudge, size = struct.unpack_from("!HIHH", wire, time_at)
    mac_at = time_at + 10
    original_id, error, other = struct.unpack_from("!3H", wire, mac_at + size)
    rest = mac_at + size + 6
    return Tsig(start, name, algorithm, high << 32 | low, fudge, wire[mac_at:mac_at + size], original_id,
                error, wire[rest:rest + other], time_at, mac_at, mac_at + size)


def parse(wire: bytes) -> Message:
    """Take a message apart. Raises struct.error or dns.exception.DNSException if it is malformed."""
    message_id, flags, *counts = struct.unpack_from("!6H", wire)
    sections: list[list[str]] = [[], [], [], []]
    tsig, zone_end, at = None, 12, 12
    for number, count in enumerate(counts):
        for _ in range(count):
            start = at
            name, used = dns.name.from_wire(wire, at)
            at += used
            kind, klass = struct.unpack_from("!2H", wire, at)
            type_text, class_text = _TYPES.get(kind, str(kind)), _CLASSES.get(klass, str(klass))
            if number == 0:
                at += 4
                sections[0].append(f"{name} {class_text} {type_text}")
                continue
            ttl, length = struct.unpack_from("!IH", wire, at + 4)
            at += 10
            if kind == TSIG:
                tsig = _read_tsig(wire, start, name, at)
            else:
                text = f"{name} {ttl} {class_text} {type_text} {_rdata_text(wire, at, kind, length)}"
                sections[number].append(text.rstrip())
            at += length
        if number == 0:
            zone_end = at
    zone, prereq, update, additional = sections
    return Message(wire, message_id, flags, counts, zone, prereq, update, additional, zone_end, tsig)


def _canonical(name: dns.name.Name) -> bytes:
    return name.canonicalize().to_wire() or b""


def mac(secret: bytes, tsig: Tsig, unsigned: bytes, request_mac: bytes | None = None) -> bytes:
    """Return the full MAC over a message, under the ID in it (RFC 8945, section 4.3)."""
    digest = hmac.new(secret, digestmod=_DIGESTS[tsig.algorithm.to_text().lower()])
    if request_mac is not None:
        digest.update(struct.pack("!H", len(request_mac)) + request_mac)
    digest.update(unsigned)
    digest.update(_canonical(tsig.name) + struct.pack("!HI", ANY, 0) + _canonical(tsig.algorithm))
    digest.update(struct.pack("!HIHHH", tsig.time_signed >> 32, tsig.time_signed & 0xFFFFFFFF, tsig.fudge,
                              tsig.error, len(tsig.other)) + tsig.other)
    return digest.digest()


def append_tsig(unsigned: bytes, tsig: Tsig) -> bytes:
    """Return the message with the TSIG as its last additional record."""
    time_and_size = struct.pack("!HIHH", tsig.time_signed >> 32, tsig.time_signed & 0xFFFFFFFF, tsig.fudge,
                                len(tsig.mac))
    tail = struct.pack("!3H", tsig.original_id, tsig.error, len(tsig.other)) + tsig.other
    rdata = (tsig.algorithm.to_wire() or b"") + time_and_size + tsig.mac + tail
    record = (tsig.name.to_wire() or b"") + struct.pack("!HHIH", TSIG, ANY, 0, len(rdata)) + rdata
    (additional,) = struct.unpack_from("!H", unsigned, 10)
    return unsigned[:10] + struct.pack("!H", additional + 1) + unsigned[12:] + record


def sign(secret: bytes, tsig: Tsig, unsigned: bytes, request_mac: bytes | None = None) -> Tsig:
    """Return the TSIG with the MAC that belongs to the message."""
    return replace(tsig, mac=mac(secret, tsig, unsigned, request_mac))


def describe(message: Message, server: str, keys: Keys) -> dict[str, Any]:
    """Return an update in the recorded form: what can differ between runs is zero in `hex`."""
    blank = bytearray(message.wire)
    blank[0:2] = b"\0\0"
    entry: dict[str, Any] = {"server": server, "flags": f"0x{message.flags:04x}", "zone": message.zone,
                             "prereq": message.prereq, "update": message.update,
                             "additional": message.additional}
    tsig = message.tsig
    if tsig is not None:
        for at, size in ((tsig.time_at, 6), (tsig.mac_at, len(tsig.mac)), (tsig.original_id_at, 2)):
            blank[at:at + size] = b"\0" * size
        secret = keys.get(tsig.name.to_text().lower())
        valid = None
        if secret is not None:
            signed = struct.pack("!H", tsig.original_id) + message.unsigned[2:]
            valid = mac(secret, tsig, signed)[:len(tsig.mac)] == tsig.mac
        entry["tsig"] = {"name": tsig.name.to_text(), "algorithm": tsig.algorithm.to_text(),
                         "fudge": tsig.fudge, "mac_length": len(tsig.mac), "error": tsig.error,
                         "other_length": len(tsig.other),
                         "original_id_equals_header_id": tsig.original_id == message.id,
                         "mac_valid_over_original_id": valid}
    entry["hex"] = bytes(blank).hex()
    return entry
