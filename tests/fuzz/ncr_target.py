"""NCR datagrams, through the decoder and the engine, several at a time."""

from __future__ import annotations

import errno
import zlib
from typing import TYPE_CHECKING

from pyd2 import ncr
from pyd2.data.zone import NO_INTERFACES
from pyd2.errors import NcrError
from tests.fuzz import corpora
from tests.fuzz.mutate import any_bytes, mutate_bytes, mutate_text, mutate_values
from tests.fuzz.runner import ACCEPTED
from tests.fuzz.world import World
from tests.update.support import answer, domain, make_config, simple_map

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from pyd2.ncr import NameChangeRequest
    from pyd2.update.engine import Outgoing
    from tests.fuzz.runner import Input

_KEY = {"name": "key", "algorithm": "HMAC-SHA256", "secret": "c2VjcmV0"}
_CONFIGS = [
    simple_map([domain("*", 1)], [domain("*", 2)]),
    simple_map(
        [domain("example.com.", 1, 2), domain("b.example.com.", 3, **{"key-name": "key"})],
        [domain("2.0.192.in-addr.arpa.", 4), domain("8.b.d.0.1.0.0.2.ip6.arpa.", 5)],
        {"tsig-keys": [_KEY]},
    ),
    simple_map([domain("com.", 1)], settings={"dns-server-timeout": 1}),
]
_RCODES = (0, 0, 0, 6, 7, 8, 3, 2, 9, 15)


def peer(world: World, outgoing: Outgoing) -> list[bytes]:
    """Answer in a way that depends on the message alone: well, badly, twice, or not at all."""
    chance = zlib.crc32(outgoing.message[2:])
    if chance % 31 == 0:
        raise OSError(errno.ENETUNREACH, "no way")
    if chance % 17 == 0:
        return []
    return [answer(outgoing.message, _RCODES[chance % len(_RCODES)])] * (1 + chance % 2)


class NcrTarget:
    """An input is a byte that chooses the configuration, and datagrams that arrive before any reply does."""

    name = "ncr"

    def __init__(self) -> None:
        self._seeds = corpora.datagrams()
        self._texts = [seed[2:] for seed in self._seeds]
        self._worlds: dict[int, World] = {}

    def reset(self) -> None:
        self._worlds.clear()

    def close(self) -> None:
        """Leave nothing behind."""

    def make(self, rng: random.Random) -> Input:
        return (rng.randbytes(1), *(self._datagram(rng) for _ in range(rng.choice([1, 1, 2, 5]))))

    def _datagram(self, rng: random.Random) -> bytes:
        seed = rng.choice(self._seeds)
        way = rng.random()
        if way < 0.1:
            return seed
        if way < 0.5:
            return _with_length(mutate_values(seed[2:], rng, self._texts), rng)
        if way < 0.75:
            return _with_length(mutate_text(seed[2:], rng, self._texts), rng)
        if way < 0.82:
            return _with_length(mutate_bytes(seed[2:], rng, self._texts), rng)
        if way < 0.95:
            return mutate_bytes(seed, rng, self._seeds)[:65507]
        return _with_length(any_bytes(rng), rng)

    def run(self, data: Input) -> Iterator[str]:
        number = data[0][0] % len(_CONFIGS) if data and data[0] else 0
        world = self._worlds.get(number)
        if world is None:
            world = self._worlds[number] = World(make_config(_CONFIGS[number]), peer)
        for datagram in data[1:]:
            refusal = _decode(datagram)
            counted = world.receive(datagram)
            assert refusal == counted, f"the decoder says {refusal!r}, the engine {counted!r}"
            yield counted or ACCEPTED
        world.run()


def _with_length(text: bytes, rng: random.Random) -> bytes:
    length = len(text)
    if rng.random() < 0.08:
        length = rng.choice([0, 1, length - 1, length + 1, length * 2, 4094, 4095, 65535])
    return (max(length, 0) & 0xFFFF).to_bytes(2, "big") + text[:65505]


def _decode(datagram: bytes) -> str | None:
    """Return the error's text, or None for a request that is whole."""
    try:
        found = ncr.decode(datagram)
    except NcrError as error:
        return str(error)
    assert 0 < len(found.fqdn_wire) <= 255
    assert found.fqdn_wire[-1] == 0
    assert len(found.address) in (4, 16)
    assert found.dhcid
    assert 0 <= found.lease_length < 2**32
    assert found.forward_change or found.reverse_change
    assert found.text().count("\n") == 9
    # The fast way must read the same as the careful one.
    careful = ncr._from_json(ncr._payload(datagram[: ncr.MAX_DATAGRAM]), NO_INTERFACES)
    assert _fields(found) == _fields(careful)
    return None


def _fields(request: NameChangeRequest) -> list[object]:
    return [getattr(request, name) for name in request.__slots__]
