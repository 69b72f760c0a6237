"""``pyd2ctl demo``: a daemon, a DNS server and a day in the life of three DHCP clients.

The scenes are requests as ``kea-dhcp4`` and ``kea-dhcp6`` send them, each with its expected outcome. After
the last one the zones are read by zone transfer and compared with what RFC 4703 asks for.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dns.asyncquery
import dns.exception
import dns.name
import dns.rdatatype
import dns.tsig
import dns.xfr
import dns.zone

from pyd2.ncr import ChangeType
from pyd2.tools.daemon_process import DaemonError, DaemonProcess, running
from pyd2.tools.dns_server import make_zone, parse_key, serving
from pyd2.tools.endpoint import Endpoint
from pyd2.tools.ports import free_ports
from pyd2.tools.primary import Primary, Received
from pyd2.tools.requests import Identifier, Sender, datagram, dhcid, encode, request

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator

FORWARD = "demo.example."
REVERSE4 = "2.0.192.in-addr.arpa."
REVERSE6 = "8.b.d.0.1.0.0.2.ip6.arpa."
KEY = "demo-key:cHlkMi1kZW1vLWtleS1ub3QtYS1zZWNyZXQtMDAwMDA="

_ADDED = "DHCP_DDNS_ADD_SUCCEEDED"
_ADD_FAILED = "DHCP_DDNS_ADD_FAILED"
_REMOVED = "DHCP_DDNS_REMOVE_SUCCEEDED"
_INVALID = "DHCP_DDNS_INVALID_NCR"
_ENDINGS = (_ADDED, _ADD_FAILED, _REMOVED, "DHCP_DDNS_REMOVE_FAILED", _INVALID)


@dataclass(frozen=True, slots=True)
class Scene:
    """One request and the log message it has to end with."""

    title: str
    payload: bytes
    expected: str


def _scene(title: str, expected: str, change: ChangeType, host: str, address: str, client: str, *,
           forward: bool = True) -> Scene:
    name = f"{host}.{FORWARD}"
    identity = dhcid(Identifier.CLIENT_ID, client.encode(), name)
    return Scene(title, encode(request(change, name, address, identity, forward=forward)), expected)


SCENES = (
    _scene("Ann's laptop gets an IPv4 address", _ADDED, ChangeType.ADD, "ann", "192.0.2.10", "ann"),
    _scene("Bob's laptop gets an IPv6 address", _ADDED, ChangeType.ADD, "bob", "2001:db8::b0b", "bob"),
    _scene("A printer gets an address", _ADDED, ChangeType.ADD, "printer", "192.0.2.20", "printer"),
    _scene("Eve's laptop says that its name is ann, too", _ADD_FAILED, ChangeType.ADD, "ann", "192.0.2.66",
           "eve"),
    _scene("Ann's laptop gets another address", _ADDED, ChangeType.ADD, "ann", "192.0.2.11", "ann"),
    _scene("Ann's old address is free again", _REMOVED, ChangeType.REMOVE, "ann", "192.0.2.10", "ann",
           forward=False),
    _scene("The printer is switched off", _REMOVED, ChangeType.REMOVE, "printer", "192.0.2.20", "printer"),
    Scene("A program sends rubbish", datagram(b'{"change-type": 0, "fqdn": '), _INVALID),
)

_B0B = "b.0.b.0" + ".0" * 20
EXPECTED = {
    FORWARD: {f"ann.{FORWARD}": {"A 192.0.2.11"}, f"bob.{FORWARD}": {"AAAA 2001:db8::b0b"}},
    REVERSE4: {f"11.{REVERSE4}": {f"PTR ann.{FORWARD}"}},
    REVERSE6: {f"{_B0B}.{REVERSE6}": {f"PTR bob.{FORWARD}"}},
}
"""By zone and name: the records in the zones at the end, in addition to one DHCID for each name."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``pyd2ctl demo``."""
    parser.add_argument("--daemon", metavar="PROGRAM",
                        help="the daemon to run (default: this pyd2), such as /usr/sbin/kea-dhcp-ddns")
    parser.add_argument("--dns", type=Endpoint.parse, metavar="ADDRESS:PORT",
                        help=f"use this DNS server, a primary for {FORWARD} {REVERSE4} {REVERSE6} "
                             "that accepts updates; default: the demo's own")
    parser.add_argument("--key", type=parse_key, metavar="[ALG:]NAME:SECRET",
                        help="with --dns: its TSIG key")
    parser.add_argument("--cluster", action="store_true",
                        help="show two daemons that share a queue on three servers of NATS instead")
    parser.add_argument("--log", action="store_true", help="show the daemon's log at the end")


def run(arguments: argparse.Namespace) -> int:
    """Play all scenes; exit status 0 if all had the expected outcome and the zones are right."""
    try:
        if arguments.cluster:
            from pyd2.tools.cluster.demo import show

            return asyncio.run(show())
        return asyncio.run(_demo(arguments))
    except BrokenPipeError:
        raise
    except (DaemonError, OSError, dns.exception.DNSException) as error:
        print(f"pyd2ctl demo: {error}", file=sys.stderr)
        return 1


