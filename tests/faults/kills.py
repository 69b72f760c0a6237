"""Kills a D2 with a durable queue again and again, under load: ``python -m tests.faults.kills --count 100``.

A client (DHCID) and a lease length identify each request. It was taken if the file has it after
the kill, or the log tells its end. Of what was sent between two taken ones nothing may be missing; each
client's requests must end in order; and the zones must be those of a D2 that got the same requests and was
left alone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import re
import shutil
import signal
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import cycle, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pyd2.queue.sqlite import DATABASE
from pyd2.queue.sqlite.salvage import salvage
from tests.faults.load import Host, domain
from tests.kit import dns_servers, ncr
from tests.kit.d2 import D2, config, is_listening, private_directory
from tests.kit.ports import PortLease
from tests.kit.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyd2.queue.interface import Entry
    from tests.kit.dns_servers import DnsServer, Record

ZONE: Final = "example.com."
REVERSE: Final = "10.in-addr.arpa."
HOSTS: Final = 150
"""Few enough that most have several requests waiting."""
RATE: Final = 700.0
"""Requests a second, of which each makes two updates: when the machine is busy, the queue grows."""
LONGEST: Final = 0.6
"""Seconds that requests are sent for, at most; or, for every fourth life, from its start to its end."""

_END: Final = re.compile(
    r"DHCP_DDNS_(?:ADD|REMOVE)_(SUCCEEDED|FAILED) \S+ Request ID (\w+):.*?Lease Length: (\d+)\n", re.DOTALL
)

Key = tuple[str, int]
"""A request: its DHCID and its lease length."""


@dataclass
class Life:
    """A D2 from its start to its end."""

    before: list[Key]
    """What stood in the file at the start."""
    sent: list[Key] = field(default_factory=list)
    after: list[Key] = field(default_factory=list)
    """What the file holds at the end."""
    ended: list[Key] = field(default_factory=list)
    """What the log says has ended, in order."""
    way: str = ""
    """How it ended: ``kill``, ``power`` or ``stop``."""


class Site:
    """A D2 that is killed, its DNS server, and what was asked of it."""

    def __init__(self, binary: str, directory: Path, bind: DnsServer, port: int, seed: int) -> None:
        self._binary = binary
        self._directory = directory
        self._port = port
        self._random = random.Random(seed)
        self._hosts = [Host(number, ZONE) for number in range(HOSTS)]
        self._next = Counter[str]()
        self.requests: dict[Key, bytes] = {}
        """All that were sent, in order."""
        self.lives: list[Life] = []
        queue = {"type": "durable", "directory": str(directory / "queue")}
        self._write_config(settings(port, bind.port) | {"user-context": {"pyd2": {"queue": queue}}})

    def live(self, end: str) -> None:
        """Start the D2, send it requests, and end it: ``kill``, ``power`` or ``stop``."""
        life = Life(self._in_file(), way=end)
        number = len(self.lives)
        self.lives.append(life)
        # What a kill leaves; another process may have got its number by now, which would prevent the start.
        (self._directory / "d2.kea-dhcp-ddns.pid").unlink(missing_ok=True)
        d2 = D2(self._binary, self._directory, name=f"d2-{number}")
        length = self._random.uniform(0, LONGEST)
        begin = time.monotonic()
        if self._random.randrange(4):
            d2.wait_for_listener(self._port)
        else:
            wait_until(lambda: is_listening(self._port) or time.monotonic() > begin + length, "the listener")
            length -= time.monotonic() - begin
        begin = time.monotonic()
        deadline = begin + length
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            while (now := time.monotonic()) < deadline:
                for _ in range(int((now - begin) * RATE) - len(life.sent)):
                    key, octets = self._request()
                    sock.sendto(octets, ("127.0.0.1", self._port))
                    life.sent.append(key)
                time.sleep(0.001)
        if end == "stop":
            d2.wait_for_log("DHCP_DDNS_STARTED")
            assert d2.process.stop(timeout=60) == 0, d2.process.output()[-2000:]
        elif end == "power":
            # What a loss of power leaves: the files of one moment, and none of what was in memory.
            d2.process.send_signal(signal.SIGSTOP)
            self._keep_files()
        else:
            d2.process.kill()
        life.after = self._in_file()
        d2.process.kill()
        for outcome, dhcid, length in _END.findall(d2.stdout()):
            assert outcome == "SUCCEEDED", f"{dhcid} {length} failed in life {number}"
            life.ended.append((dhcid, int(length)))

    @property
    def kills(self) -> int:
        """How often it was killed while requests came."""
        return sum(life.way == "kill" and bool(life.sent) for life in self.lives)

    def ways(self) -> str:
        """Return how often it has ended in which way."""
        early = sum(life.way == "kill" and not life.sent for life in self.lives)
        others = Counter(life.way for life in self.lives)
        return (f"{self.kills} times kill -9 under load, {early} before the first request, "
                f"{others['power']} power cuts, {others['stop']} stops")

    def drain(self) -> None:
        """Let a D2 work off what is left, unkilled."""
        life = Life(self._in_file())
        self.lives.append(life)
        with D2(self._binary, self._directory, name="d2-last") as d2:
            d2.wait_for_log("PYD2_QUEUE_OPENED", timeout=60)
            wait_until(lambda: not self._in_file(), "the file to be empty", 120)
            d2.wait_for_log("DHCP_DDNS_(ADD|REMOVE)_", len(life.before))
            life.ended = [(dhcid, int(length)) for _, dhcid, length in _END.findall(d2.stdout())]

    def taken(self) -> dict[Key, bytes]:
        """Return the requests that were taken, in order, after checking each life."""
        taken: set[Key] = set()
        for number, life in enumerate(self.lives):
            _check(life, f"life {number}")
            taken |= {*life.after, *life.ended}
        return {key: octets for key, octets in self.requests.items() if key in taken}

    def _request(self) -> tuple[Key, bytes]:
        host = self._random.choice(self._hosts)
        self._next[host.name] += 1
        ttl = 1000 + self._next[host.name]
        change = ncr.ADD if self._random.random() < 0.7 else ncr.REMOVE
        octets = ncr.datagram(ncr.request(host.name, host.address, host.dhcid, change=change, ttl=ttl))
        self.requests[host.dhcid, ttl] = octets
        return (host.dhcid, ttl), octets

    def _in_file(self) -> list[Key]:
        """Read a copy of the file: what a start would find."""
        return [_key(entry) for entry in salvage(str(self._directory / "queue")).entries]

    def _keep_files(self) -> None:
        """Put a copy of database and WAL in the place of all files of the queue."""
        folder, copy = self._directory / "queue", self._directory / "copy"
        if folder.exists():
            (copy / DATABASE).parent.mkdir(parents=True)
            for name in (DATABASE, DATABASE + "-wal"):
                with contextlib.suppress(FileNotFoundError):
                    shutil.copyfile(folder / name, copy / name)
            shutil.rmtree(folder)
            copy.rename(folder)

    def _write_config(self, inner: dict[str, Any]) -> None:
        (self._directory / "d2.json").write_text(json.dumps(config(self._port, inner)))


def settings(port: int, dns_port: int) -> dict[str, Any]:
    """Return what a D2 works by. The timeout is long: a try that is slow must not turn into a second one."""
    return {
        "port": port,
        "forward-ddns": {"ddns-domains": [domain(ZONE, dns_port)]},
        "reverse-ddns": {"ddns-domains": [domain(REVERSE, dns_port)]},
        "dns-server-timeout": 60000,
    }


def undisturbed(binary: str, requests: list[bytes]) -> list[set[Record]]:
    """Return the zones after a D2 without a kill has processed the requests."""
    with _bind() as bind, PortLease() as lease, private_directory() as directory:
        port = lease.take()
        with D2.start(binary, directory, config(port, settings(port, bind.port))) as d2, \
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            d2.wait_for_listener(port)
            for number, octets in enumerate(requests, 1):
                sock.sendto(octets, ("127.0.0.1", port))
                if number % 200 == 0 or number == len(requests):
                    d2.wait_for_log("DHCP_DDNS_(ADD|REMOVE)_SUCCEEDED", number, timeout=60)
            return zones(bind)


def zones(bind: DnsServer) -> list[set[Record]]:
    """Return what both zones hold."""
    return [bind.records(ZONE), bind.records(REVERSE)]


def _key(entry: Entry) -> Key:
    request = json.loads(entry.datagram[2:])
    return request["dhcid"], request["lease-length"]


def _check(life: Life, what: str) -> None:
    """Nothing between two taken requests is missing, and each client's requests end in order."""
    taken = {*life.after, *life.ended}
    assert taken >= set(life.before), f"{what}: lost {len(set(life.before) - taken)} that stood in the file"
    mine = [key in taken for key in life.sent]
    last = len(mine) - mine[::-1].index(True) if any(mine) else 0
    assert all(mine[:last]), f"{what}: {last - sum(mine)} of {last} were lost, before others that were not"
    order = {key: number for number, key in enumerate([*life.before, *life.sent])}
    latest: dict[str, int] = {}
    for key in life.ended:
        assert order[key] > latest.get(key[0], -1), f"{what}: {key} ended out of order"
        latest[key[0]] = order[key]
    assert [order[key] for key in life.after] == sorted(order[key] for key in life.after)


