"""pyd2ctl lint --probe: what real DNS servers answer, and what is said of it; no zone changes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.update
import pytest

from pyd2.queries import transport
from pyd2.tools.cli import main
from pyd2.tools.dns_server import make_zone, parse_key, serving
from pyd2.tools.primary import Primary
from pyd2.tools.probe import prober
from tests.kit.certificates import make_authority, make_certificate
from tests.kit.dns_servers import DnsServer, bind, knot, powerdns
from tests.kit.ports import PortLease
from tests.kit.tsigkeys import TsigKey

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORWARD, REVERSE = "example.com.", "2.0.192.in-addr.arpa."
ZONES = (FORWARD, REVERSE)
KEY = TsigKey.of("HMAC-SHA256")
OTHER_SECRET = base64.b64encode(bytes(64)).decode()
SERVERS: dict[str, Any] = {"bind": bind, "knot": knot, "powerdns": powerdns}


@pytest.fixture(autouse=True)
def directories(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    for name in ("KEA_CONTROL_SOCKET_DIR", "KEA_LOG_FILE_DIR"):
        monkeypatch.setenv(name, str(tmp_path))


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, DnsServer]]:
    """Each of the real servers, which takes updates of both zones with the key."""
    with SERVERS[request.param](ZONES, KEY) as running:
        yield request.param, running


def servers(*ports: int, **members: Any) -> list[dict[str, Any]]:
    return [{"ip-address": "127.0.0.1", "port": port} | members for port in ports]


def config(forward: dict[str, list[dict[str, Any]]], reverse: dict[str, list[dict[str, Any]]],
           **members: Any) -> dict[str, Any]:
    """Return a configuration in which no rule finds anything, with servers by domain."""
    def domains(chosen: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
        return {"ddns-domains": [{"name": name, "dns-servers": entries} for name, entries in chosen.items()]}

    output = {"output": "syslog"}
    return {
        "control-socket": {"socket-type": "unix", "socket-name": "socket"},
        "tsig-keys": [KEY.kea()],
        "forward-ddns": domains(forward), "reverse-ddns": domains(reverse),
        "loggers": [{"name": "kea-dhcp-ddns", "severity": "INFO", "output-options": [output]}],
    } | members


def probe(tmp_path: Path, capsys: pytest.CaptureFixture[str], body: dict[str, Any],
          *options: str) -> list[str]:
    """Return the findings of the probe, without their places. A reply may take long: the machine is busy."""
    file = tmp_path / "d2.json"
    file.write_text(json.dumps({"DhcpDdns": body}, indent=1))
    file.chmod(0o640)
    status = main(["lint", "--probe", *(options or ("--timeout", "60", "--within", "200")), str(file)])
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert status == (1 if lines else 0)
    assert all(line.startswith(f"{file}:") for line in lines)
    return [line.partition(": ")[2] for line in lines if "is not used" not in line]


def signed(port: int, key: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a configuration with both zones at one server and one key."""
    entry = key or KEY.kea()
    chosen = servers(port, **{"key-name": entry["name"]})
    return config({FORWARD: chosen}, {REVERSE: chosen}, **{"tsig-keys": [entry]})


def serials(server: DnsServer) -> list[int]:
    answers = [dns.query.udp(dns.message.make_query(zone, "SOA"), "127.0.0.1", port=server.port, timeout=10)
               for zone in ZONES]
    return [answer.answer[0][0].serial for answer in answers]


