"""The update thread loads no module in the middle of its work: all updates would wait for milliseconds."""

import json
import sys
from pathlib import Path

import pytest

from tests.faults.load import Host, domain
from tests.kit import ncr
from tests.kit.d2 import D2, config, private_directory
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


def test_outages_retries_and_amended_requests_load_nothing(is_pyd2: bool) -> None:
    if not is_pyd2:
        pytest.skip("Kea is no Python program")
    hosts = [Host(number, ZONE) for number in range(8)]
    with PortLease() as lease, private_directory() as directory:
        program = directory / "watched"
        program.write_text(PROGRAM.format(python=sys.executable, root=str(ROOT)))
        program.chmod(0o700)
        port, dns_port = lease.take(), lease.take()
        body = {
            "forward-ddns": {"ddns-domains": [domain(ZONE, dns_port)]},
            "reverse-ddns": {"ddns-domains": [domain(REVERSE, dns_port)]},
            "dns-server-timeout": 50,
            "user-context": {"pyd2": {
                "queue": {"type": "durable", "directory": str(directory / "queue")},
                "failover": {"enabled": True, "breaker-threshold": 3},
                "retry": {"enabled": True, "initial-delay": 0.1, "max-delay": 0.2},
            }},
        }  # fmt: skip
        (directory / "d2.json").write_text(json.dumps(config(port, body)))
        with ScriptedDns({"A": dns_port}) as dns:
            # Forward parts succeed, so that requests are amended; then the server is silent; then it is back.
            dns.set_script([{"rcode": 0}, *[{"drop": True}] * 6], {}, default={"rcode": 0})
            d2 = D2(str(program), directory)
            d2.wait_for_commands()
            d2.wait_for_listener(port)
            ncr.send(hosts[0].request(reverse=True), port)
            d2.wait_for_log("PYD2_SERVER_DOWN")
            for host in hosts[1:]:
                ncr.send(host.request(reverse=True), port)
            wait_until(
                lambda: d2.command("status-get")["arguments"]["pyd2"]["queue"]["entries"] == 0,
                "all requests to be done",
            )
            d2.stop()
        assert "PYD2_RETRY_SCHEDULED" in d2.stdout()
        assert SAYS not in d2.stdout()
