"""A D2 that signs its updates with GSS-TSIG, the DNS server they go to, and the KDC of both."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from tests.faults.load import Ends, Host, domain
from tests.kit import dns_servers, ncr
from tests.kit.d2 import D2, config, private_directory
from tests.kit.kerberos import CLIENT, DNS_SERVICE
from tests.kit.ports import PortLease
from tests.kit.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.kit.kerberos import Realm

ZONE = "example.test."
REVERSE = "10.in-addr.arpa."
LIBRARY = "libddns_gss_tsig.so"
POLICY = f'grant "{CLIENT}" zonesub ANY;'
"""BIND 9.20 wants the quotes."""
_AT_ONCE = 100
"""Requests that fit into a socket's buffer of the usual size, even if the D2 reads none of them meanwhile."""


@contextlib.contextmanager
def served(kdc: Realm, policy: str = POLICY) -> Iterator[dns_servers.DnsServer]:
    """Run BIND with the realm's keytab."""
    keytab = kdc.server_keytab.removeprefix("FILE:")
    with dns_servers.bind([ZONE, REVERSE], options=f'tkey-gssapi-keytab "{keytab}";', policy=policy,
                          env=os.environ | kdc.environment) as server:
        yield server


class Site:
    """A D2 that sends signed updates to a DNS server."""

    def __init__(self, d2: D2, port: int) -> None:
        self.d2 = d2
        self.port = port
        self.ends = Ends(d2)

    def gss(self, command: str, **arguments: str) -> dict[str, Any]:
        """Run one of the library's commands."""
        return self.d2.command(f"gss-tsig-{command}", arguments or None)

    def keys(self, status: str = "") -> list[str]:
        """Return the names of the keys that have a status."""
        servers = self.gss("get-all")["arguments"]["gss-tsig-servers"]
        return [key["name"] for server in servers for key in server["keys"] if status in ("", key["status"])]

    def wait_for_keys(self, count: int = 1, status: str = "usable") -> None:
        """Wait until so many keys have a status."""
        wait_until(lambda: len(self.keys(status)) >= count, f"{count} {status} keys")

    def update(self, *hosts: Host, change: int = ncr.ADD, reverse: bool = True) -> None:
        """Send requests and wait until they have ended."""
        before = self.ends.read()
        received = self._received()
        for first in range(0, len(hosts), _AT_ONCE):
            some = hosts[first : first + _AT_ONCE]
            for host in some:
                ncr.send(host.request(change, reverse=reverse), self.port)
            received += len(some)
            self._wait_until_read(received)
        self.ends.wait(before + len(hosts))

    def _received(self) -> int:
        return self.d2.statistics()["ncr-received"]

    def _wait_until_read(self, count: int) -> None:
        wait_until(lambda: self._received() >= count, f"{count} requests to be read")


@contextlib.contextmanager
def site(binary: str, kdc: Realm, server_port: int, *, parameters: Mapping[str, Any] | None = None,
         entry: Mapping[str, Any] | None = None, body: Mapping[str, Any] | None = None,
         env: Mapping[str, str] | None = None) -> Iterator[Site]:
    """Run a D2 that uses GSS-TSIG for a server; ``env`` is added to its environment."""
    with PortLease() as lease, private_directory() as directory:
        port = lease.take()
        given = {
            "server-principal": DNS_SERVICE, "client-principal": CLIENT, "client-keytab": kdc.client_keytab,
            "servers": [{"id": "bind", "ip-address": "127.0.0.1", "port": server_port, **(entry or {})}],
            **(parameters or {}),
        }
        whole = {
            "forward-ddns": {"ddns-domains": [domain(ZONE, server_port)]},
            "reverse-ddns": {"ddns-domains": [domain(REVERSE, server_port)]},
            "dns-server-timeout": 5000,
            "hooks-libraries": [{"library": LIBRARY, "parameters": given}],
            **(body or {}),
        }
        d2 = D2.start(binary, directory, config(port, whole), env=kdc.environment | dict(env or {}))
        with d2:
            d2.wait_for_listener(port)
            yield Site(d2, port)
