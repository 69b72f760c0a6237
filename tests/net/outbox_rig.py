"""An engine with its sockets and a server on the loopback: updates on their way to the kernel."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

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
    from collections.abc import Awaitable, Callable, Sequence

    from pyd2.net.dns import ServerSockets

TOGETHER = 32
"""Updates that may be under way at first."""


class Rig:
    """An engine with its engine_io, and a server on the loopback; all goes out from one port."""

    def __init__(self, layer: str) -> None:
        self.counters = Counters()
        self.log = log = MemoryLog(0)
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
        numbers = range(first, first + count)
        self.request_names([f"h{number}.example.com." for number in numbers])

    def request_names(self, names: Sequence[str], digests: Sequence[str] = ()) -> None:
        """Have names added, each for another client, or for the one with that DHCID."""
        digests = digests or [name.encode().hex().upper() for name in names]
        self.engine_io.requests([
            datagram(request(fqdn=name, dhcid=dhcid, reverse_change=False))
            for name, dhcid in zip(names, digests, strict=True)
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


def as_root(file: str, test: str, mtu: int = 65536) -> None:
    """Run a test of a file again in namespaces of its own, where any user is root."""
    unshare = find_program("unshare", "util-linux")
    script = f'ip link set lo up mtu {mtu} && exec "$@"'
    # Only who is not root needs a namespace of users, which a chroot forbids.
    users = ["--user", "--map-root-user"] if os.geteuid() != 0 else []
    command = [unshare, *users, "--net", "sh", "-c", script, "sh",
               sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", file, "-k", test]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
