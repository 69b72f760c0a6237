"""The engine under random requests, replies, losses and reconfigurations: what must hold at all times."""

import random
import re
from collections import deque
from collections.abc import Mapping
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pyd2.update.engine import Outgoing
from pyd2.update.model.transaction import Transaction
from pyd2.update.server.lane import Lane
from tests.update.support import VirtualD2, answer, domain, draws, make_config, request, simple_map

FINAL = re.compile(
    r"DHCP_DDNS_(?:(?:ADD|REMOVE)_(?:SUCCEEDED|FAILED)|NO_(?:FWD|REV)_MATCH_ERROR|REQUEST_DROPPED)"
)
SERIAL = re.compile(r"Lease Length: (\d+)")
MODES = ["check-with-dhcid", "no-check-with-dhcid", "check-exists-with-dhcid", "no-check-without-dhcid"]
CLIENTS = ["AA", "BB", "CC", "DD", "EE"]
NAMES = ["h.a.test.", "h.b.test.", "h.c.test.", "h.nowhere.test."]


def context(in_flight: int, entries: int = 12) -> dict[str, Any]:
    return {
        "user-context": {"pyd2": {"lanes": {"max-in-flight": in_flight}, "queue": {"max-entries": entries}}},
        "dns-server-timeout": 400 + 100 * in_flight,
    }


# The engine draws query IDs and ports at random; here always the same, so that a failure can be repeated.
DRAWN = random.Random(4703)
BITS = [DRAWN.getrandbits(32) for _ in range(3000)]

REVERSE = domain("2.0.192.in-addr.arpa.", 1)
THREE = [domain("a.test.", 1, 2), domain("b.test.", 2), domain("c.test.", 3)]
CONFIGS = [
    make_config(simple_map(THREE, [REVERSE], context(2))),
    make_config(simple_map([domain("a.test.", 1), domain("b.test.", 4)], [REVERSE], context(1))),
    make_config(simple_map([domain("a.test.", 2, 1), domain("b.test.", 2)], settings=context(3, 3))),
    make_config(simple_map([domain("test.", 5)], [domain("10.in-addr.arpa.", 5)], context(40))),
    make_config(simple_map()),
]


