"""More failures made with BIND, Knot DNS and PowerDNS: each answer names the cause, and its mend works."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import dns.query
import dns.rcode
import dns.tsig
import dns.update
import pytest

from tests.history.site import KEY, OTHER_SECRET, ZONES, Site, failed, mended, running_site, without_key
from tests.kit import dns_servers, ncr
from tests.kit.adversity import Adversity, Faults
from tests.kit.certificates import make_authority, make_certificate
from tests.kit.ports import PortLease
from tests.kit.process import find_program
from tests.kit.tsigkeys import TsigKey
from tests.kit.waiting import wait_until

pytestmark = pytest.mark.peers

SECOND = TsigKey.of("HMAC-SHA512")
RETRY = {"enabled": True, "initial-delay": 0.05, "max-delay": 0.1}


def change(site: Site, name: str, *record: Any, delete: bool = False) -> None:
    """Change the zone by hand."""
    key = dns.tsig.Key(KEY.name, KEY.secret, f"{KEY.lower_algorithm}.")
    update = dns.update.UpdateMessage(ZONES[0], keyring=key)
    if delete:
        update.delete(name)
    else:
        update.add(name, 300, *record)
    reply = dns.query.udp(update, "127.0.0.1", port=site.server.port, timeout=20)
    assert reply.rcode() == dns.rcode.NOERROR


def amend(server: dns_servers.DnsServer, text: str) -> None:
    """Add to the configuration of BIND, and have it read that."""
    path = server.directory / "named.conf"
    path.write_text(path.read_text() + text)
    loaded = "reloading zones succeeded"
    count = server.process.output().count(loaded)
    os.kill(server.process.pid, signal.SIGHUP)
    wait_until(lambda: server.process.output().count(loaded) > count, "BIND to have read it")


# What the name is.


def test_a_name_that_was_entered_by_hand(site: Site) -> None:
    change(site, "static.example.com.", "A", "192.0.2.77")
    failed(site.ask("static.example.com."), "NXRRSET", "entered by hand", "remove it from the zone")
    failed(
        site.ask("static.example.com.", mode="check-exists-with-dhcid"),
        "NXRRSET",
        "The name has no DHCID: it was entered by hand",
        "remove it from the zone",
    )
    change(site, "static.example.com.", delete=True)
    assert site.ask("static.example.com.").result == "done"


def test_a_name_that_is_an_alias(site: Site) -> None:
    change(site, "alias.example.com.", "CNAME", "other.example.com.")
    failed(site.ask("alias.example.com."), "NXRRSET", "entered by hand", "remove it from the zone")
    change(site, "alias.example.com.", delete=True)
    assert site.ask("alias.example.com.").result == "done"


def test_a_name_with_characters_that_the_server_refuses(site: Site) -> None:
    """BIND checks host names in its own zones; clients with an underscore are frequent."""
    failed(site.ask("my_host.example.com."), "REFUSED", "characters", "hostname-char-set")
    assert site.ask("my-host.example.com.").result == "done"  # as hostname-char-replacement "-" makes it


def test_a_name_with_characters_that_only_the_reverse_zone_refuses(site: Site) -> None:
    """BIND lets a wildcard in, but no PTR to one; so it is with each zone that has its own check-names."""
    event = site.ask("*.example.com.")
    failed(event, "REFUSED", "it refuses the characters of the host's name", "hostname-char-set")
    assert (event.forward, event.reverse) == ("done", "not done")
    assert site.ask("*.example.com.", change=ncr.REMOVE).result == "done"
    assert site.ask("star.example.com.").result == "done"


def test_the_removal_of_a_client_that_never_got_the_name(site: Site) -> None:
    assert site.ask("lost.example.com.").result == "done"
    assert site.ask("lost.example.com.", b"two", address="192.0.2.11").fault == "NXRRSET"
    event = site.ask("lost.example.com.", b"two", address="192.0.2.11", change=ncr.REMOVE)
    failed(event, "YXRRSET", "or the name is another client's", "Nothing for the name")
    assert site.ask("lost.example.com.", change=ncr.REMOVE).result == "done"


def test_an_address_in_no_reverse_domain(site: Site) -> None:
    event = site.ask("far.example.com.", address="198.51.100.7")
    assert (event.result, event.forward) == ("unmatched", "not done")
    assert "or the address" in event.why
    assert event.note == "no reverse domain holds 7.100.51.198.in-addr.arpa."
    assert "Add the zone to forward-ddns or reverse-ddns" in event.mend
    body = site.body()
    domains = body["DhcpDdns"]["reverse-ddns"]["ddns-domains"]
    with dns_servers.bind(["100.51.198.in-addr.arpa."], KEY) as other:
        server = {"ip-address": "127.0.0.1", "port": other.port}
        domains.append({"name": "100.51.198.in-addr.arpa.", "key-name": KEY.name, "dns-servers": [server]})
        site.use(body)
        assert site.ask("far.example.com.", address="198.51.100.7").result == "done"


# Keys and clocks.


def test_clocks_that_differ(d2_binary: str, is_pyd2: bool, tmp_path: Path) -> None:
    if not is_pyd2:
        pytest.skip("Kea has no history")
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    assert libraries, "libfaketime is not installed, and the tests need it: install the package faketime"
    clock = tmp_path / "clock"

    def jump(offset: str) -> None:
        """Let the daemon's clock be off by that much."""
        fresh = clock.with_suffix(".new")
        fresh.write_text(f"{offset}\n")
        fresh.rename(clock)  # at once: half a file would be another time

    env = {"LD_PRELOAD": str(libraries[0]), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
           "FAKETIME_DONT_FAKE_MONOTONIC": "1"}  # fmt: skip
    jump("+1h")
    with running_site(d2_binary, tmp_path, env) as late:
        event = late.ask("clock.example.com.")
        failed(event, "NOTAUTH", "the clocks differ by more than 300 seconds", "and the clocks")
        jump("+0")
        assert late.ask("clock.example.com.").result == "done"


