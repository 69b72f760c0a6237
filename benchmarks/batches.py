"""What batches are worth.

Run: python -m benchmarks.batches [--rounds 5] [--only bind-memory ...] [--requests 9000] [--offered 2]

A pyd2 before a real DNS server gets many additions at once, one by one and in batches in turn; the ratio of
the two rates is shown, the median of all rounds. In some cases a part of the names is another client's, or
the client's own, beforehand. With ``--offered`` the requests come at so many times the rate that the server
does one by one, and what counts is how long each takes.

Nothing else should run on the machine: only the CPU time for each request, of pyd2 and of the server, says
something on a busy one.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import random
import re
import socket
import struct
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import dns.name
import dns.query
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.tsigkeyring
import dns.update

from benchmarks.daemon import (
    TEMPLATE,
    cpu_seconds,
    default_subjects,
    end_on_sigterm,
    free_port,
    running,
    work_directory,
)
from benchmarks.errors import BenchmarkError
from benchmarks.servers import serving
from benchmarks.settings import IPV4_ZONE, KEY_NAME, SECRET, Settings, fill
from tests.kit.dns_servers import powerdns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FORWARD: Final = "bench.example."
_ENDED: Final = re.compile(rb"(?m)^(\S+ \S+) .*DHCP_DDNS_ADD_(?:SUCCEEDED|FAILED) .* Request ID (\w+)")
_TURN: Final = 0.002
"""Seconds between the moments at which requests are sent."""
_AT_ONCE: Final = 256 / _TURN
"""Requests a second that a receive buffer takes; that is not what is measured."""
_WAIT: Final = 300.0


@dataclass(frozen=True, slots=True)
class Case:
    """A server and a size of batches."""

    name: str
    server: str
    batch: int
    algorithm: str = ""
    disk: Path | None = None
    timeout: int = 500


CASES: Final = (
    Case("bind-memory", "bind", 50),
    Case("bind-memory-signed", "bind", 50, algorithm="HMAC-SHA256"),
    Case("bind-disk", "bind", 50, disk=Path("/var/tmp")),
    Case("bind-signing", "bind-signing", 50),
    Case("knot", "knot", 200, timeout=2000),
    Case("powerdns", "powerdns", 50),
    Case("powerdns-disk", "powerdns", 50, disk=Path("/var/tmp")),
)
SHARES: Final = {"new": (0, 0), "1% foreign": (1, 0), "10% foreign": (10, 0), "30% foreign": (30, 0),
                 "ours": (0, 100)}
"""Percent of the names that are another client's, and the client's own."""


def dhcid(number: int, salt: int = 0) -> bytes:
    """Return a client's DHCID."""
    return b"\0\1\1" + hashlib.sha256(b"%d/%d" % (number, salt)).digest()


def address(number: int) -> str:
    """Return a client's address."""
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def datagram(number: int) -> bytes:
    """Return the addition of a client."""
    text = json.dumps({
        "change-type": 0, "forward-change": True, "reverse-change": True, "fqdn": f"h{number:08}.{FORWARD}",
        "ip-address": address(number), "dhcid": dhcid(number).hex(), "lease-expires-on": "20400102030405",
        "lease-length": 1200, "conflict-resolution-mode": "check-with-dhcid",
    }).encode()
    return struct.pack("!H", len(text)) + text


def seed(port: int, numbers: Sequence[tuple[int, int]], settings: Settings) -> None:
    """Put names there beforehand, each with the DHCID of a client and a salt. Raises BenchmarkError."""
    key: dict[str, Any] = {}
    if settings.algorithm:
        key = {"keyring": dns.tsigkeyring.from_text({KEY_NAME: (settings.algorithm.lower(), SECRET)})}
    for first in range(0, len(numbers), 50):
        update = dns.update.UpdateMessage(FORWARD, **key)
        for number, salt in numbers[first : first + 50]:
            owner = f"h{number:08}"
            update.add(owner, 1200, "A", address(number))
            rdata = dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.DHCID, dhcid(number, salt), 0, 35)
            update.add(owner, 1200, rdata)
        reply = dns.query.tcp(update, "127.0.0.1", port=port, timeout=30)
        if reply.rcode():
            raise BenchmarkError(f"cannot put names there: {reply.rcode()}")


