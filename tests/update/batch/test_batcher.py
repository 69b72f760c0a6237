"""Batches: what goes in them, what follows from their outcome, and that zones end as they do one by one."""

from __future__ import annotations

import base64
import random
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyd2.dns.tsig import HmacKey
from pyd2.update.batch.batcher import ROUNDS_AT_A_TIME, TCP_AT_A_TIME, UDP_AT_A_TIME
from pyd2.update.batch.lane_batches import PAUSE
from pyd2.update.engine import Selection
from tests.kit import ncr
from tests.update.batch.world import KEY, World, batch_map, requests
from tests.update.support import (
    VirtualD2,
    answer,
    datagram,
    domain,
    make_config,
    ok,
    request,
    simple_map,
    statistics,
)

if TYPE_CHECKING:
    from pyd2.update.engine import Outgoing
    from pyd2.update.server.lane import Lane


def additions(count: int, first: int = 0, **more: Any) -> list[dict[str, Any]]:
    return [
        ncr.request(
            f"h{number}.example.com.", f"192.0.2.{number % 256}" if number < 256 else f"2001:db8::{number:x}",
            ncr.dhcid(b"%d" % number, "h."), **more,
        )
        for number in range(first, first + count)
    ]


def messages(world: World) -> list[bytes]:
    """Return what was sent, without query IDs."""
    return [outgoing.message[2:] for _, outgoing in world.d2.sent]


# When there are batches.

@pytest.mark.parametrize("count", [1, 16, 32])
def test_as_long_as_the_window_has_a_place_for_each_the_packets_are_kea_s(count: int) -> None:
    worlds = [World(batch_map(batch, 32)) for batch in (1, 50)]
    one, other = (world.run(additions(count)) for world in worlds)
    assert messages(worlds[0]) == messages(worlds[1])
    assert one == other
    assert set(worlds[1].sizes) == {1}


def test_without_the_switch_there_are_none() -> None:
    world = World(batch_map(1))
    world.run(additions(200))
    assert set(world.sizes) == {1}


def test_what_waits_for_a_free_place_shares_messages() -> None:
    world, alone = World(batch_map(50)), World(batch_map(1))
    assert world.run(additions(200)) == alone.run(additions(200))
    assert max(world.sizes) == 50
    assert len(world.sizes) < len(alone.sizes) // 10
    assert world.questions == 0
    assert world.d2.log.ids.count("DHCP_DDNS_ADD_SUCCEEDED") == 200
    assert statistics(world.d2.counters) == statistics(alone.d2.counters)


def test_a_switch_that_goes_off_leaves_what_waits_to_go_alone() -> None:
    world = World(batch_map(50))
    world.send(additions(200))
    world.d2.run(world.d2.now + 0.02)
    assert world.engine.lanes[0].collecting
    before = len(world.sizes)
    world.d2.configure(make_config(batch_map(1)))
    world.run([])
    assert set(world.sizes[before + 1 :]) == {1}
    assert world.d2.log.ids.count("DHCP_DDNS_ADD_SUCCEEDED") == 200


def test_few_updates_go_over_udp_and_many_over_tcp() -> None:
    few, many = World(batch_map(8, 32)), World(batch_map(100, 32))
    few.run(additions(200))
    many.run(additions(200))
    assert few.tcp == 0
    assert many.tcp > 0


@pytest.mark.parametrize(("batch", "most"), [(8, UDP_AT_A_TIME), (100, TCP_AT_A_TIME)])
def test_so_many_batches_are_under_way(batch: int, most: int) -> None:
    world = World(batch_map(batch, 64))
    world.send(additions(500, reverse=False))
    seen = set()
    while world.d2.step():
        for lane in world.engine.lanes:
            batches = world.batches(lane)
            seen.add(batches.rounds)
    assert max(seen) == most


def test_a_batch_that_only_its_signature_makes_too_long_for_udp_counts_for_its_zone() -> None:
    """It goes over TCP, where few of a zone are under way at a time."""
    world = World(batch_map(13, 64, signed=True))
    world.send(additions(500, reverse=False))
    over_tcp = 0
    while world.d2.step():
        (lane,) = world.engine.lanes
        batches = world.batches(lane)
        over_tcp = max(over_tcp, batches.under_way - batches.udp)
    assert world.tcp > 10
    assert over_tcp == TCP_AT_A_TIME


