"""Updates on their way from the engine to the kernel, which may refuse them: Python's, and those of C."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
import uvloop

from pyd2.backend import make_backend
from pyd2.counters import Counters
from pyd2.net.engine_io import EngineIO
from pyd2.net.read_turns import ReadTurns
from pyd2.net.troubles import Troubles
from pyd2.update.engine import Engine
from tests.kit.dnswire import parse
from tests.kit.process import find_program
from tests.net import chosen
from tests.update.support import MemoryLog, datagram, domain, make_config, no_hook_jobs, request, simple_map

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pyd2.net.dns import ServerSockets

pytestmark = pytest.mark.usefixtures("datagrams")

TOGETHER = 32
"""Updates that may be under way at first."""

ICMP_UNREACHABLE, HOST_PROHIBITED = 3, 10


class Rig:
    """An engine with its engine_io, and a server on the loopback; all goes out from one port."""

    def __init__(self, layer: str) -> None:
        self.counters = Counters()
        log = MemoryLog(0)
        self.engine = Engine(self.counters, log, make_backend(layer))
        self.server = self._bind(0)
        self.place: tuple[str, int] = self.server.getsockname()
        config = make_config(simple_map(
            [domain("example.com.", self.place[1])], settings={"dns-server-timeout": 60_000}))
        self.engine.configure(config, None, time.monotonic(), time.time())
        (self.lane,) = self.engine.lanes
        self.engine_io = EngineIO(asyncio.get_running_loop(), self.engine, lambda _: None, chosen.datagrams,
                                  no_hook_jobs, Troubles(self.counters, log),
                                  ReadTurns(asyncio.get_running_loop()))

    @staticmethod
    def _bind(port: int) -> socket.socket:
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("127.0.0.1", port))
        server.settimeout(10)
        return server

    @property
    def sockets(self) -> ServerSockets:
        return self.engine_io._sockets(self.lane)

    def rebind(self) -> None:
        """Let the server come back."""
        self.server = self._bind(self.place[1])

    def request(self, first: int, count: int = 1) -> None:
        self.engine_io.requests([
            datagram(request(fqdn=f"h{number}.example.com.", dhcid=f"{number:08X}", reverse_change=False))
            for number in range(first, first + count)
        ])
        self.engine_io.flush()

    def receive(self) -> tuple[str, tuple[str, int]]:
        """Return the name that the next update is for, and where it came from."""
        message, source = self.server.recvfrom(65535)
        return owner(message), source

    def close(self) -> None:
        self.engine_io.close()
        self.server.close()


def owner(message: bytes) -> str:
    return parse(message).update[0].split()[0]


def with_rig(layer: str, scenario: Callable[[Rig], Awaitable[None]]) -> None:
    async def run() -> None:
        rig = Rig(layer)
        await scenario(rig)
        assert rig.counters.update_timeout.value == 0
        rig.close()

    uvloop.run(run())


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
        assert arrived == [f"h{number}.example.com." for number in range(2, TOGETHER)]

    with_rig(packet_layer, scenario)


def as_root(test: str) -> None:
    """Run a test of this module again in namespaces of its own, where any user is root."""
    unshare = find_program("unshare", "util-linux")
    script = 'ip link set lo up && exec "$@"'
    command = [unshare, "--user", "--map-root-user", "--net", "sh", "-c", script, "sh",
               sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", test]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_firewalls_answer_to_an_earlier_update_costs_none(packet_layer: str) -> None:
    """ICMP reports more than closed ports; no ICMP message says anything about the next update."""
    if os.geteuid() != 0:  # only root sends ICMP messages
        as_root("test_a_firewalls_answer_to_an_earlier_update_costs_none")
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
