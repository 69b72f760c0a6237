"""A site for tests: a cluster of real servers of NATS, daemons that share its queue, and BIND."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyd2.queue.nats.errors import NatsError
from pyd2.queue.nats.jetstream import JetStream
from pyd2.queue.nats.site import Site, create_streams
from pyd2.queue.sqlite.salvage import salvage
from tests.faults.load import domain, forward
from tests.kit import dns_servers
from tests.kit.d2 import D2, config, private_directory
from tests.kit.nats_servers import NatsServer, nats_servers
from tests.kit.ports import PortLease
from tests.kit.waiting import TIMEOUT, wait_until
from tests.queue.nats.played import connected, of_real

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.cluster.lan import Place
    from tests.kit.dns_servers import DnsServer

ZONE = "example.com."
SITE = "site-a"
LEASE = 2.0
GRACE = 0.5


class Machine:
    """A machine with a daemon, which may be killed and started again."""

    d2: D2

    def __init__(
        self, binary: str, directory: Path, name: str, settings: Mapping[str, Any], place: Place | None = None
    ) -> None:
        """``place`` is where it runs, if it has a network of its own."""
        self.name = name
        self.settings = settings
        """With the shared queue."""
        self.port = int(settings["DhcpDdns"]["port"])
        self.place = place
        self.directory = directory / name
        self.directory.mkdir(mode=0o750)
        self.queue_directory = self.directory / "queue"
        self.queue_directory.mkdir()
        self._binary = binary
        self._lives = 0
        self.configure(settings)

    @property
    def file(self) -> Path:
        """Its configuration."""
        return self.directory / "d2.json"

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Write the configuration for the next start."""
        self.file.write_text(json.dumps(settings))

    def start(self) -> None:
        """Start the daemon and wait until it takes requests."""
        # What a kill leaves; another process may have its number by now, which would prevent the start.
        (self.directory / "d2.kea-dhcp-ddns.pid").unlink(missing_ok=True)
        self._lives += 1
        prefix = self.place.prefix if self.place else ()
        command = [*prefix, self._binary, "-c", self.file.name]
        self.d2 = D2(command[0], self.directory, command[1:], name=f"d2-{self._lives}")
        self.d2.wait_for_commands()
        wait_until(self._unread, f"{self.name} to listen")

    def _unread(self) -> list[int]:
        """Return how many octets wait at its port, in the network where it runs; empty: it has none."""
        wanted = f":{self.port:04X}"
        lines = Path(f"/proc/{self.d2.process.pid}/net/udp").read_text().splitlines()[1:]
        sockets = [line.split() for line in lines]
        return [int(fields[4].partition(":")[2], 16) for fields in sockets if fields[1].endswith(wanted)]

    def until_read(self) -> None:
        """Wait until it has read all that has arrived: that is on its disk when it has stopped."""
        wait_until(lambda: self._unread() == [0], f"{self.name} to read what was sent")

    def on_disk(self) -> int:
        """Return how many requests are in its file."""
        return len(salvage(str(self.queue_directory)).entries)

    def logs(self) -> list[Path]:
        """Return the logs of all its daemons."""
        return sorted(self.directory.glob(".d2-*.stdout"))

    def queue(self) -> dict[str, Any]:
        """Return what status-get says of the queue."""
        found: dict[str, Any] = self.d2.command("status-get")["arguments"]["pyd2"]["queue"]
        return found

    def owns(self) -> bool:
        """Whether it owns the queue, as it sees it."""
        return bool(self.queue()["node"]["state"] == "owner")

    def until_owner(self) -> None:
        """Wait until it owns the queue."""
        wait_until(self.owns, f"{self.name} to own the queue")

    def until_appended(self, count: int) -> None:
        """Wait until its receiver has appended so many requests since its start."""
        wait_until(lambda: self.queue()["appended"] >= count, f"{count} requests of {self.name} appended")

    def new_socket(self) -> socket.socket:
        """Return a socket whose datagrams reach it."""
        return self.place.new_socket() if self.place else socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def send(self, *requests: bytes) -> None:
        """Send requests to its port, from the machine itself."""
        with self.new_socket() as sock:
            for request in requests:
                sock.sendto(request, ("127.0.0.1", self.port))


class Rig:
    """The site."""

    servers: Sequence[NatsServer]

    def __init__(self, servers: Sequence[NatsServer], bind: DnsServer, machines: list[Machine]) -> None:
        self.servers = servers
        self.bind = bind
        self.machines = machines

    def addresses(self) -> dict[str, str]:
        """Return what the zone has: the address of each name."""
        return {name: data for name, _, kind, data in self.bind.records(ZONE) if kind == "A"}

    def until_zone_is(self, wanted: Mapping[str, str], timeout: float = TIMEOUT) -> None:
        """Wait until the zone has these names with these addresses."""
        wait_until(lambda: self.addresses() == wanted, "the zone to be right", timeout)


def machine_config(
    directory: Path, name: str, port: int, zone: Mapping[str, Any], servers: list[str], **more: Any
) -> dict[str, Any]:
    """Return the configuration of a machine below a directory, for one zone."""
    queue = {"type": "nats", "servers": servers, "site": SITE, "name": name,
             "directory": str(directory / name / "queue"), "lease": LEASE, "grace": GRACE, **more}
    # Long enough for a busy machine: three tries without an answer are a failure.
    body = {**forward(dict(zone), timeout=15000), "user-context": {"pyd2": {"queue": queue}}}
    return config(port, body)


def durable_config(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration of a machine with the durable queue in the same directory."""
    body = dict(settings["DhcpDdns"])
    directory = body["user-context"]["pyd2"]["queue"]["directory"]
    body["user-context"] = {"pyd2": {"queue": {"type": "durable", "directory": directory}}}
    return {"DhcpDdns": body}


@contextlib.contextmanager
def new_rig(binary: str, names: tuple[str, ...] = ("m1", "m2"), servers: int = 3) -> Iterator[Rig]:
    """Run servers and BIND, make the streams, and yield the site, whose daemons are not started."""
    with contextlib.ExitStack() as stack:
        lease = stack.enter_context(PortLease())
        directory = stack.enter_context(private_directory())
        nats = stack.enter_context(nats_servers(servers))
        bind = stack.enter_context(dns_servers.bind([ZONE]))
        make_streams(nats)
        machines = []
        urls = [f"nats://127.0.0.1:{server.port}" for server in nats]
        for name in names:
            settings = machine_config(directory, name, lease.take(), domain(ZONE, bind.port), urls)
            machines.append(Machine(binary, directory, name, settings))
        rig = Rig(nats, bind, machines)
        try:
            yield rig
        finally:
            for machine in machines:
                if hasattr(machine, "d2"):
                    machine.d2.process.kill()


def make_streams(servers: Sequence[NatsServer]) -> None:
    """Make the streams. A fresh cluster that never takes its third server in is started anew."""
    for _ in range(3):
        with contextlib.suppress(TimeoutError, NatsError):
            asyncio.run(create(servers))
            return
        for server in servers:
            server.process.kill()
            server.process.wait_for_exit()
        for server in servers:
            server.start()
        for server in servers:
            server.wait_until_ready()
    raise AssertionError("the cluster takes no streams")


async def create(servers: Sequence[NatsServer]) -> None:
    """Make the streams: a fresh cluster may refuse for some seconds. Raises TimeoutError."""
    async with asyncio.timeout(25), connected(of_real(servers[0])) as connection:
        while True:
            with contextlib.suppress(NatsError):
                await create_streams(JetStream(connection), Site(SITE), len(servers))
                return
            await asyncio.sleep(0.1)
