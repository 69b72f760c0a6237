"""Forged replies in great number, before each true one; and requests that would forge the log."""

import re

import pytest

from tests.faults.load import Ends, Host, Load, check_balance, domain, forward
from tests.kit import dns_servers, ncr
from tests.kit.adversity import Adversity, Faults
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease

pytestmark = [pytest.mark.faults, pytest.mark.peers]

ZONE = "example.com."
FORGERIES = 100  # a socket's buffer holds several times as many, so the true reply still fits


@pytest.mark.parametrize("fault", ["wrong_id", "wrong_source"])
def test_forgeries_are_ignored_without_a_packet(d2_binary: str, is_pyd2: bool, fault: str) -> None:
    """Decisions, row 4: the real server sends its update again for each forgery, at once."""
    hosts = [Host(number, ZONE) for number in range(50)]
    with PortLease() as lease, private_directory() as directory, dns_servers.bind([ZONE]) as bind:
        port, proxy_port = lease.take(), lease.take()
        body = forward(domain(ZONE, proxy_port), timeout=20000)
        body["user-context"] = {"pyd2": {"lanes": {"max-in-flight": 1}}}
        with Adversity(proxy_port, bind.port, Faults(**{fault: 1.0}, forgeries=FORGERIES)) as proxy, \
                D2.start(d2_binary, directory, config(port, body)) as d2:
            d2.wait_for_listener(port)
            ends = Ends(d2)
            with Load(port, (host.request() for host in hosts), 1e6):
                ends.wait(len(hosts) if is_pyd2 else 1)
            if is_pyd2:
                assert len(ends.succeeded(hosts)) == len(hosts)
                assert {owner for owner, _, _, _ in bind.records(ZONE)} == {host.name for host in hosts}
                counts = check_balance(d2)
                assert counts["update-sent"] == counts["update-success"] == len(hosts)
                assert proxy.counts["passed"] == 2 * len(hosts)
                answer = d2.command("statistic-get", {"name": "pyd2-replies-ignored"})
                # Those from another source the kernel drops.
                ignored = answer["arguments"]["pyd2-replies-ignored"][0][0]
                assert ignored == (FORGERIES * len(hosts) if fault == "wrong_id" else 0)
            else:
                d2.process.kill()  # it would wait for its timeouts


FORGED = "2026-01-01 00:00:00.000 FATAL [kea-dhcp-ddns.dctl/1.1] DCTL_SHUTDOWN forged"


@pytest.mark.parametrize("field", ["fqdn", "ip-address", "lease-expires-on", "conflict-resolution-mode"])
def test_a_request_forges_no_line_and_steers_no_terminal(d2_binary: str, is_pyd2: bool, field: str) -> None:
    if not is_pyd2:
        pytest.skip("Kea writes the characters as they come")
    outputs = [{"output": "stdout"}, {"output": "d2.log"}]
    logger = {"name": "kea-dhcp-ddns", "severity": "DEBUG", "debuglevel": 99, "output-options": outputs}
    with PortLease() as lease, private_directory() as directory:
        port = lease.take()
        with D2.start(d2_binary, directory, config(port, {"loggers": [logger]})) as d2:
            d2.wait_for_listener(port)
            request = ncr.request("h.example.com.", "192.0.2.1", ncr.dhcid(b"c", "h.example.com."))
            ncr.send(ncr.datagram(request | {field: f"\n{FORGED}\x1b[31m\x9b..b"}), port)
            d2.wait_for_log("DHCP_DDNS_INVALID_NCR")
            d2.barrier()
        for said in (d2.process.stdout(), (directory / "d2.log").read_text("utf-8", "surrogateescape")):
            assert "DHCP_DDNS_INVALID_NCR" in said
            assert not [line for line in said.splitlines() if line.startswith(FORGED)]
            assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\udc80-\udc9f]", said)