async def _demo(arguments: argparse.Namespace) -> int:
    key = arguments.key if arguments.dns else parse_key(KEY)
    command = [arguments.daemon] if arguments.daemon else [sys.executable, "-m", "pyd2"]
    async with _dns_server(arguments.dns, key) as (server, primary):
        before = {origin: await _transfer(server, origin, key) for origin in EXPECTED}
        (port,) = free_ports(1, udp=True)
        async with running(command, make_config(port, server, key)) as daemon:
            version = (await daemon.command("version-get"))["arguments"]["extended"].splitlines()[0]
            print(f"daemon      {' '.join(command)} ({version}), pid {daemon.pid}")
            print(f"DNS server  {server}{'' if arguments.dns else ', of this demo'}\n")
            right = await _play(daemon, Endpoint("127.0.0.1", port), primary)
            zones = {origin: await _transfer(server, origin, key) for origin in EXPECTED}
            statistics = (await daemon.command("statistic-get-all"))["arguments"]
        right &= _show_zones(zones, before)
        _show_statistics(statistics)
        if arguments.log:
            print("\nThe daemon's log")
            print(*(f"  {line}" for line in daemon.lines), sep="\n")
    print("\nAll as it should be." if right else "\nNOT as it should be.")
    return 0 if right else 1


@contextlib.asynccontextmanager
async def _dns_server(dns_server: Endpoint | None,
                      key: dns.tsig.Key | None) -> AsyncIterator[tuple[Endpoint, Primary | None]]:
    if dns_server is not None:
        yield dns_server, None
        return
    assert key is not None
    zones = {zone.origin: zone for zone in map(make_zone, EXPECTED) if zone.origin is not None}
    primary = Primary(zones, {key.name: key}, {dns.name.from_text(FORWARD): key.name})
    async with serving(primary, "127.0.0.1", 0) as port:
        yield Endpoint("127.0.0.1", port), primary


def make_config(port: int, server: Endpoint, key: dns.tsig.Key | None) -> dict[str, Any]:
    """Return the daemon's configuration: three zones on one server, every update signed if there is a key."""
    def domains(*names: str) -> dict[str, Any]:
        servers = [{"ip-address": server.address, "port": server.port}]
        signed = {"key-name": str(key.name)} if key else {}
        return {"ddns-domains": [{"name": name, "dns-servers": servers} | signed for name in names]}

    keys = [] if key is None else [{"name": str(key.name), "secret": b64encode(key.secret).decode(),
                                    "algorithm": str(key.algorithm).rstrip(".").upper()}]
    return {"DhcpDdns": {
        "ip-address": "127.0.0.1",
        "port": port,
        "control-socket": {"socket-type": "unix", "socket-name": "socket"},
        "tsig-keys": keys,
        "forward-ddns": domains(FORWARD),
        "reverse-ddns": domains(REVERSE4, REVERSE6),
        "loggers": [{"name": "kea-dhcp-ddns", "severity": "DEBUG", "debuglevel": 50,
                     "output-options": [{"output": "stdout"}]}],
    }}


async def _play(daemon: DaemonProcess, to: Endpoint, primary: Primary | None) -> bool:
    """Send each scene's request and wait for its end; return whether all had the expected outcome."""
    await daemon.wait_for_line("DHCP_DDNS_QUEUE_MGR_STARTED", "DHCP_DDNS_QUEUE_MGR_START_ERROR")
    right = True
    with Sender(to) as sender:
        for number, scene in enumerate(SCENES, start=1):
            lines, updates = len(daemon.lines), len(primary.received) if primary else 0
            sender.send(scene.payload)
            line = await daemon.wait_for_line(*_ENDINGS, start=lines)
            ending = next(word for word in _ENDINGS if word in line)
            right &= ending == scene.expected
            print(f"{number}. {scene.title}")
            for update in primary.received[updates:] if primary else ():
                print(f"     {update.rcode:9} {_essence(update)}{', signed' if update.key else ''}")
            print(f"     {ending}{'' if ending == scene.expected else f', but expected {scene.expected}'}")
    return right


def _essence(update: Received) -> str:
    """Return the most telling line of an UPDATE: the last one that is not about the DHCID."""
    return next(line for line in reversed(update.text.updates) if " DHCID" not in line)


async def _transfer(server: Endpoint, origin: str, key: dns.tsig.Key | None) -> dns.zone.Zone:
    """Read a zone back by AXFR. Raises DNSException or OSError."""
    zone = dns.zone.Zone(origin, relativize=False)
    query, _ = dns.xfr.make_query(zone, keyring=key)
    await dns.asyncquery.inbound_xfr(server.address, zone, query, port=server.port, timeout=10)
    return zone


def _show_zones(zones: dict[str, dns.zone.Zone], before: dict[str, dns.zone.Zone]) -> bool:
    """Print the zones without their apexes; return whether they hold the expected records.

    Names that were there before the demo and are not of the demo, such as a name server's, are left out.
    """
    right = True
    for origin, zone in zones.items():
        print(f"\nZone {origin}")
        found: dict[str, set[str]] = {}
        for name, rdataset in zone.iterate_rdatasets():
            if zone.origin is None or name == zone.origin:
                continue
            if name in before[origin].nodes and str(name).lower() not in EXPECTED[origin]:
                continue
            rdtype = dns.rdatatype.to_text(rdataset.rdtype)
            for rdata in rdataset:
                print(f"  {name.relativize(zone.origin)!s:50} {rdataset.ttl:5} {rdtype:5} {rdata}")
                shown = rdtype if rdtype == "DHCID" else f"{rdtype} {rdata}"
                found.setdefault(str(name).lower(), set()).add(shown)
        expected = {name: {*values, "DHCID"} for name, values in EXPECTED[origin].items()}
        if found != expected:
            right = False
            print(f"  wrong, expected {expected}")
    return right


def _show_statistics(statistics: dict[str, list[list[Any]]]) -> None:
    """Print the statistics that are not zero."""
    print("\nStatistics")
    for name, samples in sorted(statistics.items()):
        if samples[0][0]:
            print(f"  {name:30} {samples[0][0]:5}")
