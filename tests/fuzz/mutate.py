"""Changes to bytes, to JSON texts and to DNS messages: a little wrong, or wrong in a way that hurts."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

_TOKEN = re.compile(rb'"(?:[^"\\\n]|\\.)*"|[-+.0-9eE]+|true|false|null|\s+|.', re.DOTALL)

_NUMBERS = [
    b"0", b"-0", b"1", b"-1", b"2", b"255", b"256", b"4294967295", b"4294967296", b"2147483647",
    b"2147483648", b"65535", b"65536", b"9223372036854775807", b"9223372036854775808",
    b"-9223372036854775808", b"-9223372036854775809", b"340282366920938463463374607431768211455", b"1e999",
    b"-1e-999", b"1.5", b".5",
    b"5.", b"+", b"-", b"--1", b"1-2", b"+1", b"007", b"09", b"0x1f", b"1e", b"e5", b".", b"9" * 5000,
    b"0" * 400 + b"1", b"1." + b"3" * 3000,
]  # fmt: skip
_STRINGS = [
    b'""', b'"x"', b'"."', b'".."', b'"a..b"', b'"' + b"a" * 64 + b'"', b'"' + b"a." * 127 + b'"',
    b'"' + b"a." * 128 + b'"', b'"\\u0000"', b'"a\\u0000b"', b'"\\u00e9"', b'"\\u0100"', b'"\\ud800"',
    b'"\\u12"', b'"\\x"', b'"\\', b'"\xff\xfe"', b'"\xc0\x80"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"',
    b'"\xe2\x80\xae"', b'"a\x00b"', b'"a\nb"', b'"\x7f\x1b[2J"', b'"\\\\300"', b'"\\\\046"', b'"%1 %2"',
    b'"%s{}"', b'"fe80::1%lo"', b'"fe80::1%4294967296"', b'"fe80::1%' + b"9" * 5000 + b'"',
    b'"::ffff:1.2.3.4"', b'"1.2.3.256"', b'"::"',
    b'"20300230000000"', b'"99991231235960"', b'"00"', b'"0"', b'"0="', b'"0 0"', b'"' + b"AB" * 300 + b'"',
    b'"' + b"x" * 70000 + b'"', b"'a'", b'"un',
]  # fmt: skip
_WORDS = [
    b"true", b"false", b"null", b"True", b"nul", b"{", b"}", b"[", b"]", b",", b":", b"{}", b"[]", b",,",
]  # fmt: skip
_NOISE = [
    b"\x00", b"\xff", b"\xef\xbb\xbf", b"\x08", b"\x0b", b"/* c */", b"/*", b"*/", b"//", b"#", b"/",
    b"\n", b"\r",
    b'<?include "part.inc"?>', b'<?include "self.inc"?>', b'<?include "', b"<?", b"\\", b"\xc3\xa9", b"\xc3",
]  # fmt: skip
_UNITS = [
    b"1",
    b"1.",
    b"e1",
    b'"a":1,',
    b'{"a":',
    b"[1,",
    b"\\u0041",
    b'\\"',
    b'\\",',
    b"a.",
    b" ",
    b"/**/",
    b"#\n",
    b"*",
    b"%",
    b"=",
]
_BYTES = [0x00, 0x01, 0x7F, 0x80, 0xBF, 0xC0, 0xC1, 0xFE, 0xFF, 0x3F, 0x40, 0x22, 0x5C, 0x2B, 0x2D, 0x2E]
_WORDS16 = [0, 1, 2, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0xC000, 0xC00C, 0x3FFF, 255, 256]
_DEPTHS = [1, 2, 50, 99, 100, 101, 249, 250, 251, 1000, 3000]


def any_bytes(rng: random.Random) -> bytes:
    """Return bytes of chance, seldom many."""
    return rng.randbytes(rng.choice([0, 1, 2, 3, 12, 40, 400, 4094, 4096]))


def in_pieces(data: bytes, rng: random.Random) -> tuple[bytes, ...]:
    """Return the data in one to ten pieces, some of them empty."""
    pieces = rng.choice([1, 1, 1, 2, 3, 10])
    cuts = sorted(rng.randint(0, len(data)) for _ in range(pieces - 1))
    return tuple(data[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True))


def mutate_bytes(data: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Return the data after one to four changes that know nothing of its form."""
    found = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        at = rng.randint(0, len(found))
        size = min(rng.choice([1, 1, 2, 4, 16, 64]), len(found) - at)
        match rng.randrange(10):
            case 0:
                if at < len(found):
                    found[at] ^= 1 << rng.randrange(8)
            case 1:
                if at < len(found):
                    found[at] = rng.choice(_BYTES)
            case 2:
                found[at : at + 2] = struct.pack(">H", rng.choice(_WORDS16))
            case 3:
                del found[at : at + size]
            case 4:
                del found[at:]
            case 5:
                found[at:at] = found[at : at + size] * rng.choice([1, 1, 2, 40])
            case 6:
                found[at:at] = rng.choice([*_NOISE, *_STRINGS[:-3]])
            case 7:
                other = rng.choice(others)
                begin = rng.randint(0, len(other))
                found[at : at + size] = other[begin : begin + rng.choice([1, 4, 16, 64, 400])]
            case 8:
                found[at:] = rng.choice(others)[at:]
            case _:
                found[at:at] = any_bytes(rng)[:40]
    return bytes(found)


