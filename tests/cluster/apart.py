"""A site whose machines have networks of their own: what the long runs share.

Three servers of NATS with certificates, some nodes and BIND. Each server and each node is in a network
namespace, with a small disk in memory for its data, and all updates that reach BIND are noted.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import re
import shutil
import signal
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pyd2.config.nats.servers import Server
from pyd2.config.tls import ContextReader, TlsSwitches
from pyd2.queue.nats.connection import Client, connect
from pyd2.queue.nats.errors import NatsError
from pyd2.queue.nats.jetstream import JetStream
from pyd2.queue.nats.site import Site, SiteQueue
from pyd2.tools.cli import main as pyd2ctl
from tests.cluster.lan import HUB, Lan, Place, run
from tests.cluster.site import GRACE, LEASE, SITE, ZONE, Machine, Rig, machine_config
from tests.cluster.updates import Claim, Updates
from tests.kit import dns_servers
from tests.kit.certificates import make_authority, make_certificate
from tests.kit.d2 import private_directory
from tests.kit.nats_servers import NatsServer
from tests.kit.ports import PortLease
from tests.kit.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from pyd2.queue.shared.record import Record
    from tests.kit.certificates import Certificate
    from tests.kit.dns_servers import DnsServer
    from tests.kit.tsigkeys import TsigKey

T = TypeVar("T")

NCR_PORT: Final = 53001
NATS_PORT: Final = 4222
_ROUTES_PORT: Final = 6222
SERVER_DISK: Final = 256 << 20
NODE_DISK: Final = 64 << 20
"""Octets."""
SETTLE_SECONDS: Final = 90.0
"""How long a site may take to be well after a fault."""

CLAIM: Final = re.compile(r"^(\S+ \S+) .*PYD2_CLUSTER_CLAIMED .*epoch (\d+)", re.MULTILINE)
"""A claim in the log of a node: when it was, and its epoch."""
_LOSSES: Final = "PYD2_CLUSTER_APPENDED_AGAIN", "PYD2_CLUSTER_STREAM_LOST", "PYD2_CLUSTER_BATCHES_MISSING"
"""What daemons say when servers have lost what they had acknowledged."""


class ApartServer(NatsServer):
    """A server on a machine of its own."""

    place: Place
    certificate: Certificate


class ApartSite(Rig):
    """The site; the daemons are not started."""

    servers: list[ApartServer]

    def __init__(
        self, lan: Lan, servers: list[ApartServer], bind: DnsServer, machines: list[Machine],
        updates: Updates, authority: Certificate, client: Certificate,
    ) -> None:
        super().__init__(servers, bind, machines)
        self.lan = lan
        self.updates = updates
        self.authority = authority
        tls = TlsSwitches("strict", "", str(authority.cert), str(client.cert), str(client.key))
        self._client = Client("harness", "pyd2.inbox.harness", ContextReader(tls, ()))

    # The daemons.

    def start(self) -> Machine:
        """Start all daemons; return the owner."""
        for machine in self.machines:
            machine.start()
        return self.owner()

    def owner(self) -> Machine:
        """Wait until a node owns the queue, as it sees it, and return it. All of them must run."""
        def owners() -> list[Machine]:
            return [machine for machine in self.machines if machine.owns()]

        return wait_until(owners, "an owner", SETTLE_SECONDS)[0]

    def claims(self) -> list[Claim]:
        """Return all claims, as the logs have them."""
        return [Claim(datetime.fromisoformat(at).timestamp(), int(epoch), machine.name)
                for machine in self.machines for path in machine.logs()
                for at, epoch in CLAIM.findall(path.read_text(errors="backslashreplace"))]

    def check_logs(self) -> None:
        """See that no daemon has found a defect in itself."""
        for machine in self.machines:
            for path in machine.logs():
                said = path.read_text(errors="backslashreplace")
                before, defect, after = said.partition("PYD2_INTERNAL_ERROR")
                assert not defect, f"{machine.name}: {before[-2000:]}{defect}{after[:6000]}"

    def lost_by_servers(self) -> dict[str, int]:
        """Return how often servers had lost what they had acknowledged, by the message that says so."""
        said = "".join(path.read_text(errors="backslashreplace")
                       for machine in self.machines for path in machine.logs())
        return {name: said.count(f" {name} ") for name in _LOSSES}

    def keep_logs(self) -> None:
        """Copy the logs of all daemons and servers to a directory that stays, and print its name."""
        # Not in the memory that goes with this process's namespaces.
        kept = Path(tempfile.mkdtemp(prefix="pyd2-site-", dir=os.environ.get("TMPDIR", "/var/tmp")))
        for machine in self.machines:
            for path in machine.logs():
                shutil.copy(path, kept / f"{machine.name}{path.name}")
        for server in self.servers:
            for path in server.logs():
                shutil.copy(path, kept / path.name.removeprefix("."))
        print(f"the logs are in {kept}", flush=True)

    # The servers.

    def ask(self, what: Callable[[JetStream], Awaitable[T]]) -> T:
        """Ask the first server that answers, for a minute at most."""
        end = time.monotonic() + SETTLE_SECONDS
        while True:
            for server in self.servers:
                with contextlib.suppress(NatsError):
                    return asyncio.run(self._ask(server, what))
            assert time.monotonic() < end, "no server answers"
            time.sleep(0.1)

    async def _ask(self, server: ApartServer, what: Callable[[JetStream], Awaitable[T]]) -> T:
        connection = await connect(self._client, Server(server.place.address, NATS_PORT, tls=True))
        try:
            return await what(JetStream(connection))
        finally:
            connection.end("the harness knows enough")
            await asyncio.sleep(0)

    def record(self) -> Record:
        """Return the record of the queue."""
        async def read(jetstream: JetStream) -> Record:
            return (await SiteQueue(jetstream, Site(SITE)).record())[1]

        return self.ask(read)

    def last_batch(self) -> int:
        """Return the sequence of the last batch of the queue."""
        async def read(jetstream: JetStream) -> int:
            state = await jetstream.stream_state(Site(SITE).requests)
            return state.last if state is not None else 0

        return self.ask(read)

    def leader(self) -> ApartServer:
        """Return the server that leads the stream of requests."""
        async def read(jetstream: JetStream) -> str:
            info = await jetstream._call(f"STREAM.INFO.{Site(SITE).requests}")
            return str(info["cluster"].get("leader", ""))

        def found() -> list[ApartServer]:
            name = self.ask(read)
            return [server for server in self.servers if server.name == name]

        return wait_until(found, "a leader of the stream", SETTLE_SECONDS)[0]

    def restart_servers(self) -> None:
        """Kill all servers and start them again."""
        for server in self.servers:
            server.process.kill()
        for server in self.servers:
            server.start()
        for server in self.servers:
            server.wait_until_ready()

    def make_streams(self) -> None:
        """Make the streams. A fresh cluster that never takes its third server in is started anew."""
        said = io.StringIO()
        for _ in range(3):
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                if pyd2ctl(["queue", "create", str(self.machines[0].file), "--replicas",
                            str(len(self.servers))]) == 0:
                    return
            self.restart_servers()
        raise AssertionError(f"the cluster takes no streams:\n{said.getvalue()}")

    # Together.

    def until_well(self) -> None:
        """Wait until all servers and daemons work, and no request waits anywhere."""
        for server in self.servers:
            server.wait_until_ready()
        self.owner()
        for machine in self.machines:
            wait_until(lambda machine=machine: _is_well(machine),  # type: ignore[misc]
                       f"{machine.name} to have handed over all that it had", SETTLE_SECONDS)


def _is_well(machine: Machine) -> bool:
    queue = machine.queue()
    return bool(queue["state"] == "in use" and not queue.get("fault") and queue["unacknowledged"] < 500)


def apart_config(directory: Path, machine: str, dns_port: int, servers: list[Place], own: Certificate,
                 authority: Certificate, key: TsigKey | None, **more: Any) -> dict[str, Any]:
    """Return the configuration of a machine; ``more`` is for its queue."""
    zone = {"name": ZONE, "dns-servers": [{"ip-address": HUB, "port": dns_port}]}
    if key is not None:
        zone["key-name"] = key.name
    tls = {"tls-ca-file": str(authority.cert), "tls-cert-file": str(own.cert), "tls-key-file": str(own.key)}
    urls = [f"tls://{place.address}:{NATS_PORT}" for place in servers]
    settings = machine_config(directory, machine, NCR_PORT, zone, urls, **tls, **more)
    settings["DhcpDdns"]["tsig-keys"] = [key.kea()] if key is not None else []
    return settings


@contextlib.contextmanager
def apart_site(
    binary: str, *, nodes: int = 3, lease: float = LEASE, grace: float = GRACE, sync: str = "always",
    disk: Callable[[Path], object] | None = None, octets: tuple[int, int] = (SERVER_DISK, NODE_DISK),
    key: TsigKey | None = None, dns: str = "bind", **more: Any,
) -> Iterator[ApartSite]:
    """Run servers and BIND, make the streams, and yield the site.

    ``octets``: the sizes of the disks of servers and of nodes. ``disk`` mounts another one for a server on a
    directory. ``key`` signs all updates. ``dns`` is ``knot`` for Knot DNS in place of BIND. ``more`` is for
    the queue of each daemon.
    """
    with contextlib.ExitStack() as stack:
        lan = stack.enter_context(Lan())
        directory = stack.enter_context(private_directory())
        authority = make_authority(directory)
        places = [lan.add(f"q{number}") for number in range(3)]
        servers: list[ApartServer] = []
        routes = ", ".join(f'"nats://{place.address}:{_ROUTES_PORT}"' for place in places)
        for place in places:
            store = directory / f"store-{place.name}"
            store.mkdir()
            if disk is None:
                _mount_memory(store, octets[0])
            else:
                disk(store)
            stack.callback(run, "umount", "--lazy", str(store))
            certificate = make_certificate(directory, authority, f"IP:{place.address}", place.name)
            blocks = (f'cluster {{ name: c, listen: "{place.address}:{_ROUTES_PORT}", routes: [{routes}] }}\n'
                      f'tls {{ cert_file: "{certificate.cert}", key_file: "{certificate.key}", '
                      f'ca_file: "{authority.cert}", verify: true, handshake_first: true }}')
            server = ApartServer(directory, place.name, NATS_PORT, blocks, address=place.address,
                                 prefix=place.prefix, store=store / "data", sync=sync)
            stack.callback(_kill_server, server)
            server.place, server.certificate = place, certificate
            servers.append(server)
        for server in servers:
            server.wait_until_ready()
        port = stack.enter_context(PortLease()).take()
        options = f"listen-on port {port} {{ {HUB}; }};"
        bind = stack.enter_context(
            dns_servers.knot([ZONE], key, port=port, address=HUB) if dns == "knot"
            else dns_servers.bind([ZONE], key, port=port, options=options)
        )
        machines: list[Machine] = []
        for number in range(nodes):
            place = lan.add(f"m{number}")
            own = make_certificate(directory, authority, f"email:{place.name}@example.com", place.name)
            settings = apart_config(directory, place.name, port, places, own, authority, key,
                                    lease=lease, grace=grace, **more)
            machine = Machine(binary, directory, place.name, settings, place)
            _mount_memory(machine.queue_directory, octets[1])
            stack.callback(run, "umount", "--lazy", str(machine.queue_directory))
            stack.callback(_kill, machine)
            machines.append(machine)
        named = {machine.place.address: machine.name for machine in machines if machine.place is not None}
        updates = stack.enter_context(Updates(port, named))
        harness = make_certificate(directory, authority, "email:harness@example.com", "harness")
        site = ApartSite(lan, servers, bind, machines, updates, authority, harness)
        site.make_streams()
        try:
            yield site
        except Exception:
            site.keep_logs()
            raise


def _mount_memory(directory: Path, octets: int) -> None:
    run("mount", "-t", "tmpfs", "-o", f"size={octets},mode=0750", "disk", str(directory))


def _kill_server(server: ApartServer) -> None:
    server.process.kill()


def _kill(machine: Machine) -> None:
    if hasattr(machine, "d2"):
        if machine.d2.alive:
            machine.d2.process.send_signal(signal.SIGCONT)
        machine.d2.process.kill()
