"""A D2 under a service manager such as systemd: its notifications, and restarts that lose nothing."""

import contextlib
import json
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.load import Ends, Host, Load, domain, forward
from tests.kit import dns_servers, ncr
from tests.kit.d2 import D2, config, is_listening, private_directory
from tests.kit.ports import PortLease
from tests.kit.scripted_dns import ScriptedDns
from tests.kit.service_manager import ServiceManager
from tests.kit.waiting import wait_until

pytestmark = pytest.mark.faults

ZONE = "example.com."
SUCCEEDED = "DHCP_DDNS_ADD_SUCCEEDED"


class Site:
    """A directory with a configuration, a port for requests, a DNS server and a service manager."""

    def __init__(self, manager: ServiceManager, port: int, settings: dict[str, Any], path: Path) -> None:
        self.manager, self.port, self.settings, self.path = manager, port, settings, path
        self.write(settings)

    def write(self, settings: dict[str, Any]) -> None:
        """Write the configuration file."""
        self.path.write_text(json.dumps(settings))


def _count(d2: D2, message: str) -> int:
    return d2.stdout().count(message)


@contextlib.contextmanager
def _site(*, abstract: bool = False, dns_port: int | None = None) -> Iterator[Site]:
    with contextlib.ExitStack() as stack:
        lease = stack.enter_context(PortLease())
        directory = stack.enter_context(private_directory())
        port = lease.take()
        if dns_port is None:
            dns_port = lease.take()
            stack.enter_context(ScriptedDns({"A": dns_port}))
        settings = config(port, forward(domain(ZONE, dns_port), timeout=20000))
        manager = stack.enter_context(ServiceManager(directory, abstract=abstract))
        yield Site(manager, port, settings, directory / "d2.json")


