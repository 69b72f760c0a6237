"""Measured runs: a dead zone beside a healthy one, reloads under load, forged replies in great number."""

import contextlib
import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

from tests.faults.load import Ends, Host, Load, check_balance, domain, forward, percentile, udp_socket
from tests.kit import dns_servers
from tests.kit.d2 import D2, config, private_directory
from tests.kit.dns_servers import DnsServer
from tests.kit.ports import PortLease
from tests.kit.waiting import wait_until

HEALTHY, DEAD = "healthy.test.", "dead.test."
HOSTS: Final = 60000
"""Hosts at most; with more requests they come again."""


@contextlib.contextmanager
def _site(binary: str) -> Iterator[tuple[D2, int, DnsServer, dict[str, Any]]]:
    """A D2 with a healthy zone at BIND and a zone whose server never answers."""
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(PortLease()).take()
        bind = stack.enter_context(dns_servers.bind([HEALTHY]))
        silent = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        silent.bind(("127.0.0.1", 0))
        domains = [domain(HEALTHY, bind.port), domain(DEAD, silent.getsockname()[1])]
        settings = config(port, forward(*domains))
        directory = stack.enter_context(private_directory())
        d2 = D2.start(binary, directory, settings)
        stack.callback(d2.process.kill)  # requests that wait for the dead server need not end
        d2.wait_for_listener(port)
        yield d2, port, bind, settings


def _latencies(binary: str, seconds: float, rate: float, dead_rate: float) -> tuple[list[float], int]:
    """Return how many milliseconds each request of the healthy zone took, and how many did not succeed."""
    hosts = [Host(number, HEALTHY) for number in range(int(seconds * rate))]
    dead = (Host(number, DEAD).request() for number in range(HOSTS))
    with _site(binary) as (d2, port, _, _):
        ends = Ends(d2)
        load = Load(port, (host.request() for host in hosts), rate)
        with contextlib.ExitStack() as stack:
            if dead_rate:
                stack.enter_context(Load(port, dead, dead_rate))
            with load:
                wait_until(lambda: not load.running, "the last request to be sent", 2 * seconds + 60)
        with contextlib.suppress(AssertionError):
            wait_until(lambda: ends.read() >= 0 and len(ends.succeeded(hosts)) == len(hosts), "all", 60)
        took = [1000 * (ends.at[host.dhcid] - at) for host, at in zip(hosts, load.sent_at, strict=True)
                if host.dhcid in ends.at]
        return took, len(hosts) - len(ends.succeeded(hosts))


def dead_zone(binary: str, seconds: float, rate: float) -> bool:
    """Compare a healthy zone alone with one beside a dead zone that gets a fifth as many requests."""
    fine = True
    for turn in (1, 2):
        for dead_rate in (0.0, rate / 5):
            took, lost = _latencies(binary, seconds, rate, dead_rate)
            parts = ", ".join(f"p{100 * part:g} {percentile(took, part):.0f} ms" for part in (0.5, 0.9, 0.99))
            print(f"{turn}: {rate:g}/s healthy, {dead_rate:g}/s dead: {parts}, {lost} lost", flush=True)
            fine = fine and not lost
    return fine


def reloads(binary: str, seconds: float, rate: float) -> bool:
    """Reload every three seconds, by signal and by command in turn; each request must end in the zone."""
    hosts = [Host(number, HEALTHY) for number in range(min(HOSTS, int(seconds * rate)))]
    with _site(binary) as (d2, port, bind, settings):
        before, ends, done = udp_socket(d2, port), Ends(d2), 0
        load = Load(port, (hosts[at % len(hosts)].request() for at in range(int(seconds * rate))), rate)
        pause = threading.Event()
        with load:
            while load.running:
                if done % 2:
                    d2.process.send_signal(signal.SIGHUP)
                else:
                    assert d2.command("config-set", json.loads(json.dumps(settings)))["result"] == 0
                done += 1
                pause.wait(3)
        with contextlib.suppress(AssertionError):
            wait_until(lambda: ends.read() >= load.sent, "the end of all requests", 600)
        received = check_balance(d2)["ncr-received"]
        held = {owner for owner, _, _, _ in bind.records(HEALTHY)}
        print(f"{load.sent} requests at {rate:g}/s, {done} reloads: {received} received, {ends.count} ended, "
              f"{len(hosts) - len(held)} of {len(hosts)} hosts not in the zone, "
              f"socket {'kept' if udp_socket(d2, port) == before else 'NOT KEPT'}")
        return load.sent == received == ends.count and held == {host.name for host in hosts}


def storm(binary: str, seconds: float, rate: float) -> bool:
    """Answer updates among ``rate`` forged replies a second: wrong IDs, or strangers with the right ones."""
    with contextlib.ExitStack() as stack:
        lease = stack.enter_context(PortLease())
        port = lease.take()
        server = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        server.bind(("127.0.0.1", 0))
        stranger = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        directory = stack.enter_context(private_directory())
        body = forward(domain(HEALTHY, server.getsockname()[1]), timeout=2000)
        d2 = stack.enter_context(D2.start(binary, directory, config(port, body)))
        d2.wait_for_listener(port)
        hosts = [Host(number, HEALTHY) for number in range(int(seconds * 100))]
        cpu, began, forged, packets = d2.process.cpu_seconds(), time.monotonic(), 0, 0
        server.settimeout(0)
        askers: list[Any] = []
        query_id = b""
        load = stack.enter_context(Load(port, (host.request() for host in hosts), 100))
        ends = Ends(d2)
        while ends.read() < len(hosts) and time.monotonic() - began < 3 * seconds + 60:
            with contextlib.suppress(BlockingIOError):
                while True:
                    update, asker = server.recvfrom(4096)
                    packets += 1
                    askers = [*askers[-3:], asker]
                    query_id = update[:2]
                    server.sendto(update[:2] + b"\xa8\0" + bytes(8), asker)
            # One handful at a time: what the machine cannot send must not keep updates from their answers.
            if askers and forged < (time.monotonic() - began) * rate:
                # REFUSED, with few IDs of the 65,536, for a right one would be an answer.
                for number in range(24):
                    wrong = bytes([number % 8, 77]) + b"\xa8\5" + bytes(8)
                    server.sendto(wrong, askers[number % len(askers)])
                    stranger.sendto(query_id + b"\xa8\5" + bytes(8), askers[-1])
                forged += 48
        took = time.monotonic() - began
        counts = check_balance(d2)
        answer = d2.command("statistic-get", {"name": "pyd2-replies-ignored"})
        ignored = answer["arguments"]["pyd2-replies-ignored"][0][0]
        used = d2.process.cpu_seconds() - cpu
        print(f"{forged} forged replies in {took:.1f} s ({forged / took:.0f}/s), {ignored} of them seen; "
              f"{load.sent} requests, {len(ends.succeeded(hosts))} succeeded with {packets} packets; "
              f"CPU {100 * used / took:.0f}%")
        return len(ends.succeeded(hosts)) == len(hosts) and packets == counts["update-sent"]
