"""DNS servers that are dead, or die and come back."""

import contextlib
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults import load
from tests.kit import dns_servers, ncr
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease
from tests.kit.scripted_dns import ScriptedDns
from tests.kit.waiting import wait_until

pytestmark = pytest.mark.faults

HEALTHY, DEAD = "healthy.test.", "dead.test."


def _domain(name: str, port: int) -> dict[str, Any]:
    return {"name": name, "dns-servers": [{"ip-address": "127.0.0.1", "port": port}]}


@contextlib.contextmanager
def _d2(binary: str, port: int, domains: list[dict[str, Any]], timeout: int) -> Iterator[D2]:
    body = {"forward-ddns": {"ddns-domains": domains}, "dns-server-timeout": timeout}
    with private_directory() as directory, D2.start(binary, directory, config(port, body)) as d2:
        d2.wait_for_listener(port)
        yield d2


def _send(port: int, name: str) -> None:
    ncr.send(ncr.datagram(ncr.request(name, "192.0.2.1", ncr.dhcid(b"client", name), reverse=False)), port)


def test_a_dead_server_does_not_keep_other_zones_waiting(d2_binary: str, is_pyd2: bool) -> None:
    """Decisions, row 9: 100 requests for a dead server come first; one for a healthy server follows."""
    with PortLease() as lease:
        port, dead, healthy = lease.take(), lease.take(), lease.take()
        domains = [_domain(DEAD, dead), _domain(HEALTHY, healthy)]
        # The healthy server's update is sure to be done before the first of the others has had its tries.
        timeout = 2000 if is_pyd2 else 400
        with ScriptedDns({"A": healthy}), _d2(d2_binary, port, domains, timeout) as d2:
            for number in range(100):
                _send(port, f"host{number}.{DEAD}")
            _send(port, f"host.{HEALTHY}")
            wait_until(lambda: "DHCP_DDNS_ADD_SUCCEEDED" in d2.stdout(), "the healthy zone's update")
            before = d2.stdout().split("DHCP_DDNS_ADD_SUCCEEDED")[0]
            # 32 transactions are all that Kea has; the dead server takes them first.
            assert before.count("DHCP_DDNS_ADD_FAILED") == 0 if is_pyd2 else \
                before.count("DHCP_DDNS_ADD_FAILED") >= 32
            wait_until(lambda: d2.stdout().count("DHCP_DDNS_ADD_FAILED") == 100, "the end of all others")
            counts = d2.statistics()
        # If the machine pauses, the healthy server's update may be sent twice.
        assert counts["update-success"] == 1
        assert counts["update-sent"] == counts["update-timeout"] + 1 >= 301


@pytest.mark.peers
def test_a_server_that_restarts_is_used_again(d2_binary: str) -> None:
    """Requests before, during and after an outage of the only server."""
    with PortLease() as lease:
        port, dns_port = lease.take(), lease.take()
        # The timeout is long enough for a loaded BIND to answer in.
        with _d2(d2_binary, port, [_domain(HEALTHY, dns_port)], 1000) as d2:
            for number, name in enumerate([f"before.{HEALTHY}", f"after.{HEALTHY}"], 1):
                with dns_servers.bind([HEALTHY], port=dns_port) as bind:
                    _send(port, name)
                    d2.wait_for_log("DHCP_DDNS_ADD_SUCCEEDED", number)
                    assert {owner for owner, _, _, _ in bind.records(HEALTHY)} == {name}
                if number == 1:
                    _send(port, f"outage.{HEALTHY}")
                    d2.wait_for_log("DHCP_DDNS_ADD_FAILED", 1)
            assert d2.stdout().count("DHCP_DDNS_ADD_FAILED") == 1


@pytest.mark.peers
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_server_that_restarts_under_load_holds_what_is_logged(d2_binary: str, how: signal.Signals) -> None:
    """Twice the only server leaves in a stream of requests, and comes back when some have failed."""
    hosts = [load.Host(number, HEALTHY) for number in range(400)]
    with PortLease() as lease, dns_servers.bind([HEALTHY]) as bind, \
            _d2(d2_binary, port := lease.take(), [_domain(HEALTHY, bind.port)], 600) as d2:
        ends = load.Ends(d2)
        stream = load.Load(port, (host.request() for host in hosts), 150)
        stream.allowed = 100  # these are sure to find the server, however slow it is
        with stream:
            for outage in (1, 2):
                ends.wait(150 * outage - 50)
                stream.allowed = len(hosts)
                bind.process.stop(how)
                ends.wait(150 * outage)
                bind.start()
        ends.wait(len(hosts))
        done = {host.name for host in ends.succeeded(hosts)}
        held = {owner for owner, _, _, _ in bind.records(HEALTHY)}
        counts = load.check_balance(d2)
        assert ends.count == counts["ncr-received"] == len(hosts)
        assert done <= held <= {host.name for host in hosts}
        assert 100 <= len(done) < len(hosts)
        assert counts["update-timeout"] >= 3 * (len(hosts) - len(done))
        # The log names each host that an outage has affected, with its address.
        for host in hosts:
            if host.name not in done:
                assert f"FQDN: [{host.name}]" in d2.stdout()


def test_a_server_that_answers_nonsense_costs_only_its_own_requests(d2_binary: str) -> None:
    with PortLease() as lease:
        port, mad, healthy = lease.take(), lease.take(), lease.take()
        domains = [_domain(DEAD, mad), _domain(HEALTHY, healthy)]
        with ScriptedDns({"M": mad}) as madman, ScriptedDns({"A": healthy}), \
                _d2(d2_binary, port, domains, 20000) as d2:
            madman.set_script([], {}, default={"raw": "0000a8" + "ff" * 600})
            for number in range(50):
                _send(port, f"host{number}.{DEAD}")
                _send(port, f"host{number}.{HEALTHY}")
            wait_until(lambda: d2.stdout().count("DHCP_DDNS_ADD_FAILED") == 50
                       and d2.stdout().count("DHCP_DDNS_ADD_SUCCEEDED") == 50, "the end of all requests")
            counts = d2.statistics()
        assert (counts["update-error"], counts["update-success"], counts["update-timeout"]) == (150, 50, 0)
