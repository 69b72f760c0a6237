"""Retries of a real daemon with the durable queue: over restarts, and up to the dead letters."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.load import Host, domain
from tests.kit import ncr
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease
from tests.kit.scripted_dns import ScriptedDns
from tests.kit.waiting import wait_until

pytestmark = pytest.mark.faults

ZONE, REVERSE = "retry.test.", "10.in-addr.arpa."
REFUSED, NXRRSET = {"rcode": 5}, {"rcode": 8}


@pytest.fixture(autouse=True)
def _only_pyd2(is_pyd2: bool) -> None:
    if not is_pyd2:
        pytest.skip("Kea tries nothing again")


def start(binary: str, directory: Path, port: int, dns_port: int, life: int) -> D2:
    body: dict[str, Any] = {
        "forward-ddns": {"ddns-domains": [domain(ZONE, dns_port)]},
        "reverse-ddns": {"ddns-domains": [domain(REVERSE, dns_port)]},
        "dns-server-timeout": 2000,
        "user-context": {"pyd2": {
            "queue": {"type": "durable", "directory": str(directory / "queue")},
            "retry": {"enabled": True, "initial-delay": 0.2, "max-delay": 0.5},
        }},
    }  # fmt: skip
    (directory / "d2.json").write_text(json.dumps(config(port, body)))
    d2 = D2(binary, directory, name=f"d2-{life}")
    d2.wait_for_commands()
    d2.wait_for_listener(port)
    return d2


def status(d2: D2) -> dict[str, Any]:
    found: dict[str, Any] = d2.command("status-get")["arguments"]["pyd2"]
    return found


def test_waiting_requests_are_resumed_after_a_restart_and_failed_ones_are_kept(d2_binary: str) -> None:
    host = Host(1, ZONE)
    with PortLease() as lease, private_directory() as directory:
        port, dns_port = lease.take(), lease.take()
        with ScriptedDns({"A": dns_port}) as dns:
            # The forward part succeeds; the reverse part is refused until the restart.
            dns.set_script([{"rcode": 0}], {}, default=REFUSED)
            first = start(d2_binary, directory, port, dns_port, 1)
            ncr.send(host.request(reverse=True), port)
            first.wait_for_log("PYD2_RETRY_SCHEDULED", 2)
            wait_until(lambda: status(first)["retries"]["waiting"] == 1, "the request to wait")
            assert status(first)["queue"]["entries"] == 1
            first.stop()
            assert "PYD2_QUEUE_KEPT" in first.stdout()

            dns.set_script([], {}, default=NXRRSET)
            second = start(d2_binary, directory, port, dns_port, 2)
            second.wait_for_log("DHCP_DDNS_ADD_FAILED")
            # The second daemon does not repeat the forward part.
            assert "DHCP_DDNS_REVERSE_REPLACE_REJECTED" in second.stdout()
            assert "DHCP_DDNS_FORWARD" not in second.stdout()
            wait_until(lambda: status(second)["queue"]["dead-letters"] == 1, "the dead letter")
            requests = status(second)["requests"]
            assert (requests["received"], requests["failed"], requests["queued"]) == (1, 1, 0)
            second.stop()
        program = [sys.executable, "-m", "pyd2.tools", "queue", "list", "--dead", str(directory / "queue")]
        listed = subprocess.run(program, capture_output=True, text=True, check=True).stdout
    assert f"add    {host.name} {host.address} {host.dhcid}: NXRRSET from 127.0.0.1 port:{dns_port}" in listed