@pytest.mark.peers
def test_all_is_well_and_no_zone_changes(server: tuple[str, DnsServer], tmp_path: Path,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    _, running = server
    before = serials(running), [running.records(zone) for zone in ZONES]
    assert probe(tmp_path, capsys, signed(running.port)) == []
    assert (serials(running), [running.records(zone) for zone in ZONES]) == before


@pytest.mark.peers
@pytest.mark.parametrize(("key", "text", "silent_on_it"), [
    (KEY.kea() | {"name": "other.key."}, "it does not know the key other.key. with hmac-sha256. (BADKEY)",
     ("knot", "powerdns")),
    (KEY.kea() | {"secret": OTHER_SECRET}, f"it has another secret for the key {KEY.name}. (BADSIG)",
     ("powerdns",)),
])
def test_a_key_that_does_not_work(
    server: tuple[str, DnsServer], key: dict[str, Any], text: str, silent_on_it: tuple[str, ...],
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    name, running = server
    if name in silent_on_it:
        text = f"it does not accept the key {key['name'].rstrip('.')}. with hmac-sha256. (NOTAUTH without"
    found = probe(tmp_path, capsys, signed(running.port, key))
    assert len(found) == 2, found
    for zone, line in zip(ZONES, found, strict=True):
        assert line.startswith(f"{zone} at 127.0.0.1 port {running.port}: {text}"), (name, line)


@pytest.mark.peers
@pytest.mark.parametrize("offset", [-1000, 1000])
def test_a_clock_that_is_wrong(server: tuple[str, DnsServer], offset: int, tmp_path: Path,
                               capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prober, "time", SimpleNamespace(time=lambda: time.time() + offset))
    found = probe(tmp_path, capsys, signed(server[1].port))
    assert len(found) == 2
    how = "ahead" if offset < 0 else "behind"
    text = "it does not accept the key" if server[0] == "powerdns" else \
        f"its clock differs from that of this machine by 1000 s ({how}), and TSIG allows 300 s (BADTIME)"
    assert all(text in line for line in found), found


@pytest.mark.peers
def test_no_key(server: tuple[str, DnsServer], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = servers(server[1].port)
    found = probe(tmp_path, capsys, config({FORWARD: chosen}, {REVERSE: chosen}))
    assert len(found) == 2
    assert all("it takes no updates that are not signed (" in line for line in found)


@pytest.mark.peers
def test_zones_that_are_none_of_its(server: tuple[str, DnsServer], tmp_path: Path,
                                    capsys: pytest.CaptureFixture[str]) -> None:
    chosen = servers(server[1].port, **{"key-name": KEY.name})
    body = config({"hosts.example.com.": chosen, "example.net.": chosen}, {"0.192.in-addr.arpa.": chosen})
    inside, outside, above = probe(tmp_path, capsys, body)
    assert "it has no zone of this name, which is inside its zone example.com.: updates must" in inside
    assert "it does not serve the zone" in outside
    assert "it does not serve the zone" in above


@pytest.mark.peers
@pytest.mark.parametrize(("name", "policy", "text"), [
    ("bind", f'grant "{KEY.name}" zonesub A AAAA PTR;',
     "it takes updates, but none of DHCID records (REFUSED)"),
    ("bind", f'grant "{KEY.name}" subdomain below.{FORWARD} ANY;', "it takes no updates signed by "),
    ("bind", 'grant "another" zonesub ANY;', "it takes no updates signed by "),
    ("knot", "update-type: [A, AAAA, PTR]", "it takes updates, but none of DHCID records (NOTAUTH)"),
])
def test_a_policy_that_leaves_something_out(name: str, policy: str, text: str, tmp_path: Path,
                                            capsys: pytest.CaptureFixture[str]) -> None:
    with SERVERS[name](ZONES, KEY, policy=policy) as running:
        found = probe(tmp_path, capsys, signed(running.port))
    assert len(found) == 2
    if "below" in policy or "another" in policy:
        found.pop()  # BIND says less of reverse zones
    assert all(text in line for line in found), found


@pytest.mark.peers
def test_a_policy_with_all_that_is_needed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = f'grant "{KEY.name}" zonesub A AAAA PTR DHCID;'
    with bind(ZONES, KEY, policy=policy) as running:
        assert probe(tmp_path, capsys, signed(running.port)) == []


@pytest.mark.peers
@pytest.mark.parametrize("transport_name", ["tcp", "tls"])
def test_other_transports(transport_name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    authority = make_authority(tmp_path)
    own = make_certificate(tmp_path, authority, "DNS:ns.test")
    lanes: dict[str, Any] = {"transport": transport_name}
    with bind(ZONES, KEY, tls=own) as running:
        port = running.port
        if transport_name == "tls":
            port = running.tls_port
            lanes |= {"tls-hostname": "ns.test", "tls-ca-file": str(authority.cert)}
        body = signed(port)
        assert probe(tmp_path, capsys, body | {"user-context": {"pyd2": {"lanes": lanes}}}) == []
        if transport_name == "tls":
            lanes |= {"tls-hostname": "other.test"}
            found = probe(tmp_path, capsys, body | {"user-context": {"pyd2": {"lanes": lanes}}})
            assert "over TLS: no reply to a query for the SOA: " in found[0]
            assert "and" not in found[1] or "not probed: the server does not reply" in found[1]


def test_a_server_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with PortLease() as lease:
        port = lease.take()
        chosen = servers(port)
        many = {f"z{number}.example.": chosen for number in range(40)}
        found = probe(tmp_path, capsys, config(many, {REVERSE: chosen}))
    silence = "no reply to a query for the SOA: no program listens there: connection refused"
    assert found == [
        f"z0.example. at 127.0.0.1 port {port}: {silence}",
        f"z1.example. at 127.0.0.1 port {port} and 39 more: not probed: the server does not reply",
    ]


def test_a_server_that_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        chosen = servers(port)
        found = probe(tmp_path, capsys, config({FORWARD: chosen}, {REVERSE: chosen}), "--timeout", "0.01")
        tries = 0
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while sock.recv(512):
                tries += 1
    assert tries == transport.TRIES
    assert found[0].endswith("no reply to a query for the SOA: no reply within 0.03 s")
    assert found[1].endswith("not probed: the server does not reply")


def test_the_whole_is_bounded_in_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        chosen = servers(sock.getsockname()[1])
        body = config({FORWARD: chosen, "b.example.": chosen}, {REVERSE: chosen})
        (found,) = probe(tmp_path, capsys, body, "--timeout", "1000", "--within", "0.05")
    assert "and 2 more: not probed: 0.05 s are over (--within)" in found


def test_domains_and_servers_of_which_a_rule_has_a_finding_are_not_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    chosen = servers(53)
    body = config({"*": chosen, "a..b.": chosen, FORWARD: [{"ip-address": "0.0.0.0"}]},
                  {REVERSE: [{"ip-address": "ff02::1"}]})
    found = probe(tmp_path, capsys, body, "--timeout", "0.01")
    assert not [line for line in found if " at " in line and "port" in line]


def test_options_that_make_no_sense(capsys: pytest.CaptureFixture[str]) -> None:
    for value in ("0", "-1", "inf", "nan"):
        with pytest.raises(SystemExit):
            main(["lint", "--probe", "--timeout", value, "x"])
        assert "not above zero" in capsys.readouterr().err


# Servers that answer in their own way.


class Samba(Primary):
    """It cannot hold DHCID records."""

    def _update(self, request: dns.update.UpdateMessage) -> dns.message.Message:
        # As the real one it finds first that a name does not exist that something is required of.
        names = self.zones[request.zone[0].name].nodes
        missing = any(rrset.name not in names for rrset in request.prerequisite)
        rrsets = (*request.prerequisite, *request.update)
        if not missing and any(rrset.rdtype == dns.rdatatype.DHCID for rrset in rrsets):
            reply = dns.message.make_response(request)
            reply.set_rcode(dns.rcode.NOTIMP)
            return reply
        return super()._update(request)


class Recovered(Primary):
    """It fails one update of each zone."""

    def _update(self, request: dns.update.UpdateMessage) -> dns.message.Message:
        reply = super()._update(request)
        if sum(received.text.zone == self.received[-1].text.zone for received in self.received) == 1:
            reply.set_rcode(dns.rcode.SERVFAIL)
        return reply


class Careless(Primary):
    """It does not look at prerequisites."""

    def _update(self, request: dns.update.UpdateMessage) -> dns.message.Message:
        request.prerequisite.clear()
        return super()._update(request)


class Cache(Primary):
    """It is no server of the zone, but knows its SOA."""

    def _query(self, request: dns.message.Message) -> dns.message.Message:
        reply = super()._query(request)
        reply.flags &= ~dns.flags.AA
        return reply


class Parent(Primary):
    """It has delegated the zone."""

    def _query(self, request: dns.message.Message) -> dns.message.Message:
        reply = dns.message.make_response(request)
        reply.authority.append(dns.rrset.from_text(request.question[0].name, 60, "IN", "NS", "ns1.example."))
        return reply


class Fixed(Primary):
    """It answers queries and updates with the same RCODE."""

    rcode = dns.rcode.SERVFAIL

    def _query(self, request: dns.message.Message) -> dns.message.Message:
        reply = dns.message.make_response(request)
        reply.set_rcode(self.rcode)
        return reply

    def _update(self, request: dns.update.UpdateMessage) -> dns.message.Message:
        return self._query(request)


class NotAuth(Fixed):
    """It is not authoritative."""

    rcode = dns.rcode.NOTAUTH


class NoQueries(Fixed):
    """It knows no queries."""

    rcode = dns.rcode.NOTIMP


class Shy(Primary):
    """It refuses queries, and takes updates."""

    def _query(self, request: dns.message.Message) -> dns.message.Message:
        reply = dns.message.make_response(request)
        reply.set_rcode(dns.rcode.REFUSED)
        return reply


class Unsigned(Primary):
    """It takes no notice of signatures."""

    def handle(self, wire: bytes, *, over_tcp: bool) -> list[bytes]:
        request = dns.message.from_wire(wire, keyring=self.keys)
        answer: Any = self._update if isinstance(request, dns.update.UpdateMessage) else self._query
        reply: dns.message.Message = answer(request)
        reply.tsig = None
        return [reply.to_wire()]


class Rubbish(Primary):
    """Its replies are no DNS messages."""

    def handle(self, wire: bytes, *, over_tcp: bool) -> list[bytes]:
        return [wire[:2] + b"\x80\x00" + b"\xff" * 20]


class OverTcpOnly(Primary):
    """Over UDP all its replies are truncated."""

    def handle(self, wire: bytes, *, over_tcp: bool) -> list[bytes]:
        (reply,) = super().handle(wire, over_tcp=over_tcp)
        return [reply if over_tcp else wire[:2] + b"\x82\x00" + bytes(8)]


@pytest.mark.parametrize("with_key", [False, True])
@pytest.mark.parametrize(("kind", "text"), [
    (Primary, ""),
    (Samba, "it takes updates, but cannot hold DHCID records (NOTIMP), as Samba; only the mode"),
    (Recovered, ""),
    (Careless, "it ignores the prerequisites of updates"),
    (Cache, "it answers from a cache"),
    (Parent, "it does not serve the zone, and refers to ns1.example."),
    (Fixed, "it cannot serve the zone (SERVFAIL)"),
    (NotAuth, "it does not serve the zone (NOTAUTH)"),
    (NoQueries, "it answers NOTIMP to a query for the SOA"),
    (Shy, ""),
    (Unsigned, "it answers NXRRSET to an update, but the daemon will not believe it: it is not signed"),
    (Rubbish, "its reply is no DNS message: "),
    (OverTcpOnly, ""),
])
def test_servers_with_ways_of_their_own(
    kind: type[Primary], text: str, with_key: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    if kind is Unsigned and not with_key:
        text = ""
    key = parse_key(f"{KEY.lower_algorithm}:{KEY.name}:{KEY.secret}")

    async def ask() -> list[str]:
        zones = {dns.name.from_text(zone): make_zone(zone) for zone in ZONES}
        primary = kind(zones, {key.name: key})
        before = {name: zone.to_text() for name, zone in zones.items()}
        async with serving(primary, "127.0.0.1", 0) as port:
            chosen = servers(port, **({"key-name": KEY.name} if with_key else {}))
            body = config({FORWARD: chosen}, {REVERSE: chosen})
            found = await asyncio.to_thread(probe, tmp_path, capsys, body)
        assert {name: zone.to_text() for name, zone in zones.items()} == before
        return found

    found = asyncio.run(ask())
    assert len(found) == (2 if text else 0), found
    assert all(f": {text}" in line for line in found), found


def test_policies_need_servers_that_answer_queries(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = {"user-context": {"pyd2": {"policy": {"adopt": "same-address"}}}}

    async def ask() -> list[str]:
        primary = Shy({dns.name.from_text(zone): make_zone(zone) for zone in ZONES})
        async with serving(primary, "127.0.0.1", 0) as port:
            chosen = servers(port)
            body = config({FORWARD: chosen}, {REVERSE: chosen}, **policy)
            return await asyncio.to_thread(probe, tmp_path, capsys, body)

    found = [line for line in asyncio.run(ask()) if "migrate" not in line]
    assert len(found) == 1
    assert found[0].startswith(f"{FORWARD} at ")
    assert "it takes updates, but no queries from this machine (REFUSED)" in found[0]
