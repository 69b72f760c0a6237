"""Updates on their way from the engine to the kernel, which may refuse them: Python's, and those of C."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct

import pytest

from tests.net.outbox_rig import TOGETHER, Rig, as_root, owner, with_rig

pytestmark = pytest.mark.usefixtures("datagrams")

ICMP_UNREACHABLE, HOST_PROHIBITED = 3, 10


def send_icmp(client: tuple[str, int], server: tuple[str, int], code: int) -> None:
    """Say, as a host on the way would, that a datagram of the client's has not reached the server."""
    udp = struct.pack("!4H", client[1], server[1], 8, 0)
    addresses = socket.inet_aton(client[0]) + socket.inet_aton(server[0])
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, socket.IPPROTO_UDP, 0) + addresses
    body = bytes(4) + ip + udp
    head = struct.pack("!BB", ICMP_UNREACHABLE, code)
    total = sum(struct.unpack(f"!{(4 + len(body)) // 2}H", head + bytes(2) + body))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.sendto(head + struct.pack("!H", ~total & 0xFFFF) + body, client)


def test_the_error_of_an_earlier_update_costs_none(packet_layer: str) -> None:
    """What an update meets that goes to a port that was closed when the one before went there."""
    async def scenario(rig: Rig) -> None:
        rig.request(0)
        assert rig.receive()[0] == "h0.example.com."
        rig.server.close()
        rig.request(1)
        rig.rebind()
        rig.request(2, TOGETHER - 2)
        arrived = [rig.receive()[0] for _ in range(2, TOGETHER)]
        assert sorted(arrived) == sorted(f"h{number}.example.com." for number in range(2, TOGETHER))

    with_rig(packet_layer, scenario)


def test_a_firewalls_answer_to_an_earlier_update_costs_none(packet_layer: str) -> None:
    """ICMP reports more than closed ports; no ICMP message says anything about the next update."""
    if os.geteuid() != 0:  # only root sends ICMP messages
        as_root(__file__, "test_a_firewalls_answer_to_an_earlier_update_costs_none")
        return

    async def scenario(rig: Rig) -> None:
        rig.request(0)
        _, client = rig.receive()
        for number in range(1, 4):
            send_icmp(client, rig.place, HOST_PROHIBITED)
            rig.request(number)
            assert rig.receive()[0] == f"h{number}.example.com."

    with_rig(packet_layer, scenario)


def test_a_full_kernel_delays_updates_and_loses_none(packet_layer: str) -> None:
    """As much goes out at a time as fits into the kernel's buffer, in order."""
    async def scenario(rig: Rig) -> None:
        loop = asyncio.get_running_loop()
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        with other:
            rig.sockets._sockets[0], rig.sockets._leases[0] = one, rig.engine_io._descriptors.take()
            loop.add_reader(one.fileno(), lambda: None)
            junk = 0
            with contextlib.suppress(BlockingIOError):
                while True:
                    one.send(b"")
                    junk += 1
            rig.request(0, TOGETHER)
            async with asyncio.timeout(60):
                arrived = [await loop.sock_recv(other, 65535) for _ in range(junk + TOGETHER)]
            assert arrived[:junk] == [b""] * junk
            names = [owner(message) for message in arrived[junk:]]
            assert names == [f"h{number}.example.com." for number in range(TOGETHER)]
            with pytest.raises(BlockingIOError):
                other.recv(1)

    with_rig(packet_layer, scenario)
