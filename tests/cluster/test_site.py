"""Two daemons share the queue of a site: real servers of NATS, real BIND; kills, standstills, no quorum.

Each client has an address and then another one, so what ends in the wrong order shows in the zone.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyd2.tools.cli import main as pyd2ctl
from tests.cluster.site import SITE, ZONE, Machine, Rig, machine_config, new_rig
from tests.faults.load import domain
from tests.kit import dns_servers, ncr
from tests.kit.certificates import make_authority, make_certificate
from tests.kit.d2 import private_directory
from tests.kit.nats_servers import nats_servers, tls_block
from tests.kit.ports import PortLease
from tests.kit.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = [pytest.mark.peers, pytest.mark.faults]

EACH = 60
"""Clients of a machine in each scene."""

PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"


@pytest.fixture(autouse=True)
def _only_pyd2(is_pyd2: bool) -> None:
    if not is_pyd2:
        pytest.skip("Kea has no such queue")


class Clients:
    """Clients that get two addresses each, one after the other."""

    def __init__(self) -> None:
        self.wanted: dict[str, str] = {}
        """What the zone must have in the end."""
        self._count = 0

    def requests(self, count: int) -> Iterable[bytes]:
        """Yield the requests of new clients: the first addresses of all, then the second ones."""
        first, self._count = self._count, self._count + count
        for lease in (1, 2):
            for number in range(first, self._count):
                name = f"host{number}.{ZONE}"
                address = f"10.{lease}.{number >> 8}.{number & 255}"
                self.wanted[name] = address
                dhcid = ncr.dhcid(b"client %d" % number, name)
                yield ncr.datagram(ncr.request(name, address, dhcid, reverse=False))


def send(machines: Iterable[Machine], clients: Clients) -> None:
    """Send to each machine, and wait until the servers have it."""
    for machine in machines:
        before = machine.queue()["appended"]
        machine.send(*clients.requests(EACH))
        machine.until_appended(before + 2 * EACH)


def start_site(rig: Rig, clients: Clients) -> tuple[Machine, Machine]:
    """Start the machines and have them do some requests; return the owner and the other one."""
    one, two = rig.machines
    one.start()
    two.start()
    wait_until(lambda: one.owns() or two.owns(), "an owner")
    owner, other = (one, two) if one.owns() else (two, one)
    send(rig.machines, clients)
    rig.until_zone_is(clients.wanted)
    return owner, other


def test_a_site_goes_on_whatever_becomes_of_its_owner(d2_binary: str) -> None:
    with new_rig(d2_binary) as rig:
        clients = Clients()
        owner, other = start_site(rig, clients)

        # The owner is killed while updates wait for a DNS server that does not answer.
        rig.bind.process.send_signal(signal.SIGSTOP)
        send(rig.machines, clients)
        owner.d2.process.kill()
        owner.d2.process.wait_for_exit()
        other.until_owner()
        rig.bind.process.send_signal(signal.SIGCONT)
        rig.until_zone_is(clients.wanted)
        owner.start()
        assert not owner.owns()

        # It is stopped for longer than its lease, and wakes up with updates that it had prepared.
        owner, other = other, owner
        owner.d2.process.send_signal(signal.SIGSTOP)
        other.until_owner()
        send([other], clients)
        rig.until_zone_is(clients.wanted)
        owner.d2.process.send_signal(signal.SIGCONT)
        owner.d2.wait_for_log("PYD2_CLUSTER_FENCED|PYD2_CLUSTER_PAUSED")
        wait_until(lambda: owner.queue()["node"]["state"] == "standby", "the former owner to know it")
        send([owner], clients)
        rig.until_zone_is(clients.wanted)

        # It leaves in good order.
        owner, other = other, owner
        rig.bind.process.send_signal(signal.SIGSTOP)
        send(rig.machines, clients)
        assert owner.d2.stop() == 0
        assert "PYD2_CLUSTER_RELEASED" in owner.d2.stdout()
        other.until_owner()
        rig.bind.process.send_signal(signal.SIGCONT)
        rig.until_zone_is(clients.wanted)
        for machine in (owner, other):
            assert "PYD2_INTERNAL_ERROR" not in machine.d2.stdout()


def test_an_owner_that_no_other_node_has_replaced_goes_on_without_a_replay(d2_binary: str) -> None:
    with new_rig(d2_binary, ("m1",), servers=1) as rig:
        (machine,) = rig.machines
        clients = Clients()
        machine.start()
        machine.until_owner()
        rig.bind.process.send_signal(signal.SIGSTOP)
        send([machine], clients)
        wait_until(lambda: machine.queue()["node"]["waiting"] == 2 * EACH, "all to be under way")
        rig.servers[0].process.send_signal(signal.SIGSTOP)
        machine.d2.wait_for_log("PYD2_CLUSTER_PAUSED")
        rig.bind.process.send_signal(signal.SIGCONT)  # what was sent before is answered meanwhile
        rig.servers[0].process.send_signal(signal.SIGCONT)
        machine.d2.wait_for_log("PYD2_CLUSTER_RESUMED")
        rig.until_zone_is(clients.wanted)
        wait_until(lambda: machine.queue()["node"]["waiting"] == 0, "all to be done")
        statistics = machine.d2.statistics()
        assert machine.queue()["node"]["claims"] == 1
        # One update for the first address of each client, and two for the other one: the name is in use.
        assert (statistics["update-sent"], statistics["update-timeout"]) == (3 * EACH, 0)
        assert machine.d2.stop() == 0


def test_without_a_quorum_requests_wait_on_the_disks_and_a_restart_keeps_them(d2_binary: str) -> None:
    with new_rig(d2_binary) as rig:
        clients = Clients()
        _, other = start_site(rig, clients)
        for server in rig.servers[:2]:
            server.process.kill()
            server.process.wait_for_exit()
        for machine in rig.machines:
            machine.send(*clients.requests(EACH))
            machine.d2.wait_for_log("PYD2_CLUSTER_SPOOLING")
            wait_until(lambda machine=machine: machine.on_disk() == 2 * EACH,  # type: ignore[misc]
                       "all requests to be on the disk")
        for machine in rig.machines:  # one is killed, one is stopped in good order
            machine.d2.stop(signal.SIGKILL if machine is other else signal.SIGTERM)
            machine.start()
            wait_until(lambda machine=machine: machine.queue()["entries"] == 2 * EACH,  # type: ignore[misc]
                       "the file to be read")
        for server in rig.servers[:2]:
            server.start()
        for server in rig.servers[:2]:
            server.wait_until_ready()
        rig.until_zone_is(clients.wanted)
        for machine in rig.machines:
            wait_until(lambda machine=machine: machine.queue()["entries"] == 0,  # type: ignore[misc]
                       "the disk to be empty")
            assert "PYD2_INTERNAL_ERROR" not in machine.d2.stdout()


def test_another_queue_needs_a_restart_and_all_else_a_reload_only(d2_binary: str) -> None:
    with new_rig(d2_binary, ("m1",), servers=1) as rig:
        (machine,) = rig.machines
        clients = Clients()
        machine.start()
        machine.until_owner()
        send([machine], clients)
        running = machine.d2.command("config-get")["arguments"]
        running.pop("hash", None)
        running["DhcpDdns"]["user-context"]["pyd2"]["queue"]["max-entries"] = 5000
        answer = machine.d2.command("config-set", running)
        assert answer["result"] == 0, answer
        for change in ({"type": "memory"}, {"site": "site-b"}, {"lease": 3}, {"directory": "/elsewhere"}):
            other = machine.d2.command("config-get")["arguments"]
            other.pop("hash", None)
            queue = other["DhcpDdns"]["user-context"]["pyd2"]["queue"]
            queue |= change
            if change == {"type": "memory"}:
                other["DhcpDdns"]["user-context"]["pyd2"]["queue"] = change
            answer = machine.d2.command("config-set", other)
            assert answer["result"] == 1
            assert "type 'nats' cannot be changed by a reload: restart the server" in answer["text"]
        send([machine], clients)
        rig.until_zone_is(clients.wanted)
        assert machine.d2.stop() == 0


def documented_rights() -> str:
    """Return the rights that the page has for a machine, and besides an administrator."""
    text = PAGE.read_text()
    block = text[text.index("authorization { users: [") :].partition("```")[0]
    assert "$JS.API.CONSUMER.CREATE.PYD2-REQ-site-a-0.>" in block
    return block.replace("users: [", 'users: [ { user: "admin@example.com" }', 1)


def test_certificates_and_the_documented_rights_are_enough(
    d2_binary: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    authority = make_authority(tmp_path)
    server = make_certificate(tmp_path, authority, "IP:127.0.0.1")
    own, admin = (make_certificate(tmp_path, authority, f"email:{name}@example.com", name)
                  for name in ("dhcp1", "admin"))
    with PortLease() as lease, private_directory() as directory, dns_servers.bind([ZONE]) as bind, \
            nats_servers(blocks=f"{tls_block(server, authority)}\n{documented_rights()}") as (nats,):
        settings = machine_config(
            directory, "dhcp1", lease.take(), domain(ZONE, bind.port), [f"tls://127.0.0.1:{nats.port}"],
            **{"tls-ca-file": str(authority.cert), "tls-cert-file": str(own.cert),
               "tls-key-file": str(own.key)},
        )  # fmt: skip
        machine = Machine(d2_binary, directory, "dhcp1", settings)
        file = str(directory / "dhcp1" / "d2.json")
        try:
            machine.start()
            machine.d2.wait_for_log("PYD2_CLUSTER_RECORD_UNREADABLE")  # there are no streams
            assert pyd2ctl(["queue", "create", file, "--replicas", "1", "--tls-cert-file", str(admin.cert),
                            "--tls-key-file", str(admin.key)]) == 0
            machine.until_owner()
            clients = Clients()
            machine.send(*clients.requests(EACH))
            wait_until(lambda: {name: data for name, _, kind, data in bind.records(ZONE) if kind == "A"}
                       == clients.wanted, "the zone to be right")
            capsys.readouterr()
            pyd2ctl(["queue", "check", file])
            assert f"queue of {SITE}: owned by dhcp1." in capsys.readouterr().out
            for dead in ([], ["--dead"]):
                assert pyd2ctl(["queue", "count", f"nats:{SITE}", "--config", file, *dead]) == 0
            assert machine.d2.stop() == 0
            assert "Permissions Violation" not in machine.d2.stdout()
        finally:
            machine.d2.process.kill()