def test_a_key_that_may_not_change_this_zone(site: Site) -> None:
    amend(
        site.server,
        f'key "{SECOND.name}" {{ algorithm {SECOND.lower_algorithm}; secret "{SECOND.secret}"; }};\n',
    )
    site.use(site.body(key=SECOND.kea()))
    failed(
        site.ask("may.example.com."),
        "REFUSED",
        "its policy does not let this key",
        "Check key-name of the domain",
    )
    mended(site, "may.example.com.")


# What the server allows, and what it can.


@pytest.mark.parametrize(
    ("types", "why"),
    [
        ("A AAAA PTR", "does not let this key, or this address, change the name"),
        ("A AAAA DHCID", "does not let this key, or this address, change the PTR"),
    ],
)
def test_a_policy_that_lists_too_few_types(site: Site, types: str, why: str) -> None:
    with dns_servers.bind(ZONES, KEY, policy=f'grant "{KEY.name}" zonesub {types};') as server:
        site.use(site.body(port=server.port))
        failed(site.ask("types.example.com."), "REFUSED", why, "grant KEY zonesub ANY")
    with dns_servers.bind(ZONES, KEY, policy=f'grant "{KEY.name}" zonesub ANY;') as server:
        mended(site, "types.example.com.", port=server.port)


def test_a_file_of_changes_that_cannot_be_written(site: Site) -> None:
    with dns_servers.bind(ZONES, KEY) as server:
        changes = server.directory / "zone0.jnl"
        changes.mkdir()
        site.use(site.body(port=server.port))
        failed(
            site.ask("changes.example.com."),
            "SERVFAIL",
            "cannot write the zone's file or its .jnl file",
            "let it write the zone's directory",
        )
        changes.rmdir()
        assert site.ask("changes.example.com.").result == "done"


