"""Microseconds of CPU per request through the engine, with a peer that answers at once.

usage: python benchmarks/micro_engine.py [requests]

One add with its two updates (forward and reverse), unsigned and signed with HMAC-SHA256, one request at a
time, with 64 under way, and 512 at a time in batches of 50, on each packet layer in turn; unsigned batches
also with a tenth of the names there already as the client's own, so that names are asked for. Includes
decoding, encoding, signing, verification, timers and statistics; no IO, no log lines (severity WARN). The
best of five runs.
"""

from __future__ import annotations

import re
import sys
import time
from ipaddress import ip_address
from math import inf
from typing import TYPE_CHECKING

from pyd2.backend import NAMES, make_backend
from pyd2.config.model import Config, DdnsDomain, DnsServer, TsigKey
from pyd2.config.switches import LaneSwitches, ServerSwitches
from pyd2.counters import Counters
from pyd2.dns.constants import Rcode
from pyd2.dns.tsig import HmacKey
from pyd2.messages import RequestLog
from pyd2.packets.batch import to_batch
from pyd2.update.engine import Engine, Outgoing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyd2.update.server.lane import Lane

_HOST = re.compile(rb"host-([0-9]+)")

KEY = TsigKey("k.example", "HMAC-SHA256", 0, b"secret-secret-secret-secret", None, None, None)


class QuietLog(RequestLog):
    """A log whose severity is WARN, and nothing is wrong."""

    on: frozenset[str] = frozenset()

    def emit(self, message_id: str, *arguments: object) -> None:
        """Report what should not have been logged."""
        if message_id.endswith(("_FAILED", "_REJECTED", "_TIMEOUT", "_CORRUPT")):
            raise AssertionError(message_id, arguments)


def make_config(key: TsigKey | None, batch: int = 1) -> Config:
    """Return a configuration with one server for both directions."""
    switches = ServerSwitches(lanes=LaneSwitches(batch=batch))
    server = DnsServer(ip_address("127.0.0.1"), 5300, "", key, None, switches=switches)
    return Config(
        ip_address=ip_address("127.0.0.1"), port=53001, dns_server_timeout=500, ncr_protocol="UDP",
        ncr_format="JSON", tsig_keys=(key,) if key else (),
        forward_domains=(DdnsDomain("example.com.", "", (server,), None),),
        reverse_domains=(DdnsDomain("10.in-addr.arpa.", "", (server,), None),),
        control_sockets=(), hooks_libraries=(), loggers=(), user_context=None,
    )


def dhcid(number: int) -> bytes:
    """Return a client's DHCID."""
    return b"\0\1\1" + number.to_bytes(32, "big")


def make_requests(first: int, count: int) -> list[bytes]:
    """Return datagrams as kea-dhcp4 sends them, each of another client."""
    requests = []
    for number in range(first, first + count):
        address = ip_address(0x0A000000 + number)
        text = (
            '{"change-type":0,"forward-change":true,"reverse-change":true,'
            f'"fqdn":"host-{number}.example.com.","ip-address":"{address}",'
            f'"dhcid":"{dhcid(number).hex()}","lease-expires-on":"20300102030405","lease-length":3600,'
            '"conflict-resolution-mode":"check-with-dhcid"}'
        ).encode()
        requests.append(len(text).to_bytes(2, "big") + text)
    return requests


def sign_answer(key: HmacKey, outgoing: Outgoing) -> bytes:
    """Return a signed NOERROR (RFC 8945, section 5.4)."""
    message = outgoing.message
    body = message[:2] + b"\xa8\x00" + bytes(8)
    size = key.mac_size
    mac = message[-6 - size : -6]
    time_and_fudge = message[-16 - size : -8 - size]
    signed = size.to_bytes(2, "big") + mac + body + key.name_wire + b"\x00\xff\x00\x00\x00\x00"
    signed += key.algorithm_wire + time_and_fudge + bytes(4)
    data = key.algorithm_wire + time_and_fudge + size.to_bytes(2, "big") + key.digest(signed)
    data += message[:2] + bytes(4)
    record = key.name_wire + b"\x00\xfa\x00\xff\x00\x00\x00\x00" + len(data).to_bytes(2, "big") + data
    return body[:10] + b"\x00\x01" + record


