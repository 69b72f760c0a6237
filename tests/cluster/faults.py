"""A site under load while all that can fail does: ``python -m tests.cluster faults --count 100``.

Nodes and servers are killed, stopped for a while and stopped in good order; the network is cut, also in one
direction only; disks fill up, and certificates expire. At the end each name must have its last address, and
each request must have reached the DNS server.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import time
from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING

from tests.cluster.apart import apart_site
from tests.cluster.load import Load, finish
from tests.kit.certificates import Certificate, make_certificate
from tests.kit.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.cluster.apart import ApartServer, ApartSite
    from tests.cluster.site import Machine


class Faults:
    """What may fail; each returns when it is over and mended."""

    def __init__(self, site: ApartSite, load: Load, wait: float, seed: int) -> None:
        """``wait``: seconds after which an owner that is gone is replaced."""
        self._site = site
        self._load = load
        self._wait = wait
        self._random = random.Random(seed)

    def _while(self, least: float = 1.0) -> None:
        """Let a fault last: some are over before the lease is, others long after it."""
        time.sleep(self._random.uniform(least, 2 * self._wait + 1))

    def _any_machine(self) -> Machine:
        return self._random.choice(self._site.machines)

    def _any_server(self) -> ApartServer:
        return self._random.choice(self._site.servers)

    # Nodes.

    def owner_killed(self) -> None:
        """The owner gets SIGKILL."""
        self._end(self._site.owner(), signal.SIGKILL)

    def node_killed(self) -> None:
        """Any node gets SIGKILL."""
        self._end(self._any_machine(), signal.SIGKILL)

    def owner_stopped(self) -> None:
        """The owner gets SIGTERM."""
        self._end(self._site.owner(), signal.SIGTERM)

    def _end(self, machine: Machine, number: signal.Signals) -> None:
        with self._load.without(machine):
            machine.d2.stop(number)
            self._while(0.0)
            machine.start()

    def owner_frozen(self) -> None:
        """The owner stands still (SIGSTOP)."""
        machine = self._site.owner()
        with self._load.held(machine):
            machine.d2.process.send_signal(signal.SIGSTOP)
            self._while()
            machine.d2.process.send_signal(signal.SIGCONT)

    # Servers.

    def server_killed(self) -> None:
        """One server gets SIGKILL."""
        self._end_servers([self._any_server()])

    def leader_killed(self) -> None:
        """The leader of the stream gets SIGKILL."""
        self._end_servers([self._site.leader()])

    def quorum_killed(self) -> None:
        """Two servers get SIGKILL."""
        self._end_servers(self._random.sample(self._site.servers, 2))

    def server_and_owner_killed(self) -> None:
        """A server and the owner get SIGKILL together."""
        machine, server = self._site.owner(), self._any_server()
        with self._load.without(machine):
            machine.d2.process.kill()
            self._end_servers([server])
            machine.start()

    def _end_servers(self, servers: list[ApartServer]) -> None:
        for server in servers:
            server.process.kill()
        self._while()
        for server in servers:
            server.start()

    def server_frozen(self) -> None:
        """A server stands still (SIGSTOP)."""
        server = self._any_server()
        server.process.send_signal(signal.SIGSTOP)
        self._while()
        server.process.send_signal(signal.SIGCONT)

    # The network.

    def owner_cut_off(self) -> None:
        """The owner reaches no server, and still reaches the DNS server."""
        self._cut([self._site.owner()], self._site.servers)

    def owner_not_heard(self) -> None:
        """What the owner sends to the servers is lost; it still hears them."""
        self._cut([self._site.owner()], self._site.servers, both=False)

    def owner_hears_nothing(self) -> None:
        """What the servers send to the owner is lost; they still hear it."""
        self._cut(self._site.servers, [self._site.owner()], both=False)

    def owner_alone(self) -> None:
        """The owner reaches nothing, not even the DNS server."""
        owner = self._site.owner()
        assert owner.place is not None
        self._site.lan.part([owner.place], [self._site.lan.hub])
        self._cut([owner], self._site.servers)

    def server_cut_off(self) -> None:
        """A server does not reach the other two; the nodes reach it."""
        server = self._any_server()
        self._cut([server], self._site.servers)

    def leader_alone(self) -> None:
        """The leader of the stream reaches neither servers nor nodes."""
        self._cut([self._site.leader()], [*self._site.servers, *self._site.machines])

    def servers_apart(self) -> None:
        """No server reaches another one; the nodes reach all."""
        self._cut(self._site.servers, self._site.servers)

    def rack_cut_off(self) -> None:
        """The owner and a server are cut off from all else, as two machines in one rack are."""
        owner, server = self._site.owner(), self._any_server()
        members: list[ApartServer | Machine] = [*self._site.servers, *self._site.machines]
        others = [one for one in members if one not in (owner, server)]
        self._cut([owner, server], others)

    def _cut(
        self, one: Sequence[ApartServer | Machine], other: Sequence[ApartServer | Machine], *,
        both: bool = True,
    ) -> None:
        places = [[member.place for member in side if member.place is not None] for side in (one, other)]
        (self._site.lan.part if both else self._site.lan.cut)(*places)
        self._while()
        self._site.lan.join()

    # Disks.

    def node_disk_full(self) -> None:
        """The disk of a node is full."""
        machine = self._any_machine()
        ballast = machine.queue_directory / "ballast"
        _fill(ballast)
        self._while()
        ballast.unlink()

    def server_disk_full(self) -> None:
        """The disk of a server is full; JetStream is off there until it has been started again."""
        server = self._any_server()
        ballast = server.store.parent / "ballast"
        _fill(ballast)
        self._while()
        ballast.unlink()
        server.process.kill()
        server.start()

    # Certificates.

    def server_certificate_expired(self) -> None:
        """A server is started with a certificate that has expired, and later with a good one."""
        server = self._any_server()
        with self._expired(server.certificate, f"IP:{server.place.address}"):
            server.process.kill()
            server.start()
            self._while()
        server.process.kill()
        server.start()

    def node_certificate_expired(self) -> None:
        """A node is started with a certificate that has expired, and later with a good one."""
        machine = self._any_machine()
        own = Certificate(machine.directory.parent / f"{machine.name}.crt",
                          machine.directory.parent / f"{machine.name}.key")
        with self._load.without(machine):
            machine.d2.stop()
            with self._expired(own, f"email:{machine.name}@example.com"):
                machine.start()
                wait_until(lambda: machine.queue()["state"] == "in use", "the file to be read")
            # Its requests wait on its disk meanwhile.
        self._while()
        with self._load.without(machine):
            machine.d2.stop()
            machine.start()

    @contextlib.contextmanager
    def _expired(self, own: Certificate, names: str) -> Iterator[None]:
        bad = make_certificate(own.cert.parent, self._site.authority, names, "expired", expired=True)
        kept = [path.rename(path.with_suffix(f"{path.suffix}.good")) for path in (own.cert, own.key)]
        shutil.copyfile(bad.cert, own.cert)
        shutil.copyfile(bad.key, own.key)
        try:
            yield
        finally:
            for path in kept:
                path.rename(path.with_suffix(""))

    def all(self) -> list[Callable[[], None]]:
        """Return them all."""
        return [
            self.owner_killed, self.node_killed, self.owner_stopped, self.owner_frozen,
            self.server_killed, self.leader_killed, self.quorum_killed, self.server_and_owner_killed,
            self.server_frozen,
            self.owner_cut_off, self.owner_not_heard, self.owner_hears_nothing, self.owner_alone,
            self.server_cut_off, self.leader_alone, self.servers_apart, self.rack_cut_off,
            self.node_disk_full, self.server_disk_full,
            self.server_certificate_expired, self.node_certificate_expired,
        ]  # fmt: skip


def _fill(ballast: Path) -> None:
    """Fill a disk with a file."""
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 65536)
    with contextlib.suppress(OSError), ballast.open("ab", buffering=0) as file:
        while True:
            file.write(b"\0" * 512)


def faults(
    binary: str, count: int, rate: float, seed: int, seconds: float, lease: float, grace: float,
    only: list[str] | None = None,
) -> bool:
    """Let so many faults happen, for so long at most; print what happened and return whether all is well."""
    with apart_site(binary, lease=lease, grace=grace) as site, Load(site.machines, 0, seed) as load:
        all_faults = Faults(site, load, lease + grace, seed)
        choice = random.Random(seed)
        site.start()
        load.rate = rate
        begun = time.monotonic()
        gaps: dict[str, list[float]] = defaultdict(list)
        happened = 0
        chosen: list[Callable[[], None]] = []
        while happened < count and time.monotonic() < begun + seconds:
            if not chosen:  # each as often as the others
                chosen = [one for one in all_faults.all() if not only or one.__name__ in only]
                choice.shuffle(chosen)
            fault = chosen.pop()
            happened += 1
            at = time.time()
            fault()
            site.until_well()
            gap = site.updates.longest_gap(at, time.time())
            gaps[fault.__name__].append(gap)
            print(f"{happened:4} {fault.__name__.replace('_', ' '):28} no update for {gap:4.1f} s at most",
                  flush=True)
            time.sleep(choice.uniform(0.5, 2.0))
        outcome = finish(site, load)
        kernel = sum(map(_drops, site.machines))
        minutes = (time.monotonic() - begun) / 60
        repeated = sum(machine.queue()["repeated"] for machine in site.machines)
    print(f"\n{'fault':28} times   longest time without an update: median, most")
    for name, found in sorted(gaps.items()):
        print(f"{name.replace('_', ' '):28} {len(found):5}   {median(found):6.1f} {max(found):6.1f} s")
    print(f"{happened} faults in {minutes:.0f} minutes at {rate:g} requests a second, lease {lease:g} s, "
          f"grace {grace:g} s: {outcome}; {kernel} datagrams dropped by the kernel; batches sent again "
          f"since the last starts: {repeated}")
    for name, address, held in outcome.wrong[:5]:
        print(f"  {name} should have {address} and has {held}")
    return outcome.good


def _drops(machine: Machine) -> int:
    """Return how many datagrams the kernel has dropped at the port of a machine since its start."""
    return int(machine.d2.statistics().get("pyd2-kernel-drops", 0))
