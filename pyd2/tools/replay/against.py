"""Plays requests to a daemon that has a DNS server of its own, and compares what two daemons did."""

from __future__ import annotations

import asyncio
import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import dns.name

from pyd2.tools.daemon_process import DaemonProcess, running
from pyd2.tools.dns_server import make_zone, serving
from pyd2.tools.endpoint import Endpoint
from pyd2.tools.ports import free_ports
from pyd2.tools.primary import Primary
from pyd2.tools.requests import Sender

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyd2.tools.primary import Received
    from pyd2.tools.progress import Progress

SHOWN: Final = 10
"""Differences of a kind that are shown one by one."""
SILENCE: Final = 10.0
"""Seconds without the end of any request after which no more are expected."""

_END: Final = re.compile(
    r"\b(DHCP_DDNS_(?:(?:ADD|REMOVE)_(?:SUCCEEDED|FAILED)|INVALID_NCR|NO_(?:FWD|REV)_MATCH_ERROR"
    r"|REQUEST_DROPPED))\b(?:.*?Request ID ([0-9A-Fa-f]+):)?"
)
"""The message that ends a request, with its request ID."""
_DHCID: Final = re.compile(r" DHCID ([A-Za-z0-9+/=]+)$")


class Seen(NamedTuple):
    """What a daemon did."""

    sent: int
    ends: dict[str, list[str]]
    """By request ID: how its requests ended, in their order."""
    updates: dict[tuple[str, str], list[tuple[str, ...]]]
    """By name and client: the updates, in their order, each with its RCODE and its records."""
    zones: dict[str, frozenset[str]]
    """By zone: its records, without SOA and NS."""

    def __str__(self) -> str:
        counts = Counter(end for ends in self.ends.values() for end in ends)
        updates = sum(map(len, self.updates.values()))
        records = sum(map(len, self.zones.values()))
        ends = ", ".join(
            f"{count} {name.removeprefix('DHCP_DDNS_')}" for name, count in sorted(counts.items())
        )
        return f"{self.sent} requests, {updates} updates, {records} records; {ends}"


class Player:
    """Plays to one daemon; ``at_once`` requests may be under way at a time."""

    def __init__(
        self, program: Sequence[str], zones: Sequence[str], at_once: int, progress: Progress
    ) -> None:
        self._program = program
        self._names = [dns.name.from_text(zone) for zone in dict.fromkeys(zones)]
        self._at_once = at_once
        self._progress = progress

    async def play(self, datagrams: Sequence[bytes]) -> Seen:
        """Play the requests and return what the daemon did. Raises DaemonError and OSError."""
        primary = Primary({name: make_zone(name.to_text()) for name in self._names})
        async with serving(primary, "127.0.0.1", 0) as server:
            (port,) = free_ports(1, udp=True)
            async with running(self._program, self._config(port, server)) as daemon:
                await daemon.wait_for_line("DHCP_DDNS_QUEUE_MGR_STARTED", "DHCP_DDNS_QUEUE_MGR_START_ERROR")
                ends = await self._send(daemon, datagrams, Endpoint("127.0.0.1", port))
        return Seen(len(datagrams), ends, _by_client(primary.received), _records(primary))

    def _config(self, port: int, server: int) -> dict[str, Any]:
        servers = [{"ip-address": "127.0.0.1", "port": server}]
        arpa = dns.name.from_text("arpa.")

        def domains(*, reverse: bool) -> dict[str, Any]:
            return {
                "ddns-domains": [
                    {"name": name.to_text(), "dns-servers": servers}
                    for name in self._names
                    if name.is_subdomain(arpa) is reverse
                ]
            }

        return {
            "DhcpDdns": {
                "ip-address": "127.0.0.1",
                "port": port,
                "dns-server-timeout": 5000,
                "control-socket": {"socket-type": "unix", "socket-name": "socket"},
                "forward-ddns": domains(reverse=False),
                "reverse-ddns": domains(reverse=True),
                "loggers": [
                    {
                        "name": "kea-dhcp-ddns",
                        "severity": "DEBUG",
                        "debuglevel": 55,
                        "output-options": [{"output": "stdout"}],
                    }
                ],
            }
        }

    async def _send(
        self, daemon: DaemonProcess, datagrams: Sequence[bytes], to: Endpoint
    ) -> dict[str, list[str]]:
        """Send all; return how they ended, by request ID."""
        ends: dict[str, list[str]] = defaultdict(list)
        ended = looked = 0
        loop = asyncio.get_running_loop()
        silent_at = loop.time() + SILENCE
        with Sender(to) as sender:
            sent = 0
            while ended < len(datagrams) and loop.time() < silent_at:
                while sent < len(datagrams) and sent - ended < self._at_once:
                    sender.send(datagrams[sent])
                    sent += 1
                await asyncio.sleep(0.002)
                lines = daemon.lines[looked:]
                looked += len(lines)
                for line in lines:
                    if (match := _END.search(line)) is not None:
                        ends[(match[2] or "").upper()].append(match[1])
                        ended += 1
                        silent_at = loop.time() + SILENCE
                self._progress.done = ended
        return dict(ends)


