"""The durable queue in a running D2: crashes, bad disks, stops and reloads."""

import contextlib
import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pyd2.queue.sqlite import DATABASE, FOLDER
from pyd2.queue.sqlite.database import VERSION
from pyd2.queue.sqlite.salvage import salvage
from pyd2.tools.cli import main as pyd2ctl
from tests.faults import disks, kills
from tests.faults.load import Host, domain, forward
from tests.kit import ncr
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease
from tests.kit.scripted_dns import ScriptedDns
from tests.kit.waiting import wait_until

pytestmark = pytest.mark.faults

ZONE = "example.com."
DONE = "DHCP_DDNS_ADD_SUCCEEDED"


@pytest.fixture(autouse=True)
def _only_pyd2(is_pyd2: bool) -> None:
    if not is_pyd2:
        pytest.skip("Kea has no durable queue")


@dataclass
class Site:
    """Where a D2 with a durable queue runs, before a DNS server that answers when a test says so."""

    binary: str
    directory: Path
    queue: Path
    port: int
    dns: ScriptedDns
    dns_port: int
    lives: int = 0

    def settings(self, queue: dict[str, Any] | None) -> dict[str, Any]:
        """Return a configuration; the queue is in memory when ``queue`` is None."""
        body = forward(domain(ZONE, self.dns_port), timeout=60000)
        if queue is not None:
            body["user-context"] = {"pyd2": {"queue": {"type": "durable", **queue}}}
        return config(self.port, body)

    def start(self, queue: dict[str, Any] | None = None, *, durable: bool = True) -> D2:
        """Start a D2."""
        if queue is None and durable:
            queue = {"directory": str(self.queue)}
        (self.directory / "d2.json").write_text(json.dumps(self.settings(queue)))
        self.lives += 1
        d2 = D2(self.binary, self.directory, name=f"d2-{self.lives}")
        d2.wait_for_commands()
        d2.wait_for_listener(self.port)
        return d2

    def send(self, *numbers: int) -> None:
        """Send additions, one for each host."""
        for number in numbers:
            ncr.send(Host(number, ZONE).request(), self.port)

    def waiting(self) -> int:
        """Return how many requests stand in the file."""
        return len(salvage(str(self.queue)).entries)

    def until_waiting(self, count: int) -> None:
        """Wait until so many requests stand in the file."""
        wait_until(lambda: self.waiting() == count, f"{count} requests in the file")

    def answer(self) -> None:
        """Let the DNS server answer from now on, and forget what it has been sent until now."""
        self.dns.settle()  # what a daemon that has ended sent may still be in the socket
        self.dns.set_script([], {})

    def check_carried_out(self, d2: D2, count: int) -> None:
        """Wait until so many different additions have succeeded."""
        d2.wait_for_log(DONE, count)
        names = {record for update in self.dns.updates() for record in _owners(update)}
        assert len(names) == count


def _owners(update: dict[str, Any]) -> set[str]:
    return {word for word in json.dumps(update).replace('"', " ").split() if word.startswith("host")}


@contextlib.contextmanager
def _site(binary: str) -> Iterator[Site]:
    with PortLease() as lease, private_directory() as directory:
        port, dns_port = lease.take(), lease.take()
        queue = directory / "queue"
        queue.mkdir(mode=0o750)
        with ScriptedDns({"A": dns_port}) as dns:
            dns.set_script([], {}, default={"drop": True})
            yield Site(binary, directory, queue, port, dns, dns_port)


@pytest.mark.peers
def test_kills_stops_and_losses_of_power_under_load_lose_nothing(d2_binary: str) -> None:
    """The full figure: python -m tests.faults.kills --count 100."""
    assert "none of them lost" in kills.run(d2_binary, 3, seed=5)


def test_a_stop_is_quick_and_the_next_start_goes_on(d2_binary: str) -> None:
    with _site(d2_binary) as site:
        d2 = site.start()
        site.send(*range(200))
        site.until_waiting(200)
        assert d2.command("shutdown", {"type": "now"})["result"] == 0
        assert d2.process.wait_for_exit() == 0
        assert "PYD2_QUEUE_KEPT stopping with 200 requests that are not processed" in d2.stdout()
        site.answer()
        with site.start() as d2:
            d2.wait_for_log("is in use and holds 200 requests")
            site.check_carried_out(d2, 200)
            site.until_waiting(0)
            assert d2.statistics()["ncr-received"] == 200