class Bench:
    """An engine and its peer."""

    def __init__(self, key: TsigKey | None, layer: str, batch: int = 1, own: int = 0) -> None:
        """Prepare them. Each ``own``-th name is there already, and the client's own; 0: none."""
        self.counters = Counters()
        self._own = own
        self._known: set[int] = set()
        """Clients of such names that know of them."""
        self._in_the_way = 0
        """Updates in messages that a name was in the way of."""
        self._compiled = layer == "compiled"
        self._engine = Engine(self.counters, QuietLog(), make_backend(layer))
        self._now, self._wall = 1.0, time.time()
        self._engine.configure(make_config(key, batch), None, self._now, self._wall)
        self._key = HmacKey(key.name, key.algorithm, key.secret) if key else None

    def carry_out(self, first: int, count: int, under_way: int) -> float:
        """Carry out requests, some at a time; return the seconds of CPU that the engine took."""
        engine, wall, clock = self._engine, self._wall, time.process_time
        requests = make_requests(first, count)
        before = self.counters.update_success.value - self._in_the_way
        used = 0.0
        for start in range(0, count, under_way):
            batch = self._batch(requests[start : start + under_way])
            begin = clock()
            engine.receive_requests(batch, self._now, wall)
            engine.timer()
            output = engine.collect_output()
            used += clock() - begin
            while output.posted or output.outgoing or engine.timer() == 0:
                self._now += 0.0001
                outgoing = engine.messages(output)
                answers: dict[tuple[Lane, int], list[bytes]] = {}
                for message in outgoing:
                    answers.setdefault((message.lane, message.slot), []).append(self._answer(message))
                batches = [(place, self._batch(replies)) for place, replies in answers.items()]
                begin = clock()
                for (lane, slot), replies in batches:
                    engine.receive_replies(lane, slot, replies, self._now, wall)
                if engine.timer() == 0:  # a turn does only so much
                    engine.handle_timer(self._now, wall)
                output = engine.collect_output()
                used += clock() - begin
        answered = self.counters.update_success.value - self._in_the_way - before
        assert answered == 2 * count, vars(self.counters)
        return used

    def _batch(self, datagrams: Sequence[bytes]) -> Sequence[bytes]:
        """Return datagrams as the sockets would give them."""
        return to_batch(datagrams) if self._compiled else datagrams

    def _answer(self, outgoing: Outgoing) -> bytes:
        if self._key is not None:
            return sign_answer(self._key, outgoing)
        message = outgoing.message
        if self._own and message[2] == 0:
            return self._answer_to_question(message)
        rcode = self._rcode(message) if self._own and message[12:20] == b"\7example" else 0
        return message[:2] + bytes((0xA8, rcode)) + bytes(8)

    def _answer_to_question(self, message: bytes) -> bytes:
        (number,) = map(int, _HOST.findall(message))
        if number % self._own:
            return message[:2] + b"\x84\x03" + message[4:]
        self._known.add(number)
        record = b"\xc0\x0c\0\x31\0\1\0\0\1\0\0\x23" + dhcid(number)
        return message[:2] + b"\x84\0\0\1\0\1" + message[8:] + record

    def _rcode(self, message: bytes) -> int:
        """Return the RCODE of an UPDATE in the forward zone."""
        numbers = {*map(int, _HOST.findall(message))}
        if all(number % self._own or number in self._known for number in numbers):
            return 0
        if len(numbers) == 1:
            self._known |= numbers
        self._in_the_way += len(numbers)
        return Rcode.YXDOMAIN


def measure(count: int, key: TsigKey | None, under_way: int, layer: str, batch: int, own: int) -> float:
    """Return microseconds per request."""
    return Bench(key, layer, batch, own).carry_out(0, count, under_way) / count * 1e6


def main() -> None:
    """Print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    for title, key in (("unsigned", None), ("HMAC-SHA256", KEY)):
        for under_way, batch, own in ((1, 1, 0), (64, 1, 0), (512, 50, 0), (512, 50, 10)):
            if own and key is not None:
                continue  # the peer signs no such answers
            best = dict.fromkeys(NAMES, inf)
            for _ in range(5):
                for layer in NAMES:
                    best[layer] = min(best[layer], measure(count, key, under_way, layer, batch, own))
            figures = ", ".join(f"{layer} {best[layer]:6.1f}" for layer in NAMES)
            how = f"{under_way:3} under way, batch {batch:2}{', a tenth asked for' if own else ''}"
            print(f"{title:12} {how}: {figures} us per request (two updates)")


if __name__ == "__main__":
    main()
