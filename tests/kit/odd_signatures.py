"""Signed replies that are odd in ways that no server is known for: right and wrong TSIG records, taken apart.

An oddity is a map of the changes below to a reply that is well signed otherwise; `build` carries them out.
"""

import random
import struct
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import dns.name

from tests.kit.dnswire import TSIG, Keys, Message, Tsig, mac

Odd = Mapping[str, Any]

_OPT = "0000290200000000000000"
_OPT_EXTENDED = "0000290200020000000000"
_ADDRESS = "0161000001000100000e10000401020304"

VALUES: dict[str, list[Any]] = {
    # Of the record, and covered by the signature.
    "fudge": [0, 1, 10, 299, 65535],
    "error": [1, 16, 17, 18, 22, 65535],
    "other": ["00", "000000000000", "0000656f1234", "ab" * 7, "ff" * 200],
    "original-id": [1, 0x5555, 0xFFFF],
    "skew": [297, -297, 303, -303, 2**32, -1_600_000_000],
    # Of the signature.
    "request-mac": ["none", "empty", "longer"],
    "size": [0, 1, 9, 10, 15, 16, 31, 32],
    "longer": [1, 16, 100],
    "hash": ["hmac-sha1.", "hmac-md5.sig-alg.reg.int.", "hmac-sha512."],
    # Of the record, and not covered.
    "upper-case": [True],
    "short-md5": [True],
    "pointer-as-key": [12],
    "pointer-as-algorithm": [12, 20],
    "class": [1, 3, 254],
    "ttl": [1, 2**31],
    "length": [1, -1, 100, -100, 65000],
    "mac-length": [0, 1, 15, 31, 33, 65535],
    "other-length": [1, 6, 65535],
    "tail": ["00", "ffffffff"],
    # Of the message.
    "flags": [0xA805, 0x2800, 0x8000, 0xA86F, 0xADFF, 0xB800, 0xA80F],
    "before": [[[2, _OPT]], [[2, _OPT_EXTENDED]], [[0, _ADDRESS]], [[1, _ADDRESS]], [[2, _ADDRESS]],
               [[2, _OPT], [2, _OPT]], [[0, _ADDRESS], [1, _ADDRESS], [2, _OPT]]],
    "twice": [True],
    "after": [_OPT, _ADDRESS, "00000100ff000000000000"],
    "count": [1, -1, 5],
    "section": [1, 2],
    "behind": ["00", "deadbeef"],
    "cut": [1, 2, 5, 10, 20],
}


def invented(chance: random.Random) -> Iterator[Odd]:
    """Yield each oddity alone, many of them together, and flipped bits."""
    yield {}
    for name, values in VALUES.items():
        for value in values:
            yield {name: value}
    for _ in range(150):
        names = chance.sample(list(VALUES), chance.choice((2, 3)))
        yield {name: chance.choice(VALUES[name]) for name in names}
    for _ in range(150):
        yield {"flip": [chance.randrange(1000), chance.randrange(1, 256)]}


def build(request: Message, odd: Odd, keys: Keys) -> bytes:
    """Return the reply to a signed request."""
    tsig = request.tsig
    assert tsig is not None
    sections, counts = [b"", b"", b""], [1, 0, 0, 0]
    for section, record in odd.get("before", ()):
        sections[section] += bytes.fromhex(record)
        counts[section + 1] += 1
    head = request.wire[:2] + struct.pack("!H", odd.get("flags", 0xA800))
    rest = request.wire[12:request.zone_end] + b"".join(sections)

    algorithm = dns.name.from_text(odd["hash"]) if "hash" in odd else tsig.algorithm
    answer = replace(tsig, algorithm=algorithm, time_signed=int(time.time()) + odd.get("skew", 0),
                     fudge=odd.get("fudge", 300), error=odd.get("error", 0),
                     other=bytes.fromhex(odd.get("other", "")),
                     original_id=request.id ^ odd.get("original-id", 0))
    request_mac = {"none": None, "empty": b"", "longer": tsig.mac + b"\0"}.get(
        odd.get("request-mac", ""), tsig.mac)
    signed = struct.pack("!H", answer.original_id) + head[2:] + struct.pack("!4H", *counts) + rest
    made = mac(keys[tsig.name.to_text().lower()], answer, signed, request_mac)
    made = made[:odd.get("size", len(tsig.mac))] + bytes(odd.get("longer", 0))

    record = _record(answer, made, odd)
    records = record * (2 if odd.get("twice") else 1) + bytes.fromhex(odd.get("after", ""))
    added = 1 + bool(odd.get("twice")) + ("after" in odd) + odd.get("count", 0)
    counts[odd.get("section", 3)] += added
    message = bytearray(head + struct.pack("!4H", *counts) + rest + records
                        + bytes.fromhex(odd.get("behind", "")))
    if "cut" in odd:
        del message[-odd["cut"]:]
    if "flip" in odd:
        place, bits = odd["flip"]
        message[2 + place % (len(message) - 2)] ^= bits
    return bytes(message)


def _record(answer: Tsig, made: bytes, odd: Odd) -> bytes:
    """Return the TSIG record, as odd as it is wanted."""
    name, algorithm = answer.name.to_wire() or b"", answer.algorithm.to_wire() or b""
    if odd.get("upper-case"):
        name, algorithm = name.upper(), algorithm.upper()
    if odd.get("short-md5"):
        algorithm = b"\x08hmac-md5\0"
    if "pointer-as-key" in odd:
        name = bytes((0xC0, odd["pointer-as-key"]))
    if "pointer-as-algorithm" in odd:
        algorithm = bytes((0xC0, odd["pointer-as-algorithm"]))
    when = answer.time_signed
    data = b"".join((
        algorithm, struct.pack("!HIHH", when >> 32 & 0xFFFF, when & 0xFFFFFFFF, answer.fudge,
                               odd.get("mac-length", len(made))), made,
        struct.pack("!3H", answer.original_id, answer.error, odd.get("other-length", len(answer.other))),
        answer.other, bytes.fromhex(odd.get("tail", "")),
    ))
    length = max(0, min(len(data) + odd.get("length", 0), 0xFFFF))
    return name + struct.pack("!HHIH", TSIG, odd.get("class", 255), odd.get("ttl", 0), length) + data