def test_short_batches_for_very_many_zones_keep_to_those_that_go_over_udp() -> None:
    """What waits for a zone may be less than a batch may have: then it is the message that counts."""
    zones = [f"z{number}.test." for number in range(40)]
    d2 = VirtualD2(make_config(simple_map([domain(zone, 1) for zone in zones], settings={
        "user-context": {"pyd2": {"lanes": {"batch": 50, "max-in-flight": 64}}},
    })), lambda outgoing, now: [(0.02, reply) for _, reply in ok(outgoing, now)])
    batcher = d2.engine._batcher
    assert batcher is not None
    (lane,) = d2.engine.lanes
    batches = batcher._of(lane)
    batches.at_a_time.number = 64
    d2.engine.receive_requests([
        datagram(request(fqdn=f"h{number}.{zone}", dhcid=f"{at:06X}{number:02X}", reverse_change=False))
        for number in range(6) for at, zone in enumerate(zones)
    ], d2.now, d2.wall)
    d2.flush()
    most = 0
    while d2.step():
        most = max(most, batches.udp)
    assert most == UDP_AT_A_TIME
    assert d2.log.ids.count("DHCP_DDNS_ADD_SUCCEEDED") == 6 * len(zones)


def test_while_names_are_asked_for_other_batches_are_under_way() -> None:
    """Else the server would have nothing to do meanwhile."""
    world = World(batch_map(20, 64))
    world.run(additions(400, reverse=False)[::20], together=1, gap=0.02)
    strangers = additions(400, reverse=False)
    for each in strangers:
        each["dhcid"] = ncr.dhcid(each["fqdn"].encode(), "other.")
    world.send(strangers)
    rounds = 0
    while world.d2.step():
        (lane,) = world.engine.lanes
        rounds = max(rounds, world.batches(lane).rounds)
    assert rounds == ROUNDS_AT_A_TIME


@pytest.mark.parametrize("batch", [8, 12, 20])
def test_second_batches_keep_to_how_many_a_slow_server_gets(batch: int) -> None:
    """A round that asks takes no place of these, and all that have asked would go on together."""
    world = World(batch_map(batch, 64), delay=0.06)
    found = additions(300, reverse=False)
    strangers = [each | {"dhcid": ncr.dhcid(each["fqdn"].encode(), "x.")} for each in found[::3]]
    world.run(strangers, together=16, gap=0.2)
    (lane,) = world.engine.lanes
    batches = world.batches(lane)
    batches.at_a_time.number = 2
    world.send(found)
    most = rounds = 0
    while world.d2.step():
        most, rounds = max(most, batches.under_way), max(rounds, batches.rounds)
    assert rounds > most == batches.at_a_time.number == 2


def test_without_tcp_batches_are_short() -> None:
    world = World(batch_map(100), unsent_over_tcp=True)
    world.run(additions(200))
    assert 1 < max(world.sizes) < 20
    assert world.d2.log.ids.count("DHCP_DDNS_ADD_SUCCEEDED") == 200


def test_batches_and_questions_are_signed_with_the_key_of_the_zone() -> None:
    """The primary verifies them, and the D2 its replies."""
    there = [each | {"reverse-change": False} for each in additions(100)[::10]]
    world, alone = World(batch_map(50, signed=True)), World(batch_map(1, signed=True))
    for each in (world, alone):
        each.run(there, together=1, gap=0.02)
    assert world.run(additions(100)) == alone.run(additions(100))
    assert world.questions > 0
    assert world.signed == len(world.d2.sent)
    found = statistics(world.d2.counters)
    assert found["update-error"] == found["update-unsigned"] == 0
    assert found["key[k.test.].update-sent"] == found["update-sent"]


def test_a_key_that_a_library_has_chosen_signs_batches() -> None:
    """One that signs in a way of its own does not."""
    class OwnKey(HmacKey):
        def digest(self, data: bytes) -> bytes:
            return super().digest(data)

    secret = base64.b64decode(KEY["secret"])
    for made, most in ((HmacKey, 50), (OwnKey, 1)):
        selection = Selection(made(KEY["name"], KEY["algorithm"], secret))

        def select(_server: object, _key: object, chosen: Selection = selection) -> Selection:
            return chosen

        world = World(batch_map(50), select_key=select)
        world.run(additions(100))
        assert world.d2.log.ids.count("DHCP_DDNS_ADD_SUCCEEDED") == 100
        assert max(world.sizes) <= most
        assert (max(world.sizes) > 1) == (most > 1)
        assert world.signed == len(world.d2.sent)


def test_where_tcp_is_dropped_it_is_left_after_the_first_batches() -> None:
    world = World(batch_map(50), drops_tcp=True)
    world.run(additions(200))
    assert sum(outgoing.tcp for _, outgoing in world.d2.sent) <= 2 * TCP_AT_A_TIME
    assert 1 < max(world.sizes) < 20
    assert world.d2.log.ids.count("DHCP_DDNS_ADD_SUCCEEDED") == 200


