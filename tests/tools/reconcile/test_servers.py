"""Zones of BIND, Knot DNS and PowerDNS, by signed transfers and queries, and transfers that are refused."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import dns.tsig
import dns.update
import pytest

from pyd2.tools.cli import main
from tests.kit import dns_servers
from tests.kit.tsigkeys import TsigKey
from tests.tools.reconcile.made import FORWARD, REVERSE, client_dhcid, row4, send_update, write_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    Serve = Callable[[list[str], TsigKey], AbstractContextManager[dns_servers.DnsServer]]

pytestmark = pytest.mark.peers

KEY = TsigKey.of("HMAC-SHA512")
ONE, TWO, OLD = "h1.example.com.", "H2.Example.com.", "old.example.com."


def fill(server: dns_servers.DnsServer) -> None:
    """Add what the daemon makes of two leases, and a name that no lease has."""
    key = dns.tsig.Key(KEY.name, KEY.secret, f"{KEY.lower_algorithm}.")
    forward = dns.update.UpdateMessage(FORWARD, keyring=key)
    reverse = dns.update.UpdateMessage(REVERSE, keyring=key)
    for number, name in ((1, ONE), (2, TWO), (40, OLD)):
        dhcid = base64.b64encode(client_dhcid(number, name)).decode()
        forward.add(name, 1333, "A", f"192.0.2.{number}")
        forward.add(name, 1333, "DHCID", dhcid)
        reverse.add(f"{number}.{REVERSE}", 1333, "PTR", name)
        reverse.add(f"{number}.{REVERSE}", 1333, "DHCID", dhcid)
    send_update(forward, server.port)
    send_update(reverse, server.port)


def configure(directory: Path, server: dns_servers.DnsServer, key: dict[str, Any]) -> None:
    servers = [{"ip-address": "127.0.0.1", "port": server.port}]
    domains = [{"name": zone, "key-name": KEY.name, "dns-servers": servers} for zone in (FORWARD, REVERSE)]
    body = {"tsig-keys": [key], "forward-ddns": {"ddns-domains": domains[:1]},
            "reverse-ddns": {"ddns-domains": domains[1:]}}
    (directory / "d2.json").write_text(json.dumps({"DhcpDdns": body}))
    write_files(directory, [row4("192.0.2.1", 1, ONE), row4("192.0.2.2", 2, TWO),
                            row4("192.0.2.3", 3, "h3.example.com")])


def found(directory: Path, capsys: pytest.CaptureFixture[str], *options: str) -> set[str]:
    """Return the differences as ``class name``."""
    files = [str(directory / "d2.json"), "--dhcp4", str(directory / "dhcp4.conf")]
    assert main(["reconcile", *files, "--json", "--rate", "10000", *options]) == 1
    report = json.loads(capsys.readouterr().out)
    return {f"{one['class']} {one['name']}" for one in report["differences"]} | set(report["notes"])


@pytest.mark.parametrize("serve", [dns_servers.bind, dns_servers.knot, dns_servers.powerdns])
def test_zones_are_read(tmp_path: Path, serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    missing = {"missing h3.example.com.", "missing-ptr h3.example.com."}
    with serve([FORWARD, REVERSE], KEY) as server:
        fill(server)
        configure(tmp_path, server, KEY.kea())
        assert found(tmp_path, capsys) == missing | {f"stale {OLD}"}
        assert found(tmp_path, capsys, "--query") == missing


def test_a_transfer_that_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with dns_servers.bind([FORWARD, REVERSE], KEY, transfers=False) as server:
        fill(server)
        configure(tmp_path, server, KEY.kea())
        differences = found(tmp_path, capsys)
    assert {"missing h3.example.com.", "missing-ptr h3.example.com."} < differences
    assert any(note.startswith(f"{FORWARD}: 127.0.0.1:") and "permits no zone transfer (REFUSED)" in note
               for note in differences)


def test_a_key_that_the_server_does_not_know(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with dns_servers.bind([FORWARD, REVERSE], KEY) as server:
        configure(tmp_path, server, KEY.kea() | {"secret": base64.b64encode(b"wrong").decode()})
        assert main(["reconcile", str(tmp_path / "d2.json"), "--dhcp4", str(tmp_path / "dhcp4.conf")]) == 2
    assert f"{FORWARD}: 127.0.0.1:{server.port}: {FORWARD} SOA: " in capsys.readouterr().err