def test_a_zone_that_is_frozen(site: Site) -> None:
    rndc = find_program("rndc", "bind9")
    with dns_servers.bind(ZONES, KEY) as server:
        key = f'key "rndc" {{ algorithm hmac-sha256; secret "{OTHER_SECRET}"; }};\n'
        config = server.directory / "rndc.conf"
        with PortLease() as lease:
            port = lease.take()
            config.write_text(
                f'{key}options {{ default-key "rndc"; default-server 127.0.0.1; default-port {port}; }};\n'
            )
            amend(
                server,
                f'{key}controls {{ inet 127.0.0.1 port {port} allow {{ any; }} keys {{ "rndc"; }}; }};\n',
            )

            def control(command: str) -> None:
                subprocess.run([rndc, "-c", str(config), command, ZONES[0]], check=True, capture_output=True)

            site.use(site.body(port=server.port))
            control("freeze")
            failed(site.ask("frozen.example.com."), "REFUSED", "the zone is frozen", "rndc thaw")
            control("thaw")
            assert site.ask("frozen.example.com.").result == "done"


def test_a_secondary(site: Site) -> None:
    with dns_servers.bind(["other.test."], KEY) as second:
        amend(
            second,
            f'zone "{ZONES[0]}" {{ type secondary; file "copy"; '
            f"primaries {{ 127.0.0.1 port {site.server.port}; }}; }};\n",
        )
        wait_until(lambda: second.answers_for(ZONES[0]), "the transfer of the zone")
        site.use(site.body(port=second.port))
        failed(
            site.ask("secondary.example.com."),
            "REFUSED",
            "it is a secondary that forwards no updates",
            "dns-servers names the primary",
        )
    mended(site, "secondary.example.com.")


def test_a_resolver(site: Site) -> None:
    with dns_servers.bind((), KEY) as resolver:
        site.use(site.body(port=resolver.port))
        failed(
            site.ask("resolver.example.com."),
            "NOTAUTH",
            "does not serve this zone",
            "dns-servers names the zone's primary",
        )
    mended(site, "resolver.example.com.")


# When nothing comes back.


def test_a_server_that_hangs(site: Site) -> None:
    os.kill(site.server.process.pid, signal.SIGSTOP)
    try:
        failed(
            site.ask("hangs.example.com."), "timeout", "did not answer in time, 3 times", "Check that it runs"
        )
    finally:
        os.kill(site.server.process.pid, signal.SIGCONT)
    assert site.ask("hangs.example.com.").result == "done"


def test_tcp_to_a_port_where_nothing_listens(site: Site) -> None:
    site.use(site.body(port=site.free, lanes={"transport": "tcp"}))
    event = site.ask("tcp.example.com.")
    assert event.result == "failed"
    assert event.fault in {"timeout", "unreachable"}
    assert "firewall" in event.mend
    mended(site, "tcp.example.com.", lanes={"transport": "tcp"})


def test_a_certificate_of_another_authority(site: Site, tmp_path: Path) -> None:
    authority, stranger = make_authority(tmp_path), make_authority(tmp_path, "stranger")
    certificate = make_certificate(tmp_path, authority, "IP:127.0.0.1")
    with dns_servers.bind(ZONES, KEY, tls=certificate) as server:
        lanes = {"transport": "tls", "tls-ca-file": str(stranger.cert)}
        site.use(site.body(port=server.tls_port, lanes=lanes))
        event = site.ask("tls.example.com.")
        failed(event, "timeout", "did not answer in time", "or with TLS a certificate")
        assert "ASIODNS_SEND_DATA" in site.d2.stdout()
        lanes["tls-ca-file"] = str(authority.cert)
        mended(site, "tls.example.com.", port=server.tls_port, lanes=lanes)


def test_truncated_replies_where_a_firewall_stops_tcp(site: Site) -> None:
    """What there is of them counts: the cause is the server's, and the firewall is none."""
    with (
        dns_servers.bind(ZONES) as server,
        Adversity(site.free, server.port, Faults(flag_tc=1.0, break_tcp=1.0)) as firewall,
    ):
        site.use(without_key(site.body(port=site.free)))
        assert site.ask("truncated.example.com.").result == "done"
        event = site.ask("truncated.example.com.", b"two")
        failed(event, "NXRRSET", "belongs to another client", "remove it from the zone with its DHCID")
        assert firewall.counts["break_tcp"] >= 3
        assert site.ask("truncated.example.com.", change=ncr.REMOVE).result == "done"
        assert site.ask("truncated.example.com.", b"two").result == "done"


