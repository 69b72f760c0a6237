"""Real DHCP servers, BIND and the daemon: exactly what was damaged is found, mended, and taken back.

``PYD2_RECONCILE=5000`` makes so many leases in each family, and 40 of each class.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import dns.reversename
import dns.tsig
import dns.update
import pytest

from pyd2.tools.cli import main
from pyd2.tools.reconcile.repair import Outcome, Repair
from tests.kit import control, dhcp, dns_servers, kea
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease
from tests.kit.process import find_program
from tests.kit.tsigkeys import TsigKey
from tests.kit.waiting import wait_until
from tests.tools.reconcile.made import mac, send_update

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.peers

LEASES = int(os.environ.get("PYD2_RECONCILE", "300"))
EACH = max(3, LEASES // 125)
"""How often each class is made."""
LIFETIME = 4000
KEY = TsigKey.of("HMAC-SHA256")
FORWARD, REVERSE4, REVERSE6 = dhcp.SUFFIX, "77.10.in-addr.arpa.", "7.7.0.0.8.b.d.0.1.0.0.2.ip6.arpa."
REST = ("missing-ptr", "wrong-address", "wrong-owner", "unguarded", "outside", "twice", "ttl")
OTHER = base64.b64encode(b"\0\1\1" + bytes(32)).decode()
"""The DHCID of another client."""


class Network(NamedTuple):
    d2: D2
    bind: dns_servers.DnsServer
    servers: dict[int, dhcp.DhcpServer]
    directory: Path
    source4: list[str]
    """The options for IPv4: the control socket, over HTTP with Kea 3.0."""

    def records(self) -> set[dns_servers.Record]:
        return set().union(*(self.bind.records(zone) for zone in (FORWARD, REVERSE4, REVERSE6)))

    def change(self, zone: str, change: Callable[[dns.update.UpdateMessage], object]) -> None:
        """Change a zone behind the daemon's back."""
        key = dns.tsig.Key(KEY.name, KEY.secret, f"{KEY.lower_algorithm}.")
        update = dns.update.UpdateMessage(zone, keyring=key)
        change(update)
        send_update(update, self.bind.port)

    def reconcile(self, *options: str) -> int:
        return main(["reconcile", str(self.d2.directory / "d2.json"), "--quiet", "--grace", "0",
                     "--rate", "5000", *self.source4,
                     "--dhcp6", str(self.servers[6].directory / "dhcp.json"), *options])


@contextlib.contextmanager
def network(binary: str) -> Iterator[Network]:
    with contextlib.ExitStack() as stack:
        lease = stack.enter_context(PortLease())
        port, http_port = lease.take(), lease.take()
        zones = [FORWARD, REVERSE4, REVERSE6]
        bind = stack.enter_context(dns_servers.bind(zones, KEY))
        servers = [{"ip-address": "127.0.0.1", "port": bind.port}]
        domains = [{"name": zone, "key-name": KEY.name, "dns-servers": servers} for zone in zones]
        directory = stack.enter_context(private_directory())
        body = {"tsig-keys": [KEY.kea()], "dns-server-timeout": 10000,
                "forward-ddns": {"ddns-domains": domains[:1]}, "reverse-ddns": {"ddns-domains": domains[1:]}}
        d2 = stack.enter_context(D2.start(binary, directory, config(port, body)))
        d2.wait_for_listener(port)
        library = next(kea.chosen().libraries.glob("kea/hooks/libdhcp_lease_cmds.so"))
        unix: dict[str, Any] = {"socket-type": "unix", "socket-name": "kea.sock"}
        extra: dict[str, Any] = {"control-socket": unix, "hooks-libraries": [{"library": str(library)}]}
        six = stack.enter_context(dhcp.kea_dhcp(6, port, LIFETIME, extra))
        if kea.chosen().series == "3.0":
            clients = [{"user": "reconcile", "password": "a:b"}]
            http = {"socket-type": "http", "socket-port": http_port,
                    "authentication": {"type": "basic", "clients": clients}}
            extra = {"control-sockets": [unix, http], "hooks-libraries": extra["hooks-libraries"]}
        four = stack.enter_context(dhcp.kea_dhcp(4, port, LIFETIME, extra))
        (directory / "auth").write_text("reconcile:a:b\n")
        source4 = ["--leases4", f"unix:{four.directory}/kea.sock"]
        if kea.chosen().series == "3.0":
            source4 = ["--leases4", f"http://127.0.0.1:{http_port}", "--http-auth", str(directory / "auth")]
        yield Network(d2, bind, {4: four, 6: six}, directory, source4)


def lease_all(net: Network, clients: int) -> dict[int, list[dhcp.Lease]]:
    """Give that many clients of each family a lease, and wait until the DNS has them."""
    for server in net.servers.values():
        def all_leased(server: dhcp.DhcpServer = server) -> bool:
            dhcp.perfdhcp(server, clients, 300)
            return len(server.leases()) >= clients
        wait_until(all_leased, f"{clients} leases", 300)
    wait_until(lambda: net.d2.stdout().count("DHCP_DDNS_ADD_SUCCEEDED") >= 2 * clients, "all names", 120)
    return {family: [replace(lease, hostname=f"{lease.hostname.rstrip('.')}.") for lease in server.leases()]
            for family, server in net.servers.items()}