def _bound(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", port))
    return sock


def _send(port: int, *numbers: int) -> None:
    for number in numbers:
        ncr.send(Host(number, ZONE).request(), port)


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_it_says_when_it_is_ready_reloads_and_leaves(d2_binary: str, abstract: bool) -> None:
    with _site(abstract=abstract) as site, site.manager.start(d2_binary) as d2:
        ready = site.manager.wait_for("READY")
        assert ready == {"READY": "1", "STATUS": f"listening on 127.0.0.1 port {site.port}"}
        assert is_listening(site.port)
        assert d2.answers_commands()
        assert not [message for message in site.manager.messages if "WATCHDOG" in message]

        before = time.monotonic_ns() // 1000
        d2.process.send_signal(signal.SIGHUP)
        site.manager.wait_for("READY", 2)
        reloading, again = [message for message in site.manager.messages if "FDNAME" not in message][-2:]
        assert reloading["RELOADING"] == "1"
        assert before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
        assert again == ready

        site.write({"DhcpDdns": {"port": 0}})
        d2.process.send_signal(signal.SIGHUP)
        failed = site.manager.wait_for("READY", 3)
        assert failed["STATUS"].startswith(f"{ready['STATUS']}; the reload failed: ")

        assert not [message for message in site.manager.messages if "STOPPING" in message]
        assert d2.stop() == 0
        assert site.manager.hear()[-1] == {"STOPPING": "1"}


def test_it_says_that_it_is_ready_on_another_port(d2_binary: str) -> None:
    """What the manager keeps is the new socket, and only that."""
    with _site() as site, PortLease() as lease, site.manager.start(d2_binary) as d2:
        site.manager.wait_for("READY")
        (old,) = site.manager.store["ncr"]
        assert old.getsockname() == ("127.0.0.1", site.port)
        port = lease.take()
        site.write(config(port, site.settings["DhcpDdns"] | {"port": port}))
        d2.process.send_signal(signal.SIGHUP)
        assert site.manager.wait_for("READY", 2)["STATUS"] == f"listening on 127.0.0.1 port {port}"
        (new,) = site.manager.store["ncr"]
        assert new.getsockname() == ("127.0.0.1", port)
        assert not is_listening(site.port)
        # And back, to a port that this process had before.
        site.write(site.settings)
        d2.process.send_signal(signal.SIGHUP)
        site.manager.wait_for("READY", 3)
        _send(site.port, 1)
        d2.wait_for_log(SUCCEEDED)


def test_a_reload_to_an_address_that_its_own_kept_socket_blocks(d2_binary: str) -> None:
    """From one address to all of them: the kernel refuses as long as a process holds the first."""
    with _site() as site, site.manager.start(d2_binary) as d2:
        site.manager.wait_for("READY")
        site.write(config(site.port, site.settings["DhcpDdns"] | {"ip-address": "0.0.0.0"}))
        d2.process.send_signal(signal.SIGHUP)

        def kept_anew() -> bool:
            site.manager.hear()
            return [sock.getsockname()[0] for sock in site.manager.store.get("ncr", [])] == ["0.0.0.0"]

        wait_until(kept_anew, "the new socket to be bound and kept")
        _send(site.port, 1)
        d2.wait_for_log(SUCCEEDED)


def test_the_watchdog_hears_of_it(d2_binary: str) -> None:
    with _site() as site, site.manager.start(d2_binary, env={"WATCHDOG_USEC": "100000"}):
        site.manager.wait_for("WATCHDOG", 5)
        assert {message["WATCHDOG"] for message in site.manager.messages if "WATCHDOG" in message} == {"1"}


def test_a_watchdog_for_another_process_does_not(d2_binary: str) -> None:
    env = {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}
    with _site() as site, site.manager.start(d2_binary, env=env) as d2:
        site.manager.wait_for("READY")
        assert d2.stop() == 0
        assert not [message for message in site.manager.hear() if "WATCHDOG" in message]


def test_a_manager_that_has_gone_is_logged_and_not_needed(d2_binary: str) -> None:
    with _site() as site, site.manager.start(d2_binary, env={"NOTIFY_SOCKET": "/nonexistent/notify"}) as d2:
        d2.wait_for_commands()
        assert _count(d2, "PYD2_SERVICE_MANAGER_UNREACHABLE") >= 1
        assert "cannot notify the service manager at /nonexistent/notify (READY=1): " in d2.stdout()
        _send(site.port, 1)
        d2.wait_for_log(SUCCEEDED)


def test_a_socket_that_is_handed_over_is_used_with_what_has_arrived(d2_binary: str) -> None:
    """Socket activation: the manager has bound the port, and requests are there before the daemon."""
    with _site() as site, _bound(site.port) as sock:
        _send(site.port, *range(50))
        with site.manager.start(d2_binary, [sock], env={"LISTEN_FDNAMES": "kea-dhcp-ddns.socket"}) as d2:
            d2.wait_for_log(SUCCEEDED, 50)
            assert _count(d2, "PYD2_SOCKET_INHERITED") == 1
            _send(site.port, 50)
            d2.wait_for_log(SUCCEEDED, 51)


def test_unused_sockets_are_closed_and_logged(d2_binary: str) -> None:
    with _site() as site, PortLease() as lease, _bound(lease.take()) as elsewhere, \
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream, \
            site.path.open() as file, site.manager.start(d2_binary, [elsewhere, stream, file]) as d2:
        d2.wait_for_log("PYD2_SOCKET_REJECTED", 3)
        assert _count(d2, "PYD2_SOCKET_REJECTED") == 3
        for number, why in ((3, f"it is bound to 127.0.0.1 port {elsewhere.getsockname()[1]}"),
                            (4, "it is no UDP socket"), (5, "Socket operation on non-socket")):
            line = f"closed file descriptor {number} of the service manager, which pyd2 does not use: {why}"
            assert line in d2.stdout()
        _send(site.port, 1)
        d2.wait_for_log(SUCCEEDED)


def test_sockets_for_another_process_are_left_alone(d2_binary: str) -> None:
    """Another process means that a wrapper has not passed the variables on as it should."""
    with _site() as site, _bound(site.port) as sock, \
            site.manager.start(d2_binary, [sock], env={"LISTEN_PID": "1"}) as d2:
        d2.wait_for_log("DHCP_DDNS_QUEUE_MGR_START_ERROR")
        assert "Address already in use" in d2.stdout()
        assert _count(d2, "PYD2_SOCKET") == 0


@pytest.mark.peers
def test_restarts_of_the_service_lose_no_request(d2_binary: str) -> None:
    """A steady stream of requests; the service stops and starts again and again, its socket is kept."""
    hosts = [Host(number, ZONE) for number in range(700)]
    with dns_servers.bind([ZONE]) as bind, _site(dns_port=bind.port) as site:
        d2 = site.manager.start(d2_binary)
        site.manager.wait_for("READY")
        done = 0
        load = Load(site.port, (host.request() for host in hosts), 300)
        with load:
            for restart in range(1, 4):
                wait_until(lambda: load.sent > restart * 150, "more requests to be sent")  # noqa: B023  at once
                assert d2.stop() == 0
                done += _count(d2, SUCCEEDED)
                site.manager.hear()
                d2 = site.manager.start(d2_binary)
                site.manager.wait_for("READY", restart + 1)
            wait_until(lambda: not load.running, "the last request to be sent")
        with d2:
            Ends(d2).wait(len(hosts) - done)
            d2.wait_for_log("PYD2_SOCKET_INHERITED")
            assert _count(d2, "PYD2_SOCKET_INHERITED") == 1
            assert {owner for owner, _, _, _ in bind.records(ZONE)} == {host.name for host in hosts}


_BROKEN = """#!{python}
import sys
import pyd2.configurator

def fail(path):
    raise RuntimeError("no such case was thought of")

pyd2.configurator.read_config_file = fail  # what a reload reads with
from pyd2.cli import main
sys.exit(main())
"""


def test_a_reload_with_an_internal_error_is_reported_and_the_manager_does_not_wait(is_pyd2: bool) -> None:
    if not is_pyd2:
        pytest.skip("it is pyd2 that is broken here")
    with _site() as site:
        broken = site.path.with_name("broken-pyd2")
        broken.write_text(_BROKEN.format(python=sys.executable))
        broken.chmod(0o700)
        with site.manager.start(str(broken)) as d2:
            site.manager.wait_for("READY")
            d2.process.send_signal(signal.SIGHUP)
            ready = site.manager.wait_for("READY", 2)
            assert ready["STATUS"].endswith("the reload failed: internal error (RuntimeError), see the log")
            assert is_listening(site.port)
            d2.barrier()
        trace = d2.stdout().partition("PYD2_INTERNAL_ERROR")[2]
        assert "no such case was thought of" in trace
        assert not [line for line in trace.splitlines() if line.startswith(("Traceback", "RuntimeError"))]