def mutate_text(text: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Return the text after one to three changes to its tokens: JSON, or nearly."""
    tokens = _TOKEN.findall(text)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        if not tokens:
            return rng.choice(others)
        at = rng.randrange(len(tokens))
        match rng.randrange(12) if rng.random() < 0.99 else -1:
            case -1:
                tokens[at] = long_stretch(rng)
            case 0 | 1:
                _replace_value(tokens, at, rng)
            case 2:
                del tokens[at]
            case 3:
                tokens.insert(at, tokens[rng.randrange(len(tokens))])
            case 4:
                other = rng.randrange(len(tokens))
                tokens[at], tokens[other] = tokens[other], tokens[at]
            case 5:
                tokens.insert(at, rng.choice([*_WORDS, *_NOISE]))
            case 6:
                _nest(tokens, at, rng)
            case 7:
                _repeat(tokens, at, rng)
            case 8:
                tokens[at:] = _TOKEN.findall(rng.choice(others))[at:]
            case 9:
                # Among values of one kind, faults of logic are likelier than those of grammar.
                alike = [i for i, token in enumerate(tokens) if token[:1] == tokens[at][:1] and token.strip()]
                if alike:
                    tokens[rng.choice(alike)] = tokens[at]
            case _:
                tokens = _TOKEN.findall(mutate_bytes(b"".join(tokens), rng, others))
    return b"".join(tokens)


def mutate_values(text: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Return a JSON text with one or two values, seldom keys, replaced; mostly by others of their kind."""
    tokens = _TOKEN.findall(text)
    for _ in range(rng.choice([1, 1, 2])):
        places = [i for i, token in enumerate(tokens) if _kind_of(token)]
        if rng.random() < 0.9:
            places = [i for i in places if b"".join(tokens[i + 1 : i + 3]).lstrip()[:1] != b":"]
        if not places:
            break
        at = rng.choice(places)
        kind = _kind_of(tokens[at]) if rng.random() < 0.8 else rng.choice(b'"0t')
        pool = {0x22: _STRINGS, 0x30: _NUMBERS, 0x74: _WORDS[:3]}[kind]
        if rng.random() < 0.5:
            pool = [token for token in _TOKEN.findall(rng.choice(others)) if _kind_of(token) == kind] or pool
        tokens[at] = rng.choice(pool)
    return b"".join(tokens)


def _kind_of(token: bytes) -> int:
    """Return the first byte of strings, a zero for numbers, t for words, 0 for all else."""
    first = token[0]
    if first == 0x22:
        return 0x22 if len(token) > 1 else 0
    if first in b"+-.0123456789":
        return 0x30
    return 0x74 if token in (b"true", b"false", b"null") else 0


def _replace_value(tokens: list[bytes], at: int, rng: random.Random) -> None:
    values = [i for i in range(at, len(tokens)) if tokens[i][:1] in b'"-0123456789tfn' and tokens[i]]
    place = values[0] if values else at
    tokens[place] = rng.choice(rng.choice([_NUMBERS, _STRINGS, _WORDS]))


def long_stretch(rng: random.Random) -> bytes:
    """Return much of one thing, and an end that spoils it: what takes a careless reader too long."""
    pool = rng.choice([_NUMBERS, _STRINGS, _WORDS, _NOISE, _UNITS])
    unit = rng.choice([unit for unit in pool if len(unit) < 40])
    size = rng.choice([3800, 3800, 3800, 60000])
    begin = rng.choice([b"", b"", b'"', b'"a":"'])
    return begin + unit * (size // len(unit)) + rng.choice([b"", b"e", b"e+", b'"', b".", b"\n", b'\n",tx'])


def _nest(tokens: list[bytes], at: int, rng: random.Random) -> None:
    depth = rng.choice(_DEPTHS)
    begin, end = rng.choice([(b"[", b"]"), (b'{"a":', b"}"), (b"[[", b"]]"), (b"[", b""), (b'{"a":', b"")])
    tokens[at] = begin * depth + tokens[at] + end * depth


def _repeat(tokens: list[bytes], at: int, rng: random.Random) -> None:
    """Repeat a stretch, such as a member, in its place: duplicate keys, long lists."""
    stretch = tokens[at : at + rng.choice([1, 2, 4, 8, 30])]
    tokens[at:at] = [*stretch, b","] * rng.choice([1, 1, 1, 2, 100])


# DNS messages.

_TYPES = [1, 2, 6, 12, 16, 28, 41, 46, 49, 249, 250, 251, 255, 0, 65535]
_CLASSES = [1, 1, 1, 3, 254, 255, 0, 65535]
_NAMES = [
    b"\0", b"\x01a\0", b"\xc0\x0c", b"\xc0\x00", b"\xc0\x0d", b"\xff\xff", b"\x40a\0", b"\x80",
    b"\x3f" + b"a" * 63 + b"\0", (b"\x3f" + b"a" * 63) * 4 + b"\0", b"\x01a" * 127 + b"\0",
    b"\x01a" * 128 + b"\0", b"\x03a\0b\xc0\x0c", b"\x05ab",
]  # fmt: skip


def mutate_message(message: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    """Return a DNS message after one to three changes that know its form."""
    for _ in range(rng.choice([1, 1, 2, 3])):
        match rng.randrange(9):
            case 0:
                message = _change_header(message, rng)
            case 1 | 2 | 3:
                message = _add_record(message, random_record(message, rng), rng)
            case 4:
                at = rng.randint(0, len(message))
                message = message[:at] + rng.choice(_NAMES) + message[at:]
            case 5:
                at = rng.randint(min(12, len(message)), len(message))
                pointer = 0xC000 | rng.choice([at, 12, 0, max(at - 2, 0), 0x3FFF])
                message = message[:at] + struct.pack(">H", pointer) + message[at:]
            case 6:
                message = chained_pointers(message, rng)
            case _:
                message = mutate_bytes(message, rng, others)
    return message[:65535]


def _change_header(message: bytes, rng: random.Random) -> bytes:
    if len(message) < 12:
        return message + bytes(12)
    changed = bytearray(message)
    at = rng.choice([2, 3, 4, 6, 8, 10, 10])
    if at < 4:
        changed[at] = rng.choice([*_BYTES, 0xA8, 0xAA, 0x28, 0x80, 6, 7, 8, 9])
    else:
        count = struct.unpack_from(">H", message, at)[0]
        struct.pack_into(
            ">H", changed, at, rng.choice([0, 1, 2, count + 1 & 0xFFFF, max(count - 1, 0), 0xFFFF])
        )
    return bytes(changed)


def random_record(message: bytes, rng: random.Random) -> bytes:
    """Return a record whose data may be of another type, and whose length may be a lie."""
    kind = rng.choice(_TYPES)
    name = rng.choice(_NAMES[:4]) if rng.random() < 0.8 else rng.choice(_NAMES)
    data = rng.choice([_fitting_data(kind, rng), _fitting_data(kind, rng), any_bytes(rng)[:400], b""])
    length = len(data) if rng.random() < 0.8 else rng.choice([0, 1, len(data) + 1, len(data) * 2, 0xFFFF])
    ttl = rng.choice([0, 0, 0, 3600, 0x01000000, 0x00010000, 0xFFFFFFFF])
    return name + struct.pack(">HHIH", kind, rng.choice(_CLASSES), ttl, length & 0xFFFF) + data


def _fitting_data(kind: int, rng: random.Random) -> bytes:
    name = rng.choice(_NAMES)
    match kind:
        case 1:
            return rng.randbytes(rng.choice([4, 4, 3, 5]))
        case 28:
            return rng.randbytes(16)
        case 2 | 12:
            return name
        case 6:
            return name + rng.choice(_NAMES[:3]) + rng.randbytes(20)
        case 16:
            size = rng.choice([0, 1, 5, 255])
            return bytes([size]) + rng.randbytes(rng.choice([size, max(size - 1, 0)]))
        case 41:
            size = rng.choice([0, 4, 65535])
            return struct.pack(">HH", 8, size) + rng.randbytes(size & 15)
        case 46:
            return rng.randbytes(18) + name + rng.randbytes(rng.choice([0, 8, 64]))
        case 249:
            return name + rng.randbytes(12) + rng.choice([b"\0\0\0\0", b"\0\x04abcd\0\0", b"\xff\xff"])
        case 250:
            return (
                name
                + rng.randbytes(8)
                + struct.pack(">H", rng.choice([0, 16, 32, 0xFFFF]))
                + rng.randbytes(32)
            )
        case _:
            return rng.randbytes(rng.choice([1, 35]))


def _add_record(message: bytes, record: bytes, rng: random.Random) -> bytes:
    """Add a record at the end, and count it in one of the sections."""
    if len(message) < 12:
        return message + record
    changed = bytearray(message + record * rng.choice([1, 1, 1, 2, 50]))
    at = rng.choice([4, 6, 8, 10, 10])
    count = struct.unpack_from(">H", message, at)[0]
    struct.pack_into(">H", changed, at, min(count + rng.choice([1, 1, 1, 0, 2, 50]), 0xFFFF))
    return bytes(changed)


def chained_pointers(message: bytes, rng: random.Random) -> bytes:
    """Return a message of pointers that lead to pointers, and of records that use the longest chains."""
    length = rng.choice([2, 126, 127, 128, 129, 500])
    targets = [23, *range(26, 26 + 2 * (length - 1), 2)]
    chain = b"\x01a\0" + b"".join(struct.pack(">H", 0xC000 | target) for target in targets)
    end = 23 + len(chain) - 2
    first = b"\0" + struct.pack(">HHIH", 65280, 1, 0, 0)  # a whole record, so that the chain begins at 23
    first = first[:-2] + struct.pack(">H", len(chain)) if rng.random() < 0.9 else first
    records = rng.choice([1, 1, 1, 3, 3, 10, 100]) if rng.random() < 0.98 else rng.choice([1000, 5000])
    pointer = struct.pack(">H", 0xC000 | end & 0x3FFF)
    kind = rng.choice([(12, pointer), (6, pointer * 2 + bytes(20)), (1, bytes(4)), (255, b"")])
    record = pointer + struct.pack(">HHIH", kind[0], rng.choice([1, 254]), 0, len(kind[1])) + kind[1]
    head = message[:4].ljust(4, b"\0") + struct.pack(">HHHH", 0, 1, 0, min(records, 0xFFFF))
    return (head + first + chain + record * records)[:65535]