def test_keys_that_a_library_makes_anew_leave_nothing_behind() -> None:
    secret = base64.b64decode(KEY["secret"])

    def select(_server: object, _key: object) -> Selection:
        return Selection(HmacKey(KEY["name"], KEY["algorithm"], secret))

    world = World(batch_map(50), select_key=select)
    batches = world.batches(world.engine.lanes[0])
    batches._most_groups = 8
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pyd2.update.batch.lane_batches.MOST_GROUPS", 8)
        world.run(additions(100))
        assert world.d2.log.ids.count("DHCP_DDNS_ADD_SUCCEEDED") == 100
        batches._forget_idle_groups()
    assert not batches.groups


def test_where_tcp_stops_working_it_is_left_though_much_goes_alone() -> None:
    """Whether the reply times say something about batches or not."""
    world = World(batch_map(50, 64))
    world.run(additions(400, reverse=False))
    before = world.tcp
    assert before > 0
    world.drops_tcp = True
    found = additions(1600, 1000, reverse=False)
    for each in found[::2]:
        each["conflict-resolution-mode"] = "check-exists-with-dhcid"
    world.run(found, together=1600)
    assert sum(outgoing.tcp for _, outgoing in world.d2.sent) - before <= 3 * TCP_AT_A_TIME
    assert world.d2.log.ids.count("DHCP_DDNS_ADD_SUCCEEDED") == 2000


def test_a_connection_that_a_server_closes_now_and_then_is_made_again() -> None:
    """One that has brought replies says nothing about the next one."""
    world = World(batch_map(50))
    world.run(additions(200))
    world.unsent_over_tcp = True
    world.send(additions(200, 1000))
    world.unsent_over_tcp = False
    before = world.tcp
    world.run([])
    assert world.tcp > before
    assert world.d2.log.ids.count("DHCP_DDNS_ADD_SUCCEEDED") == 400


def test_a_server_that_stands_still_for_two_timeouts_is_asked_over_tcp_again() -> None:
    """It brings nothing over UDP either, so what went over TCP to no avail says nothing of TCP."""
    world = World(batch_map(200, 64))
    world.run(additions(400, reverse=False))
    batches = world.batches(world.engine.lanes[0])
    world.send(additions(2000, 1000, reverse=False))
    while batches.under_way - batches.udp < TCP_AT_A_TIME:
        assert world.d2.step()
    world.dead = (1,)
    world.d2.run(world.d2.now + 1.2)
    world.dead = ()
    before = world.tcp
    world.run([])
    assert world.tcp > before
    assert world.d2.log.ids.count("DHCP_DDNS_ADD_SUCCEEDED") == 2400


def test_a_timeout_over_tcp_does_not_excuse_the_next_one() -> None:
    """The server counts as silent when the first batches time out, and the next ones are sent."""
    world = World(batch_map(200, 64))
    world.run(additions(400, reverse=False))
    before = world.tcp
    world.drops_tcp = True
    world.run(additions(4000, 1000, reverse=False), together=4000)
    assert sum(outgoing.tcp for _, outgoing in world.d2.sent) - before <= 2 * TCP_AT_A_TIME
    assert world.d2.log.ids.count("DHCP_DDNS_ADD_SUCCEEDED") == 4400


def test_each_try_in_a_batch_that_could_not_be_sent_has_ended() -> None:
    world = World(batch_map(50, signed=True), unsent_over_tcp=True)
    world.run(additions(200))
    found = statistics(world.d2.counters)
    assert found["update-timeout"] > 0
    for key in ("", "key[k.test.]."):
        ended = sum(found[f"{key}update-{end}"] for end in ("success", "timeout", "error"))
        assert found[f"{key}update-sent"] == ended


def test_names_too_long_for_one_message_go_in_shorter_ones() -> None:
    """500 reverse names of IPv6 addresses, most of which no pointer reaches, are more than 64 KB."""
    world = World(batch_map(500, 1))
    world.run(additions(1200, 256, forward=False), together=1200)
    assert 100 < max(world.sizes) < 300
    assert world.d2.log.ids.count("DHCP_DDNS_ADD_SUCCEEDED") == 1200


