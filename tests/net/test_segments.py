"""Updates of one size go to the kernel as one message, which it cuts into segments: only in C."""

from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING

import pytest

from pyd2.backend import make_backend
from tests.net import chosen
from tests.net.outbox_rig import TOGETHER, Rig, as_root, owner, with_rig

if TYPE_CHECKING:
    from collections.abc import Iterator

UDP_GRO = 104
SO_NO_CHECK = 11
"""What ``socket`` does not name (linux/udp.h, asm/socket.h)."""

SHORT_MTU = 100
"""Octets of the longest packet on a way that no update fits into."""


@pytest.fixture(scope="module", autouse=True)
def compiled() -> Iterator[None]:
    """Let the tests work with the native back end."""
    before = chosen.name, chosen.datagrams
    chosen.name, chosen.datagrams = "compiled", make_backend("compiled").datagrams
    yield
    chosen.name, chosen.datagrams = before


def names_of_sizes() -> list[str]:
    """Return names, the updates for which have three sizes in turn."""
    return [f"h{number:02}{'x' * (number % 3)}.example.com." for number in range(TOGETHER)]


def names_of_size(names: list[str], size: int) -> list[str]:
    return [name for name in names if len(name) == size]


def test_updates_of_all_sizes_arrive_one_by_one() -> None:
    """Those of one size keep their order."""
    async def scenario(rig: Rig) -> None:
        names = names_of_sizes()
        rig.request_names(names)
        arrived = [rig.receive()[0] for _ in names]
        assert sorted(arrived) == sorted(names)
        for size in {len(name) for name in names}:
            assert names_of_size(arrived, size) == names_of_size(names, size)

    with_rig("compiled", scenario)


def test_updates_for_one_name_keep_their_order() -> None:
    """Also where the later ones are longer, and the name is written in another case."""
    async def scenario(rig: Rig) -> None:
        names = [f"{name}.example.com." for name in ("one", "two", "ONE", "three", "One")]
        digests = ["01" * (3 + 2 * number) for number in range(len(names))]
        rig.request_names(names, digests)
        messages = [rig.server.recv(65535) for _ in names]
        order = [max(number for number, digest in enumerate(digests) if bytes.fromhex(digest) in message)
                 for message in messages]
        assert sorted(order) == list(range(len(names)))
        assert [number for number in order if number in {0, 2, 4}] == [0, 2, 4]
        assert order != sorted(order)  # all others may

    with_rig("compiled", scenario)


def test_the_kernel_gets_updates_of_one_size_as_one() -> None:
    """A server that asks for it gets them as one, too: so it can be seen."""
    async def scenario(rig: Rig) -> None:
        rig.server.setsockopt(socket.SOL_UDP, UDP_GRO, 1)
        names = names_of_sizes()
        rig.request_names(names)
        found = 0
        arrived: list[str] = []
        while len(arrived) < len(names):
            data, controls, _, _ = rig.server.recvmsg(65535, socket.CMSG_SPACE(4))
            sizes = [struct.unpack("i", value)[0] for level, kind, value in controls
                     if (level, kind) == (socket.SOL_UDP, UDP_GRO)]
            size = sizes[0] if sizes else len(data)
            arrived += [owner(data[at : at + size]) for at in range(0, len(data), size)]
            found += 1
        assert sorted(arrived) == sorted(names)
        assert found == len({len(name) for name in names})
        assert rig.counters.segments_refused.value == 0

    with_rig("compiled", scenario)


def test_a_kernel_that_refuses_segments_costs_no_update() -> None:
    """It does so where checksums are off."""
    async def scenario(rig: Rig) -> None:
        rig.request(0)
        assert rig.receive()[0] == "h0.example.com."
        rig.sockets._sockets[0].setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
        rig.request(1, 15)
        rig.request(16, 16)
        arrived = [rig.receive()[0] for _ in range(1, TOGETHER)]
        assert sorted(arrived) == sorted(f"h{number}.example.com." for number in range(1, TOGETHER))
        assert rig.counters.segments_refused.value == 1
        (text,) = rig.log.texts("PYD2_SEGMENTS_REFUSED")
        assert f"updates for DNS server {rig.lane.text} into segments: " in text

    with_rig("compiled", scenario)


def test_a_way_that_is_too_narrow_for_an_update_costs_none() -> None:
    """The kernel cuts nothing into segments that are longer than a packet; alone, each goes in fragments."""
    if os.environ.get("PYD2_TEST_NARROW") is None:
        os.environ["PYD2_TEST_NARROW"] = "1"
        try:
            as_root(__file__, "test_a_way_that_is_too_narrow_for_an_update_costs_none", SHORT_MTU)
        finally:
            del os.environ["PYD2_TEST_NARROW"]
        return

    async def scenario(rig: Rig) -> None:
        rig.request(0, TOGETHER)
        arrived = [rig.receive()[0] for _ in range(TOGETHER)]
        assert sorted(arrived) == sorted(f"h{number}.example.com." for number in range(TOGETHER))
        assert rig.counters.segments_refused.value == 1

    with_rig("compiled", scenario)
