"""A long run: mixed load, reloads and faults all the time, with an eye on memory, descriptors and the books.

Three zones: a healthy one; one that is signed, behind a bad network; one whose server never answers. BIND is
killed and started again now and then. The queue is durable. ``python -m tests.faults soak --minutes 10``
"""

import contextlib
import json
import signal
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

from tests.faults.load import Ends, Host, Load, check_balance, descriptors, domain, forward
from tests.kit import dns_servers, ncr
from tests.kit.adversity import Adversity, Faults
from tests.kit.d2 import D2, config, private_directory
from tests.kit.ports import PortLease
from tests.kit.tsigkeys import TsigKey
from tests.kit.waiting import wait_until

HEALTHY, ROUGH, DEAD = "healthy.test.", "rough.test.", "dead.test."
HOSTS: Final = 300
"""Hosts of each zone, which come and go in turn."""

DEAD_SHARE: Final = 40
"""One request in so many is for the dead server."""

RELOAD_SECONDS: Final = 3.0
"""Time from one reload to the next: 20 a minute."""

OUTAGE_SECONDS: Final = 45.0
"""Time from one outage of BIND to the next."""

OPEN_REQUESTS: Final = 1000
"""Requests sent and not ended: more would measure the machine, and memory that grows with the queue."""

GROWTH: Final = 1.05
"""What memory and descriptors may come to in the last quarter, by those of the second."""

_NETWORK: Final = Faults(lose=0.02, delay=0.1, duplicate=0.02, cut=0.005, flip=0.005, wrong_id=0.02,
                         wrong_source=0.02)
_KEY: Final = TsigKey.of("HMAC-SHA256")


@dataclass(frozen=True)
class Sample:
    """The daemon at one moment."""

    seconds: float
    resident: int
    descriptors: int


@dataclass
class Outcome:
    """What came of it. ``complaints`` is empty if all is well."""

    samples: list[Sample]
    statistics: dict[str, int]
    complaints: list[str]
    sent: int = 0
    succeeded: int = 0
    failed: int = 0
    queued: int = 0
    reloads: int = 0
    outages: int = 0
    cpu_seconds: float = 0.0

    def text(self) -> str:
        """Return the figures, for people."""
        early, late = _quarters(self.samples)
        counts = self.statistics
        lines = [
            f"requests: {self.sent} sent, {counts['ncr-received']} received",
            f"ends:     {self.succeeded} succeeded, {self.failed} failed, {self.queued} still in the queue",
            "updates:  " + ", ".join(f"{counts['update-' + kind]} {kind}"
                                     for kind in ("sent", "success", "timeout", "error")),
            f"reloads:  {self.reloads}, outages: {self.outages}, CPU: {self.cpu_seconds:.1f} s",
            f"memory:   {early.resident / 2**20:.1f} MiB, {late.resident / 2**20:.1f} MiB at the end",
            f"open:     {early.descriptors} descriptors, {late.descriptors} at the end",
            *(f"WRONG: {complaint}" for complaint in self.complaints),
        ]
        return "\n".join(lines)