@pytest.mark.parametrize("batch", [1, 200])
def test_a_server_that_does_one_update_after_the_other_gets_no_more_than_it_can_answer_in_time(
    batch: int
) -> None:
    """However many zones it has: a batch for each of them would wait there for longer than the timeout."""
    zones = [f"z{number}.test." for number in range(30)]
    free_at = 0.0

    def serve(outgoing: Outgoing, now: float) -> list[tuple[float, bytes]]:
        nonlocal free_at
        updates = int.from_bytes(outgoing.message[6:8], "big")  # each has one prerequisite
        free_at = max(free_at, now) + 0.001 * updates
        return [(free_at - now, reply) for _, reply in ok(outgoing, now)]

    d2 = VirtualD2(make_config(simple_map([domain(zone, 1) for zone in zones], settings={
        "user-context": {"pyd2": {"lanes": {"batch": batch}}},
    })), serve, 0, keep_sent=False)
    d2.engine.receive_requests([
        datagram(request(fqdn=f"h{number}.{zone}", dhcid=f"{at:06X}{number:04X}", reverse_change=False))
        for number in range(60) for at, zone in enumerate(zones)
    ], d2.now, d2.wall)
    d2.flush()
    d2.run()
    found = statistics(d2.counters)
    assert (found["update-success"], found["update-timeout"]) == (60 * len(zones), 0)


def test_a_server_s_very_many_zones_are_looked_at_some_in_a_turn() -> None:
    """Each of them has something to send, and the server has no place for a batch."""
    zones = [f"z{number}.test." for number in range(500)]
    d2 = VirtualD2(make_config(simple_map([domain(zone, 1) for zone in zones], settings={
        "user-context": {"pyd2": {"lanes": {"batch": 8, "max-in-flight": 40}}},
    })), lambda outgoing, now: [(0.05, reply) for _, reply in ok(outgoing, now)])
    batcher = d2.engine._batcher
    assert batcher is not None
    looks: list[int] = []
    members, serve = batcher._members, batcher.serve

    def look(*arguments: Any, **more: Any) -> int:
        looks[-1] += 1
        return members(*arguments, **more)

    def count(*arguments: Any) -> tuple[bool, int]:
        looks.append(0)
        return serve(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batcher, "_members", look)
        patch.setattr(batcher, "serve", count)
        d2.engine.receive_requests([
            datagram(request(fqdn=f"h{number}.{zone}", dhcid=f"{at:06X}{number:02X}", reverse_change=False))
            for number in range(4) for at, zone in enumerate(zones)
        ], d2.now, d2.wall)
        d2.flush()
        d2.run()
    assert 10 < max(looks) < 200
    assert d2.log.ids.count("DHCP_DDNS_ADD_SUCCEEDED") == 4 * len(zones)


def commits(batch: int) -> int:
    """Return how many commits of a server carry out some requests; it answers all at the end of each."""
    came: list[Outgoing] = []

    def take(outgoing: Outgoing, _now: float) -> list[tuple[float, bytes]]:
        came.append(outgoing)
        return []

    d2 = VirtualD2(make_config(simple_map([domain("example.com.", 1)], settings={
        "user-context": {"pyd2": {"lanes": {"batch": batch}}},
    })), take, 0, keep_sent=False)
    d2.engine.receive_requests([datagram(each) for each in additions(700, reverse=False)], d2.now, d2.wall)
    d2.flush()
    number = 0
    while d2.engine.active or d2.engine.queued:
        number += 1
        d2.run(d2.now + 0.01)
        answered: dict[tuple[Lane, int], list[bytes]] = {}
        for outgoing in came:
            answered.setdefault((outgoing.lane, outgoing.slot), []).append(answer(outgoing.message))
        came.clear()
        for (lane, slot), replies in answered.items():
            d2.engine.receive_replies(lane, slot, replies, d2.now, d2.wall)
        d2.flush()
    assert d2.log.ids.count("DHCP_DDNS_ADD_SUCCEEDED") == 700
    return number


def test_all_places_are_used_though_all_replies_come_together() -> None:
    """What is taken in at first is less than there are places for then."""
    assert commits(10) <= commits(1)


def test_a_zone_of_which_much_waits_keeps_no_other_one_waiting() -> None:
    """A server gets few batches at a time, and each place that becomes free was that zone's again."""
    trip = 0.03
    sent: list[float] = []

    def serve(outgoing: Outgoing, now: float) -> list[tuple[float, bytes]]:
        if b"\5small" in outgoing.message:
            sent.append(now)
        return [(trip, reply) for _, reply in ok(outgoing, now)]

    zones = [domain(f"{name}.test.", 1) for name in ("large", "small")]
    d2 = VirtualD2(make_config(simple_map(zones, settings={
        "user-context": {"pyd2": {"lanes": {"batch": 10}}},
    })), serve, 0, keep_sent=False)
    d2.engine.receive_requests([
        datagram(request(fqdn=f"h{number}.{'large' if number % 10 else 'small'}.test.", dhcid=f"{number:08X}",
                         reverse_change=False))
        for number in range(700)
    ], d2.now, d2.wall)
    d2.flush()
    d2.run()
    assert len(sent) > 10
    assert max(after - before for before, after in pairwise(sent)) < 2.5 * trip