@contextlib.contextmanager
def _bind() -> Iterator[DnsServer]:
    with dns_servers.bind([ZONE, REVERSE]) as bind:
        yield bind


def run(binary: str, count: int, seed: int) -> str:
    """Kill a D2 ``count`` times under load, and between that end it in the other ways, too.

    Returns what was seen. Raises AssertionError for what is lost.
    """
    with _bind() as bind, PortLease() as lease, private_directory() as directory:
        site = Site(binary, directory, bind, lease.take(), seed)
        ways = cycle(("kill", "power", "kill", "stop"))
        while site.kills < count:
            site.live(next(ways))
        site.drain()
        taken = site.taken()
        found = zones(bind)
        kills = site.ways()
    expected = undisturbed(binary, list(taken.values()))
    assert found == expected, [zone ^ other for zone, other in zip(found, expected, strict=True)]
    again = sum(len({*life.before} & {*earlier.ended}) for earlier, life in pairwise(site.lives))
    waiting = [len(life.before) for life in site.lives]
    return (f"{kills}: {len(site.requests)} requests sent, {len(taken)} taken, none of them lost, "
            f"none out of order; {sum(waiting)} stood in the file at a start (at most {max(waiting)}), "
            f"{again} were done twice; both zones as without disturbance ({sum(map(len, found))} records)")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="kills under load (default: 100)")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--d2", default=str(Path(sys.executable).with_name("pyd2")), metavar="PATH")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    print(run(arguments.d2, arguments.count, arguments.seed))


if __name__ == "__main__":
    main()