def configuration(case: Case, batch: int, ports: tuple[int, int], directory: Path) -> str:
    """Return the configuration of a pyd2."""
    context = {"lanes": {"batch": batch}} if batch > 1 else {}
    settings = Settings(
        algorithm=case.algorithm, severity="INFO", timeout_ms=case.timeout, user_context=context
    )
    return fill(
        TEMPLATE.read_text(), settings, ncr_port=ports[0], dns_port=ports[1], beside_port=0,
        directory=str(directory), libraries=[],
    )


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run took."""

    rate: float
    """Requests a second."""
    pyd2_us: float
    """CPU time of pyd2 for each request."""
    server_us: float
    """The same of the DNS server."""
    seconds: tuple[float, ...]
    """How long the requests took, in ascending order."""


def measure(
    case: Case, batch: int, count: int, dns_port: int, server: int, rate: float = _AT_ONCE
) -> Measured:
    """Let a pyd2 carry out requests, which come at a rate. Raises BenchmarkError."""
    with work_directory() as directory:
        ports = free_port(), dns_port
        text = configuration(case, batch, ports, directory)
        pyd2 = default_subjects()[0]
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with running(pyd2, text, directory, ports, {}) as daemon, udp as sock:
            sock.connect(("127.0.0.1", ports[0]))
            found = [(datagram(number), dhcid(number).hex().upper().encode()) for number in range(count)]
            before = cpu_seconds(daemon.pid), cpu_seconds(server)
            begin = time.perf_counter()
            sent: dict[bytes, float] = {}
            for number, (one, who) in enumerate(found):
                while number >= (time.perf_counter() - begin) * rate:
                    time.sleep(_TURN)
                sock.send(one)
                sent[who] = time.time()
            ended, lines = 0, b""
            read: list[bytes] = []
            with (directory / "log").open("rb") as log:
                while ended < count:
                    if time.perf_counter() > begin + _WAIT:
                        raise BenchmarkError(f"{case.name}: only {ended} of {count} requests have ended")
                    time.sleep(0.005)
                    whole, _, lines = (lines + log.read()).rpartition(b"\n")
                    # To look at each line now would take from pyd2 and the server what they need.
                    ended += whole.count(b" DHCP_DDNS_ADD_")
                    read.append(whole)
            seconds = time.perf_counter() - begin
            after = cpu_seconds(daemon.pid), cpu_seconds(server)
            ours, theirs = (1e6 * (b - a) / count for a, b in zip(before, after, strict=True))
            took = [datetime.fromisoformat(when.decode()).timestamp() - sent[who]
                    for whole in read for when, who in _ENDED.findall(whole)]
            return Measured(count / seconds, ours, theirs, tuple(sorted(took)))


def offered(case: Case, times: float, count: int, rounds: int) -> None:
    """Offer so many times the rate that a server does one by one; print how long requests take."""
    settings = Settings(algorithm=case.algorithm)
    for number in range(rounds):
        port = free_port()
        with dns_server(case, settings, port) as server:
            alone = measure(case, 1, count, port, server)
        for batch in (1, case.batch):
            port = free_port()
            with dns_server(case, settings, port) as server:
                found = measure(case, batch, count, port, server, times * alone.rate)
            middle, late = (1000 * found.seconds[int(part * count)] for part in (0.5, 0.99))
            print(f"{case.name:19} round {number + 1}, {times * alone.rate:6.0f}/s offered, batch {batch:3}: "
                  f"{found.rate:6.0f}/s, p50 {middle:8.2f} ms, p99 {late:8.2f} ms", flush=True)


@contextlib.contextmanager
def dns_server(case: Case, settings: Settings, port: int) -> Iterator[int]:
    """Run the server of a case; gives its process ID."""
    if case.server == "powerdns":
        with powerdns((FORWARD, IPV4_ZONE), port=port, disk=case.disk) as found:
            yield found.process.pid
        return
    with serving(case.server, settings, port, disk=case.disk) as pid:
        yield pid


def compare(
    case: Case, shares: Sequence[str], count: int, rounds: int
) -> Iterator[tuple[str, list[Measured], list[Measured]]]:
    """Yield for each share of names: its name, the runs one by one, and those in batches."""
    settings = Settings(algorithm=case.algorithm)
    for share in shares:
        foreign, ours = SHARES[share]
        found: dict[int, list[Measured]] = {1: [], case.batch: []}
        for number in range(rounds):
            for batch in (1, case.batch):
                port = free_port()
                chance = random.Random(number)
                with dns_server(case, settings, port) as server:
                    there = []
                    for client in range(count):
                        drawn = chance.random() * 100
                        if drawn < foreign + ours:
                            there.append((client, int(drawn < foreign)))
                    seed(port, there, settings)
                    found[batch].append(measure(case, batch, count, port, server))
        yield share, found[1], found[case.batch]


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batches", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=9000)
    parser.add_argument("--only", nargs="*", choices=[case.name for case in CASES])
    parser.add_argument("--shares", nargs="*", choices=list(SHARES), default=list(SHARES))
    parser.add_argument("--offered", type=float, help="times the rate one by one, instead of all at once")
    options = parser.parse_args()
    cases = [case for case in CASES if not options.only or case.name in options.only]
    try:
        if options.offered:
            for case in cases:
                offered(case, options.offered, options.requests, options.rounds)
        else:
            at_once(cases, options.shares, options.requests, options.rounds)
    except BenchmarkError as error:
        print(f"batches: {error}", file=sys.stderr)
        return 1
    return 0


def at_once(cases: Sequence[Case], shares: Sequence[str], count: int, rounds: int) -> None:
    """Compare, and print a table."""
    print(f"{'server':19} {'batch':>5} {'names':12} {'one by one/s':>12} {'batches/s':>10} {'ratio':>6} "
          f"{'us: pyd2':>9} {'now':>5} {'server':>6} {'now':>5}")
    for case in cases:
        for share, alone, together in compare(case, shares, count, rounds):
            ratio = median([b.rate / a.rate for a, b in zip(alone, together, strict=True)])
            rates = [median([each.rate for each in runs]) for runs in (alone, together)]
            times = [median([getattr(each, name) for each in runs])
                     for name in ("pyd2_us", "server_us") for runs in (alone, together)]
            print(f"{case.name:19} {case.batch:5} {share:12} {rates[0]:12.0f} {rates[1]:10.0f} "
                  f"{ratio:6.2f} {times[0]:9.0f} {times[1]:5.0f} {times[2]:6.0f} {times[3]:5.0f}",
                  flush=True)


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())
