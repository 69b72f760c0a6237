"""DNS servers that behave badly over TCP harm only their own zone."""

import re
from typing import Any

import pytest

from tests.faults.load import Ends, Host
from tests.faults.rude import HEALTHY, OVER_TCP, RUDE, WAYS, site
from tests.kit import ncr
from tests.kit.d2 import D2
from tests.kit.ports import PortLease
from tests.kit.scripted_dns import ScriptedDns

COUNT = 30
"""Updates for each zone: fewer than may be under way at a time."""

CLOSED = {
    "empty messages": "the server has sent a message of 0 bytes, which is no DNS message",
    "messages of 1 to 11 octets": "the server has sent a message of 1 bytes, which is no DNS message",
    "unexpected messages": "the server has sent more than 100 messages that answer no update",
    "messages of 65,535 octets": "the server has sent more than 100 messages that answer no update",
    "answers with other IDs": "the server has sent more than 100 messages that answer no update",
    "each answer 300 times": "the server has sent more than 100 messages that answer no update",
    "a message that never ends": "no answer comes over the connection",
    "an answer octet by octet": "no answer comes over the connection",
    "reads nothing": "no answer comes over the connection",
    "says nothing": "no answer comes over the connection",
}
"""What is logged where pyd2 closes the connection."""

SUCCEED = {"truncated answers", "answers for another zone"}
"""Where the answers count, as Kea counts them over UDP: it looks at their codes and signatures only."""


def carry_out(d2: D2, port: int) -> tuple[list[Host], Ends]:
    """Send updates for both zones and wait until all have ended; return the hosts of the rude one."""
    rude, healthy = ([Host(number, zone) for number in range(COUNT)] for zone in (RUDE, HEALTHY))
    ends = Ends(d2)
    for host in rude:
        ncr.send(host.request(), port)
    for host in healthy:
        ncr.send(host.request(), port)
    ends.wait(2 * COUNT)
    assert ends.succeeded(healthy) == healthy
    return rude, ends


@pytest.mark.parametrize("name", WAYS)
def test_only_its_own_zone_waits_for_it(d2_binary: str, name: str) -> None:
    with PortLease() as lease, ScriptedDns({"A": (healthy_port := lease.take())}), \
            site(d2_binary, WAYS[name], OVER_TCP, healthy_port) as (d2, port, server):
        rude, ends = carry_out(d2, port)
        assert server.connections > 0
        if name in SUCCEED:
            assert ends.succeeded(rude) == rude
        reasons = re.findall(r"PYD2_CONNECTION_CLOSED closed .* port:\d+: (.*?)\. The next", d2.stdout())
        assert reasons[:1] == ([CLOSED[name]] if name in CLOSED else [])
        assert len(reasons) <= 1
        counter = "pyd2-connections-closed"
        answer: dict[str, Any] = d2.command("statistic-get", {"name": counter})
        assert (answer["arguments"][counter][0][0] > 0) == (name in CLOSED)
        assert d2.stop() == 0


def test_a_truncated_answer_over_udp_leads_to_no_harm(d2_binary: str) -> None:
    """Without any switch: the server makes an update continue over TCP, and behaves badly there."""
    with PortLease() as lease, ScriptedDns({"A": (healthy_port := lease.take())}), \
            site(d2_binary, WAYS["empty messages"], {}, healthy_port) as (d2, port, server):
        rude, ends = carry_out(d2, port)
        assert server.connections > 0
        assert ends.succeeded(rude) == rude