def test_few_additions_do_not_wait_for_the_end_of_very_many_removals() -> None:
    """They are less than a batch, and batches of the other ones are under way for the zone all the time."""
    added: list[float] = []
    removed: list[float] = []

    def serve(outgoing: Outgoing, now: float) -> list[tuple[float, bytes]]:
        (added if b"\3new" in outgoing.message else removed).append(now)
        return [(0.04, reply) for _, reply in ok(outgoing, now)]

    d2 = VirtualD2(make_config(simple_map([domain("example.test.", 1)], settings={
        "user-context": {"pyd2": {"lanes": {"batch": 50}}},
    })), serve, 0, keep_sent=False)
    names = ["new" if number in range(60, 63) else "old" for number in range(600)]
    begin = d2.now
    d2.engine.receive_requests([
        datagram(request(fqdn=f"{name}.h{number}.example.test.", dhcid=f"{number:08X}", reverse_change=False,
                         change_type=int(name == "old")))
        for number, name in enumerate(names)
    ], d2.now, d2.wall)
    d2.flush()
    d2.run()
    assert added[-1] - begin < 0.25 < 0.5 < removed[-1] - begin


def test_what_goes_alone_leaves_each_other_place_to_batches() -> None:
    """Where replies come one by one, there is never more than one place."""
    free_at = 0.0
    shared: list[int] = []

    def serve(outgoing: Outgoing, now: float) -> list[tuple[float, bytes]]:
        nonlocal free_at
        free_at = max(free_at, now) + 0.001
        shared.append(outgoing.message.count(b"\6shared"))
        return [(free_at - now, reply) for _, reply in ok(outgoing, now)]

    modes = {"alone": "check-exists-with-dhcid", "shared": "check-with-dhcid"}
    d2 = VirtualD2(make_config(simple_map([domain(f"{name}.test.", 1) for name in modes], settings={
        "user-context": {"pyd2": {"lanes": {"batch": 50}}},
    })), serve, 0, keep_sent=False)
    names = ["alone" if number % 10 else "shared" for number in range(600)]
    d2.engine.receive_requests([
        datagram(request(fqdn=f"h{number}.{name}.test.", dhcid=f"{number:08X}", reverse_change=False,
                         conflict_resolution_mode=modes[name]))
        for number, name in enumerate(names)
    ], d2.now, d2.wall)
    d2.flush()
    d2.run()
    halfway = len(shared) // 2
    assert sum(shared[halfway:]) > 0
    assert any(shared[halfway // 2 : halfway])


# What is in the way.

def test_an_owner_comes_once_in_a_message() -> None:
    """Two clients, and two spellings, of one name: the second finds it taken."""
    world = World(batch_map(50, 1))
    first = additions(30)
    second = [
        ncr.request(each["fqdn"].upper(), f"192.0.2.{100 + at}", ncr.dhcid(b"other%d" % at, "h."))
        for at, each in enumerate(first)
    ]
    world.run([each for pair in zip(first, second, strict=True) for each in pair])
    assert world.d2.log.ids.count("DHCP_DDNS_ADD_SUCCEEDED") == 30
    assert world.d2.log.ids.count("DHCP_DDNS_ADD_FAILED") == 30


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("share", [2, 10, 100])
def test_names_that_exist_are_asked_for(ours: bool, share: int) -> None:
    """Those of the client itself are taken over, all other ones fail by Kea's rules."""
    taken = additions(200)[:: 100 // share]
    clients = {each["fqdn"]: each["dhcid"] if ours else ncr.dhcid(b"x", "x.") for each in taken}
    there = [each | {"dhcid": clients[each["fqdn"]], "reverse-change": False} for each in taken]
    worlds = []
    for batch in (1, 50):
        world = World(batch_map(batch))
        world.run([each | {"ip-address": "10.0.0.1"} for each in there], together=1, gap=0.02)
        world.sizes.clear()
        world.d2.log.lines.clear()
        worlds.append((world, world.run(additions(200))))
    assert worlds[0][1] == worlds[1][1]
    world = worlds[1][0]
    failed = 0 if ours else len(taken)
    assert world.d2.log.ids.count("DHCP_DDNS_ADD_FAILED") == failed
    assert world.d2.log.ids.count("DHCP_DDNS_ADD_SUCCEEDED") == 200 - failed
    assert world.questions > 0
    if ours:
        assert len(world.sizes) < 120
    if share == 100 and ours:
        # Once all of them have turned out to be the client's own, they are taken over without questions.
        assert world.questions <= 100
    elif share == 100:
        # Once most names have turned out to exist, none is added on the off chance.
        assert world.questions >= 130


def test_while_some_names_of_each_batch_exist_they_are_asked_for_first() -> None:
    """Nearly all batches would fail: after the first ones none is sent on the off chance."""
    other = {"dhcid": ncr.dhcid(b"x", "x."), "reverse-change": False}
    taken = [each | other for each in additions(400)[::10]]
    world = World(batch_map(50))
    world.run(taken, together=1, gap=0.02)
    world.sizes.clear()
    world.run(additions(400), together=400)
    assert world.d2.log.ids.count("DHCP_DDNS_ADD_FAILED") == 40
    shared = sum(size for size in world.sizes if size > 1)
    # Both directions of 360, and the first batches, which fail.
    assert 600 < shared <= 2 * 360 + 3 * 50
    assert world.questions >= 350


def test_what_goes_alone_beside_batches_may_use_up_the_window() -> None:
    """Each message takes as long, as with Knot DNS: 32 at a time would take three times as long as 96."""
    taken = [each | {"dhcid": ncr.dhcid(b"x", "x.")} for each in additions(900)[::2]]
    world = World(batch_map(50, 96), delay=0.01)
    world.run(taken, together=1, gap=0.02)
    world.send(additions(900))
    lane, limits = world.engine.lanes[0], []
    while world.d2.step():
        if lane.collecting:
            limits.append(lane.window.limit)
    assert max(limits) == 96
    assert min(limits) >= 32
    world.run(additions(1, 900))
    assert not lane.collecting


@pytest.mark.parametrize("in_flight", [1, 2, 5])
def test_questions_that_come_first_are_asked_though_nothing_else_is_under_way(in_flight: int) -> None:
    """Nothing would wake the lane otherwise: the requests would wait until another one comes."""
    found = additions(200, reverse=False)
    world = World(batch_map(20, in_flight))
    world.run([each | {"dhcid": ncr.dhcid(b"x", "x.")} for each in found], together=1, gap=0.02)
    for first in range(0, 200, 40):
        world.run(found[first : first + 40], together=40)
    assert world.d2.log.ids.count("DHCP_DDNS_ADD_FAILED") == 200
    assert world.questions > 100


@pytest.mark.parametrize("answers_questions", [True, False])
def test_names_that_were_expected_to_be_the_client_s_own_may_be_anything(answers_questions: bool) -> None:
    """What was taken over until now says nothing for sure about the next name."""
    ours = additions(200, reverse=False)
    mixed = additions(150, 1000, reverse=False)
    there = [each | {"ip-address": "10.0.0.1"} for each in (*ours, *mixed[::3])]
    there += [each | {"ip-address": "10.0.0.1", "dhcid": ncr.dhcid(b"x", "x.")} for each in mixed[1::3]]
    worlds = []
    for batch in (1, 50):
        world = World(batch_map(batch))
        world.run(there, together=1, gap=0.02)
        world.run(ours)
        world.sizes.clear()
        world.answers_questions = answers_questions
        worlds.append((world.run(mixed), world))
    assert worlds[0][0] == worlds[1][0]
    assert max(worlds[1][1].sizes) > 1
    for _, world in worlds:
        assert world.d2.log.ids.count("DHCP_DDNS_ADD_FAILED") == 50


def test_a_wildcard_that_answers_for_all_names_keeps_none_out_of_batches() -> None:
    """With it no answer says that a name is free; that a name is another client's is seen all the same."""
    other = {"dhcid": ncr.dhcid(b"x", "x."), "reverse-change": False}
    taken = [each | other for each in additions(400)[::10]]
    worlds = []
    for batch in (1, 50):
        world = World(batch_map(batch), wildcard=True)
        world.run([each | {"ip-address": "10.0.0.1"} for each in taken], together=1, gap=0.02)
        world.sizes.clear()
        worlds.append((world.run(additions(400)), world))
    assert worlds[0][0] == worlds[1][0]
    assert worlds[1][1].d2.log.ids.count("DHCP_DDNS_ADD_FAILED") == 40
    assert sum(size == 1 for size in worlds[1][1].sizes) < 150


def test_a_server_that_answers_no_questions_is_asked_once() -> None:
    """Then updates go alone, by Kea's steps; that the server is silent to questions says nothing else."""
    world = World(batch_map(20, failover={"enabled": True, "breaker-threshold": 2}))
    other = {"dhcid": ncr.dhcid(b"x", "x."), "reverse-change": False}
    taken = [each | other for each in additions(100)[::10]]
    world.run(taken, together=1, gap=0.02)
    world.answers_questions = False
    world.run(additions(100))
    assert 0 < world.questions <= 2 * 20
    assert world.d2.log.ids.count("DHCP_DDNS_ADD_FAILED") == 10
    assert "PYD2_SERVER_DOWN" not in world.d2.log.ids


def test_a_refusal_ends_batches_for_a_while() -> None:
    """Alone, each update gets its own answer."""
    world = World(batch_map(50), refuses=True)
    world.run(additions(200))
    assert world.d2.log.ids.count("DHCP_DDNS_ADD_SUCCEEDED") == 200
    assert 1 < len([size for size in world.sizes if size > 1]) <= 6
    assert "PYD2_BATCHES_PAUSED" in world.d2.log.ids
    world.refuses = False
    world.d2.now += PAUSE
    world.sizes.clear()
    world.run(additions(120, 1000))
    assert max(world.sizes) > 1


def test_the_second_address_of_a_name_is_not_removed_with_the_first() -> None:
    """The updates of a batch of removals that the second address stops go alone, by Kea's steps."""
    worlds = []
    for batch in (1, 20):
        world = World(batch_map(batch))
        v4 = additions(60)
        v6 = [each | {"ip-address": f"2001:db8::{at:x}"} for at, each in enumerate(v4)]
        world.run(v4)
        world.run(v6[::5])
        worlds.append((world.run([each | {"change-type": 1} for each in v4]), world))
    assert worlds[0][0] == worlds[1][0]
    assert max(worlds[1][1].sizes) > 1


@settings(max_examples=8, deadline=None)
@given(
    picks=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5), st.booleans()), min_size=1, max_size=150),
    batch=st.sampled_from([3, 40]),
)
def test_the_requests_for_a_name_and_for_an_address_keep_their_order(
    picks: list[tuple[int, int, bool]], batch: int
) -> None:
    """Without a check the last one wins: so the zones are those of one request after the other."""
    stream = [
        ncr.request(
            f"{'N' if at % 2 else 'n'}{name}.example.com.", f"192.0.2.{10 * name + place}",
            ncr.dhcid(b"%d" % at, "h."), change=int(removes), mode="no-check-with-dhcid",
        )
        for at, (name, place, removes) in enumerate(picks)
    ]
    ends = []
    for size, together in ((1, 1), (batch, 150)):
        world = World(batch_map(size, 2))
        ends.append(world.run(stream, together=together, gap=0.05))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("seed", range(3))
