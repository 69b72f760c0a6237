"""A DNS server that cannot be reached for a moment costs no update, as with the real kea-dhcp-ddns."""

import os
from collections.abc import Iterator

import pytest

from tests.faults.gaps import GAPS, UPDATES, Site
from tests.faults.load import Ends, Host, domain, forward
from tests.faults.rude import OVER_TCP
from tests.kit import ncr
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease
from tests.kit.scripted_dns import ScriptedDns


@pytest.fixture(scope="module")
def gap_site(d2_binary: str) -> Iterator[Site]:
    with Site(d2_binary) as site:
        yield site


@pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces")
@pytest.mark.parametrize("kind", GAPS)
def test_a_short_gap_costs_no_update(gap_site: Site, kind: str) -> None:
    """The measured run is ``python -m tests.faults gaps``."""
    assert gap_site.run(GAPS[kind], 0.2) == {"kea": UPDATES, "pyd2": UPDATES}


def test_a_server_that_does_not_listen_yet_over_tcp_costs_no_update(d2_binary: str) -> None:
    with PortLease() as lease, private_directory() as directory:
        port, dns_port = lease.take(), lease.take()
        zone = domain("gap.test.", dns_port)
        zone["dns-servers"][0] |= OVER_TCP
        body = config(port, forward(zone, timeout=5000))
        with D2.start(d2_binary, directory, body) as d2:
            d2.wait_for_listener(port)
            hosts = [Host(number, "gap.test.") for number in range(UPDATES)]
            for host in hosts:
                ncr.send(host.request(), port)
            d2.wait_for_log("ASIODNS_SEND_DATA .* using TCP", UPDATES)
            for _ in range(10):
                assert d2.statistics()["update-sent"] == UPDATES, "tried again at once"
            with ScriptedDns({"A": dns_port}):
                ends = Ends(d2)
                ends.wait(UPDATES)
                assert ends.succeeded(hosts) == hosts
