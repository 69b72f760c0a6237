"""After a captured run with a real server: metrics, statistics, history, capture and zones agree."""

from __future__ import annotations

import json
from base64 import b64decode
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import dns.message
import dns.query
import dns.rcode
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from pyd2.history import FILE
from pyd2.history.search import History, parse_query
from tests.kit import dns_servers, ncr
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease
from tests.kit.tsigkeys import TsigKey
from tests.kit.waiting import wait_until
from tests.metrics.test_running import Site

if TYPE_CHECKING:
    from pathlib import Path

KEY = TsigKey.of("HMAC-SHA256")
FORWARD, REVERSE, ELSEWHERE = "example.com.", "2.0.192.in-addr.arpa.", "elsewhere.example."
STATISTICS = (
    "ncr-received", "ncr-invalid", "ncr-error", "update-sent", "update-signed", "update-unsigned",
    "update-success", "update-timeout", "update-error",
)  # fmt: skip
KEY_NAME = f"{KEY.name}."
HOSTS, TAKEN, LEFT, UNKNOWN, UNMATCHED = 30, 10, 8, 5, 3


def body(port: int, http_port: int, server: int, directory: Path) -> dict[str, Any]:
    """Return a configuration with all that observes; BIND does not serve the last domain."""

    def domains(*names: str) -> dict[str, Any]:
        entry = {"ip-address": "127.0.0.1", "port": server}
        return {"ddns-domains": [
            {"name": name, "key-name": KEY.name, "dns-servers": [entry]} for name in names
        ]}  # fmt: skip

    http = {
        "socket-type": "http", "socket-port": http_port,
        "user-context": {"pyd2": {"metrics": True, "web": True}},
    }  # fmt: skip
    own = {"http": [http], "history": {"enabled": True, "directory": str(directory)}, "capture": True}
    return config(port, {
        "tsig-keys": [KEY.kea()],
        "dns-server-timeout": 20_000,  # whatever the machine is busy with, no update is sent twice
        "forward-ddns": domains(FORWARD, ELSEWHERE),
        "reverse-ddns": domains(REVERSE),
        "user-context": {"pyd2": own},
    })  # fmt: skip


def serials(server: dns_servers.DnsServer) -> int:
    """Return the sum of the zones' serials: BIND raises one with each update that changes its zone."""
    answers = [
        dns.query.udp(dns.message.make_query(zone, "SOA"), "127.0.0.1", port=server.port, timeout=20)
        for zone in (FORWARD, REVERSE)
    ]
    return sum(answer.answer[0][0].serial for answer in answers)


def send(site: Site, ended: int, host: str, number: int, client: bytes = b"", **fields: Any) -> int:
    """Send a request and wait until so many have ended; return how many that are."""
    request = ncr.request(host, f"192.0.2.{number}", ncr.dhcid(client or host.encode(), host), **fields)
    ncr.send(ncr.datagram(request), site.ncr_port)
    wait_until(lambda: site.sample("pyd2_requests_total") == ended + 1, f"the end of the request for {host}")
    return ended + 1


def run(site: Site) -> int:
    """Send a run of requests, each when the one before has ended; return how many."""
    ended = 0
    for number in range(HOSTS):
        ended = send(site, ended, f"h{number}.{FORWARD}", number)
    for number in range(TAKEN):
        ended = send(site, ended, f"h{number}.{FORWARD}", 100 + number, b"another")
    for number in range(HOSTS - LEFT, HOSTS):
        ended = send(site, ended, f"h{number}.{FORWARD}", number, change=ncr.REMOVE)
    for number in range(UNKNOWN):
        ended = send(site, ended, f"h{number}.{ELSEWHERE}", 200 + number)
    for number in range(UNMATCHED):
        ended = send(site, ended, f"h{number}.nowhere.example.", 220 + number)
    ncr.send(ncr.datagram(b"{}"), site.ncr_port)
    wait_until(lambda: site.sample("kea_ddns_ncr_invalid_total") == 1, "the malformed one")
    return ended


