"""The tables of docs/policies.md, row by row, with real DNS servers: signed or not, alone and in batches."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import dns.message
import dns.query
import dns.rcode
import dns.tsigkeyring
import pytest

from tests.interop.batches import SERVERS, status
from tests.kit import ncr
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease
from tests.kit.tsigkeys import TsigKey
from tests.kit.waiting import wait_until
from tests.update.policies.rows import DONE, FAILED, KEPT, POLICIES, ROWS, ZONES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kit.dns_servers import DnsServer

pytestmark = pytest.mark.peers

ENDED = re.compile(r"(?:_ADD|_REMOVE|REMOVAL)_(SUCCEEDED|FAILED|KEPT) .*Request ID ([0-9A-F]+)")
OUTCOMES = {"SUCCEEDED": DONE, "FAILED": FAILED, "KEPT": KEPT}


def body(dns_port: int, key: TsigKey | None, batch: int) -> dict[str, Any]:
    """Return a configuration with a zone for each set of policies."""
    domains = [
        {
            "name": f"{name}.test.", "dns-servers": [{"ip-address": "127.0.0.1", "port": dns_port}],
            "user-context": {"pyd2": {"policy": policy}}, **({"key-name": key.name} if key else {}),
        }
        for name, policy in POLICIES.items()
    ]
    lanes = {"batch": batch, "max-in-flight": 4}
    return {
        "forward-ddns": {"ddns-domains": domains}, "reverse-ddns": {},
        "user-context": {"pyd2": {"lanes": lanes}},
        "dns-server-timeout": 3000, **({"tsig-keys": [key.kea()]} if key else {}),
    }


def prepare(server: DnsServer, key: TsigKey | None) -> None:
    """Give the names of all rows what they hold before."""
    for row in ROWS:
        for update in row.setup():
            if key is not None:
                update.use_tsig(dns.tsigkeyring.from_text({key.name: (key.lower_algorithm, key.secret)}))
            reply = dns.query.tcp(update, "127.0.0.1", port=server.port, timeout=20)
            assert reply.rcode() == dns.rcode.NOERROR, (row, reply)


def held(server: DnsServer) -> dict[str, set[tuple[str, str]]]:
    """Return what each name holds."""
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for zone in ZONES:
        for name, _, kind, data in server.records(zone):
            found[name].add((kind, data.replace(" ", "")))
    return found


def outcomes(d2: D2) -> dict[str, str]:
    """Return the outcomes of the requests that have ended, by request ID."""
    return {request: OUTCOMES[state] for state, request in ENDED.findall(d2.stdout())}


@pytest.fixture
def lease() -> Iterator[PortLease]:
    with PortLease() as ports:
        yield ports


@pytest.mark.parametrize(("name", "key", "batch"), [
    ("bind", None, 1), ("bind", TsigKey.of("HMAC-SHA256"), 20), ("knot", TsigKey.of("HMAC-SHA512"), 1),
    ("knot", None, 20), ("powerdns", TsigKey.of("HMAC-SHA512"), 1), ("powerdns", None, 20),
], ids=["bind", "bind-signed-batches", "knot-signed", "knot-batches", "powerdns-signed", "powerdns-batches"])
def test_the_tables_row_by_row(
    d2_binary: str, lease: PortLease, name: str, key: TsigKey | None, batch: int
) -> None:
    port = lease.take()
    with private_directory() as directory, SERVERS[name](ZONES, key) as server:
        prepare(server, key)
        with D2.start(d2_binary, directory, config(port, body(server.port, key, batch))) as d2:
            d2.wait_for_listener(port)
            for row in ROWS:
                ncr.send(ncr.datagram(row.request()), port)
            wait_until(lambda: len(outcomes(d2)) == len(ROWS), "the end of all requests", 60)
            ended = outcomes(d2)
            counts = status(d2)["policies"]
        found = held(server)
    wrong = [
        (row.number, row.policy, found[row.name], ended[row.request()["dhcid"]])
        for row in ROWS
        if (found[row.name], ended[row.request()["dhcid"]]) != (row.records(row.after), row.outcome)
    ]
    assert wrong == []
    assert counts["joined"] == sum(row.number in {105, 205, 81} for row in ROWS)
    assert counts["kept"] == sum(row.outcome == KEPT for row in ROWS)
    assert counts["adopted"] == sum(row.number in {50, 51, 54, 80} for row in ROWS)
