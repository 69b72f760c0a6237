"""What the engine's tests share: configurations, a log that remembers, and a network in virtual time."""

from __future__ import annotations

import base64
import heapq
import json
import time
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from pyd2.backend import make_backend
from pyd2.config.model import Config, DdnsDomain, DnsServer, TsigKey
from pyd2.config.switches import ServerSwitches, domain_switches, override_switches, parse_switches
from pyd2.counters import Counters
from pyd2.data.element import Element, from_plain
from pyd2.update.engine import Engine, Outgoing, SelectKey
from tests.kit.profile import MESSAGES, PROFILE

if TYPE_CHECKING:
    from pyd2.messages import LoggedRequest
    from pyd2.update.drive.hook_jobs import HookJob
    from pyd2.update.drive.questions import WhatDiffers
    from pyd2.update.output import Amendment, DeadLetter

LAYER = ""
"""The packet layer of the engines that are made here; conftest.py sets each in turn."""

DHCID = "000101C4DAB1D7E0C2BB6C9E4A4E4B8D4B34F2AB9FEE2D0C0CD2A1A8F1BB0CD1F4B5A0"


def make_config(map_: Mapping[str, Any]) -> Config:
    """Return the configuration of a ``DhcpDdns`` map that is known to be right."""
    keys = {
        entry["name"]: TsigKey(
            entry["name"], entry["algorithm"], entry.get("digest-bits", 0), base64.b64decode(entry["secret"]),
            entry["secret"], None, None,
        )
        for entry in map_.get("tsig-keys", ())
    }

    def user_context(entry: Mapping[str, Any]) -> Element | None:
        return from_plain(entry["user-context"]) if "user-context" in entry else None

    switches = parse_switches(user_context(map_))

    def make_server(entry: Mapping[str, Any], key_name: str, inherited: ServerSwitches) -> DnsServer:
        own_key_name = entry.get("key-name", "")
        return DnsServer(
            ip_address(entry["ip-address"]), entry.get("port", 53), own_key_name,
            keys.get(own_key_name or key_name), user_context(entry),
            switches=override_switches(user_context(entry), inherited),
        )

    def make_domain(entry: Mapping[str, Any]) -> DdnsDomain:
        key_name = entry.get("key-name", "")
        own = domain_switches(user_context(entry), switches.servers)
        servers = tuple(make_server(server, key_name, own) for server in entry["dns-servers"])
        return DdnsDomain(entry["name"], key_name, servers, user_context(entry), switches=own)

    def domains(direction: str) -> tuple[DdnsDomain, ...]:
        return tuple(map(make_domain, map_.get(direction, {}).get("ddns-domains", ())))

    return Config(
        ip_address=ip_address(map_.get("ip-address", "127.0.0.1")), port=map_.get("port", 53001),
        dns_server_timeout=map_.get("dns-server-timeout", 500), ncr_protocol="UDP", ncr_format="JSON",
        tsig_keys=tuple(keys.values()),
        forward_domains=domains("forward-ddns"), reverse_domains=domains("reverse-ddns"),
        control_sockets=(), hooks_libraries=(), loggers=(), user_context=user_context(map_),
        switches=switches,
    )


def domain(name: str, *ports: int, **more: Any) -> dict[str, Any]:
    """Return a ddns-domains entry with servers on ports of 127.0.0.1."""
    servers = [{"ip-address": "127.0.0.1", "port": port} for port in ports]
    return {"name": name, "dns-servers": servers, **more}