@pytest.mark.peers
def test_all_that_counts_agrees(d2_binary: str, is_pyd2: bool, tmp_path: Path) -> None:
    if not is_pyd2:
        pytest.skip("Kea has no metrics")
    site = Site()
    with ExitStack() as stack:
        lease = stack.enter_context(PortLease())
        directory = stack.enter_context(private_directory())
        site.ncr_port, site.port = lease.take(), lease.take()
        server = stack.enter_context(dns_servers.bind([FORWARD, REVERSE], KEY))
        whole = body(site.ncr_port, site.port, server.port, tmp_path)
        site.d2 = stack.enter_context(D2.start(d2_binary, directory, whole))
        site.d2.wait_for_listener(site.ncr_port)
        assert site.d2.command("pyd2-capture-start", {"file": "capture", "what": "both"})["result"] == 0
        before = serials(server)
        sent = run(site)
        assert site.d2.command("pyd2-capture-stop")["result"] == 0
        changed = serials(server) - before
        samples = [sample for family in parse_text(site.get()[2]) for sample in family.samples]
        statistics = site.d2.statistics()
        status = json.loads(site.get("/api/v1/status")[2])["requests"]
        zones = {zone: server.records(zone) for zone in (FORWARD, REVERSE)}
        capture = [json.loads(line) for line in (directory / "capture").read_text().splitlines()]
    history = History(tmp_path / FILE)
    events = list(history.find(parse_query("*"), limit=500))
    history.close()

    def metric(name: str, **labels: str) -> float:
        fits = labels.items()
        return sum(each.value for each in samples if each.name == name and fits <= each.labels.items())

    # The statistics.
    for name in STATISTICS:
        assert metric(f"kea_ddns_{name.replace('-', '_')}_total") == statistics[name], name
    for name in ("sent", "success", "timeout", "error"):
        value = statistics[f"key[{KEY_NAME}].update-{name}"]
        assert metric(f"kea_ddns_key_update_{name}_total", key=KEY_NAME) == value, name
    assert (statistics["ncr-received"], statistics["ncr-invalid"]) == (sent, 1)

    # The status of the API.
    results = {name: metric("pyd2_requests_total", result=name) for name in ("done", "failed", "unmatched")}
    assert results == {"done": HOSTS + LEFT, "failed": TAKEN + UNKNOWN, "unmatched": UNMATCHED}
    assert results == {name: status[name] for name in results}
    assert metric("pyd2_requests_total") == sent
    for name, number in results.items():
        assert metric("pyd2_request_seconds_count", result=name) == number, name

    # The history.
    assert Counter(event.result for event in events) == results
    ends = Counter((event.zone, event.result) for event in events if event.result == "failed")
    assert ends == {(FORWARD, "failed"): TAKEN, (ELSEWHERE, "failed"): UNKNOWN}
    for (zone, result), count in ends.items():
        assert metric("pyd2_requests_total", zone=zone, result=result) == count

    # What went out, and came back.
    assert sum("request" in line for line in capture) == sent
    updates = [line for line in capture if "update" in line]
    assert len(updates) == statistics["update-sent"]
    rcodes = Counter(
        dns.rcode.to_text(dns.message.from_wire(b64decode(line["reply"]), keyring=False).rcode())
        for line in updates
    )
    assert rcodes.keys() == {"NOERROR", "YXDOMAIN", "NXRRSET", "NOTAUTH"}
    for rcode, count in rcodes.items():
        assert metric("pyd2_dns_replies_total", dns_server=f"127.0.0.1:{server.port}", rcode=rcode) == count
    assert metric("pyd2_dns_replies_total") == metric("pyd2_dns_update_seconds_count") == len(updates)

    # The zones.
    assert changed == rcodes["NOERROR"]
    kept = {f"h{number}.{FORWARD}": f"192.0.2.{number}" for number in range(HOSTS - LEFT)}
    done = Counter(event.operation for event in events if event.result == "done")
    assert len(kept) == done["add"] - done["remove"]
    assert {(name, data) for name, _, kind, data in zones[FORWARD] if kind == "A"} == set(kept.items())
    assert {data for _, _, kind, data in zones[REVERSE] if kind == "PTR"} == set(kept)
    assert Counter(kind for _, _, kind, _ in zones[FORWARD]) == {"A": len(kept), "DHCID": len(kept)}
