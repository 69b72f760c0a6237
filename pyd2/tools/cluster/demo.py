"""``pyd2ctl demo --cluster``: two daemons on one queue, one of which is killed in the middle of its work."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dns.name
import dns.rdatatype
import dns.zone

from pyd2.ncr import ChangeType
from pyd2.tools.cluster.local_servers import queue_of_three
from pyd2.tools.daemon_process import DaemonError, DaemonProcess, running
from pyd2.tools.dns_server import make_zone, serving
from pyd2.tools.endpoint import Endpoint
from pyd2.tools.ports import free_ports
from pyd2.tools.primary import Primary
from pyd2.tools.requests import Identifier, Sender, dhcid, encode, request

if TYPE_CHECKING:
    from pyd2.config.nats.servers import Server

ZONE: Final = "demo.example."
SITE: Final = "demo"
CLIENTS: Final = 400
LEASE: Final = 2.0
GRACE: Final = 0.5
_WAIT: Final = 60.0
_SHOWN: Final = ("CLAIMED", "FENCED", "PAUSED", "RESUMED", "RELEASED", "SPOOLING", "FORWARDED")


class _Machine:
    """A daemon that may be killed and started again."""

    def __init__(
        self, name: str, directory: Path, servers: list[Server], dns_port: int, begun: float
    ) -> None:
        self.name = name
        (self.port,) = free_ports(1, udp=True)
        self.sent = 0
        self._begun = begun
        (directory / name).mkdir(mode=0o750)
        queue = {"type": "nats", "servers": list(map(str, servers)), "site": SITE, "name": name,
                 "directory": str(directory / name), "lease": LEASE, "grace": GRACE}
        domain = {"name": ZONE, "dns-servers": [{"ip-address": "127.0.0.1", "port": dns_port}]}
        self._config = {"DhcpDdns": {
            "ip-address": "127.0.0.1", "port": self.port, "dns-server-timeout": 5000,
            "control-socket": {"socket-type": "unix", "socket-name": "socket"},
            "forward-ddns": {"ddns-domains": [domain]},
            "user-context": {"pyd2": {"queue": queue}},
            "loggers": [{"name": "kea-dhcp-ddns", "severity": "INFO",
                         "output-options": [{"output": "stdout"}]}],
        }}
        self._stack = contextlib.AsyncExitStack()
        self._following: asyncio.Task[None] | None = None
        self.daemon: DaemonProcess

    async def start(self) -> None:
        """Start the daemon, and show what it says of the queue from now on."""
        command = [sys.executable, "-m", "pyd2"]
        self.daemon = await self._stack.enter_async_context(running(command, self._config))
        self._following = asyncio.create_task(self._follow(self.daemon))

    async def _follow(self, daemon: DaemonProcess) -> None:
        shown = 0
        while True:
            for line in daemon.lines[shown:]:
                _, found, text = line.partition("PYD2_CLUSTER_")
                if found and text.startswith(_SHOWN):
                    print(f"{time.monotonic() - self._begun:5.1f} s  {self.name}: {text}", flush=True)
            shown = len(daemon.lines)
            await asyncio.sleep(0.05)

    async def kill(self) -> None:
        """Kill the daemon as a loss of power would."""
        os.kill(self.daemon.pid, signal.SIGKILL)
        await self.end()

    async def end(self) -> None:
        """Stop the daemon, if it runs."""
        if self._following is not None:
            self._following.cancel()
        await self._stack.aclose()

    async def queue(self) -> dict[str, Any]:
        """Return what status-get says of the queue."""
        found: dict[str, Any] = (await self.daemon.command("status-get"))["arguments"]["pyd2"]["queue"]
        return found


async def show() -> int:
    """Play it; exit status 0 if the zone is right in the end."""
    zone = make_zone(ZONE)
    async with contextlib.AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pyd2-demo.")))
        dns_port = await stack.enter_async_context(
            serving(Primary({dns.name.from_text(ZONE): zone}, {}, {}), "127.0.0.1", 0)
        )
        servers = await stack.enter_async_context(queue_of_three(directory, SITE))
        begun = time.monotonic()
        print(f"three servers of NATS, two daemons, one DNS server; {CLIENTS} clients get addresses")
        machines = [_Machine(name, directory, servers, dns_port, begun) for name in ("m1", "m2")]
        for machine in machines:
            await machine.start()
            stack.push_async_callback(machine.end)
        owner = await _owner(machines)
        other = next(machine for machine in machines if machine is not owner)
        half = CLIENTS // 2
        for client in range(half):
            _send(machines[client % 2], client)
        for machine in machines:
            await _until_appended(machine)
        print(f"{time.monotonic() - begun:5.1f} s  {owner.name} owns the queue and is killed; "
              f"{len(_addresses(zone))} names are done")
        await owner.kill()
        for client in range(half, CLIENTS):
            _send(other, client)
        await _owner([other])
        print(f"{time.monotonic() - begun:5.1f} s  {owner.name} is started again")
        await owner.start()
        end = time.monotonic() + _WAIT
        wanted = {_name(client): _address(client) for client in range(CLIENTS)}
        while (found := dict(_addresses(zone))) != wanted and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        print(f"{time.monotonic() - begun:5.1f} s  the zone has {len(found)} of {CLIENTS} names")
    print("\nAll as it should be." if found == wanted else "\nNOT as it should be.")
    return 0 if found == wanted else 1


def _name(client: int) -> str:
    return f"host{client}.{ZONE}"


def _address(client: int) -> str:
    return f"10.0.{client >> 8}.{client & 255}"


def _send(machine: _Machine, client: int) -> None:
    name = _name(client)
    identity = dhcid(Identifier.CLIENT_ID, b"client %d" % client, name)
    asked = request(ChangeType.ADD, name, _address(client), identity, reverse=False)
    with Sender(Endpoint("127.0.0.1", machine.port)) as sender:
        sender.send(encode(asked))
    machine.sent += 1


def _addresses(zone: dns.zone.Zone) -> list[tuple[str, str]]:
    return [(str(name), str(rdata)) for name, _, rdata in zone.iterate_rdatas(dns.rdatatype.A)]


async def _owner(machines: list[_Machine]) -> _Machine:
    """Return the machine that owns the queue, as soon as one of these does. Raises DaemonError."""
    end = time.monotonic() + _WAIT
    while time.monotonic() < end:
        for machine in machines:
            if (await machine.queue())["node"]["state"] == "owner":
                return machine
        await asyncio.sleep(0.1)
    raise DaemonError("no daemon owns the queue")


async def _until_appended(machine: _Machine) -> None:
    """Wait until the servers have what was sent to a machine. Raises DaemonError."""
    end = time.monotonic() + _WAIT
    while (queue := await machine.queue())["appended"] < machine.sent:
        if time.monotonic() > end:
            raise DaemonError(f"{machine.name} does not get on: {queue}")
        await asyncio.sleep(0.05)
