"""Answers to questions for DHCIDs, as servers give them and as none should, for tests of both layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyd2.dns.names import parse_name
from pyd2.dns.question import encode_question
from pyd2.dns.tsig import HmacKey
from tests.kit.dnswire import append_tsig, parse, sign

if TYPE_CHECKING:
    import random

WALL: Final = 1_700_000_000
SECRET: Final = b"\1"
KEY: Final = HmacKey("k.", "HMAC-SHA256", SECRET)
DHCID: Final = b"\0\1\1" + bytes(range(32))
OTHER: Final = b"\0\1\1" + bytes(range(1, 33))
NAMES: Final = tuple(map(parse_name, ("Host.example.com.", ".".join(["x" * 61] * 4) + ".", "a.")))
TO_QUESTION: Final = b"\xc0\x0c"
"""A pointer to the name that was asked for."""
_ZONE: Final = parse_name("example.com.")
_SERVER: Final = b"\2ns" + _ZONE


@dataclass(frozen=True)
class Answer:
    """An answer, and what was asked."""

    datagram: bytes
    name: bytes
    mac: bytes
    """The question's; empty: it was not signed."""


def record(owner: bytes, rrtype: int, data: bytes, rrclass: int = 1) -> bytes:
    """Return a record with a TTL of 300 seconds."""
    head = rrtype.to_bytes(2, "big") + rrclass.to_bytes(2, "big") + (300).to_bytes(4, "big")
    return owner + head + len(data).to_bytes(2, "big") + data


def dhcid_record(data: bytes = DHCID) -> bytes:
    """Return the DHCID record of the name that was asked for."""
    return record(TO_QUESTION, 49, data)


SOA: Final = record(_ZONE, 6, _SERVER + _ZONE + bytes(20))
NS: Final = record(_ZONE, 2, _SERVER)
GLUE: Final = (record(_SERVER, 1, bytes(4)), record(_SERVER, 28, bytes(16)))


def body(
    name: bytes, rcode: int, *sections: list[bytes], flags: int = 0x84, question: bytes = b"\0\x31\0\1"
) -> bytes:
    """Return an unsigned answer with query ID 0x1234."""
    counts = [len(section) for section in sections] + [0] * (3 - len(sections))
    head = bytes((0x12, 0x34, flags, rcode, 0, 1)) + b"".join(count.to_bytes(2, "big") for count in counts)
    return head + name + question + b"".join(octets for section in sections for octets in section)


def signed(unsigned: bytes, name: bytes, secret: bytes = SECRET, later: int = 0) -> Answer:
    """Return an answer that the key of its question has signed."""
    asked = parse(KEY.create_context().sign(encode_question(name), 0x1234, WALL + later)).tsig
    assert asked is not None
    return Answer(append_tsig(unsigned, sign(secret, asked, unsigned, asked.mac)), name, asked.mac)


def make(rng: random.Random) -> Answer:
    """Make an answer; half of them are in order."""
    name = rng.choice(NAMES)
    spelled = rng.choice([name, name, name.upper(), name.lower()])
    found = rng.choice([[], [], [dhcid_record()], [dhcid_record(OTHER)]])
    rcode = 3 if not found and rng.random() < 0.5 else 0
    authorities = rng.choice([[], [SOA], [NS], [NS, NS]])
    additional = rng.choice([[], list(GLUE)])
    flags, question = rng.choice([0x84, 0x80, 0x85]), b"\0\x31\0\1"
    if rng.random() < 0.5:
        spelled, found, rcode, flags, question = _odd(rng, spelled, found, rcode, flags, question)
        authorities = authorities + _strange(rng)
        additional = _strange(rng) + additional
    unsigned = body(spelled, rcode, found, authorities, additional, flags=flags, question=question)
    if rng.random() < 0.5:
        answer = Answer(unsigned, name, b"")
    else:
        answer = signed(
            unsigned, name, rng.choice([SECRET] * 5 + [b"\2"]), rng.choice([0] * 5 + [-301, -300, 300, 301])
        )
        if rng.random() < 0.1:
            answer = Answer(unsigned, name, answer.mac)
        elif rng.random() < 0.1:
            answer = Answer(answer.datagram, name, rng.randbytes(len(answer.mac)))
    return answer if rng.random() < 0.6 else Answer(_spoilt(rng, answer.datagram), name, answer.mac)


def _odd(
    rng: random.Random, spelled: bytes, found: list[bytes], rcode: int, flags: int, question: bytes
) -> tuple[bytes, list[bytes], int, int, bytes]:
    """Return parts of an answer, one of which is not as it usually is."""
    what = rng.randrange(5)
    if what == 0:
        spelled = rng.choice([*NAMES, TO_QUESTION, b"\xc0\0"])
    elif what == 1:
        found = [
            rng.choice([
                dhcid_record(), dhcid_record(OTHER), dhcid_record(b""), dhcid_record(DHCID[:5]),
                dhcid_record(DHCID + b"\0"), record(spelled, 49, DHCID), record(b"\1x\0", 49, DHCID),
                record(TO_QUESTION, 49, DHCID, 3), record(TO_QUESTION, 1, bytes(4)),
                record(TO_QUESTION, 5, b"\1x\0"), record(b"\xc0\x0d", 49, DHCID),
            ])
            for _ in range(rng.randrange(1, 4))
        ]
    elif what == 2:
        rcode = rng.randrange(256)
    elif what == 3:
        flags = rng.randrange(256)
    else:
        question = rng.choice([b"\0\x31\0\3", b"\0\1\0\1", b"\0\xff\0\1"])
    return spelled, found, rcode, flags, question


def _strange(rng: random.Random) -> list[bytes]:
    """Return records that few servers add, or none, mostly."""
    if rng.random() < 0.6:
        return []
    return [rng.choice([
        record(b"\0", 41, b"", 1232), record(_ZONE, 46, bytes(18) + _ZONE + bytes(20)), record(_ZONE, 1, b""),
        record(_ZONE, 1, bytes(5)), record(_ZONE, 28, bytes(15)), record(_ZONE, 2, _SERVER + b"\0"),
        record(_ZONE, 2, b"\xff"), record(_ZONE, 6, _SERVER + _ZONE + bytes(19)),
        record(_ZONE, 1, bytes(4), 3),
        record(_ZONE, 1, b"", 255), record(_ZONE, 99, bytes(7)), record(b"\xc0\x0c", 2, b"\xc0\x0c"),
        record(b"\xff\xff", 1, bytes(4)), record(_ZONE, 250, bytes(9)),
    ])]


def _spoilt(rng: random.Random, octets: bytes) -> bytes:
    """Return a datagram that was damaged on its way."""
    at = rng.randrange(2, len(octets))
    what = rng.randrange(4)
    if what == 0:
        return octets[:at]
    if what == 1:
        return octets + rng.randbytes(rng.randrange(1, 20))
    if what == 2:
        at = min(at, 11)
    return octets[:at] + bytes((octets[at] ^ 1 << rng.randrange(8),)) + octets[at + 1 :]
