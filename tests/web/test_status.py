"""What the overview says of a shared queue and of keys of GSS-TSIG; elsewhere real servers are seen."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from pyd2.web.status import _missing_keys, _site_map, _site_problems

CLUSTER = {
    "type": "nats", "site": "a", "name": "dhcp1", "server": "nats://q1:4222", "appended": 7, "repeated": 0,
    "unacknowledged": 1, "oldest-unacknowledged": 3,
}  # fmt: skip
"""As ``Member.status`` of a machine that only receives."""


def texts(cluster: dict[str, Any]) -> list[str]:
    problems = list(_site_problems(_site_map(cluster)))
    assert all(problem["mend"] for problem in problems)
    return [problem["text"] for problem in problems]


def test_a_machine_that_only_receives() -> None:
    site = _site_map(CLUSTER)
    assert (site["state"], site["owner"], site["waiting"]) == ("", "", 0)
    assert texts(CLUSTER) == []


def test_the_owner_is_named_as_in_its_configuration() -> None:
    node = {"state": "standby", "owner": "dhcp.two.0123456789abcdef", "epoch": 3, "floor": 9}
    assert _site_map(CLUSTER | {"node": node})["owner"] == "dhcp.two"
    assert texts(CLUSTER | {"node": node}) == []


def test_servers_that_take_nothing() -> None:
    assert texts(CLUSTER | {"fault": "no stream", "node": {"state": "paused"}}) == [
        ("The servers of the shared queue of a take no requests: no stream. "
         "1 request waits on the disk of this machine."),
        "This node owns the shared queue of a, but its lease is over: it sends no updates.",
    ]


def test_a_key_is_missing_when_an_agreement_has_failed() -> None:
    def missing(expires: float, **exchanges: int) -> int:
        reading = SimpleNamespace(dns_server="192.0.2.1:53", expires=expires, exchanges=exchanges)
        return len(list(_missing_keys([cast("Any", reading)])))

    assert missing(0.0, success=0, timeout=0, error=0) == 0  # the first one is under way
    assert missing(0.0, success=5, timeout=1, error=0) == 1
    assert missing(9.0, success=5, timeout=1, error=0) == 0