def test_the_files_can_be_read_by_owner_and_group_only(d2_binary: str) -> None:
    with _site(d2_binary) as site, site.start({"directory": str(site.queue / "made")}) as d2:
        site.send(1)
        made = site.queue / "made"
        wait_until(lambda: (made / DATABASE).exists() and salvage(made).entries, "the request in the file")
        for folder in (made, (made / DATABASE).parent):
            assert folder.stat().st_mode & 0o777 == 0o750
        for file in (made / DATABASE).parent.iterdir():
            assert file.stat().st_mode & 0o777 in {0o640, 0o600}, file
        d2.process.kill()


def test_a_second_instance_is_refused(d2_binary: str) -> None:
    with _site(d2_binary) as site, private_directory() as other, PortLease() as lease:
        d2 = site.start()
        settings = site.settings({"directory": str(site.queue)})
        settings["DhcpDdns"]["port"] = lease.take()
        (other / "d2.json").write_text(json.dumps(settings, indent=1))
        second = D2(d2_binary, other)
        assert second.process.wait_for_exit() == 1
        line = next(number for number, text in enumerate(json.dumps(settings, indent=1).splitlines(), 1)
                    if '"directory"' in text)
        reason = f"the durable queue in {site.queue} is in use by process {d2.process.pid} (d2.json:{line}:"
        assert f"Could Not load configuration file: {reason}" in second.stderr()
        # The same as a reload: the old configuration stays.
        with D2.start(d2_binary, other, config(settings["DhcpDdns"]["port"])) as second:
            answer = second.command("config-set", settings)
            assert answer["result"] == 1
            assert f"is in use by process {d2.process.pid}" in answer["text"]
            assert "user-context" not in second.command("config-get")["arguments"]["DhcpDdns"]
        site.answer()
        d2.stop()


def test_reloads_from_memory_to_disk_and_back_and_to_a_directory_for_the_next_start(d2_binary: str) -> None:
    with _site(d2_binary) as site:
        second = site.directory / "second"
        d2 = site.start(durable=False)
        site.send(1)
        wait_until(lambda: d2.statistics()["ncr-received"] == 1, "the first request")
        assert "pyd2" not in d2.command("status-get")["arguments"]
        assert d2.command("config-set", site.settings({"directory": str(site.queue)}))["result"] == 0
        site.send(2, 3)
        site.until_waiting(2)
        status = d2.command("status-get")["arguments"]["pyd2"]["queue"]
        assert (status["file"], status["state"], status["entries"]) == \
            (str(site.queue / DATABASE), "in use", 2)
        assert d2.command("config-set", site.settings({"directory": str(second)}))["result"] == 0
        site.send(4)
        site.until_waiting(3)
        d2.wait_for_log("PYD2_QUEUE_NEXT_START")
        status = d2.command("status-get")["arguments"]["pyd2"]["queue"]
        assert (status["file"], status["next-start"]) == (str(site.queue / DATABASE), str(second / DATABASE))
        assert d2.command("config-set", site.settings(None))["result"] == 0
        site.send(5)
        wait_until(lambda: d2.statistics()["ncr-received"] == 5, "the last request")
        site.until_waiting(3)
        d2.process.kill()
        site.answer()
        with site.start({"directory": str(second)}) as d2:
            d2.wait_for_log("PYD2_QUEUE_OPENED")
            # The daemon holds what is in its file in memory.
            assert pyd2ctl(["queue", "move", str(site.queue), str(second)]) == 1
        assert pyd2ctl(["queue", "move", str(site.queue), str(second)]) == 0
        with site.start({"directory": str(second)}) as d2:
            site.check_carried_out(d2, 3)