def test_what_comes_for_a_name_keeps_its_order_though_replies_come_before_all_is_sorted(seed: int) -> None:
    """A turn ends when it has cost enough; the next one begins with the replies that have come meanwhile."""
    chance = random.Random(seed)
    sent = b""
    replies: list[tuple[float, Outgoing]] = []

    def take(outgoing: Outgoing, now: float) -> list[tuple[float, bytes]]:
        nonlocal sent
        sent += outgoing.message
        replies.append((now + chance.choice([0.002, 0.009]), outgoing))
        return []

    d2 = VirtualD2(make_config(batch_map(10, 5)), take, 0, keep_sent=False)
    d2.engine.pace(0.1)
    names = [chance.randrange(8) for _ in range(200)]
    d2.engine.receive_requests([
        datagram(request(fqdn=f"n{name}.example.com.", ip_address=f"10.99.98.{number}", dhcid=f"{number:08X}",
                         reverse_change=False, conflict_resolution_mode="no-check-with-dhcid"))
        for number, name in enumerate(names)
    ], d2.now, d2.wall)
    d2.flush()
    while d2.engine.active or d2.engine.queued:
        d2.now += 0.001
        for reply in [each for each in replies if each[0] <= d2.now]:
            replies.remove(reply)
            outgoing = reply[1]
            d2.engine.receive_reply(outgoing.lane, outgoing.slot, answer(outgoing.message), d2.now, d2.wall)
            d2.flush()
        d2.engine.handle_timer(d2.now, d2.wall)
        d2.flush()
    places = [sent.index(bytes((10, 99, 98, number))) for number in range(200)]
    for name in set(names):
        found = [place for place, other in zip(places, names, strict=True) if other == name]
        assert found == sorted(found)


