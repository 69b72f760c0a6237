"""Batches, which log nothing about single updates, do the same work as single messages."""

from __future__ import annotations

import random
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pyd2.backend import make_backend
from pyd2.counters import Counters
from pyd2.dns.tsig import HmacKey
from pyd2.update.drive.server_choice import Selection
from pyd2.update.engine import Engine
from tests.kit.dnswire import parse
from tests.update import support
from tests.update.support import (
    MemoryLog,
    answer,
    datagram,
    domain,
    make_config,
    outgoing_after_hook_jobs,
    request,
    simple_map,
    statistics,
)

if TYPE_CHECKING:
    from pyd2.config.model import DnsServer
    from pyd2.dns.tsig import SigningKey
    from pyd2.update.drive.server_choice import SelectKey
    from pyd2.update.engine import Outgoing
    from pyd2.update.model.transaction import Transaction
    from pyd2.update.server.lane import Lane

SECRET = b"secret-secret-secret-secret"
KEY = {"name": "k.test", "algorithm": "HMAC-SHA256", "secret": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"}
RCODES = [0, 0, 0, 0, 0, 0, 3, 5, 6, 8]
MODES = ["check-with-dhcid", "no-check-with-dhcid", "check-exists-with-dhcid", "no-check-without-dhcid"]
SILENT, TRUNCATED, FORGED, UNSENDABLE = "silent", "truncated", "forged", "unsendable"


class Batches:
    """An engine that gets what arrives by the batch; what a server does depends on the update alone."""

    def __init__(
        self, layer: str, map_: dict[str, Any], debuglevel: int, size: int,
        select_key: SelectKey | None = None,
    ) -> None:
        self.log = MemoryLog(max(debuglevel, 0))
        if debuglevel < 0:
            self.log.on = frozenset(name for name in self.log.on if "SUCCEEDED" in name or "FAILED" in name)
        self.counters = Counters()
        self.engine = Engine(self.counters, self.log, make_backend(layer))
        self.now, self.wall = 1000.0, 1_900_000_000.0
        self.size = size
        self.sent: Counter[tuple[int, bytes]] = Counter()
        self.tries: Counter[bytes] = Counter()
        self.key = HmacKey("k.test", "HMAC-SHA256", SECRET)
        self.engine.configure(make_config(map_), select_key, self.now, self.wall)

    def run(self, requests: list[bytes]) -> None:
        for first in range(0, len(requests), self.size):
            self.engine.receive_requests(requests[first : first + self.size], self.now, self.wall)
            while self.turn():
                pass
        while (timer := self.engine.timer()) is not None:
            self.now = max(self.now, timer)
            self.engine.handle_timer(self.now, self.wall)
            while self.turn():
                pass
        assert (self.engine.active, self.engine.queued, self.engine._limit.octets) == (0, 0, 0)

    def turn(self) -> bool:
        """Let the servers answer what goes out."""
        outgoing = outgoing_after_hook_jobs(self.engine, self.now, self.wall)
        batches: dict[tuple[Lane, int], list[bytes]] = {}
        for message in outgoing:
            reply = self.serve(message)
            if reply == UNSENDABLE.encode():
                self.engine.send_failed(message, 101, self.now, self.wall)
            elif reply:
                batches.setdefault((message.lane, message.slot), []).append(reply)
        self.now += 0.001
        for (lane, slot), replies in batches.items():
            for first in range(0, len(replies), self.size):
                self.reply(lane, slot, replies[first : first + self.size])
        return bool(outgoing)

    def reply(self, lane: Lane, slot: int, replies: list[bytes]) -> None:
        self.engine.receive_replies(lane, slot, replies, self.now, self.wall)

    def serve(self, message: Outgoing) -> bytes:
        asked = parse(message.message)
        body = asked.unsigned[2:] if asked.tsig else message.message[2:]
        self.sent[message.lane.port, body] += 1
        rng = random.Random(body)
        what = rng.choice([*RCODES, SILENT, TRUNCATED, FORGED, UNSENDABLE])
        if what == SILENT:
            return b""
        if what == UNSENDABLE:
            return what.encode()
        reply = answer(message.message, what if isinstance(what, int) else 0)
        if what == TRUNCATED and not message.tcp:
            reply = reply[:2] + bytes([reply[2] | 2]) + reply[3:]
        if asked.tsig is None:
            return reply if what != FORGED else reply[:3] + b"\0\1" + reply[5:]
        mac = asked.tsig.mac
        signed = reply
        time_and_fudge = int(self.wall).to_bytes(6, "big") + b"\x01\x2c"
        digest = self.key.digest(
            len(mac).to_bytes(2, "big") + mac + signed + self.key.identity + time_and_fudge + bytes(4)
        )
        if what == FORGED:
            digest = bytes(len(digest))
        data = self.key.algorithm_wire + time_and_fudge + len(digest).to_bytes(2, "big") + digest
        data += reply[:2] + bytes(4)
        record = self.key.name_wire + b"\x00\xfa\x00\xff\x00\x00\x00\x00" + len(data).to_bytes(2, "big")
        return reply[:10] + b"\x00\x01" + record + data

    def outcome(self) -> object:
        ends = Counter(line[3] for line in self.log.lines if line[2].endswith(("_SUCCEEDED", "_FAILED")))
        return self.sent, statistics(self.counters), ends


def make_requests(count: int, seed: int) -> list[bytes]:
    rng = random.Random(seed)
    names = [f"h{number}" for number in range(max(1, count // 2))] + ["x" * 60 + "." + "y" * 60]
    found = []
    for number in range(count):
        v6 = rng.random() < 0.3
        found.append(datagram(request(
            fqdn=f"{rng.choice(names)}.{rng.choice(['a.test.', 'B.a.test.', 'c.test.'])}",
            ip_address=f"2001:db8::{number:x}" if v6 else f"192.0.2.{number % 250}",
            dhcid=f"{rng.randrange(count):08X}" * rng.choice([1, 1, 1, 30, 100]),
            change_type=rng.randrange(2),
            forward_change=rng.random() < 0.9, reverse_change=True, lease_length=rng.randrange(100000),
            conflict_resolution_mode=rng.choice(MODES),
        )))
    return found


def make_map(keyed: bool) -> dict[str, Any]:
    key = {"key-name": "k.test"} if keyed else {}
    return simple_map(
        [domain("a.test.", 1, 2, **key), domain("b.a.test.", 2, 1, **key), domain("c.test.", 3, **key)],
        [domain("2.0.192.in-addr.arpa.", 1, **key), domain("8.b.d.0.1.0.0.2.ip6.arpa.", 3, 1)],
        {"tsig-keys": [KEY]},
    )


# A failure is not made smaller: each run takes long, and the seed is all there is to make smaller.
@settings(max_examples=12, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(st.integers(0, 10**6), st.booleans(), st.sampled_from([1, 7, 64, 300]), st.integers(1, 150))
def test_batches_do_what_single_messages_do(seed: int, keyed: bool, size: int, count: int) -> None:
    requests = make_requests(count, seed)
    reference = Batches("plain", make_map(keyed), 99, 1)
    reference.run(requests)
    for debuglevel in (-1, 0, 99):
        batches = Batches(support.LAYER, make_map(keyed), debuglevel, size)
        batches.run(requests)
        assert batches.outcome() == reference.outcome()


class Chooser:
    """A hook library: the same key each time at the first server, new ones at the second, else none."""

    def __init__(self) -> None:
        self.key = HmacKey("k.test", "HMAC-SHA256", SECRET)
        self.asked = 0

    def __call__(self, server: DnsServer, key: SigningKey | None) -> Selection:
        self.asked += 1
        if self.asked % 7 == 0:
            return Selection(key, skip=True)
        if server.port == 1:
            return Selection(self.key)
        return Selection(HmacKey("K.test", "HMAC-SHA256", SECRET) if server.port == 2 else None)


@settings(max_examples=8, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(st.integers(0, 10**6), st.booleans(), st.sampled_from([1, 64]))
def test_batches_do_the_same_with_keys_that_a_library_chooses(seed: int, keyed: bool, size: int) -> None:
    requests = make_requests(60, seed)
    outcomes = []
    for layer in ("plain", support.LAYER):
        # One after the other, for what the library decides depends on how often it was asked.
        batches = Batches(layer, make_map(keyed), -1, 1 if layer == "plain" else size, Chooser())
        for one in requests:
            batches.run([one])
        outcomes.append(batches.outcome())
    assert outcomes[1] == outcomes[0]


def test_what_a_library_s_key_signs_goes_by_the_batch() -> None:
    """The same key of the library's, or none, is prepared once; it is forgotten with the configuration."""
    chooser = Chooser()
    map_ = simple_map([domain("example.com.", 1)], [domain("2.0.192.in-addr.arpa.", 3)])
    batches = Batches(support.LAYER, map_, -1, 64, chooser)
    driver = batches.engine._driver
    alone: list[object] = []
    send_alone = driver._send_alone

    def count_alone(transaction: Transaction, now: float, wall: float) -> None:
        alone.append(transaction)
        send_alone(transaction, now, wall)

    driver._send_alone = count_alone  # type: ignore[method-assign]
    requests = [datagram(request(fqdn=f"h{number}.example.com.", dhcid=f"{number:08X}"))
                for number in range(3)]
    batches.engine.receive_requests(requests, batches.now, batches.wall)
    outgoing = outgoing_after_hook_jobs(batches.engine, batches.now, batches.wall)
    assert [parse(message.message).tsig is not None for message in outgoing] == [True] * 3
    assert len(alone) == (0 if support.LAYER == "compiled" else 3)
    assert driver.selector._selected_keys.of(chooser.key) is driver.selector._selected_keys.of(chooser.key)
    batches.engine.configure(make_config(map_), None, batches.now, batches.wall)
    assert not driver.selector._selected_keys._kept


def test_a_library_s_own_kind_of_a_shared_secret_signs_itself() -> None:
    class Key(HmacKey):
        def digest(self, data: bytes) -> bytes:
            return super().digest(data)[::-1]

    key = Key("k.test", "HMAC-SHA256", SECRET)
    layer = make_backend(support.LAYER).packets
    assert layer.prepare_key(key) is key


def test_the_reverse_direction_follows_at_once() -> None:
    """When nothing is logged and the server is the same, one turn brings the answer and the next update."""
    batches = Batches(support.LAYER, simple_map(
        [domain("example.com.", 1)], [domain("2.0.192.in-addr.arpa.", 1)]), -1, 64)
    batches.engine.receive_requests([datagram(request())], batches.now, batches.wall)
    (first,) = outgoing_after_hook_jobs(batches.engine, batches.now, batches.wall)
    batches.reply(first.lane, first.slot, [answer(first.message)])
    (second,) = outgoing_after_hook_jobs(batches.engine, batches.now, batches.wall)
    assert parse(second.message).zone[0].startswith("2.0.192.in-addr.arpa. ")
    found = statistics(batches.counters)
    assert (found["update-sent"], found["update-success"], batches.engine.active) == (2, 1, 1)
    batches.reply(second.lane, second.slot, [answer(second.message)])
    assert batches.engine.active == 0
    assert [line[2] for line in batches.log.lines] == ["DHCP_DDNS_ADD_SUCCEEDED"]


def test_requests_end_in_the_order_of_their_replies() -> None:
    """Of replies that come together some complete their transaction, and some end it otherwise."""
    batches = Batches(support.LAYER, simple_map([domain("example.com.", 1)]), -1, 64)
    requests = [
        datagram(request(fqdn=f"h{number}.example.com.", dhcid=f"{number:08X}", reverse_change=False))
        for number in range(12)
    ]
    batches.engine.receive_requests(requests, batches.now, batches.wall)
    outgoing = outgoing_after_hook_jobs(batches.engine, batches.now, batches.wall)
    rcodes = [0, 0, 5, 0, 2, 2, 0, 0, 0, 9, 5, 0]
    replies = [answer(message.message, rcode) for message, rcode in zip(outgoing, rcodes, strict=True)]
    batches.reply(outgoing[0].lane, outgoing[0].slot, replies)
    assert batches.engine.active == 0
    ends = [(line[2], int(re.findall(r"Request ID (\w+)", line[3])[0], 16)) for line in batches.log.lines]
    assert ends == [(f"DHCP_DDNS_ADD_{'FAILED' if rcode else 'SUCCEEDED'}", number)
                    for number, rcode in enumerate(rcodes)]
    assert statistics(batches.counters)["update-success"] == len(rcodes)
