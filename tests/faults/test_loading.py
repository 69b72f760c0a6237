"""The update thread loads no module in the middle of its work: all updates would wait for milliseconds."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.load import Host, domain
from tests.kit import ncr
from tests.kit.d2 import D2, config, private_directory
from tests.kit.http_client import fetch
from tests.kit.ports import PortLease
from tests.kit.scripted_dns import ScriptedDns
from tests.kit.waiting import wait_until

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parents[2]
ZONE, REVERSE = "loading.test.", "10.in-addr.arpa."
SAYS = "LOADED BY THE UPDATE THREAD:"
PROGRAM = f"""#!{{python}}
import sys, threading
sys.path.insert(0, {{root!r}})

def watch(event, arguments):
    if event == "import" and threading.current_thread().name == "pyd2-dns":
        print({SAYS!r}, arguments[0], flush=True)

sys.addaudithook(watch)
from pyd2.cli import main
sys.exit(main(sys.argv[1:]))
"""


@contextmanager
def watched(body: dict[str, Any], port: int) -> Iterator[D2]:
    """Run a daemon that says which modules its update thread loads; it must load none."""
    with private_directory() as directory:
        program = directory / "watched"
        program.write_text(PROGRAM.format(python=sys.executable, root=str(ROOT)))
        program.chmod(0o700)
        body["user-context"]["pyd2"]["queue"] = {"type": "durable", "directory": str(directory / "queue")}
        if "history" in body["user-context"]["pyd2"]:
            body["user-context"]["pyd2"]["history"]["directory"] = str(directory)
        (directory / "d2.json").write_text(json.dumps(config(port, body)))
        with D2(str(program), directory) as d2:
            d2.wait_for_commands()
            d2.wait_for_listener(port)
            yield d2
            wait_until(
                lambda: d2.command("status-get")["arguments"]["pyd2"]["queue"]["entries"] == 0,
                "all requests to be done",
            )
            d2.stop()
            assert SAYS not in d2.stdout()


def domains(dns_port: int) -> dict[str, Any]:
    """Return the members of a configuration that name the DNS server."""
    return {
        "forward-ddns": {"ddns-domains": [domain(ZONE, dns_port)]},
        "reverse-ddns": {"ddns-domains": [domain(REVERSE, dns_port)]},
    }


def test_outages_retries_and_amended_requests_load_nothing(is_pyd2: bool) -> None:
    if not is_pyd2:
        pytest.skip("Kea is no Python program")
    hosts = [Host(number, ZONE) for number in range(8)]
    with PortLease() as lease:
        port, dns_port = lease.take(), lease.take()
        body = domains(dns_port) | {
            "dns-server-timeout": 50,
            "user-context": {"pyd2": {
                "failover": {"enabled": True, "breaker-threshold": 3},
                "retry": {"enabled": True, "initial-delay": 0.1, "max-delay": 0.2},
            }},
        }  # fmt: skip
        with ScriptedDns({"A": dns_port}) as dns:
            # Forward parts succeed, so that requests are amended; then the server is silent; then it is back.
            dns.set_script([{"rcode": 0}, *[{"drop": True}] * 6], {}, default={"rcode": 0})
            with watched(body, port) as d2:
                ncr.send(hosts[0].request(reverse=True), port)
                d2.wait_for_log("PYD2_SERVER_DOWN")
                for host in hosts[1:]:
                    ncr.send(host.request(reverse=True), port)
                d2.wait_for_log("PYD2_RETRY_SCHEDULED")


def test_refusals_questions_tcp_and_metrics_load_nothing(is_pyd2: bool) -> None:
    if not is_pyd2:
        pytest.skip("Kea is no Python program")
    hosts = [Host(number, ZONE) for number in range(60)]
    with PortLease() as lease:
        port, dns_port, http_port = lease.take(), lease.take(), lease.take()
        http = {
            "socket-type": "http", "socket-port": http_port,
            "user-context": {"pyd2": {"metrics": True, "web": True}},
        }
        body = domains(dns_port) | {
            "dns-server-timeout": 500,
            "user-context": {"pyd2": {
                "http": [http], "history": {"enabled": True}, "lanes": {"batch": 20, "max-in-flight": 2},
                "policy": {"dual-stack": "per-family", "adopt": "same-address", "remove-yxrrset": "done"},
                "retry": {"enabled": True, "initial-delay": 0.1, "max-delay": 0.2},
            }},
        }  # fmt: skip
        with ScriptedDns({"A": dns_port}) as dns:
            refusals = [{"rcode": rcode} for rcode in (6, 8, 7, 5, 9, 2, 3)]
            dns.set_script([{"raw": "00"}, {"mutate": "tc"}, *refusals * 11], {}, default={"rcode": 0})
            with watched(body, port) as d2:
                ncr.send(ncr.datagram(b"{}"), port)
                for host in hosts:
                    ncr.send(host.request(reverse=True), port)
                for path in ("/metrics", "/"):
                    assert fetch(f"http://127.0.0.1:{http_port}{path}")[0] == 200
                wait_until(lambda: d2.statistics()["ncr-received"] == len(hosts), "all requests to come")