# What is lost.

def test_a_lost_reply_leads_to_singles_at_the_same_server() -> None:
    world = World(batch_map(50), lose_every=10)
    alone = World(batch_map(1))
    assert world.run(additions(200)) == alone.run(additions(200))
    assert world.d2.log.ids.count("DHCP_DDNS_ADD_SUCCEEDED") == 200
    found = statistics(world.d2.counters)
    assert found["update-timeout"] >= 1


def test_a_batch_that_ends_each_connection_is_not_sent_for_ever() -> None:
    """Others are answered over the same connections: these work, and say nothing about this one."""
    over_tcp = number = 0
    due: list[tuple[float, Outgoing, bool]] = []

    def take(outgoing: Outgoing, now: float) -> list[tuple[float, bytes]]:
        nonlocal over_tcp
        ends = outgoing.tcp and b"\3bad" in outgoing.message
        over_tcp += ends
        due.append((now + (0.003 if ends else 0.002), outgoing, ends))
        return []

    d2 = VirtualD2(make_config(simple_map([domain(f"{name}.test.", 1) for name in ("good", "bad")], settings={
        "user-context": {"pyd2": {"lanes": {"batch": 50}}},
    })), take, 0, keep_sent=False)

    def send(zone: str, count: int) -> None:
        nonlocal number
        first, number = number, number + count
        d2.engine.receive_requests([
            datagram(request(fqdn=f"host-{each}.{zone}.test.", dhcid=f"{each:08X}", reverse_change=False))
            for each in range(first, number)
        ], d2.now, d2.wall)
        d2.flush()

    send("good", 100)
    send("bad", 30)
    for _ in range(40):  # there is always more for the other zone
        send("good", 40)
        for _ in range(2):
            d2.run(d2.now + 0.001)
            for reply in [each for each in due if each[0] <= d2.now]:
                due.remove(reply)
                _, outgoing, ends = reply
                if ends:
                    d2.engine.send_failed(outgoing, "connection closed", d2.now, d2.wall)
                else:
                    d2.engine.receive_reply(
                        outgoing.lane, outgoing.slot, answer(outgoing.message), d2.now, d2.wall
                    )
                d2.flush()
    assert 0 < over_tcp <= 2


