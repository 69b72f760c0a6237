"""Signals at bad moments: during the start, in a storm, one upon the other, with work under way."""

import contextlib
import json
import signal
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.kit import ncr
from tests.kit.d2 import D2, config, is_listening, private_directory
from tests.kit.fifo import Fifo
from tests.kit.ports import PortLease
from tests.kit.scripted_dns import ScriptedDns
from tests.kit.waiting import wait_until

pytestmark = pytest.mark.faults

ZONE = "example.com."
SUCCEEDED = "DHCP_DDNS_ADD_SUCCEEDED"


@contextlib.contextmanager
def _site() -> Iterator[tuple[int, ScriptedDns, Mapping[str, Any]]]:
    """A free port for a D2, a DNS server for it and its configuration."""
    with PortLease() as lease:
        port, dns_port = lease.take(), lease.take()
        domain = {"name": ZONE, "dns-servers": [{"ip-address": "127.0.0.1", "port": dns_port}]}
        body = {"forward-ddns": {"ddns-domains": [domain]}, "dns-server-timeout": 5000}
        with ScriptedDns({"A": dns_port}) as dns:
            yield port, dns, config(port, body)


def _send(port: int, number: int) -> None:
    name = f"host{number}.{ZONE}"
    request = ncr.request(name, "192.0.2.1", ncr.dhcid(b"client", name), reverse=False)
    ncr.send(ncr.datagram(request), port)


def _finish(d2: D2, count: int) -> None:
    wait_until(lambda: d2.stdout().count(SUCCEEDED) >= count or not d2.alive, f"{count} requests to succeed")


def test_a_storm_of_sighup_loses_no_queued_request(d2_binary: str) -> None:
    with _site() as (port, dns, settings), private_directory() as directory, \
            D2.start(d2_binary, directory, settings) as d2:
        d2.wait_for_listener(port)
        dns.set_script([], {}, default={"rcode": 0, "delay": 0.02})
        for number in range(100):
            _send(port, number)
        wait_until(lambda: d2.statistics()["ncr-received"] == 100, "100 requests to be received")
        for _ in range(40):
            d2.process.send_signal(signal.SIGHUP)
        _finish(d2, 100)
        wait_until(lambda: "DCTL_CONFIG_COMPLETE" in d2.stdout() and d2.answers_commands(), "the last reload")
        d2.wait_for_listener(port)
        _send(port, 100)
        _finish(d2, 101)
        assert d2.alive
        assert d2.statistics()["ncr-received"] == 101
        assert dns.count() == 101


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM], ids=["sighup", "sigterm"])
def test_a_signal_during_a_long_start_waits(d2_binary: str, is_pyd2: bool, number: signal.Signals) -> None:
    """As logrotate sends it: SIGHUP is a reload once the server runs, SIGTERM a clean end, nothing stays."""
    if not is_pyd2:
        pytest.skip("Kea dies of it, and its PID file stays")
    with _site() as (port, _, settings), private_directory() as directory, \
            Fifo(directory / "d2.json") as fifo:
        pid_file = directory / "d2.kea-dhcp-ddns.pid"
        d2 = D2(d2_binary, directory)
        try:
            # The start continues only when it has its configuration.
            fifo.wait_for_reader(d2)
            d2.process.send_signal(number)
            fifo.give(json.dumps(settings))
            if number is signal.SIGHUP:
                d2.process.wait_for_output("DCTL_CFG_FILE_RELOAD_SIGNAL_RECVD")
                d2.wait_for_listener(port)
                assert pid_file.exists()
                number = signal.SIGTERM
            assert d2.process.stop(number) == 0
        finally:
            d2.process.kill()
        assert "DCTL_SHUTDOWN" in d2.stdout()
        assert not pid_file.exists()
        assert not d2.socket.exists()


@pytest.mark.parametrize("moment", ["", "DCTL_STARTING", "COMMAND_ACCEPTOR_START", "DHCP_DDNS_STARTED"],
                         ids=["spawned", "starting", "socket-open", "started"])
def test_sigterm_during_the_start_leaves_nothing_behind(d2_binary: str, moment: str) -> None:
    with _site() as (port, _, settings), private_directory() as directory:
        with D2.start(d2_binary, directory, settings) as first:
            assert first.alive  # the configuration is good, and d2.json is written
        d2 = D2(d2_binary, directory)
        if moment:
            d2.process.wait_for_output(moment)
        status = d2.process.stop(signal.SIGTERM)
        # Before its handlers are set a program dies of the signal; the PID file may then stay.
        assert status in (0, -signal.SIGTERM)
        if status == 0:
            assert not (directory / "d2.kea-dhcp-ddns.pid").exists()
            assert not d2.socket.exists()
        with D2.start(d2_binary, directory, settings) as again:
            again.wait_for_listener(port)


def test_sighup_and_sigterm_together_end_the_server(d2_binary: str) -> None:
    with _site() as (port, _, settings), private_directory() as directory:
        d2 = D2.start(d2_binary, directory, settings)
        for _ in range(5):
            d2.process.send_signal(signal.SIGHUP)
        d2.process.send_signal(signal.SIGTERM)
        d2.process.send_signal(signal.SIGHUP)
        assert d2.process.wait_for_exit() == 0
        assert not is_listening(port)
        assert not d2.socket.exists()


@pytest.mark.parametrize("count", [1, 5, 40])
def test_sigterm_finishes_what_is_under_way(d2_binary: str, is_pyd2: bool, count: int) -> None:
    with _site() as (port, dns, settings), private_directory() as directory:
        d2 = D2.start(d2_binary, directory, settings)
        d2.wait_for_listener(port)
        dns.set_script([], {}, default={"rcode": 0, "delay": 0.2})
        for number in range(count):
            _send(port, number)
        wait_until(lambda: dns.count() >= min(count, 32), "the updates to be sent")
        d2.process.send_signal(signal.SIGTERM)
        _finish(d2, count)
        if not is_pyd2:  # decisions, row 3: the real server may sleep until something wakes it
            wait_until(lambda: not d2.alive or not d2.answers_commands(), "the real server to leave")
        assert d2.process.wait_for_exit() == 0
        assert d2.stdout().count(SUCCEEDED) == count
        assert "DCTL_SHUTDOWN" in d2.stdout()
