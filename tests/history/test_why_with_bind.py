"""Failures made with a real DNS server: ``why`` names the cause, and the mend that it gives works."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.tools.cli import main
from tests.history.site import KEY, OTHER_SECRET, ZONES, Site, failed, mended, without_key
from tests.kit import dns_servers, ncr

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.peers


def test_a_name_of_another_client(site: Site) -> None:
    assert site.ask("taken.example.com.").result == "done"
    event = site.ask("taken.example.com.", b"two")
    assert (event.result, event.fault) == ("failed", "NXRRSET")
    assert "belongs to another client" in event.why
    # Mend: remove the name; the client gets it with its next request.
    assert site.ask("taken.example.com.", change=ncr.REMOVE).result == "done"
    assert site.ask("taken.example.com.", b"two").result == "done"
    # Or: let clients take names from each other.
    assert site.ask("taken.example.com.", b"three").fault == "NXRRSET"
    assert site.ask("taken.example.com.", b"three", mode="check-exists-with-dhcid").result == "done"


@pytest.mark.parametrize(
    ("name", "domain", "key", "fault", "why", "mend"),
    [
        ("secret.example.com.", ZONES[0], {"secret": OTHER_SECRET},
         "badsig", "different secrets", "Copy the secret"),
        ("algorithm.example.com.", ZONES[0], {"algorithm": "HMAC-SHA512"},
         "badkey", "another algorithm", "with the same algorithm and secret"),
        ("cut.example.com.", ZONES[0], {"digest-bits": 128},
         "unsigned", "a signature cut by digest-bits", "leave digest-bits at 0"),
        ("wild.example.com.", "*", {},
         "NOTAUTH", "does not serve this zone", "the domain's name is exactly that of the zone"),
        ("host.dyn.example.com.", "dyn.example.com.", {},
         "NOTAUTH", "does not serve this zone", "the domain's name is exactly that of the zone"),
    ],
    ids=["secret", "algorithm", "digest-bits", "domain for all names", "domain inside a zone"],
)  # fmt: skip
def test_a_wrong_configuration(
    site: Site, name: str, domain: str, key: dict[str, Any], fault: str, why: str, mend: str
) -> None:
    site.use(site.body(domain, key=KEY.kea() | key))
    failed(site.ask(name), fault, why, mend)
    mended(site, name)


def test_a_key_that_the_server_does_not_know(site: Site) -> None:
    site.use(site.body(key=KEY.kea() | {"name": "unknown.key."}))
    event = site.ask("key.example.com.")
    assert (event.result, event.fault, event.key) == ("failed", "badkey", "unknown.key.")
    assert "does not know the key" in event.why
    assert "Enter the key in the DNS server under the same name" in event.mend
    entered = replace(KEY, name="unknown.key.")
    with dns_servers.bind(ZONES, entered) as server:
        mended(site, "key.example.com.", port=server.port, key=entered.kea())


def test_an_update_that_is_not_signed(site: Site) -> None:
    site.use(without_key(site.body()))
    event = site.ask("unsigned.example.com.")
    assert (event.result, event.fault, event.key) == ("failed", "REFUSED", "")
    assert "Check key-name of the domain" in event.mend
    mended(site, "unsigned.example.com.")


def test_a_server_that_does_not_answer(site: Site) -> None:
    site.use(site.body(port=site.free))
    event = site.ask("silent.example.com.")
    assert (event.result, event.fault, event.tries) == ("failed", "timeout", 3)
    assert "did not answer in time, 3 times" in event.why
    assert event.ms is not None
    assert event.ms > 800
    mended(site, "silent.example.com.")


def test_a_name_in_no_domain(site: Site) -> None:
    event = site.ask("host.elsewhere.test.")
    assert (event.result, event.fault) == ("unmatched", "unmatched")
    assert "Add the zone to forward-ddns" in event.mend
    assert event.forward == "not done"
    body = site.body()
    with dns_servers.bind(["elsewhere.test."], KEY) as other:
        server = {"ip-address": "127.0.0.1", "port": other.port}
        domain = {"name": "elsewhere.test.", "key-name": KEY.name, "dns-servers": [server]}
        body["DhcpDdns"]["forward-ddns"]["ddns-domains"].append(domain)
        site.use(body)
        assert site.ask("host.elsewhere.test.").result == "done"


def test_a_name_that_has_another_address_left(site: Site) -> None:
    """The address of the other family keeps the name."""
    assert site.ask("dual.example.com.", reverse=False).result == "done"
    site.send("dual.example.com.", address="2001:db8::1", reverse=False, mode="no-check-with-dhcid")
    event = site.ask("dual.example.com.", reverse=False, change=ncr.REMOVE)
    assert (event.result, event.fault, event.step) == ("failed", "YXRRSET", "REMOVING_FWD_RRS")
    assert "usually of the other family" in event.why
    assert "With the policy remove-yxrrset 'done' it is removed" in event.mend
    site.use(site.body(policy={"remove-yxrrset": "done"}))
    assert site.ask("dual.example.com.", reverse=False).result == "done"
    assert site.ask("dual.example.com.", change=ncr.REMOVE).result == "done"


def test_the_dns_says_what_it_holds(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``--dns``: names, addresses and the client they belong to; asked with the key."""
    path = tmp_path / "d2.json"
    path.write_text(json.dumps(site.body()))
    assert site.ask("now.example.com.").result == "done"
    assert site.ask("now.example.com.", b"two").fault == "NXRRSET"
    assert main(["why", "now.example.com.", "-c", str(path), "--dns"]) == 1
    one, two = (ncr.dhcid(client, "now.example.com.") for client in (b"one", b"two"))
    place = f"127.0.0.1 port {site.server.port}"
    now = capsys.readouterr().out.partition("  DNS now\n")[2].splitlines()
    assert now == [
        f"      {place} says:",
        "        now.example.com. A 192.0.2.10, TTL 3600",
        "        now.example.com. has no AAAA",
        f"        now.example.com. DHCID {one}, which is ANOTHER client, TTL 3600",
        f"      {place} says:",
        "        10.2.0.192.in-addr.arpa. PTR now.example.com., TTL 3600",
    ]
    assert site.ask("now.example.com.", change=ncr.REMOVE).result == "done"
    assert site.ask("now.example.com.", b"two", reverse=False).result == "done"
    assert main(["why", "now.example.com.", "-c", str(path), "--dns", "--limit", "1"]) == 0
    now = capsys.readouterr().out.splitlines()[-5:]
    assert now[1:] == [
        "        now.example.com. has no AAAA",
        f"        now.example.com. DHCID {two}, which is this client, TTL 3600",
        f"      {place} says:",
        "        10.2.0.192.in-addr.arpa. has no PTR",
    ]


def test_the_dns_that_cannot_be_asked(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert site.ask("host.elsewhere.test.").result == "unmatched"
    path = tmp_path / "d2.json"
    body = site.body(key=KEY.kea() | {"secret": OTHER_SECRET})
    domains = body["DhcpDdns"]["reverse-ddns"]["ddns-domains"]
    domains[0]["dns-servers"].insert(0, {"ip-address": "127.0.0.1", "port": site.free})
    path.write_text(json.dumps(body))
    assert main(["why", "host.elsewhere.test.", "-c", str(path), "--dns"]) == 1
    now = capsys.readouterr().out.partition("  DNS now\n")[2].splitlines()
    assert now == [
        "      host.elsewhere.test. is in no domain of the configuration",
        f"      127.0.0.1 port {site.free}: no program listens there: connection refused",
        f"      127.0.0.1 port {site.server.port} says:",
        "        NOTAUTH to the question for PTR of 10.2.0.192.in-addr.arpa.",
    ]
    assert main(["why", "host", "--directory", str(site.directory), "--dns"]) == 2
    assert "--dns needs the daemon's configuration" in capsys.readouterr().err
