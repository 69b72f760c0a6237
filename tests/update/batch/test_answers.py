"""Whatever a server answers to batches and to questions, each request ends, and nothing is left behind."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dns.message
import dns.update
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit import ncr
from tests.update.batch.world import World, batch_map, requests
from tests.update.support import statistics

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyd2.update.engine import Outgoing


@dataclass
class RudeWorld(World):
    """A world whose server spoils each other reply."""

    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.chance = random.Random(self.seed)

    def serve(self, outgoing: Outgoing, now: float) -> Iterable[tuple[float, bytes]]:
        return [
            (delay, spoilt(self.chance, reply) if self.chance.random() < 0.5 else reply)
            for delay, reply in super().serve(outgoing, now)
        ]


def spoilt(chance: random.Random, reply: bytes) -> bytes:
    """Return a reply with the right query ID, and something wrong."""
    octets = bytearray(reply)
    what = chance.randrange(7)
    if what == 0:
        del octets[chance.randrange(2, len(octets)) :]
    elif what == 1:
        octets[3] = octets[3] & 0xF0 | chance.randrange(16)
    elif what == 2:
        octets[2] ^= 1 << chance.randrange(8)
    elif what == 3:
        octets[chance.randrange(4, 12)] = chance.randrange(256)
    elif what == 4:
        octets[chance.randrange(2, len(octets))] = chance.randrange(256)
    elif what == 5:
        octets += chance.randbytes(chance.randrange(1, 40))
    else:
        at = chance.randrange(2, len(octets))
        octets[at : at + 2] = (0xC000 + chance.randrange(len(octets))).to_bytes(2, "big")
    return bytes(octets)


@pytest.mark.parametrize("signed", [False, True])
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), batch=st.sampled_from([5, 50]), count=st.integers(1, 120))
def test_each_request_ends(signed: bool, seed: int, batch: int, count: int) -> None:
    held, stream = requests(seed, count)
    world = RudeWorld(batch_map(batch, 3, signed=signed), seed=seed)
    world.run([*held, *stream], together=200)
    outcomes = [line for line in world.d2.log.ids if line.endswith(("_SUCCEEDED", "_FAILED"))]
    assert len(outcomes) == len(held) + count


def test_a_truncated_reply_to_a_batch_is_as_good_as_none() -> None:
    """It counts as an error of each of its updates, which go alone then."""
    class Server(World):
        def serve(self, outgoing: Outgoing, now: float) -> Iterable[tuple[float, bytes]]:
            replies = list(super().serve(outgoing, now))
            if self.sizes[-1] == 1:
                return replies
            return [(delay, reply[:2] + bytes([reply[2] | 2]) + reply[3:]) for delay, reply in replies]

    additions = [
        ncr.request(f"h{at}.example.com.", f"192.0.2.{at}", ncr.dhcid(b"%d" % at, "h."), reverse=False)
        for at in range(40)
    ]
    world, alone = Server(batch_map(10)), World(batch_map(1))
    assert world.run(additions) == alone.run(additions)
    shared = sum(size for size in world.sizes if size > 1)
    assert statistics(world.d2.counters)["update-error"] == shared > 0
    assert world.d2.log.ids.count("DHCP_DDNS_ADD_SUCCEEDED") == len(additions)


@pytest.mark.parametrize("rcode", [0, 2, 3, 5])
def test_each_rcode_to_questions(rcode: int) -> None:
    """What is no answer leaves the name to a single update."""
    class Server(World):
        def serve(self, outgoing: Outgoing, now: float) -> Iterable[tuple[float, bytes]]:
            replies = list(super().serve(outgoing, now))
            if isinstance(dns.message.from_wire(outgoing.message), dns.update.UpdateMessage):
                return replies
            return [(delay, reply[:3] + bytes([reply[3] & 0xF0 | rcode]) + reply[4:])
                    for delay, reply in replies]

    def additions(client: bytes) -> list[dict[str, object]]:
        return [
            ncr.request(f"h{at}.example.com.", f"192.0.2.{at}", ncr.dhcid(client + b"%d" % at, "h."))
            for at in range(45)
        ]

    ends = []
    for kind, batch in ((World, 1), (Server, 20)):
        world = kind(batch_map(batch))
        world.run(additions(b"other")[::4], together=1, gap=0.02)
        ends.append(world.run(additions(b"own")))
    assert ends[0] == ends[1]
    assert world.questions > 0
