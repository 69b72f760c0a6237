"""A disk that does not answer when the log is written to it."""

import contextlib
import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.load import Host, domain, forward
from tests.kit import ncr
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease
from tests.kit.scripted_dns import ScriptedDns
from tests.kit.waiting import wait_until

pytestmark = pytest.mark.faults

ZONE = "example.com."
COUNT = 50
SUCCEEDED = "DHCP_DDNS_ADD_SUCCEEDED"
STALLING = """
import os, time
write = os.write

def slow_write(fd, data):
    while os.path.exists("stalled") and os.readlink(f"/proc/self/fd/{fd}").endswith("/d2.log"):
        time.sleep(0.001)
    return write(fd, data)

os.write = slow_write
"""
"""What lets the daemon's writes hang as long as there is a file ``stalled``."""


@dataclass
class Site:
    """A D2 that logs in a file, and its DNS server."""

    directory: Path
    d2: D2
    port: int
    dns: ScriptedDns

    @property
    def stalled(self) -> Path:
        return self.directory / "stalled"

    def carry_out(self) -> None:
        """Carry out some requests completely, so that the durable queue is empty for the next ones."""
        before = self.succeeded()
        for number in range(COUNT):
            ncr.send(Host(number, ZONE).request(), self.port)
        wait_until(lambda: self.succeeded() == before + COUNT, "the ends of the requests")

    def succeeded(self) -> int:
        """Return how many requests have ended well by the counters."""
        return self.d2.statistics().get("update-success", 0)

    def ends(self) -> int:
        """Return how many requests have ended by the log."""
        return self.lines().count(SUCCEEDED)

    def lines(self) -> str:
        return (self.directory / "d2.log").read_text()


@pytest.fixture
def site(d2_binary: str, is_pyd2: bool, request: pytest.FixtureRequest) -> Iterator[Site]:
    """Return the site; the parameter, if there is one, is what its durable queue is limited to."""
    if not is_pyd2:
        pytest.skip("Kea waits for the disk")
    with contextlib.ExitStack() as stack:
        directory, lease = stack.enter_context(private_directory()), stack.enter_context(PortLease())
        port, dns_port = lease.take(), lease.take()
        dns = stack.enter_context(ScriptedDns({"A": dns_port}))
        dns.set_script([], {})
        settings = config(port, forward(domain(ZONE, dns_port), timeout=5000))
        settings["DhcpDdns"]["loggers"][0]["output-options"] = [{"output": "d2.log"}]
        if limit := getattr(request, "param", 0):
            queue = {"type": "durable", "directory": str(directory), "max-entries": limit}
            settings["DhcpDdns"]["user-context"] = {"pyd2": {"queue": queue}}
        (directory / "d2.json").write_text(json.dumps(settings))
        (directory / "sitecustomize.py").write_text(STALLING)
        d2 = D2(d2_binary, directory, env={"PYTHONPATH": "@DIR@"})
        stack.callback(d2.process.kill)
        d2.wait_for_commands()
        d2.wait_for_listener(port)
        yield Site(directory, d2, port, dns)


def test_updates_and_commands_go_on_while_the_log_hangs(site: Site) -> None:
    site.stalled.touch()
    site.carry_out()
    assert site.d2.command("config-reload")["result"] == 0
    site.carry_out()
    assert site.ends() == 0
    site.stalled.unlink()
    wait_until(lambda: site.ends() == 2 * COUNT, "the lines")
    assert site.d2.stop() == 0
    assert site.ends() == 2 * COUNT


def test_the_end_comes_while_the_log_hangs(site: Site) -> None:
    site.stalled.touch()
    site.carry_out()
    site.d2.process.send_signal(signal.SIGTERM)
    assert site.d2.process.wait_for_exit() == 0
    assert "log lines are lost: the disk or terminal did not accept them in time" in site.d2.stderr()


@pytest.mark.parametrize("site", [COUNT + COUNT // 2], indirect=True)
def test_a_log_that_hangs_fills_no_queue_and_has_nothing_done_again(site: Site, d2_binary: str) -> None:
    site.stalled.touch()
    for _ in range(3):
        site.carry_out()
    assert "queue-mgr-queue-full" not in site.d2.statistics()
    site.d2.process.send_signal(signal.SIGTERM)
    assert site.d2.process.wait_for_exit() == 0
    site.stalled.unlink()
    (site.directory / "d2.log").unlink()
    with D2.start(d2_binary, site.directory, (site.directory / "d2.json").read_text()):
        wait_until(lambda: "PYD2_QUEUE_OPENED" in site.lines(), "the queue")
    assert "is in use and holds 0 requests" in site.lines().rpartition("PYD2_QUEUE_OPENED")[2]