def test_a_full_disk(d2_binary: str) -> None:
    """Updates go on from memory; with space again, all that waits is written, and survives a kill."""
    with _site(d2_binary) as site, disks.small_disk(site.queue, 1 << 20) as mounted:
        d2 = site.start()
        site.send(*range(100))
        site.until_waiting(100)
        mend = disks.fill(d2.process, site.queue, 64 << 10, mounted=mounted)
        number = 100
        while "PYD2_QUEUE_FAILED" not in d2.stdout():
            site.send(*range(number, number + 100))
            number += 100
            wait_until(lambda: d2.statistics()["ncr-received"] == number, "requests to begin")  # noqa: B023
        assert d2.stdout().count("PYD2_QUEUE_FAILED") == 1
        assert "(free some space there)" in d2.stdout() or not mounted
        mend()
        d2.wait_for_log("PYD2_QUEUE_RESUMED", timeout=40)
        site.until_waiting(number)
        d2.process.kill()
        site.answer()
        with site.start() as d2:
            site.check_carried_out(d2, number)
            site.until_waiting(0)


def test_a_read_only_directory(d2_binary: str) -> None:
    """What waits in the file is processed all the same, and removed when the directory can be written."""
    with _site(d2_binary) as site:
        d2 = site.start()
        site.send(*range(100))
        site.until_waiting(100)
        d2.process.kill()
        site.answer()
        with disks.read_only(site.queue) as mend:
            d2 = site.start()
            site.send(*range(100, 120))
            site.check_carried_out(d2, 120)
            assert d2.stdout().count("PYD2_QUEUE_FAILED") == 1
            state = d2.command("status-get")["arguments"]["pyd2"]["queue"]["state"]
            assert state.startswith("memory only: ")
            mend()
            d2.wait_for_log("PYD2_QUEUE_RESUMED", timeout=40)
            site.until_waiting(0)
            d2.stop()


@pytest.mark.parametrize("part", ["head", "middle", "tail cut off"])
def test_a_damaged_file(d2_binary: str, part: str) -> None:
    with _site(d2_binary) as site:
        d2 = site.start()
        site.send(*range(500))
        site.until_waiting(500)
        assert d2.command("shutdown", {"type": "now"})["result"] == 0
        d2.process.wait_for_exit()
        octets = bytearray((site.queue / DATABASE).read_bytes())
        if part == "head":
            octets[:4096] = b"\xff" * 4096
        elif part == "middle":
            page = octets.index(b"host250.") // 4096
            octets[page * 4096 : (page + 1) * 4096] = b"\xff" * 4096
        else:
            del octets[len(octets) // 2 :]
        (site.queue / DATABASE).write_bytes(octets)
        site.answer()
        with site.start() as d2:
            d2.wait_for_log("PYD2_QUEUE_SET_ASIDE")
            assert (site.queue / f"{FOLDER}.aside-1" / "queue.sqlite3").exists()
            found = int(d2.stdout().split(" requests could be read from the old")[0].rsplit(" ", 1)[1])
            least = {"head": 0, "middle": 400, "tail cut off": 0}[part]
            assert least <= found < (1 if part == "head" else 500)
            site.send(500)
            site.check_carried_out(d2, found + 1)
            site.until_waiting(0)


def test_a_file_of_a_later_version(d2_binary: str) -> None:
    with _site(d2_binary) as site:
        d2 = site.start()
        site.until_waiting(0)
        d2.stop()
        octets = bytearray((site.queue / DATABASE).read_bytes())
        octets[60:64] = (99).to_bytes(4, "big")  # the user version
        (site.queue / DATABASE).write_bytes(octets)
        site.answer()
        with site.start() as d2:
            d2.wait_for_log("PYD2_QUEUE_FAILED")
            assert f"has version 99, and this pyd2 knows {VERSION}" in d2.stdout()
            site.send(1)
            site.check_carried_out(d2, 1)
        assert (site.queue / DATABASE).read_bytes() == octets


def test_a_backlog_is_worked_off_beside_new_requests(d2_binary: str) -> None:
    """After a start, commands and new requests do not wait for the end of the backlog."""
    with _site(d2_binary) as site:
        d2 = site.start()
        site.send(*range(3000))
        site.until_waiting(3000)
        d2.process.send_signal(signal.SIGKILL)
        d2.process.wait_for_exit()
        site.answer()
        with site.start() as d2:
            site.send(3000)
            assert d2.answers_commands()
            site.check_carried_out(d2, 3001)
            site.until_waiting(0)