def _by_client(received: Sequence[Received]) -> dict[tuple[str, str], list[tuple[str, ...]]]:
    found: dict[tuple[str, str], list[tuple[str, ...]]] = defaultdict(list)
    for update in received:
        records = (*update.text.prerequisites, *update.text.updates)
        owner = records[-1].partition(" ")[0].lower() if records else ""
        clients = {match[1] for record in records if (match := _DHCID.search(record)) is not None}
        found[owner, " ".join(sorted(clients))].append((update.rcode, update.text.zone, *records))
    return dict(found)


def _records(primary: Primary) -> dict[str, frozenset[str]]:
    found = {}
    for origin, zone in primary.zones.items():
        found[origin.to_text()] = frozenset(
            f"{name.to_text().lower()} {ttl} {rdata.rdtype.name} {rdata.to_text()}"
            for name, ttl, rdata in zone.iterate_rdatas()
            if rdata.rdtype.name not in {"SOA", "NS"}
        )
    return found


def differences(first: str, second: str, one: Seen, other: Seen) -> Iterator[str]:
    """Yield what two daemons, named ``first`` and ``second``, did differently, a line each."""
    for zone in one.zones:
        for name, here, there in ((first, one, other), (second, other, one)):
            only = sorted(here.zones[zone] - there.zones[zone])
            yield from _shown(only, f"zone {zone}: only {name} has ")
    yield from _shown(_unequal(one.ends, other.ends, first, second), "request ")
    yield from _shown(_unequal(one.updates, other.updates, first, second), "updates of ")


def _unequal(one: dict[Any, list[Any]], other: dict[Any, list[Any]], first: str, second: str) -> list[str]:
    found = []
    for key in sorted({*one, *other}):
        here, there = one.get(key, []), other.get(key, [])
        if here == there:
            continue
        place = next(
            (n for n, pair in enumerate(zip(here, there, strict=False)) if pair[0] != pair[1]),
            min(len(here), len(there)),
        )
        shown = key if isinstance(key, str) else " ".join(key)
        found.append(
            f"{shown}: no. {place + 1} of {first} is {_at(here, place)}, of {second} {_at(there, place)}"
        )
    return found


def _at(values: list[Any], place: int) -> str:
    if place >= len(values):
        return "missing"
    value = values[place]
    return value if isinstance(value, str) else "; ".join(value)


def _shown(lines: Sequence[str], beginning: str) -> Iterator[str]:
    for line in lines[:SHOWN]:
        yield f"{beginning}{line}"
    if len(lines) > SHOWN:
        yield f"{beginning}... and {len(lines) - SHOWN} more"