def damage(net: Network, leases: dict[int, list[dhcp.Lease]]) -> None:
    """Make EACH of each class in IPv4, and as many missing and stale names in IPv6."""
    four, six = iter(leases[4]), iter(leases[6])

    def names(kind: str) -> Iterator[tuple[int, str]]:
        return ((number, f"{kind}{number}.{FORWARD}") for number in range(EACH))

    def forward(update: dns.update.UpdateMessage) -> None:
        for lease in (next(four) for _ in range(EACH)):  # missing
            update.delete(lease.hostname)
        for lease in (next(six) for _ in range(EACH)):  # missing, in IPv6
            update.delete(lease.hostname)
        for number in range(EACH):  # wrong-address
            update.replace(next(four).hostname, 1333, "A", f"10.77.251.{number}")
        for _ in range(EACH):  # wrong-owner
            update.replace(next(four).hostname, 1333, "DHCID", OTHER)
        for _ in range(EACH):  # unguarded
            update.delete(next(four).hostname, "DHCID")
        for _ in range(EACH):  # ttl
            lease = next(four)
            update.replace(lease.hostname, 77, "A", lease.address)
        for number, name in names("stale"):
            update.add(name, 1333, "A", f"10.77.252.{number}")
            update.add(name, 1333, "DHCID", OTHER)
        for number, name in names("stalev6"):
            update.add(name, 1333, "AAAA", f"2001:db8:77::2:{number:x}")
            update.add(name, 1333, "DHCID", OTHER)
        for number, name in names("outside"):
            update.add(name, 1333, "A", f"172.16.0.{number}")
            update.add(name, 1333, "DHCID", OTHER)

    def reverse(update: dns.update.UpdateMessage) -> None:
        for _ in range(EACH):  # missing-ptr
            update.delete(dns.reversename.from_address(next(four).address))
        for number, name in names("stale"):
            owner = dns.reversename.from_address(f"10.77.252.{number}")
            update.add(owner, 1333, "PTR", name)
            update.add(owner, 1333, "DHCID", OTHER)
        for number, name in names("orphan"):
            owner = dns.reversename.from_address(f"10.77.253.{number}")
            update.add(owner, 1333, "PTR", name)
            update.add(owner, 1333, "DHCID", OTHER)

    net.change(FORWARD, forward)
    net.change(REVERSE4, reverse)
    for number in range(EACH):  # twice: a second client, whose name another one has
        arguments = {"ip-address": f"10.77.254.{number}", "hw-address": mac(number), "subnet-id": 1,
                     "hostname": next(four).hostname, "fqdn-fwd": True, "fqdn-rev": False}
        answer = control.command(net.servers[4].directory / "kea.sock", "lease4-add", arguments)
        assert answer["result"] == 0, answer


def come_and_go(net: Network) -> None:
    """Give 100 more clients of each family a lease, and have the IPv4 ones release theirs."""
    known = {lease.address for lease in net.servers[4].leases()}
    new = [lease for lease in lease_all(net, LEASES + 100)[4] if lease.address not in known]

    def gone() -> bool:
        names = {owner for owner, *_ in net.bind.records(FORWARD)}
        left = [lease for lease in new if lease.hostname in names]
        for lease in left:  # again, too: a datagram may be lost
            net.servers[4].release(lease)
        return not left

    wait_until(gone, "the names of released leases to go", 120)


def counts(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    report = json.loads(capsys.readouterr().out)
    return {kind: count for kind, count in report["counts"].items() if count}


def test_damage_is_found_mended_and_taken_back(d2_binary: str, monkeypatch: pytest.MonkeyPatch,
                                               capsys: pytest.CaptureFixture[str]) -> None:
    with network(d2_binary) as net:
        monkeypatch.setenv("KEA_CONTROL_SOCKET_DIR", str(net.d2.directory))
        monkeypatch.setenv("KEA_DHCP_DATA_DIR", str(net.servers[6].directory))
        monkeypatch.chdir(net.directory)
        leases = lease_all(net, LEASES)
        assert net.reconcile() == 0, capsys.readouterr()
        capsys.readouterr()

        damage(net, leases)
        assert net.reconcile("--json") == 1
        rest = dict.fromkeys(REST, EACH)
        assert counts(capsys) == {**rest, "missing": 2 * EACH, "stale": 2 * EACH, "orphan-ptr": EACH}

        # Mended: exactly the rest is left. The undo file brings all back.
        before = net.records()
        classes = ["--repair", "missing,stale,orphan-ptr", "--pace", "1000", "--max-remove"]
        assert net.reconcile(*classes, "100%", "--undo", "back", "--json") == 1
        mended = json.loads(capsys.readouterr().out)["repair"]
        assert (len(mended["mended"]), mended["not-mended"], mended["skipped"]) == (5 * EACH, [], [])
        assert net.reconcile("--json") == 1
        assert counts(capsys) == rest
        nsupdate = find_program("nsupdate", "bind9-dnsutils")
        done = subprocess.run([nsupdate, "-y", f"{KEY.lower_algorithm}:{KEY.name}:{KEY.secret}", "back"],
                              capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        assert net.records() == before

        # Again, while clients come and go: none of them loses its name, and none that is gone keeps it.
        churn = threading.Thread(target=come_and_go, args=(net,))
        run = Repair.run

        def meanwhile(self: Repair, *arguments: object) -> Outcome:
            churn.start()
            return run(self, *arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(Repair, "run", meanwhile)
        assert net.reconcile(*classes[:-2], "20", "--max-remove", "100%") == 1
        churn.join()
        capsys.readouterr()
        assert net.reconcile("--json") == 1
        assert counts(capsys) == rest
