"""Inputs for the harnesses: what the Python fuzzers make, in the form that each harness reads."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from pyd2.dns.names import parse_name
from pyd2.packets.compiled import CompiledLayer
from pyd2.packets.packed import PackedRequest
from tests.fuzz.mutate import mutate_bytes
from tests.fuzz.ncr_target import NcrTarget
from tests.fuzz.reply_target import ReplyTarget
from tests.packets.answers import make as make_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NAMES = [parse_name(name) for name in (
    ".", "com.", "example.com.", "host.Example.COM.", "10.2.0.192.in-addr.arpa.", "2.0.192.in-addr.arpa.",
    ".".join(["x" * 61] * 4) + ".", ".".join("a" * 127) + ".",
)]


def requests(rng: random.Random) -> Iterator[bytes]:
    """Make datagrams."""
    target = NcrTarget()
    while True:
        yield from target.make(rng)[1:]


def replies(rng: random.Random) -> Iterator[bytes]:
    """Make replies."""
    target = ReplyTarget()
    while True:
        setup, *parts = target.make(rng)
        asked = target._first_update(setup)
        mac = asked.tsig.mac if asked.tsig else b""
        for part in parts:
            yield bytes((bool(setup[0]), len(mac))) + mac + part[1:]


def answers(rng: random.Random) -> Iterator[bytes]:
    """Make answers to questions."""
    while True:
        answer = make_answer(rng)
        yield bytes((bool(answer.mac), len(answer.mac))) + answer.mac + answer.datagram


def updates(rng: random.Random) -> Iterator[bytes]:
    """Make templates and what fills them."""
    while True:
        zone, owner, target = rng.choice(_NAMES), rng.choice([b"", *_NAMES]), rng.choice(_NAMES)
        parts = [zone, owner, target, rng.randbytes(rng.choice([0, 35]))]
        address = rng.randbytes(rng.choice([4, 16]))
        sizes = [*map(len, parts), len(address), rng.choice([8, 30, 255])]
        head = bytes((rng.randrange(6), rng.randrange(6))) + rng.randbytes(8) + bytes(sizes)
        data = head + b"".join(parts) + address
        yield data if rng.random() < 0.5 else mutate_bytes(data, rng, [data])


def packed(rng: random.Random) -> Iterator[bytes]:
    """Make datagrams, and packed requests that may be spoilt."""
    for datagram in requests(rng):
        yield datagram
        (read,) = CompiledLayer().read_requests([datagram[:4096]], None)
        if isinstance(read, PackedRequest):
            yield mutate_bytes(bytes(read), rng, [bytes(read)]) if rng.random() < 0.8 else bytes(read)


def batches(rng: random.Random) -> Iterator[bytes]:
    """Make templates, a zone and packed requests that may be spoilt."""
    layer = CompiledLayer()
    for datagram in requests(rng):
        found = layer.read_requests([datagram[:4096]], None)
        packed_ones = [bytes(each) for each in found if isinstance(each, PackedRequest)]
        zone = rng.choice(_NAMES)
        head = bytes((rng.randrange(8), rng.randrange(2), len(zone), rng.choice([2, 30, 255])))
        templates = rng.randbytes(8 * 10)
        data = head + templates + zone + b"".join(packed_ones) * rng.randrange(4)
        yield data if rng.random() < 0.5 else mutate_bytes(data, rng, [data])


def joined(rng: random.Random) -> Iterator[bytes]:
    """Make requests in a row, which may be spoilt."""
    generator = requests(rng)
    while True:
        some = [next(generator)[:8192] for _ in range(rng.randrange(5))]
        row = b"".join(len(one).to_bytes(2, "big") + one for one in some)
        yield row if rng.random() < 0.5 else mutate_bytes(row, rng, [row])


def tries(rng: random.Random) -> Iterator[bytes]:
    """Make what is to be done to tries, one octet string for each life."""
    while True:
        yield rng.randbytes(rng.choice([80, 200, 600, 2000]))


def mics(rng: random.Random) -> Iterator[bytes]:
    """Make an encryption type, a key, and octets for tokens; mostly of the type that the harness knows."""
    while True:
        head = bytes((rng.choice([4, 4 + 128, rng.randrange(256)]),))
        yield head + rng.randbytes(rng.choice([0, 40, 300, 3000]))


GENERATORS: dict[str, Callable[[random.Random], Iterator[bytes]]] = {
    "request": requests, "reply": replies, "update": updates, "packed": packed, "tries": tries,
    "batch": batches, "answer": answers, "mic": mics, "joined": joined,
}


def make(name: str, count: int, seed: int) -> list[bytes]:
    """Return inputs for a harness."""
    generator = GENERATORS[name](random.Random(seed))
    return [next(generator)[:65535] for _ in range(count)]
