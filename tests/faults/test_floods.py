"""Floods on the NCR socket: rubbish, and more good requests than a server can carry out at once."""

import json
import random
import socket
from collections.abc import Iterator

import pytest

from tests.kit import ncr
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease
from tests.kit.scripted_dns import ScriptedDns
from tests.kit.waiting import wait_until

pytestmark = pytest.mark.faults

ZONE = "example.com."
MEBIBYTE = 1 << 20


def _rubbish(is_pyd2: bool) -> Iterator[bytes]:
    """Datagrams of chance, a few of them long enough for the length they begin with."""
    chance = random.Random(20)
    for _ in range(20000):
        datagram = chance.randbytes(chance.choice([0, 1, 2, 40, 400, 5000]))
        # The real server dies of a misplaced sign; the next test is about that.
        yield datagram if is_pyd2 else datagram.translate(None, b"+-")


def test_a_flood_of_rubbish_is_counted_and_survived(d2_binary: str, is_pyd2: bool) -> None:
    with PortLease() as lease, private_directory() as directory:
        port = lease.take()
        with D2.start(d2_binary, directory, config(port)) as d2, \
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            d2.wait_for_listener(port)
            before = d2.process.resident_bytes()
            for datagram in _rubbish(is_pyd2):
                sock.sendto(datagram, ("127.0.0.1", port))
            sock.sendto(ncr.datagram(ncr.request("a.example.com.", "192.0.2.1", "00")), ("127.0.0.1", port))

            def good_one_arrived() -> bool:
                # The kernel may have dropped it with the flood: it is sent until it has come.
                if d2.statistics()["ncr-received"]:
                    return True
                ncr.send(ncr.datagram(ncr.request("a.example.com.", "192.0.2.1", "00")), port)
                return False

            wait_until(good_one_arrived, "a good request after the flood")
            counts = d2.statistics()
            assert counts["ncr-error"] == 0
            assert 0 < counts["ncr-invalid"] <= 20000
            # So many lines take their time, which no command waits for to the end.
            d2.wait_for_log("DHCP_DDNS_INVALID_NCR", counts["ncr-invalid"])
            assert d2.stdout().count("DHCP_DDNS_INVALID_NCR") == counts["ncr-invalid"]
            assert d2.process.peak_resident_bytes() - before < 64 * MEBIBYTE


@pytest.mark.parametrize("text", [b"+", b"--", b"1-2", b'{"change-type":+}'])
def test_a_misplaced_sign_does_not_end_the_server(d2_binary: str, is_pyd2: bool, text: bytes) -> None:
    """One datagram of three bytes ends the real server: its number parser's error is caught nowhere."""
    with PortLease() as lease, private_directory() as directory:
        port = lease.take()
        d2 = D2.start(d2_binary, directory, config(port))
        d2.wait_for_listener(port)
        ncr.send(ncr.datagram(text), port)
        if is_pyd2:
            wait_until(lambda: d2.statistics()["ncr-invalid"] == 1, "the datagram to be refused")
            assert "DHCP_DDNS_INVALID_NCR" in d2.stdout()
            assert d2.stop() == 0
        else:
            assert d2.process.wait_for_exit() == 1


def test_a_flood_of_requests_is_carried_out(d2_binary: str, is_pyd2: bool) -> None:
    """Every request that was counted ends; pyd2 loses none of them (docs/differences.md, 6)."""
    with PortLease() as lease, private_directory() as directory:
        port, dns_port = lease.take(), lease.take()
        domain = {"name": ZONE, "dns-servers": [{"ip-address": "127.0.0.1", "port": dns_port}]}
        body = {"forward-ddns": {"ddns-domains": [domain]}, "dns-server-timeout": 60000}
        with ScriptedDns({"A": dns_port}), D2.start(d2_binary, directory, config(port, body)) as d2:
            d2.wait_for_listener(port)
            before = d2.process.resident_bytes()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                for number in range(5000):
                    name = f"host{number}.{ZONE}"
                    request = ncr.request(name, "192.0.2.1", ncr.dhcid(b"client", name), reverse=False)
                    sock.sendto(ncr.datagram(request), ("127.0.0.1", port))

            def idle() -> bool:
                counts = d2.statistics()
                lost = d2.stdout().count("DHCP_DDNS_QUEUE_MGR_QUEUE_FULL")
                done = d2.stdout().count("DHCP_DDNS_ADD_SUCCEEDED")
                return counts["ncr-received"] > 0 and done + lost >= counts["ncr-received"]

            wait_until(idle, "the end of every request", timeout=60)
            counts = d2.statistics()
            assert counts["ncr-invalid"] == counts["update-timeout"] == counts["update-error"] == 0
            assert counts["update-success"] == d2.stdout().count("DHCP_DDNS_ADD_SUCCEEDED")
            if is_pyd2:
                assert "DHCP_DDNS_QUEUE_MGR_QUEUE_FULL" not in d2.stdout()
                assert counts["update-success"] == counts["ncr-received"]
            assert d2.process.peak_resident_bytes() - before < 128 * MEBIBYTE


def test_a_stop_waits_for_requests_that_take_long_to_read(d2_binary: str, is_pyd2: bool) -> None:
    """Those that are not written as Kea's DHCP servers write them: a few are read in each turn."""
    if not is_pyd2:
        pytest.skip("Kea drops what it has not read")
    count = 500
    with PortLease() as lease, private_directory() as directory:
        port, dns_port = lease.take(), lease.take()
        domain = {"name": ZONE, "dns-servers": [{"ip-address": "127.0.0.1", "port": dns_port}]}
        body = {"forward-ddns": {"ddns-domains": [domain]}, "dns-server-timeout": 60000}
        with ScriptedDns({"A": dns_port}), D2.start(d2_binary, directory, config(port, body)) as d2, \
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            d2.wait_for_listener(port)
            for number in range(count):
                name = f"h{number}.{ZONE}"
                request = ncr.request(name, "192.0.2.1", ncr.dhcid(b"client", name), reverse=False)
                sock.sendto(ncr.datagram(json.dumps(request, indent=2).encode()), ("127.0.0.1", port))
            assert d2.stop() == 0
            assert d2.stdout().count("DHCP_DDNS_ADD_SUCCEEDED") == count


@pytest.mark.parametrize(("text", "fault"), [
    (b'{"a":[' + b"1," * 2030 + b"1]}", "request holds more than 128 values"),
    (b'{"a":"' + b'\\",' * 1350, "Unterminated string"),
    (b'{"a":"' + b'\\"' * 2000 + b'\n","b":tx}', "Bad boolean value"),
])
def test_a_flood_of_costly_requests_leaves_the_others_their_turn(
    d2_binary: str, is_pyd2: bool, text: bytes, fault: str
) -> None:
    """Requests with very many values, and such that only Python can read."""
    if not is_pyd2:
        pytest.skip("one thread does it all in Kea")
    costly = ncr.datagram(text)
    with PortLease() as lease, private_directory() as directory:
        port = lease.take()
        with D2.start(d2_binary, directory, config(port)) as d2, \
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            d2.wait_for_listener(port)
            for _ in range(1000):
                sock.sendto(costly, ("127.0.0.1", port))

            def good_one_arrived() -> bool:
                ncr.send(ncr.datagram(ncr.request("a.example.com.", "192.0.2.1", "00")), port)
                return d2.statistics()["ncr-received"] > 0

            wait_until(good_one_arrived, "a good request after the flood")
            d2.wait_for_log(f"DHCP_DDNS_INVALID_NCR .* {fault}", 20)
