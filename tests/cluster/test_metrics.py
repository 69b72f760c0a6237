"""What metrics and the web page show of a shared queue, with a real server and a real BIND."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.peers


def shown_settings(
    directory: Path, lease: PortLease, zone_port: int, nats_port: int, **own: Any
) -> tuple[dict[str, Any], int]:
    """Return the configuration of a machine with metrics and the page, and the port of these."""
    http_port = lease.take()
    settings = machine_config(directory, "m1", lease.take(), domain(ZONE, zone_port),
                              [f"nats://127.0.0.1:{nats_port}"], **own)
    pages = {"metrics": True, "web": True}
    settings["DhcpDdns"]["user-context"]["pyd2"]["http"] = [
        {"socket-type": "http", "socket-port": http_port, "user-context": {"pyd2": pages}}
    ]
    return settings, http_port


def page_status(port: int) -> dict[str, Any]:
    """Return what the page's overview shows."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/status", timeout=20) as response:
        found: dict[str, Any] = json.load(response)
    return found


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
        settings, http_port = shown_settings(directory, lease, server.port, nats.port, own=owns)
        machine = Machine(d2_binary, directory, "m1", settings)
        try:
            machine.start()
            if owns:
                machine.until_owner()
            machine.send(*[Host(number, ZONE).request() for number in range(20)])
            machine.until_appended(20)
            if owns:
                # Nothing waits before the owner has read the requests, either.
                wait_until(lambda: machine.d2.statistics()["update-success"] == 20, "all to be in the zone")
                wait_until(lambda: machine.queue()["node"]["waiting"] == 0, "all to be done")
            samples = cluster_samples(http_port)
            queue, status = machine.queue(), page_status(http_port)
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
    assert status["site"] == {
        "name": SITE, "node": "m1", "server": queue["server"], "fault": "", "unacknowledged": 0,
        "oldest_unacknowledged": 0, "state": "owner" if owns else "", "owner": "m1" if owns else "",
        "waiting": 0, "late": 0,
    }  # fmt: skip
    assert status["problems"] == []


def test_the_page_tells_of_servers_that_are_gone(d2_binary: str, is_pyd2: bool) -> None:
    if not is_pyd2:
        pytest.skip("Kea has no such queue")
    with PortLease() as lease, private_directory() as directory, nats_servers() as (nats,), \
            dns_servers.bind([ZONE]) as server:
        asyncio.run(make_streams(nats))
        settings, http_port = shown_settings(directory, lease, server.port, nats.port)
        machine = Machine(d2_binary, directory, "m1", settings)
        try:
            machine.start()
            machine.until_owner()
            nats.process.kill()
            wait_until(lambda: page_status(http_port)["site"]["server"] == "", "the connection to be lost")
            machine.send(*[Host(number, ZONE).request() for number in range(5)])
            wait_until(lambda: page_status(http_port)["site"]["unacknowledged"] == 5, "what waits here")
            wait_until(lambda: page_status(http_port)["site"]["state"] == "paused", "the lease to be over")
            problems = [problem["text"] for problem in page_status(http_port)["problems"]]
        finally:
            machine.d2.process.kill()
    assert problems[:2] == [
        (f"No server of the shared queue of {SITE} can be reached. 5 requests wait on the disk of this "
        "machine."),
        f"This node owns the shared queue of {SITE}, but its lease is over: it sends no updates.",
    ]
