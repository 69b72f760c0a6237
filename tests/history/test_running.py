"""The history of a running daemon, asked by ``pyd2ctl why``."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from pyd2.history import FILE
from pyd2.history.search import History, HistoryError
from tests.kit import ncr
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease
from tests.kit.scripted_dns import ScriptedDns
from tests.kit.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Site:
    d2: D2
    ncr_port: int
    directory: Path

    def send(self, fqdn: str) -> None:
        request = ncr.request(fqdn, "192.0.2.10", ncr.dhcid(b"client", fqdn), reverse=False)
        ncr.send(ncr.datagram(request), self.ncr_port)

    def why(self, what: str, *options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pyd2.tools", "why", what, *options]
        return subprocess.run(command, cwd=self.d2.directory, capture_output=True, text=True, check=False)

    def result(self, what: str) -> str:
        """Return the result of the newest event; empty: there is none."""
        done = self.why(what, "--directory", str(self.directory), "--json")
        return json.loads(done.stdout.splitlines()[0])["result"] if done.stdout else ""


@pytest.fixture
def site(d2_binary: str, is_pyd2: bool, tmp_path: Path) -> Iterator[Site]:
    """A daemon with a history, and a server that refuses what is asked of it second."""
    if not is_pyd2:
        pytest.skip("Kea has no history")
    site = Site()
    site.directory = tmp_path
    with PortLease() as lease, private_directory() as directory:
        site.ncr_port, port = lease.take(), lease.take()
        body = {
            "forward-ddns": {
                "ddns-domains": [
                    {"name": "example.com.", "dns-servers": [{"ip-address": "127.0.0.1", "port": port}]}
                ]
            },
            "user-context": {"pyd2": {"history": {"enabled": True, "directory": str(tmp_path)}}},
        }
        with ScriptedDns({"A": port}) as dns:
            dns.set_script([{"rcode": 0}], {}, default={"rcode": 5})
            with D2.start(d2_binary, directory, config(site.ncr_port, body)) as site.d2:
                site.d2.wait_for_listener(site.ncr_port)
                yield site
                assert "PYD2_INTERNAL_ERROR" not in site.d2.process.output()


def test_why_beside_the_daemon(site: Site) -> None:
    site.send("good.example.com.")
    wait_until(lambda: site.result("good.example.com.") == "done", "it is in the history")
    site.send("bad.example.com.")
    wait_until(lambda: site.result("bad") == "failed", "the failure is, too")
    done = site.why("bad.example.com.", "-c", "d2.json")
    assert done.returncode == 1
    assert "FAILED  REFUSED  127.0.0.1 port:" in done.stdout
    assert "      Why:  The DNS server does not allow this update" in done.stdout
    assert site.why("192.0.2.0/24", "--directory", str(site.directory)).stdout.count("\n  2") == 2


def test_a_kill_leaves_a_file_that_can_be_read(site: Site) -> None:
    site.send("good.example.com.")
    wait_until(lambda: site.result("good.example.com.") == "done", "it is in the history")
    site.d2.process.kill()
    assert site.result("good.example.com.") == "done"


def test_a_kill_while_it_is_written_leaves_a_whole_file(site: Site) -> None:
    path = site.directory / FILE

    def rows() -> int:
        try:
            history = History(path)
        except HistoryError:
            return 0
        with closing(history):
            return history.span()[0]

    site.send("h0.example.com.")
    wait_until(lambda: site.result("h0.example.com.") == "done", "the first request in the history")
    for number in range(1, 200):
        site.send(f"h{number}.example.com.")
    wait_until(lambda: rows() > 1, "more of them there")
    for number in range(200, 400):
        site.send(f"h{number}.example.com.")
    site.d2.process.kill()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert 0 < rows() <= 400
    assert site.result("h0.example.com.") == "done"


def test_a_stop_writes_what_is_left(site: Site) -> None:
    site.send("good.example.com.")
    site.d2.wait_for_log("DHCP_DDNS_ADD_SUCCEEDED")
    site.d2.process.stop()
    assert site.result("good.example.com.") == "done"


def test_a_host_is_forgotten_beside_the_daemon(site: Site) -> None:
    site.send("good.example.com.")
    wait_until(lambda: site.result("good.example.com.") == "done", "it is in the history")
    command = [
        sys.executable,
        "-m",
        "pyd2.tools",
        "history",
        "forget",
        "good",
        "--directory",
        str(site.directory),
    ]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "1 request removed\n"
    assert site.result("good.example.com.") == ""
    site.send("bad.example.com.")
    wait_until(lambda: site.result("bad") == "failed", "the daemon goes on")


def test_a_configuration_without_it_ends_the_history(site: Site) -> None:
    whole = json.loads((site.d2.directory / "d2.json").read_text())
    del whole["DhcpDdns"]["user-context"]
    assert site.d2.command("config-set", whole)["result"] == 0
    site.send("good.example.com.")
    site.d2.wait_for_log("DHCP_DDNS_ADD_SUCCEEDED")
    assert site.result("good.example.com.") == ""
