"""A daemon with a DNS server, and the files of a DHCP server, for reconcile to run on."""

from __future__ import annotations

import base64
import contextlib
import sys
from typing import TYPE_CHECKING, Any

import dns.query
import dns.rdatatype

from pyd2.tools.cli import main
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease
from tests.kit.process import Process
from tests.tools.reconcile.made import FORWARD, REVERSE, client_dhcid, put, write_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Station:
    """The directory has the configuration ``d2.json``, ``dhcp4.conf`` and ``leases.csv``."""

    def __init__(self, directory: Path, port: int, d2: D2) -> None:
        self.directory, self.port, self.d2 = directory, port, d2

    def name(self, name: str, number: int, host: str, *, ttl: int = 1333) -> None:
        """Add A and DHCID records, as the daemon makes them."""
        put(self.port, FORWARD, f"{name} {ttl} A {host}", self._dhcid(name, name, number, ttl))

    def pointer(self, host: str, number: int, name: str, *, ttl: int = 1333) -> None:
        """Add a PTR record and its DHCID."""
        owner = f"{host.rpartition('.')[2]}.{REVERSE}"
        put(self.port, REVERSE, f"{owner} {ttl} PTR {name}", self._dhcid(owner, name, number, ttl))

    def _dhcid(self, owner: str, name: str, number: int, ttl: int) -> str:
        return f"{owner} {ttl} DHCID {base64.b64encode(client_dhcid(number, name)).decode()}"

    def leases(self, *rows: str, dhcp: dict[str, Any] | None = None) -> None:
        write_files(self.directory, list(rows), dhcp)

    def reconcile(self, *options: str) -> int:
        """Run the tool and return its exit status."""
        return main(["reconcile", str(self.directory / "d2.json"), *options])

    def compare(self, *options: str) -> int:
        """Run it with the lease file."""
        return self.reconcile("--dhcp4", str(self.directory / "dhcp4.conf"), *options)

    def records(self, *, ttl: bool = False) -> set[str]:
        """Return what is in both zones, except SOA and NS: ``OWNER TYPE DATA``."""
        found: set[str] = set()
        for zone in (FORWARD, REVERSE):
            for message in dns.query.xfr("127.0.0.1", zone, port=self.port, relativize=False):
                for rrset in message.answer:
                    kind = dns.rdatatype.to_text(rrset.rdtype)
                    if kind not in {"SOA", "NS"}:
                        found.update(f"{rrset.name} {f'{rrset.ttl} ' * ttl}{kind} {data.to_text()}"
                                     for data in rrset)
        return found


@contextlib.contextmanager
def station(binary: str, body: dict[str, Any] | None = None) -> Iterator[Station]:
    """Run the daemon and ``pyd2ctl dns-server``."""
    with PortLease() as ports, private_directory() as directory, contextlib.ExitStack() as stack:
        port, d2_port = ports.take(), ports.take()
        argv = [sys.executable, "-m", "pyd2.tools", "dns-server", FORWARD, REVERSE]
        argv += ["--listen", f"127.0.0.1:{port}"]
        server = stack.enter_context(Process(argv, directory, name="dns"))
        server.wait_for_output("listening")
        servers = [{"ip-address": "127.0.0.1", "port": port}]
        domains = [{"name": zone, "dns-servers": servers} for zone in (FORWARD, REVERSE)]
        whole = config(d2_port, {"forward-ddns": {"ddns-domains": domains[:1]},
                                 "reverse-ddns": {"ddns-domains": domains[1:]}, **(body or {})})
        whole["DhcpDdns"]["control-socket"] = {"socket-type": "unix", "socket-name": "d2.sock"}
        d2 = stack.enter_context(D2.start(binary, directory, whole))
        d2.wait_for_listener(d2_port)
        yield Station(directory, port, d2)