class EngineStates(RuleBasedStateMachine):
    """The test plays both sides; a request's serial number travels as its lease length."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Outgoing] = []
        self.lanes: set[Lane] = set()
        self.accepted: dict[int, str] = {}
        self.ended: list[int] = []
        self.serial = 0
        self.read = 0
        self.d2 = VirtualD2(CONFIGS[0], self.take, keep_sent=False)
        self.d2.engine._driver.tries.random = draws(BITS)

    def take(self, outgoing: Outgoing, now: float) -> list[tuple[float, bytes]]:
        lane = outgoing.lane
        assert lane in self.d2.engine.lanes
        assert {other for other in self.lanes if other.text == lane.text and self.pending(other)} <= {lane}
        self.lanes.add(lane)
        assert lane.window.in_flight == len(self.pending(lane))
        assert self.pending(lane)[outgoing.slot << 16 | outgoing.query_id].server.lane is lane
        self.messages.append(outgoing)
        return []

    @rule(client=st.sampled_from(CLIENTS), name=st.sampled_from(NAMES), change=st.integers(0, 1),
          mode=st.sampled_from(MODES), ways=st.sampled_from([(True, True), (True, False), (False, True)]))
    def request(self, client: str, name: str, change: int, mode: str, ways: tuple[bool, bool]) -> None:
        self.serial += 1
        before = self.d2.counters.queue_full.value
        full = self.d2.counters.queue_full
        if full.value == before:
            self.accepted[self.serial] = client
        places = {lane: lane.window.limit - lane.window.in_flight for lane in self.d2.engine.lanes}
        first = len(self.messages)
        self.d2.request(request(
            dhcid=client, fqdn=name, change_type=change, conflict_resolution_mode=mode,
            lease_length=self.serial, forward_change=ways[0], reverse_change=ways[1],
        ))
        if full.value != before:
            del self.accepted[self.serial]
        for lane, free in places.items():
            assert sum(message.lane is lane for message in self.messages[first:]) <= max(free, 0)

    @precondition(lambda self: self.messages)
    @rule(data=st.data(), rcode=st.sampled_from([0, 0, 0, 0, 2, 3, 5, 6, 6, 8]))
    def reply(self, data: st.DataObject, rcode: int) -> None:
        outgoing = self.messages.pop(data.draw(st.integers(0, len(self.messages) - 1)))
        self.give(outgoing, answer(outgoing.message, rcode))

    @precondition(lambda self: self.messages)
    @rule(data=st.data(), junk=st.binary(max_size=20))
    def bad_reply(self, data: st.DataObject, junk: bytes) -> None:
        outgoing = self.messages.pop(data.draw(st.integers(0, len(self.messages) - 1)))
        self.give(outgoing, outgoing.message[:2] + junk)

    @precondition(lambda self: self.messages)
    @rule(data=st.data())
    def truncated_reply(self, data: st.DataObject) -> None:
        outgoing = self.messages.pop(data.draw(st.integers(0, len(self.messages) - 1)))
        reply = bytearray(answer(outgoing.message))
        reply[2] |= 2
        self.give(outgoing, bytes(reply))

    @precondition(lambda self: self.messages)
    @rule(data=st.data(), other_slot=st.booleans(), flip=st.integers(0, 65535))
    def forged_reply(self, data: st.DataObject, other_slot: bool, flip: int) -> None:
        outgoing = self.messages[data.draw(st.integers(0, len(self.messages) - 1))]
        guess, slot = outgoing.query_id ^ flip, outgoing.slot ^ other_slot
        if slot << 16 | guess in self.pending(outgoing.lane):
            return
        ignored = self.d2.counters.replies_ignored.value
        self.give(outgoing._replace(slot=slot), guess.to_bytes(2, "big") + answer(outgoing.message)[2:])
        assert self.d2.counters.replies_ignored.value == ignored + 1

    def give(self, outgoing: Outgoing, reply: bytes) -> None:
        self.d2.engine.receive_reply(outgoing.lane, outgoing.slot, reply, self.d2.now, self.d2.wall)
        self.d2.flush()

    @precondition(lambda self: self.messages)
    @rule(data=st.data())
    def failed_send(self, data: st.DataObject) -> None:
        outgoing = self.messages.pop(data.draw(st.integers(0, len(self.messages) - 1)))
        self.d2.engine.send_failed(outgoing, 101, self.d2.now, self.d2.wall)
        self.d2.flush()

    @rule(seconds=st.sampled_from([0.01, 0.2, 0.6, 3.0]))
    def wait(self, seconds: float) -> None:
        self.d2.run(self.d2.now + seconds)

    @rule(number=st.integers(0, len(CONFIGS) - 1))
    def reconfigure(self, number: int) -> None:
        self.d2.configure(CONFIGS[number])

    def pending(self, lane: Lane) -> Mapping[int, Transaction]:
        found = self.d2.engine.pending(lane)
        return {query: tried for query, tried in found.items() if isinstance(tried, Transaction)}

    def transactions(self) -> list[Transaction]:
        lanes = self.d2.engine.lanes
        return [t for lane in lanes for t in (*self.pending(lane).values(), *lane.ready)]

    @invariant()
    def one_transaction_per_client(self) -> None:
        active = [transaction.ncr.dhcid for transaction in self.transactions()]
        assert len(active) == len(set(active)) == self.d2.engine.active

    @invariant()
    def every_request_ends_once_and_in_its_clients_order(self) -> None:
        for line in self.d2.log.lines[self.read:]:
            if FINAL.fullmatch(line[2]):
                (serial,) = map(int, SERIAL.findall(line[3]))
                assert serial in self.accepted
                client = self.accepted[serial]
                assert all(other >= serial or self.accepted[other] != client or other in self.ended
                           for other in self.accepted)
                assert serial not in self.ended
                self.ended.append(serial)
        self.read = len(self.d2.log.lines)
        held = self.d2.engine.active + self.d2.engine.queued
        assert held == len(self.accepted) - len(self.ended)

    @invariant()
    def nothing_waits_beside_an_open_window(self) -> None:
        for lane in self.d2.engine.lanes:
            assert lane.window.in_flight == len(self.pending(lane))
            assert not lane.orders
            if lane.window.in_flight < lane.window.limit:
                assert not lane.ready
                assert not lane.waiting

    @invariant()
    def a_timer_runs_while_something_is_under_way(self) -> None:
        tries = self.d2.engine._driver.tries
        under_way = sum(len(self.pending(lane)) for lane in self.d2.engine.lanes)
        assert tries.in_flight == under_way
        timer = self.d2.engine.timer()
        assert timer == tries.deadline()
        assert (timer is None) == (under_way == 0)
        assert timer is None or self.d2.now < timer <= self.d2.now + 4.4

    def teardown(self) -> None:
        """Without replies all must come to an end, and leave nothing behind."""
        self.messages.clear()
        self.d2.run()
        self.every_request_ends_once_and_in_its_clients_order()
        engine = self.d2.engine
        assert sorted(self.ended) == sorted(self.accepted)
        assert (engine.active, engine.queued, engine.timer()) == (0, 0, None)
        assert not any(engine._scheduler.clients.held)
        assert engine._driver.tries.in_flight == 0
        assert engine._limit.octets == 0
        assert engine._agenda.freed == deque()
        assert engine.lanes == engine._plan.lanes
        assert not any(self.pending(lane) or lane.ready or lane.waiting for lane in self.lanes)


def test_engine_states() -> None:
    how = settings(max_examples=100, stateful_step_count=50, deadline=None)
    run_state_machine_as_test(EngineStates, settings=how)