def soak(binary: str, seconds: float, rate: float, report: Callable[[str], None] = lambda _: None) -> Outcome:
    """Run for so long at ``rate`` requests per second; ``report`` gets each sample."""
    with contextlib.ExitStack() as stack:
        lease = stack.enter_context(PortLease())
        port, rough_port = lease.take(), lease.take()
        bind = stack.enter_context(dns_servers.bind([HEALTHY, ROUGH], _KEY))
        stack.enter_context(Adversity(rough_port, bind.port, _NETWORK))
        silent = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        silent.bind(("127.0.0.1", 0))
        domains = [domain(HEALTHY, bind.port, **{"key-name": _KEY.name}),
                   domain(ROUGH, rough_port, **{"key-name": _KEY.name}),
                   domain(DEAD, silent.getsockname()[1])]
        directory = stack.enter_context(private_directory())
        queue = {"type": "durable", "directory": str(directory / "queue")}
        settings = [_settings(port, domains, timeout, queue) for timeout in (500, 400)]
        d2 = stack.enter_context(D2.start(binary, directory, settings[0]))
        d2.wait_for_listener(port)
        hosts = {zone: [Host(number, zone) for number in range(HOSTS)] for zone in (HEALTHY, ROUGH, DEAD)}
        ends = Ends(d2)
        outcome = Outcome([], {}, [])
        began = time.monotonic()
        outage_at, reload_at, sample_at = OUTAGE_SECONDS, 0.0, 0.0
        with Load(port, _requests(hosts), rate) as load:
            while (now := time.monotonic() - began) < seconds:
                if now >= reload_at:
                    turn, by_signal = divmod(outcome.reloads, 2)
                    _reload(d2, directory, settings[turn % 2], by_signal=by_signal == 1)
                    outcome.reloads += 1
                    reload_at += RELOAD_SECONDS
                if now >= outage_at:
                    bind.process.stop(signal.SIGKILL)
                    bind.start()
                    outcome.outages += 1
                    outage_at += OUTAGE_SECONDS
                if now >= sample_at:
                    sample = Sample(now, d2.process.resident_bytes(), len(descriptors(d2.process.pid)))
                    outcome.samples.append(sample)
                    report(f"{now:6.0f} s: {load.sent} sent, {ends.count} ended, "
                           f"{sample.resident / 2**20:.1f} MiB, {sample.descriptors} descriptors")
                    sample_at += max(1.0, seconds / 120)
                load.allowed = ends.read() + OPEN_REQUESTS
                time.sleep(0.05)
        outcome.sent = load.sent
        # The dead server's requests may have piled up: each three tries, 32 at a time.
        wait_until(lambda: ends.read() >= load.sent or not d2.alive, "the end of all requests", 120)
        outcome.cpu_seconds = d2.process.cpu_seconds()
        # What ended is removed from the queue's file a moment later; nothing else may be left there.
        with contextlib.suppress(AssertionError):
            wait_until(lambda: _queued(d2) == 0, "the queue to be empty", 10)
        outcome.queued = _queued(d2)
        outcome.statistics = check_balance(d2)
        changes = [end for reported in ends.by_dhcid.values() for _, end in reported]
        outcome.succeeded, outcome.failed = changes.count("SUCCEEDED"), changes.count("FAILED")
        held = {owner for zone in (HEALTHY, ROUGH) for owner, _, _, _ in bind.records(zone)}
        outcome.complaints = list(_complaints(outcome, hosts, ends, held))
        return outcome


def _settings(port: int, domains: list[dict[str, Any]], timeout: int,
              queue: dict[str, Any]) -> dict[str, Any]:
    more = {"tsig-keys": [_KEY.kea()], "user-context": {"pyd2": {"queue": queue}}}
    return config(port, more | forward(*domains, timeout=timeout))


def _requests(hosts: dict[str, list[Host]]) -> Iterator[bytes]:
    """Return requests without end: all hosts of a zone come, then all leave, and so on."""
    turns = dict.fromkeys(hosts, 0)
    for number in count():
        zone = DEAD if number % DEAD_SHARE == 0 else ROUGH if number % 3 == 0 else HEALTHY
        turn = turns[zone]
        turns[zone] += 1
        yield hosts[zone][turn % HOSTS].request(ncr.REMOVE if turn // HOSTS % 2 else ncr.ADD)


def _queued(d2: D2) -> int:
    """Return how many requests the durable queue holds; Kea has none."""
    extensions = d2.command("status-get")["arguments"].get("pyd2", {})
    entries: int = extensions.get("queue", {}).get("entries", 0)
    return entries


def _reload(d2: D2, directory: Path, settings: dict[str, Any], *, by_signal: bool) -> None:
    if by_signal:
        (directory / "d2.json").write_text(json.dumps(settings))
        d2.process.send_signal(signal.SIGHUP)
    else:
        answer = d2.command("config-set", settings)
        assert answer["result"] == 0, answer


def _quarters(samples: list[Sample]) -> tuple[Sample, Sample]:
    """Return the medians of the second quarter and of the last."""
    quarter = max(1, len(samples) // 4)
    parts = samples[quarter:2 * quarter] or samples, samples[-quarter:]
    early, late = (Sample(part[0].seconds, round(statistics.median(sample.resident for sample in part)),
                          round(statistics.median(sample.descriptors for sample in part)))
                   for part in parts)
    return early, late


def _complaints(outcome: Outcome, hosts: dict[str, list[Host]], ends: Ends, held: set[str]) -> Iterator[str]:
    early, late = _quarters(outcome.samples)
    if late.resident > GROWTH * early.resident:
        yield "memory grows"
    if late.descriptors > GROWTH * early.descriptors + 2:
        yield "descriptors grow"
    ended = outcome.succeeded + outcome.failed
    if not outcome.sent == outcome.statistics["ncr-received"] == ended + outcome.queued:
        yield "sent requests, received ones, and those that ended or are queued are not the same number"
    if outcome.queued:
        yield "requests are queued though all have ended"
    for zone in (HEALTHY, ROUGH):
        for host in ends.succeeded(hosts[zone]):
            (change, _) = ends.by_dhcid[host.dhcid][-1]
            if (change == "ADD") != (host.name in held):
                yield f"{host.name}: the log says {change}, the zone does not"
    if any(end == "SUCCEEDED" for host in hosts[DEAD] for _, end in ends.by_dhcid.get(host.dhcid, [])):
        yield "something succeeded at the dead server"
