"""Without the switch a daemon loads nothing of the shared queue."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.faults.load import Host, domain, forward
from tests.kit import ncr
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease
from tests.kit.scripted_dns import ScriptedDns

_MODULES = re.compile(r"pyd2\.(?:cluster|queue\.nats|queue\.shared|config\.nats)\S*")


@pytest.mark.parametrize("kind", ["memory", "durable", "nats"])
def test_only_the_switch_loads_its_modules(d2_binary: str, is_pyd2: bool, kind: str) -> None:
    if not is_pyd2:
        pytest.skip("Kea has no such queue")
    with PortLease() as lease, private_directory() as directory:
        port, dns_port = lease.take(), lease.take()
        with ScriptedDns({"A": dns_port}) as dns:
            dns.set_script([], {})
            queue: dict[str, Any] = {"type": kind, "directory": str(directory)}
            if kind == "nats":
                queue |= {"servers": [f"nats://127.0.0.1:{lease.take()}"], "site": "site-a", "name": "n1"}
            body = forward(domain("example.com.", dns_port)) | {"user-context": {"pyd2": {"queue": queue}}}
            with D2.start(d2_binary, directory, config(port, body),
                          env={"PYTHONPROFILEIMPORTTIME": "1"}) as d2:
                d2.wait_for_listener(port)
                ncr.send(Host(1, "example.com.").request(), port)
                d2.wait_for_log("PYD2_CLUSTER_SPOOLING" if kind == "nats" else "DHCP_DDNS_ADD_SUCCEEDED")
                assert d2.stop() == 0
                loaded = set(_MODULES.findall(d2.stderr()))
    assert bool(loaded) is (kind == "nats"), loaded
