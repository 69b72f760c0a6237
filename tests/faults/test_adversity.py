"""A bad network between a D2 and BIND: whatever it does, log, zone and statistics must agree."""

import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.kit import dns_servers, ncr
from tests.kit.adversity import Adversity, Faults
from tests.kit.d2 import D2, config, private_directory
from tests.kit.dns_servers import DnsServer
from tests.kit.ports import PortLease
from tests.kit.tsigkeys import TsigKey
from tests.kit.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.peers]

FORWARD, REVERSE = "example.com.", "2.0.192.in-addr.arpa."
HOSTS = 120
FINAL = re.compile(r"DHCP_DDNS_(ADD|REMOVE)_(SUCCEEDED|FAILED) DHCP_DDNS Request ID ([0-9A-F]+)")

BAD = Faults(lose=0.1, delay=0.3, delay_seconds=0.1, duplicate=0.1, cut=0.03, wrong_id=0.1, wrong_source=0.1)
"""Faults that an unsigned update must survive: none of them changes its content."""


class Host:
    """A host with a name and an address of its own."""

    def __init__(self, number: int) -> None:
        self.name = f"host{number}.{FORWARD}"
        self.address = f"192.0.2.{number + 1}"
        self.owner = f"{number + 1}.{REVERSE}"
        self.dhcid = ncr.dhcid(b"client %d" % number, self.name)

    def request(self, change: int) -> bytes:
        return ncr.datagram(ncr.request(self.name, self.address, self.dhcid, change=change))


class Site:
    """A D2, the proxy and BIND."""

    def __init__(self, d2: D2, port: int, proxy: Adversity, bind: DnsServer) -> None:
        self.d2, self.port, self.proxy, self.bind = d2, port, proxy, bind

    def carry_out(self, change: int, hosts: Iterable[Host]) -> dict[str, str]:
        """Send a request for each host and return how each ended, by DHCID, according to the log."""
        mark = len(self.d2.stdout())
        wanted = list(hosts)
        for host in wanted:
            ncr.send(host.request(change), self.port)
        wait_until(lambda: len(FINAL.findall(self.d2.stdout(), mark)) >= len(wanted) or not self.d2.alive,
                   f"the end of {len(wanted)} requests", timeout=60)
        self.proxy.settle()
        found = FINAL.findall(self.d2.stdout(), mark)
        ends = {dhcid: outcome for _, outcome, dhcid in found}
        assert len(found) == len(ends) == len(wanted), "a request has not ended exactly once"
        assert {kind for kind, _, _ in found} == {"REMOVE" if change else "ADD"}
        return ends

    def hosts_in_zones(self) -> dict[str, set[tuple[str, str]]]:
        """Return what both zones hold, by owner: the type and the data of each record."""
        held: dict[str, set[tuple[str, str]]] = {}
        for owner, _, kind, data in self.bind.records(FORWARD) | self.bind.records(REVERSE):
            held.setdefault(owner, set()).add((kind, data))
        return held

    def statistics(self) -> dict[str, int]:
        """Return the statistics, which must balance: nothing is under way."""
        counts = self.d2.statistics()
        assert counts["update-sent"] == \
            counts["update-success"] + counts["update-timeout"] + counts["update-error"]
        assert counts["update-sent"] == counts["update-signed"] + counts["update-unsigned"]
        return counts


@contextlib.contextmanager
def _site(binary: str, faults: Faults, seed: int, key: TsigKey | None = None,
          lanes: dict[str, Any] | None = None) -> Iterator[Site]:
    with contextlib.ExitStack() as stack:
        lease = stack.enter_context(PortLease())
        port, proxy_port = lease.take(), lease.take()
        bind = stack.enter_context(dns_servers.bind([FORWARD, REVERSE], key))
        proxy = stack.enter_context(Adversity(proxy_port, bind.port, faults, seed))
        servers = [{"ip-address": "127.0.0.1", "port": proxy_port}]
        named = {"key-name": key.name} if key else {}
        body: dict[str, Any] = {
            "dns-server-timeout": 500, "tsig-keys": [key.kea()] if key else [],
            "forward-ddns": {"ddns-domains": [{"name": FORWARD, "dns-servers": servers, **named}]},
            "reverse-ddns": {"ddns-domains": [{"name": REVERSE, "dns-servers": servers, **named}]},
            "user-context": {"pyd2": {"lanes": lanes or {}}},
        }  # fmt: skip
        directory = stack.enter_context(private_directory())
        d2 = stack.enter_context(D2.start(binary, directory, config(port, body)))
        d2.wait_for_listener(port)
        yield Site(d2, port, proxy, bind)


