"""Replies that Kea finds malformed, with its reasons, and replies made of odd parts.

test_reply.py holds the codec against the texts here, test_against_kea.py holds them against the real server.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

ZONE = b"\x07example\x03com\0" + struct.pack(">HH", 6, 1)
IN, CH, NONE, ANY = 1, 3, 254, 255


def message(
    *records: tuple[int, bytes], flags: int = 0xA800, zone: bytes = ZONE, zones: int = 1,
    counts: tuple[int, int, int] | None = None,
) -> bytes:
    """Return a reply; each record comes with its section (1 to 3)."""
    real = tuple(sum(section == number for section, _ in records) for number in (1, 2, 3))
    head = struct.pack(">6H", 0, flags, zones, *(counts or real))
    return head + zone + b"".join(record for _, record in sorted(records, key=lambda record: record[0]))


def record(  # the fields of an RR, in their order
    rrtype: int, data: bytes = b"", rrclass: int = IN, ttl: int = 0, owner: bytes = b"\xc0\x0c",
    length: int | None = None,
) -> bytes:
    """Return a resource record."""
    size = len(data) if length is None else length
    return owner + struct.pack(">HHIH", rrtype, rrclass, ttl, size) + data


def tsig(mac: bytes = bytes(16), other: bytes = b"", algorithm: bytes = b"\x01a\0") -> bytes:
    """Return the data of a TSIG record."""
    return (
        algorithm + bytes(6) + struct.pack(">HH", 300, len(mac)) + mac
        + struct.pack(">HHH", 0, 0, len(other)) + other
    )


_RRSIG = struct.pack(">HBBIIIH", 1, 5, 2, 1, 2, 3, 4)
_TKEY = b"\x01a\0" + struct.pack(">IIHH", 1, 2, 3, 0)

MALFORMED: list[tuple[str, bytes]] = [
    ("Malformed DNS message (short length): 2", b"\0\0"),
    ("Malformed DNS message (short length): 11", message()[:11]),
    # Names.
    ("incomplete wire-format name", message()[:12]),
    ("incomplete wire-format name", message()[:20]),
    ("incomplete wire-format name", message(zone=b"\x01a\xc0")),
    ("unknown label character: 64", message(zone=b"\x40")),
    ("unknown label character: 191", message(zone=b"\x01a\xbf")),
    ("bad compression pointer (out of range): 12", message(zone=b"\xc0\x0c")),
    ("bad compression pointer (out of range): 16383", message(zone=b"\xff\xff")),
    ("bad compression pointer (out of range): 29", message((1, record(1, owner=b"\xc0\x1d")))),
    ("bad compression pointer (out of range): 12",
     message((1, record(1, owner=b"\x01a\xc0\x0c")), zone=b"\xc0\x0c")),
    ("wire name is too long: 256 bytes", message(zone=(b"\x3f" + b"x" * 63) * 4 + b"\0")),
    ("wire name is too long: 257 bytes",
     message(zone=(b"\x3f" + b"x" * 63) * 3 + b"\x3e" + b"x" * 62 + b"\x01a\0")),
    # Sections.
    ("Question section too short: 3 bytes", message()[:-1]),
    ("Question section too short: 0 bytes", message(zones=2, zone=ZONE + b"\0")),
    ("ANSWER section too short: 9 bytes", message((1, record(1, length=4)[:-1]))),
    ("AUTHORITY section too short: 0 bytes", message((2, b"\0"))),
    ("ADDITIONAL section too short: 4 bytes", message((3, b"\0\0\0\0\0"))),
    ("incomplete wire-format name", message(counts=(0, 0, 1))),
    # Data.
    ("InputBuffer::peekData read beyond end of buffer", message((1, record(99, b"ab", length=3)))),
    ("InputBuffer::peekData read beyond end of buffer",
     message((1, record(1, b"abc", rrclass=ANY, length=4)))),
    ("IN/A RDATA construction from wire failed: Invalid length: 0", message((1, record(1)))),
    ("IN/A RDATA construction from wire failed: Invalid length: 5", message((1, record(1, bytes(5))))),
    ("IN/A RDATA construction from wire failed: insufficient buffer length: 3",
     message((1, record(1, bytes(3), length=4)))),
    ("RDLENGTH mismatch: 0 != 4", message((1, record(1, bytes(4), rrclass=CH)))),
    ("IN/AAAA RDATA construction from wire failed: Invalid length: 4", message((1, record(28, bytes(4))))),
    ("IN/AAAA RDATA construction from wire failed: insufficient buffer length: 0",
     message((1, record(28, length=16)))),
    ("RDLENGTH mismatch: 3 != 4", message((1, record(2, b"\x01a\0\0")))),
    ("RDLENGTH mismatch: 2 != 1", message((2, record(12, b"\xc0\x0c", length=1, rrclass=99)))),
    ("incomplete wire-format name", message((2, record(12, b"", length=0)))),
    ("InputBuffer::peekData read beyond end of buffer", message((2, record(6, bytes(21))))),
    ("RDLENGTH mismatch: 22 != 23", message((2, record(6, bytes(23))))),
    ("Error in parsing TXT RDATA: 0-length character string", message((1, record(16)))),
    ("Error in parsing TXT RDATA: character string length is too large: 4",
     message((1, record(16, b"\x04abc")))),
    ("InputBuffer::peekUint8 read beyond end of buffer", message((1, record(16, b"\x01a", length=4)))),
    ("InputBuffer::peekData read beyond end of buffer", message((1, record(16, b"\x03ab", length=4)))),
    ("Missing DHCID rdata", message((1, record(49)))),
    ("InputBuffer::peekData read beyond end of buffer", message((1, record(49, b"a", length=2)))),
    ("RRSIG too short", message((1, record(46, bytes(17))))),
    ("RRSIG too short", message((1, record(46, _RRSIG + b"\0")))),
    ("incomplete wire-format RR type", message((1, record(46, b"a", length=30)))),
    ("InputBuffer::peekUint8 read beyond end of buffer", message((1, record(46, b"abc", length=30)))),
    ("InputBuffer::peekUint32 read beyond end of buffer", message((1, record(46, b"abcdef", length=30)))),
    ("InputBuffer::peekUint16 read beyond end of buffer", message((1, record(46, _RRSIG[:-1], length=30)))),
    ("InputBuffer::peekData read beyond end of buffer",
     message((1, record(46, _RRSIG + b"\0ab", length=30)))),
    ("InputBuffer::peekUint32 read beyond end of buffer", message((1, record(249, _TKEY[:5], length=30)))),
    ("InputBuffer::peekUint16 read beyond end of buffer", message((1, record(249, _TKEY[:-1], length=30)))),
    ("InputBuffer::peekData read beyond end of buffer", message((1, record(249, _TKEY + b"\0\2a")))),
    ("RDLENGTH mismatch: 19 != 20", message((1, record(249, _TKEY + bytes(5))))),
    # EDNS.
    ("EDNS OPT RR found in an invalid section", message((1, record(41)))),
    ("multiple EDNS OPT RR found", message((3, record(41, owner=b"\0")), (3, record(41, owner=b"\0")))),
    ("unsupported EDNS version: 1", message((3, record(41, ttl=0x10000)))),
    ("invalid owner name for EDNS OPT RR: example.com.", message((3, record(41)))),
    ("Pseudo OPT RR record too short: 3 bytes", message((3, record(41, bytes(3))))),
    ("Corrupt pseudo OPT RR record", message((3, record(41, b"\0\1\0\2a")))),
    ("Option length 65535 would overflow OPT RR RDLEN (currently 1).",
     message((3, record(41, b"\0\1\0\1a\0\1\xff\xff")))),
    ("InputBuffer::peekData read beyond end of buffer", message((3, record(41, b"\0\1\0\x09a", length=30)))),
    # TSIG.
    ("TSIG RR found in an invalid section", message((2, record(250, tsig(), ANY)))),
    ("TSIG RR is not the last record", message((3, record(250, tsig(), ANY)), (3, record(1, bytes(4))))),
    ("TSIG RR is not the last record", message((3, record(250, b"", IN)), (3, record(1, bytes(4))))),
    ("Unexpected TSIG TTL: 7", message((3, record(250, tsig(), ANY, ttl=7)))),
    ("TSIG record is being constructed from incompatible RDATA: \\# 2 01ff",
     message((3, record(250, b"\x01\xff", IN)))),
    ("TSIG record is being constructed from incompatible RDATA: \\# 0 ", message((3, record(250, b"", IN)))),
    ("RDLENGTH mismatch: 35 != 36", message((3, record(250, tsig() + b"\0", ANY)))),
    ("InputBuffer::peekData read beyond end of buffer", message((3, record(250, tsig()[:8], ANY)))),
    ("InputBuffer::peekUint16 read beyond end of buffer", message((3, record(250, tsig()[:10], ANY)))),
    ("InputBuffer::peekUint16 read beyond end of buffer", message((3, record(250, tsig()[:12], ANY)))),
    ("InputBuffer::peekData read beyond end of buffer", message((3, record(250, tsig()[:20], ANY)))),
    ("InputBuffer::peekUint16 read beyond end of buffer", message((3, record(250, tsig()[:-1], ANY)))),
    ("InputBuffer::peekData read beyond end of buffer",
     message((3, record(250, tsig(other=b"abc")[:-1], ANY)))),
    # What is well formed and yet no reply.
    ("received message is not a DDNS update, received message code is 0", message(flags=0x8000)),
    ("received message is not a DDNS update, received message code is 15", message(flags=0x7800)),
    (("received message should have QR flag set, to indicate that it is a RESPONSE message;"
      " the QR flag in received message is unset"), message(flags=0x2800)),
    ("received message contains 2 Zone records, it should contain at most 1 record",
     message(zones=2, zone=ZONE * 2)),
]

ACCEPTED: list[tuple[int, bytes]] = [
    (0, message()),
    (6, message(flags=0xA806)),
    (15, message(flags=0xAFFF)),
    (0, message(zones=0, zone=b"")),
    (0, message() + b"junk"),
    (0, message(zone=b"\x05other\0" + struct.pack(">HH", 99, 99))),
    (1, message((3, record(41, owner=b"\0")), flags=0xA801)),
    (16, message((3, record(41, owner=b"\0", ttl=0x01008000)))),
    (0xFF3, message((3, record(41, b"\0\1\0\1a\0\2\0\0", owner=b"\0", ttl=0xFF000000, rrclass=1232)),
                 flags=0xA803)),
    (0, message((1, record(41, rrclass=ANY)), (2, record(250, rrclass=NONE)), (3, record(250, rrclass=ANY)),
                (3, record(1, rrclass=ANY)))),
    (0, message((1, record(1, bytes(4))), (1, record(1, b"abc", rrclass=ANY)), (1, record(1, rrclass=CH)),
                (1, record(65280, b"x")), (1, record(99)))),
    (0, message((2, record(2, b"\x01a\xc0\x0c")), (2, record(6, b"\xc0\x0c\xc0\x0c" + bytes(20))))),
    (0, message((1, record(16, b"\0\x01a")), (1, record(46, _RRSIG + b"\0s")),
                 (1, record(249, _TKEY + bytes(4))),
                (1, record(28, bytes(16))), (1, record(49, b"d")), (1, record(12, b"\0", rrclass=99)))),
    (0, message((3, record(250, tsig(other=b"abc"), ANY)))),
]
"""Well-formed replies and their response codes."""


def mutated(chance: random.Random, number: int) -> list[bytes]:
    """Return replies with a few octets changed, inserted or missing, from 2 octets on."""
    pool = [wire for _, wire in ACCEPTED] * 3 + [wire for _, wire in MALFORMED]
    made = []
    for _ in range(number):
        wire = bytearray(chance.choice(pool))
        for _ in range(chance.choice((1, 1, 2, 3))):
            at = chance.randrange(len(wire) + 1)
            kind = chance.randrange(4)
            if kind == 0:
                wire[at:at] = chance.choice((b"\0", b"\xc0\x0c", b"\xff", b"\x3f", b"\x01a",
                chance.randbytes(2)))
            elif kind == 1:
                del wire[at : at + chance.randrange(1, 5)]
            elif kind == 2:
                wire[at : at + 1] = bytes((chance.choice((0, 1, 0x10, 41, 250, 255, chance.randrange(256))),))
            else:
                del wire[at:]
        made.append(bytes(wire[:2].ljust(2, b"\0") + wire[2:]))
    return made
