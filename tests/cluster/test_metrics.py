"""What ``/metrics`` shows of a shared queue, with a real server and a real BIND."""

from __future__ import annotations

import asyncio
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text

from pyd2.metrics.families import BY_NAME
from tests.cluster.site import SITE, ZONE, Machine, machine_config
from tests.cluster.test_tsig_fudge import make_streams
from tests.faults.load import Host, domain
from tests.kit import dns_servers
from tests.kit.d2 import private_directory
from tests.kit.nats_servers import nats_servers
from tests.kit.ports import PortLease
from tests.kit.waiting import wait_until

pytestmark = pytest.mark.peers


def cluster_samples(port: int) -> dict[str, float]:
    """Return the samples of the shared queue, all of which have the site as their only label."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as response:
        text = response.read().decode()
    found = [sample for family in parse_text(text) for sample in family.samples
             if sample.name.startswith("pyd2_cluster_")]
    assert {tuple(sample.labels.items()) for sample in found} == {(("site", SITE),)}
    return {sample.name.removeprefix("pyd2_cluster_"): sample.value for sample in found}


@pytest.mark.parametrize("owns", [True, False])
def test_the_metrics_are_those_of_the_status(d2_binary: str, is_pyd2: bool, *, owns: bool) -> None:
    if not is_pyd2:
        pytest.skip("Kea has no such queue")
    with PortLease() as lease, private_directory() as directory, nats_servers() as (nats,), \
            dns_servers.bind([ZONE]) as server:
        asyncio.run(make_streams(nats))
        http_port = lease.take()
        settings = machine_config(directory, "m1", lease.take(), domain(ZONE, server.port),
                                  [f"nats://127.0.0.1:{nats.port}"], own=owns)
        settings["DhcpDdns"]["user-context"]["pyd2"]["http"] = [
            {"socket-type": "http", "socket-port": http_port, "user-context": {"pyd2": {"metrics": True}}}
        ]
        machine = Machine(d2_binary, directory, "m1", settings)
        try:
            machine.start()
            if owns:
                machine.until_owner()
            machine.send(*[Host(number, ZONE).request() for number in range(20)])
            machine.until_appended(20)
            if owns:
                wait_until(lambda: machine.queue()["node"]["waiting"] == 0, "all to be done")
            samples = cluster_samples(http_port)
            queue = machine.queue()
            assert machine.d2.stop() == 0
        finally:
            machine.d2.process.kill()
    assert samples.keys() == {
        family.sample.removeprefix("pyd2_cluster_") for family in BY_NAME.values()
        if family.name.startswith("pyd2_cluster_")
    }  # fmt: skip
    assert samples["connected"] == 1
    assert (samples["appended_total"], samples["repeated_total"]) == (20, queue["repeated"])
    assert (samples["unacknowledged"], samples["oldest_unacknowledged_seconds"]) == (0, 0)
    assert (samples["owner"], samples["epoch"], samples["claims_total"]) == ((1, 1, 1) if owns else (0, 0, 0))
    assert (samples["waiting"], samples["late"], samples["overtaken_total"]) == (0, 0, 0)