def test_a_server_that_is_dead_gets_three_tries_of_each_update() -> None:
    world = World(batch_map(50), dead=(1,))
    world.run(additions(100, reverse=False))
    assert world.d2.log.ids.count("DHCP_DDNS_ADD_FAILED") == 100
    found = statistics(world.d2.counters)
    assert (found["update-sent"], found["update-timeout"]) == (300, 300)


def test_the_next_server_of_the_domain_gets_batches_too() -> None:
    world = World(batch_map(50, 4, 1, 2, failover={"enabled": True}), dead=(1,))
    world.run(additions(100))
    assert world.d2.log.ids.count("DHCP_DDNS_ADD_SUCCEEDED") == 100
    assert max(world.sizes) > 10


@pytest.mark.parametrize("lose_every", [0, 10])
@pytest.mark.parametrize("batch", [7, 60])
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 250), together=st.sampled_from([1, 16, 250]))
def test_zones_end_as_they_do_one_by_one(
    batch: int, lose_every: int, seed: int, count: int, together: int
) -> None:
    held, stream = requests(seed, count)
    ends = []
    for size in (1, batch):
        world = World(batch_map(size, 3), lose_every=0 if size == 1 else lose_every)
        world.run(held, together=1, gap=0.05)
        ends.append(world.run(stream, together=together))
        outcomes = [line for line in world.d2.log.ids if line.endswith(("_SUCCEEDED", "_FAILED"))]
        assert len(outcomes) == len(held) + count
    assert ends[0] == ends[1]


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), sizes=st.lists(st.sampled_from([1, 5, 50]), min_size=2, max_size=6))
def test_reloads_in_the_middle_change_nothing(seed: int, sizes: list[int]) -> None:
    """What has begun goes on with the server and the zone it has; what waits is matched again."""
    held, stream = requests(seed, 180)
    ends = []
    for reloads in ([1], sizes):
        world = World(batch_map(reloads[0], 2))
        world.run(held, together=1, gap=0.05)
        part = -(-len(stream) // len(reloads))
        for at, size in enumerate(reloads):
            world.d2.configure(make_config(batch_map(size, 2 + at)))
            world.send(stream[at * part : (at + 1) * part])
            world.d2.run(world.d2.now + 0.012)
        ends.append(world.run([]))
    assert ends[0] == ends[1]
