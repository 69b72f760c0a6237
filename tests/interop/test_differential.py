"""The same requests to the real kea-dhcp-ddns and to the D2 under test, each with a DNS server of its own.

Afterwards both zones hold the same records, both servers have counted the same, and have said the
same about every request.
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pytest

from tests.interop import stream
from tests.kit import dns_servers, kea
from tests.kit.d2 import D2, config, private_directory
from tests.kit.normalise import log_entries
from tests.kit.ports import PortLease
from tests.kit.tsigkeys import TsigKey

Serve = Callable[[Sequence[str], TsigKey | None], AbstractContextManager[dns_servers.DnsServer]]

pytestmark = pytest.mark.peers


@contextlib.contextmanager
def _outcome(binary: str, serve: Serve, key: TsigKey | None,
             send: Callable[[stream.Feeder], None]) -> Iterator[dict[str, Any]]:
    """Send requests to one D2 and yield their outcome."""
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(PortLease()).take()
        server = stack.enter_context(serve(stream.ZONES, key))
        directory = stack.enter_context(private_directory())
        body = stream.configuration(port, server.port, key.kea() if key else None)
        d2 = stack.enter_context(D2.start(binary, directory, config(port, body)))
        d2.wait_for_listener(port)
        with stream.Feeder(d2, port) as feeder:
            send(feeder)
        d2.barrier()
        yield {"statistics": d2.statistics(),
               "history": stream.history(log_entries(d2.stdout(), str(directory)), server.port),
               "zones": {zone: server.records(zone) for zone in stream.ZONES}}


def _compare(d2_binary: str, serve: Serve, key: TsigKey | None,
             send: Callable[[stream.Feeder], None]) -> dict[str, Any]:
    """Send the same to the real server and to the D2 under test, compare, and return the outcome."""
    real = kea.chosen().program("kea-dhcp-ddns")
    with _outcome(real, serve, key, send) as wanted, _outcome(d2_binary, serve, key, send) as got:
        assert got["statistics"] == wanted["statistics"]
        assert got["history"] == wanted["history"]
        assert got["zones"] == wanted["zones"]
        return wanted


@pytest.mark.parametrize(("serve", "key", "seed", "count"), [
    (dns_servers.bind, None, 1, 2000),
    (dns_servers.bind, TsigKey.of("HMAC-SHA256"), 2, 400),
    (dns_servers.knot, TsigKey.of("HMAC-SHA512"), 3, 2000),
    (dns_servers.powerdns, TsigKey.of("HMAC-SHA512"), 4, 2000),
], ids=["bind", "bind-signed", "knot-signed", "powerdns-signed"])
def test_same_requests_same_outcome(d2_binary: str, serve: Serve, key: TsigKey | None, seed: int,
                                    count: int) -> None:
    requests = stream.requests(seed, count)
    wanted = _compare(d2_binary, serve, key, lambda feeder: feeder.feed(requests))
    # The stream is worth comparing only if it leaves something and meets resistance.
    assert wanted["statistics"]["ncr-received"] == count
    assert wanted["statistics"]["update-timeout"] == wanted["statistics"]["update-error"] == 0
    assert all(wanted["zones"].values())
    outcomes = {message for said in wanted["history"].values() for message, _ in said
                if re.search("SUCCEEDED|FAILED|REJECTED|MATCH", message)}
    assert {"DHCP_DDNS_ADD_SUCCEEDED", "DHCP_DDNS_ADD_FAILED", "DHCP_DDNS_REMOVE_SUCCEEDED",
            "DHCP_DDNS_REMOVE_FAILED", "DHCP_DDNS_NO_FWD_MATCH_ERROR",
            "DHCP_DDNS_NO_REV_MATCH_ERROR"} <= outcomes


@pytest.mark.parametrize(("key", "seed"), [(None, 11), (TsigKey.of("HMAC-SHA256"), 12)],
                         ids=["bind", "bind-signed"])
def test_clients_that_come_back_at_once(d2_binary: str, key: TsigKey | None, seed: int) -> None:
    strangers, requests = stream.returning_clients(seed, 1500)

    def send(feeder: stream.Feeder) -> None:
        feeder.feed(strangers)
        feeder.pour(requests)

    wanted = _compare(d2_binary, dns_servers.bind, key, send)
    assert wanted["statistics"]["ncr-received"] == len(strangers) + len(requests)
    assert wanted["statistics"]["update-timeout"] == wanted["statistics"]["update-error"] == 0
    outcomes = [message for said in wanted["history"].values() for message, _ in said]
    for message in ("DHCP_DDNS_ADD_SUCCEEDED", "DHCP_DDNS_ADD_FAILED", "DHCP_DDNS_REMOVE_SUCCEEDED",
                    "DHCP_DDNS_REMOVE_FAILED"):
        assert outcomes.count(message) >= 20, message
