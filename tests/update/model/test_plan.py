"""What a configuration becomes: lanes, keys, zones."""

import base64
from typing import Any

from pyd2.counters import Counters
from pyd2.packets.plain import PlainLayer
from pyd2.update.model.plan import Plan, make_plan
from pyd2.update.server.window import CAP, START
from tests.update.support import domain, make_config, simple_map, statistics

KEYS = [
    {"name": "K.Example", "algorithm": "HMAC-SHA256", "secret": base64.b64encode(b"a" * 32).decode()},
    {"name": "k.example", "algorithm": "HMAC-MD5", "secret": base64.b64encode(b"b" * 32).decode()},
]


def plan_of(map_: dict[str, Any], counters: Counters | None = None) -> Plan:
    plan = make_plan(make_config(map_), (), counters or Counters(), 0.0, PlainLayer())
    plan.put_in_force()
    return plan


def limits(plan: Plan) -> dict[int, int]:
    """Fill each lane's window with quick replies; return how far it went, by port."""
    found = {}
    for lane in plan.lanes:
        window, now = lane.window, 0.0
        for _ in range(60):
            now += 0.01
            sent = 0
            while window.free_places(now) > 0:
                window.sent()
                sent += 1
            now += 0.0005
            for _ in range(sent):
                window.replied(now - 0.0005, now)
        found[lane.port] = window.limit
    return found


def test_one_lane_per_server() -> None:
    zones = [domain("a.test.", 1, 2), domain("b.test.", 2, 1)]
    plan = plan_of(simple_map(zones, [domain("10.in-addr.arpa.", 2, 3)]))
    assert [lane.port for lane in plan.lanes] == [1, 2, 3]
    first, second = plan.forward.find("h.a.test."), plan.forward.find("h.b.test.")
    assert first is not None
    assert second is not None
    assert first.servers[0].lane is second.servers[1].lane
    assert first.servers[0] is not second.servers[1]


def test_lanes_and_what_they_learned_stay() -> None:
    before = plan_of(simple_map([domain("a.test.", 1)]))
    config = make_config(simple_map([domain("b.test.", 1, 2)]))
    after = make_plan(config, before.lanes, Counters(), 0.0, PlainLayer())
    assert after.lanes[0] is before.lanes[0]
    assert after.lanes[1] not in before.lanes


def test_a_plan_that_is_not_in_force_leaves_lanes_alone() -> None:
    """It is made in another thread than the one in which the lanes are used."""
    extended = {"pyd2": {"lanes": {"max-in-flight": 4}, "retry": {"enabled": True}}}
    before = plan_of(simple_map([domain("a.test.", 1)]))
    config = make_config(simple_map([domain("a.test.", 1, **{"user-context": extended})]))
    after = make_plan(config, before.lanes, Counters(), 0.0, PlainLayer())
    (lane,) = before.lanes
    assert after.lanes == (lane,)
    assert (limits(before), lane.breaker) == ({1: CAP}, None)
    after.put_in_force()
    assert limits(before) == {1: 4}
    assert lane.breaker is not None


def test_windows_begin_at_32_and_end_at_96_or_as_asked() -> None:
    zone = domain("a.test.", 1, 2, 3, 4)
    for server, number in zip(zone["dns-servers"][1:], (8, 300, 40), strict=True):
        server["user-context"] = {"pyd2": {"lanes": {"max-in-flight": number}}}
    plan = plan_of(simple_map([zone]))
    assert {lane.port: lane.window.limit for lane in plan.lanes} == {1: START, 2: 8, 3: START, 4: START}
    assert limits(plan) == {1: CAP, 2: 8, 3: 300, 4: 40}


def test_the_most_careful_of_several_domains_counts() -> None:
    careful = domain("a.test.", 1, **{"user-context": {"pyd2": {"lanes": {"max-in-flight": 4}}}})
    for zones in ([careful, domain("b.test.", 1)], [domain("b.test.", 1), careful]):
        assert limits(plan_of(simple_map(zones))) == {1: 4}


def test_keys_are_found_by_their_raw_names_and_counted_by_their_wire_names() -> None:
    counters = Counters()
    zones = [
        domain("a.test.", 1, **{"key-name": "K.Example"}),
        domain("b.test.", 1, **{"key-name": "k.example"}),
    ]
    plan = plan_of(simple_map(zones, settings={"tsig-keys": KEYS}), counters)
    first, second = plan.forward.find("h.a.test."), plan.forward.find("h.b.test.")
    assert first is not None
    assert second is not None
    (one,), (other,) = first.servers, second.servers
    assert one.key is not None
    assert other.key is not None
    assert (one.key.algorithm, other.key.algorithm) == ("hmac-sha256.", "hmac-md5.sig-alg.reg.int.")
    assert one.key_counters is other.key_counters
    assert [name for name in statistics(counters) if name.startswith("key[")] == [
        f"key[k.example.].update-{what}" for what in ("sent", "success", "timeout", "error")
    ]


def test_the_name_of_a_zone_is_sent_as_configured() -> None:
    plan = plan_of(simple_map([domain("Mixed.Example.", 1), domain("*", 1)]))
    mixed, wild = plan.forward.find("h.mixed.example."), plan.forward.find("elsewhere.")
    assert mixed is not None
    assert wild is not None
    assert mixed.zone is not None
    assert wild.zone is not None
    assert (mixed.zone.wire, wild.zone.wire) == (b"\x05Mixed\x07Example\0", b"\x01*\0")


def test_a_zone_that_is_no_name_keeps_its_reason() -> None:
    found = plan_of(simple_map([domain("bad..zone.", 1)])).forward.find("bad..zone.")
    assert found is not None
    assert (found.zone, found.zone_error) == (None, "duplicate period in bad..zone.")