# Time.


def test_a_server_that_comes_back(site: Site) -> None:
    site.use(site.body(port=site.free, retry=RETRY))
    event = site.ask("back.example.com.")
    assert (event.result, event.fault) == ("retrying", "timeout")
    assert "Check that it runs" in event.mend
    with dns_servers.bind(ZONES, KEY, port=site.free):
        wait_until(lambda: site.events("back.example.com.")[0].result == "done", "the retry")
        site.use(site.body())


def test_a_newer_request_of_the_same_client(site: Site) -> None:
    site.use(site.body(port=site.free, retry=RETRY | {"initial-delay": 60, "max-delay": 60}))
    assert site.ask("newer.example.com.").result == "retrying"
    event = site.ask("newer.example.com.", until="superseded")
    assert "A newer request of the same client" in event.why
    assert event.mend == "Nothing."
    site.use(site.body())
    assert site.ask("newer.example.com.", until="done").result == "done"


def test_a_lease_that_has_ended(site: Site) -> None:
    site.use(site.body(port=site.free, retry=RETRY, expired="drop"))
    ends = time.strftime("%Y%m%d%H%M%S", time.gmtime(time.time() - 5))
    event = site.ask("ended.example.com.", ends=ends)
    assert event.result == "expired"
    assert "The lease ended" in event.why
    assert event.mend.startswith("Nothing for this request.")
    mended(site, "ended.example.com.")  # the next one


def test_a_name_that_a_policy_keeps(site: Site) -> None:
    site.use(site.body(policy={"keep": ["kept.example.com."]}))
    assert site.ask("kept.example.com.").result == "done"
    event = site.ask("kept.example.com.", change=ncr.REMOVE)
    assert event.fault == "kept"
    assert "The policy keep has the name" in event.why
    assert "take the name out of policy.keep" in event.mend
    site.use(site.body())
    assert site.ask("kept.example.com.", change=ncr.REMOVE).result == "done"


# Other servers.


def test_keys_of_knot(site: Site) -> None:
    with dns_servers.knot(ZONES, KEY) as server:
        site.use(site.body(port=server.port, key=SECOND.kea()))
        event = site.ask("knot.example.com.")
        assert event.result == "failed"
        assert event.fault in {"badkey", "unsigned", "NOTAUTH"}
        assert "the key" in event.why
        site.use(site.body(port=server.port, key=KEY.kea() | {"secret": OTHER_SECRET}))
        failed(site.ask("knot.example.com."), "badsig", "different secrets", "Copy the secret")
        mended(site, "knot.example.com.", port=server.port)


def test_a_rule_of_knot_that_lists_too_few_types(site: Site) -> None:
    with dns_servers.knot(ZONES, KEY, policy="update-type: [A, AAAA, PTR]") as server:
        site.use(site.body(port=server.port))
        failed(
            site.ask("rule.example.com."),
            "unsigned",
            "its rules do not let the key make this change",
            "allow the types A, AAAA, PTR and DHCID",
        )
    with dns_servers.knot(ZONES, KEY) as server:
        mended(site, "rule.example.com.", port=server.port)


def test_keys_of_powerdns(site: Site) -> None:
    with dns_servers.powerdns(ZONES, KEY) as server:
        site.use(without_key(site.body(port=server.port)))
        failed(
            site.ask("pdns.example.com."),
            "REFUSED",
            "its policy does not let this key",
            "Check key-name of the domain",
        )
        site.use(site.body(port=server.port, key=SECOND.kea()))
        event = site.ask("pdns.example.com.")
        assert event.result == "failed"
        assert "the key" in event.why
        assert "the key" in event.mend.lower()
        mended(site, "pdns.example.com.", port=server.port)