def simple_map(
    forward: Iterable[Any] = (), reverse: Iterable[Any] = (), settings: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return a ``DhcpDdns`` map with the given domains and global settings."""
    return {
        "forward-ddns": {"ddns-domains": list(forward)},
        "reverse-ddns": {"ddns-domains": list(reverse)},
        **(settings or {}),
    }


def request(**fields: Any) -> dict[str, Any]:
    """Return a request's JSON map; ``fields`` replace, with ``_`` for ``-``."""
    ncr = {
        "change-type": 0, "forward-change": True, "reverse-change": True, "fqdn": "host.example.com.",
        "ip-address": "192.0.2.10", "dhcid": DHCID, "lease-expires-on": "20300102030405",
        "lease-length": 3600, "conflict-resolution-mode": "check-with-dhcid",
    }
    return ncr | {name.replace("_", "-"): value for name, value in fields.items()}


def datagram(ncr: Mapping[str, Any]) -> bytes:
    """Return a request as it comes over the wire."""
    text = json.dumps(ncr, separators=(",", ":")).encode()
    return len(text).to_bytes(2, "big") + text


def draws(numbers: Iterable[int]) -> bytes:
    """Return what ``Tries.random`` holds for these numbers to be drawn, one after the other."""
    return array("I", numbers).tobytes()


class MemoryLog:
    """Keeps the messages as the recorded cases show them: severity, logger, ID, text."""

    def __init__(self, debuglevel: int = 55) -> None:
        self.on = frozenset(
            message_id for message_id, message in MESSAGES.items() if message.debuglevel <= debuglevel
        )
        self.lines: list[list[str]] = []

    def emit(self, message_id: str, *arguments: object) -> None:
        if message_id not in self.on:
            return
        message = MESSAGES[message_id]
        text = message.text
        assert text.count("%") == len(arguments), f"{message_id} takes other arguments: {arguments}"
        for number, argument in enumerate(arguments, 1):
            text = text.replace(f"%{number}", str(argument), 1)
        self.lines.append([message.severity.name, message.logger, message_id, text])

    def emit_requests(self, message_id: str, requests: Iterable[LoggedRequest]) -> None:
        for request in requests:
            self.emit(message_id, request.request_id, request.text())

    @property
    def ids(self) -> list[str]:
        return [line[2] for line in self.lines]

    def texts(self, message_id: str) -> list[str]:
        return [line[3] for line in self.lines if line[2] == message_id]


class SendError(Exception):
    """Raised by a peer: the message cannot be sent; the argument is the errno."""


Peer = Callable[[Outgoing, float], Iterable[tuple[float, bytes]]]
"""Takes a message and the time; returns its replies, each with its delay in seconds."""


def ok(outgoing: Outgoing, now: float, rcode: int = 0) -> list[tuple[float, bytes]]:
    """A peer that answers at once."""
    return [(0.0, answer(outgoing.message, rcode))]


def dead(outgoing: Outgoing, now: float) -> list[tuple[float, bytes]]:
    """A peer that never answers."""
    return []


def answer(message: bytes, rcode: int = 0) -> bytes:
    """Return an unsigned reply without sections."""
    return message[:2] + bytes((0xA8, rcode)) + bytes(8)


def statistics(counters: Counters) -> dict[str, int]:
    """Return the statistics that the control channel shows, by name."""
    found = {counter.name: counter.value for counter in counters.of_kea
             if counter.value or counter.name in PROFILE.statistics}
    for key in (*counters.keys.values(), *counters.library_keys.values()):
        found |= {c.name: c.value for c in (key.sent, key.success, key.timeout, key.error)}
    return found


def collect_messages(engine: Engine) -> list[Outgoing]:
    """Return the messages that an engine has to send."""
    return engine.messages(engine.collect_output())


def outgoing_after_hook_jobs(engine: Engine, now: float, wall: float) -> list[Outgoing]:
    """Return what an engine sends when all hook jobs are done."""
    outgoing = []
    while True:
        output = engine.collect_output()
        outgoing += engine.messages(output)
        if not output.hook_jobs:
            return outgoing
        for job in output.hook_jobs:
            job.run()
        engine.end_hook_jobs(output.hook_jobs, now, wall)


def no_hook_jobs(hook_jobs: Sequence[HookJob[Any]]) -> None:
    """Refuse hook jobs where there are no libraries."""
    raise AssertionError(f"there is no library for {hook_jobs}")


@dataclass
class VirtualD2:
    """An engine with scripted servers around it, in virtual time."""

    config: Config
    peer: Peer
    debuglevel: int = 55
    select_key: SelectKey | None = None
    what_differs: WhatDiffers | None = None
    now: float = 1000.01  # no round number, as the times of retries are
    log: MemoryLog = field(init=False)
    counters: Counters = field(init=False)
    engine: Engine = field(init=False)
    sent: list[tuple[float, Outgoing]] = field(default_factory=list)
    keep_sent: bool = True
    finished: list[int] = field(default_factory=list)
    amended: list[Amendment] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._wall_offset = time.time() - self.now
        self._events: list[tuple[float, int, Outgoing, bytes]] = []
        self._number = 0
        self.log = MemoryLog(self.debuglevel)
        self.counters = Counters()
        self.engine = Engine(self.counters, self.log, make_backend(LAYER), self.what_differs)
        self.configure(self.config)

    @property
    def wall(self) -> float:
        return self.now + self._wall_offset

    def configure(self, config: Config) -> None:
        self.config = config
        self.engine.configure(config, self.select_key, self.now, self.wall)
        self.flush()

    def request(self, ncr: Mapping[str, Any] | bytes) -> None:
        data = ncr if isinstance(ncr, bytes) else datagram(ncr)
        self.engine.receive_request(data, self.now, self.wall)
        self.flush()

    def pop_finished(self) -> list[int]:
        """Return the numbers of the requests that have ended since the last call."""
        finished, self.finished = self.finished, []
        return finished

    def pop_dead_letters(self) -> list[DeadLetter]:
        """Return the requests that have failed for good since the last call."""
        dead_letters, self.dead_letters = self.dead_letters, []
        return dead_letters

    def collect(self) -> list[Outgoing]:
        """Return what the engine has to send when all hook jobs are done; keep the rest of its output."""
        outgoing = []
        while True:
            output = self.engine.collect_output()
            outgoing += self.engine.messages(output)
            self.finished += output.finished
            self.amended += output.amended
            self.dead_letters += output.dead_letters
            if not output.hook_jobs or not self.run_hook_jobs(output.hook_jobs):
                return outgoing

    def run_hook_jobs(self, hook_jobs: Sequence[HookJob[Any]]) -> bool:
        """Run hook jobs and give them back to the engine; return whether that was done."""
        for job in hook_jobs:
            job.run()
        self.engine.end_hook_jobs(hook_jobs, self.now, self.wall)
        return True

    def flush(self) -> None:
        """Hand the messages to the peer."""
        while outgoing := self.collect():
            for message in outgoing:
                if self.keep_sent:
                    self.sent.append((self.now, message))
                try:
                    replies = list(self.peer(message, self.now))
                except SendError as error:
                    self.engine.send_failed(message, error.args[0], self.now, self.wall)
                    continue
                for delay, reply in replies:
                    self._number += 1
                    heapq.heappush(self._events, (self.now + delay, self._number, message, reply))

    def step(self, until: float | None = None) -> bool:
        """Let the next thing happen; False if nothing is left (before ``until``)."""
        timer = self.engine.timer()
        due = self._events[0][0] if self._events else None
        if timer is None and due is None:
            return False
        at = min(moment for moment in (timer, due) if moment is not None)
        if until is not None and at > until:
            self.now = until
            return False
        self.now = max(self.now, at)
        if due is not None and due <= at:
            _, _, message, reply = heapq.heappop(self._events)
            self.engine.receive_reply(message.lane, message.slot, reply, self.now, self.wall)
        else:
            self.engine.handle_timer(self.now, self.wall)
        self.flush()
        return True

    def run(self, until: float | None = None) -> None:
        """Go on until nothing is left to do, or until a time."""
        while self.step(until):
            pass
