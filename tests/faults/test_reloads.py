"""Reconfiguration under load, by signal and by command, loses nothing."""

import contextlib
import json
import signal
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import cycle
from typing import Any

import pytest

from tests.faults.load import Ends, Host, Load, check_balance, domain, forward, udp_socket
from tests.kit import dns_servers
from tests.kit.d2 import D2, config, private_directory
from tests.kit.dns_servers import DnsServer
from tests.kit.ports import PortLease
from tests.kit.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.peers]

ZONE = "example.com."
HOSTS = 800
BLOCK = 50
RATE = 500.0
COMPLETE = "DCTL_CONFIG_COMPLETE"

Reload = Callable[[D2, dict[str, Any]], None]


@contextlib.contextmanager
def _site(binary: str) -> Iterator[tuple[D2, int, DnsServer, dict[str, Any]]]:
    with PortLease() as lease, private_directory() as directory, dns_servers.bind([ZONE]) as bind:
        port = lease.take()
        # The timeout is long: a try that is merely slow must not turn into a second one.
        settings = config(port, forward(domain(ZONE, bind.port), timeout=20000))
        with D2.start(binary, directory, settings) as d2:
            d2.wait_for_listener(port)
            yield d2, port, bind, settings


def _sighup(d2: D2, settings: dict[str, Any]) -> None:
    (d2.directory / "d2.json").write_text(json.dumps(settings))
    done = d2.stdout().count(COMPLETE)
    d2.process.send_signal(signal.SIGHUP)
    # Signals that come meanwhile would merge, and find the file half written.
    d2.wait_for_log(COMPLETE, done + 1)


def _config_reload(d2: D2, settings: dict[str, Any]) -> None:
    (d2.directory / "d2.json").write_text(json.dumps(settings))
    assert d2.command("config-reload")["result"] == 0


def _config_set(d2: D2, settings: dict[str, Any]) -> None:
    answer = d2.command("config-set", settings)
    assert answer["result"] == 0, answer


def _between_requests(load: Load, steps: Iterable[Callable[[], None]]) -> None:
    """Take a step in the middle of each block of requests, and return when all are sent."""
    load.allowed = BLOCK
    with load:
        for step in steps:
            if load.allowed > HOSTS:
                break
            wait_until(lambda: load.sent > load.allowed - BLOCK // 2, "half a block to be sent")
            step()
            load.allowed += BLOCK
        wait_until(lambda: not load.running, "the last request to be sent")


@pytest.mark.parametrize("ways", [(_sighup,), (_config_reload, _config_set)],
                         ids=["signals", "commands"])
def test_a_stream_of_requests_goes_on(d2_binary: str, is_pyd2: bool, ways: tuple[Reload, ...]) -> None:
    """Each reload also brings or takes another domain. The socket stays the same all the time."""
    hosts = [Host(number, ZONE) for number in range(HOSTS)]
    with _site(d2_binary) as (d2, port, bind, settings):
        own = settings["DhcpDdns"]
        domains = domain(ZONE, bind.port), domain("other.test.", bind.port)
        other = config(port, own | forward(*domains, timeout=10000))
        before = udp_socket(d2, port)
        ends = Ends(d2)
        load = Load(port, (host.request() for host in hosts), RATE)
        _between_requests(
            load, (partial(way, d2, now) for way, now in zip(cycle(ways), cycle((other, settings)))))
        if is_pyd2:
            ends.wait(HOSTS)
            assert udp_socket(d2, port) == before
            assert len(ends.succeeded(hosts)) == HOSTS
            assert {owner for owner, _, _, _ in bind.records(ZONE)} == {host.name for host in hosts}
            counts = check_balance(d2)
            assert counts["ncr-received"] == counts["update-sent"] == HOSTS
        assert d2.stdout().count(COMPLETE) > HOSTS // BLOCK // 2


def test_the_queue_changes_its_place_in_a_stream_of_requests(d2_binary: str, is_pyd2: bool) -> None:
    """From memory to the disk, to another directory, and back to memory, again and again."""
    if not is_pyd2:
        pytest.skip("Kea has no durable queue")
    hosts = [Host(number, ZONE) for number in range(HOSTS)]
    with _site(d2_binary) as (d2, port, bind, settings):
        own = settings["DhcpDdns"]
        places = [settings]
        for name in ("first", "second"):
            queue = {"type": "durable", "directory": str(d2.directory / name)}
            places.append(config(port, own | {"user-context": {"pyd2": {"queue": queue}}}))
        ends = Ends(d2)
        load = Load(port, (host.request() for host in hosts), RATE)
        _between_requests(load, (partial(_config_set, d2, now) for now in cycle(places[1:] + places[:1])))
        ends.wait(HOSTS)
        assert len(ends.succeeded(hosts)) == ends.count == HOSTS
        assert {owner for owner, _, _, _ in bind.records(ZONE)} == {host.name for host in hosts}
        assert check_balance(d2)["ncr-received"] == HOSTS
        assert "PYD2_QUEUE_FAILED" not in d2.stdout()


def test_what_has_arrived_at_the_old_port_is_carried_out(d2_binary: str, is_pyd2: bool) -> None:
    """The port changes while requests wait in the kernel; the daemon is stopped until all are there."""
    hosts = [Host(number, ZONE) for number in range(100)]
    with _site(d2_binary) as (d2, port, bind, settings), PortLease() as lease:
        new_port = lease.take()
        moved = config(new_port, settings["DhcpDdns"] | {"port": new_port})
        (d2.directory / "d2.json").write_text(json.dumps(moved))
        d2.process.send_signal(signal.SIGSTOP)
        d2.process.send_signal(signal.SIGHUP)
        with Load(port, (host.request() for host in hosts), 1e6) as load:
            ends = Ends(d2)
            while load.running:
                ends.read()
        d2.process.send_signal(signal.SIGCONT)
        if is_pyd2:
            ends.wait(len(hosts))
            assert len(ends.succeeded(hosts)) == len(hosts)
            assert {owner for owner, _, _, _ in bind.records(ZONE)} == {host.name for host in hosts}
        d2.wait_for_listener(new_port)
