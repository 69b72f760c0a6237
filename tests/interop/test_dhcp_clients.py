"""Real clients end to end: perfdhcp -> kea-dhcp4 or kea-dhcp6 -> D2 -> BIND, with signed updates.

Every lease is in the DNS, forward and reverse, and gone again after its release (IPv4) or expiry (IPv6).
"""

import contextlib
from collections.abc import Iterator, Sequence

import dns.reversename
import pytest

from tests.kit import dhcp, dns_servers
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease
from tests.kit.tsigkeys import TsigKey
from tests.kit.waiting import wait_until

pytestmark = pytest.mark.peers

CLIENTS = 500
FORWARD = dhcp.SUFFIX
REVERSE = {4: "77.10.in-addr.arpa.", 6: "7.7.0.0.8.b.d.0.1.0.0.2.ip6.arpa."}
KEY = TsigKey.of("HMAC-SHA256")

Names = set[tuple[str, str, str]]  # owner, type, rdata


@contextlib.contextmanager
def _network(binary: str, family: int,
             lifetime: int) -> Iterator[tuple[D2, dns_servers.DnsServer, dhcp.DhcpServer]]:
    """A DHCP server whose leases go through the D2 to BIND."""
    zones = [FORWARD, REVERSE[family]]
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(PortLease()).take()
        bind = stack.enter_context(dns_servers.bind(zones, KEY))
        servers = [{"ip-address": "127.0.0.1", "port": bind.port}]
        domains = [{"name": zone, "key-name": KEY.name, "dns-servers": servers} for zone in zones]
        directory = stack.enter_context(private_directory())
        body = {"tsig-keys": [KEY.kea()], "dns-server-timeout": 10000,
                "forward-ddns": {"ddns-domains": domains[:1]}, "reverse-ddns": {"ddns-domains": domains[1:]}}
        d2 = stack.enter_context(D2.start(binary, directory, config(port, body)))
        d2.wait_for_listener(port)
        yield d2, bind, stack.enter_context(dhcp.kea_dhcp(family, port, lifetime))


def _names(bind: dns_servers.DnsServer, family: int) -> Names:
    """Return what is in the zones; a DHCID's content is left out."""
    return {(owner, kind, "" if kind == "DHCID" else rdata)
            for zone in (FORWARD, REVERSE[family])
            for owner, _, kind, rdata in bind.records(zone)}


def _wanted(leases: Sequence[dhcp.Lease], family: int) -> Names:
    """Return what must be in the zones: A or AAAA with DHCID, and PTR with DHCID."""
    wanted: Names = set()
    for lease in leases:
        name = lease.hostname.rstrip(".") + "."
        reverse = dns.reversename.from_address(lease.address).to_text().lower()
        wanted |= {(name, "A" if family == 4 else "AAAA", lease.address), (name, "DHCID", ""),
                   (reverse, "PTR", name), (reverse, "DHCID", "")}
    return wanted


def _finished(d2: D2, message: str, count: int) -> None:
    wait_until(lambda: d2.stdout().count(message) >= count or not d2.alive, f"{count} {message}")


@pytest.mark.parametrize(("family", "lifetime"), [(4, 4000), (6, 20)], ids=["v4-release", "v6-expiry"])
def test_leases_are_in_the_dns_and_leave_it(d2_binary: str, family: int, lifetime: int) -> None:
    with _network(d2_binary, family, lifetime) as (d2, bind, server):
        leases: list[dhcp.Lease] = []
        for _ in range(5):  # perfdhcp gives up an exchange after a second, which a busy machine may need
            report = dhcp.perfdhcp(server, CLIENTS, 200)
            leases = server.leases()
            if len(leases) == CLIENTS:
                break
        assert len(leases) == CLIENTS, report
        _finished(d2, "DHCP_DDNS_ADD_SUCCEEDED", CLIENTS)
        assert _names(bind, family) == _wanted(leases, family)

        if family == 4:
            for number, lease in enumerate(leases):
                server.release(lease)
                if number % 100 == 99:  # a longer burst overruns the DHCP server's socket
                    _finished(d2, "DHCP_DDNS_REMOVE_SUCCEEDED", number + 1)
        _finished(d2, "DHCP_DDNS_REMOVE_SUCCEEDED", CLIENTS)
        assert _names(bind, family) == set()
        assert server.leases() == []

        counts = d2.statistics()
        assert counts["ncr-received"] == 2 * CLIENTS
        assert counts["update-signed"] == counts["update-sent"] == counts["update-success"]
        assert counts["ncr-invalid"] == counts["update-timeout"] == counts["update-error"] == 0