def _check(site: Site) -> None:
    """Add all hosts, remove half of them; log, zones and statistics must agree after each."""
    hosts = [Host(number) for number in range(HOSTS)]
    ends = site.carry_out(ncr.ADD, hosts)
    held = site.hosts_in_zones()
    assert set(held) <= {host.name for host in hosts} | {host.owner for host in hosts}
    for host in hosts:
        if ends[host.dhcid] == "SUCCEEDED":
            assert {data for kind, data in held[host.name] if kind == "A"} == {host.address}
            assert {kind for kind, _ in held[host.name]} == {"A", "DHCID"}
            assert {data for kind, data in held[host.owner] if kind == "PTR"} == {host.name}
    assert list(ends.values()).count("SUCCEEDED") > 0.8 * HOSTS
    site.statistics()

    leaving = [host for host in hosts[::2] if ends[host.dhcid] == "SUCCEEDED"]
    gone = site.carry_out(ncr.REMOVE, leaving)
    held = site.hosts_in_zones()
    for host in leaving:
        if gone[host.dhcid] == "SUCCEEDED":
            assert host.name not in held
            assert host.owner not in held
    for host in hosts[1::2]:  # these did not change
        if ends[host.dhcid] == "SUCCEEDED":
            assert {kind for kind, _ in held[host.name]} == {"A", "DHCID"}
    assert site.statistics()["ncr-received"] == HOSTS + len(leaving)


@pytest.mark.parametrize("seed", [1, 2])
def test_unsigned(d2_binary: str, is_pyd2: bool, seed: int) -> None:
    with _site(d2_binary, BAD, seed) as site:
        _check(site)
        # A forged REFUSED that was believed would stand there.
        assert "with an RCODE: 5" not in site.d2.stdout()
        for fault in ("lose", "delay", "duplicate", "cut", "wrong_id", "wrong_source"):
            assert site.proxy.counts[fault], fault


@pytest.mark.parametrize("seed", [3, 4])
def test_signed_with_wrong_bits(d2_binary: str, seed: int) -> None:
    key = TsigKey.of("HMAC-SHA256")
    with _site(d2_binary, replace(BAD, flip=0.03, flag_tc=0.02), seed, key) as site:
        _check(site)
        assert site.proxy.counts["flip"]
        counts = site.statistics()
        assert counts["update-unsigned"] == 0
        assert counts[f"key[{key.name}.].update-sent"] == counts["update-sent"]


def test_truncated_replies_and_a_tcp_connection_that_breaks(d2_binary: str, is_pyd2: bool) -> None:
    """Decisions, row 2: truncated replies are repeated over TCP, and TCP may fail at any octet."""
    faults = Faults(lose=0.05, flag_tc=0.5, break_tcp=0.02)
    with _site(d2_binary, faults, 5) as site:
        _check(site)
        assert site.proxy.counts["flag_tc"]
        if is_pyd2:
            assert site.proxy.counts["break_tcp"]
            assert site.proxy.counts["connections"] > 1


def test_tcp_only_over_connections_that_break(d2_binary: str, is_pyd2: bool) -> None:
    with _site(d2_binary, Faults(break_tcp=0.002), 6, lanes={"transport": "tcp"}) as site:
        _check(site)
        if is_pyd2:  # Kea knows UDP only
            assert site.proxy.counts["break_tcp"]
            assert site.proxy.counts["passed"] == 0, "a datagram was sent"


def test_a_network_that_dies_and_comes_back(d2_binary: str) -> None:
    with _site(d2_binary, Faults(lose=1.0), 7) as site:
        early, late = [Host(number) for number in range(20)], [Host(number) for number in range(20, 40)]
        assert set(site.carry_out(ncr.ADD, early).values()) == {"FAILED"}
        assert site.hosts_in_zones() == {}
        site.proxy.become(Faults())
        assert set(site.carry_out(ncr.ADD, late).values()) == {"SUCCEEDED"}
        assert set(site.hosts_in_zones()) == {name for host in late for name in (host.name, host.owner)}
        counts = site.statistics()
        # If the machine pauses, updates that were answered late are sent again.
        assert counts["update-timeout"] >= 60
        assert counts["update-success"] >= 40
