"""The engine's behaviour beyond the recorded cases: turns, limits, reconfiguration, shutdown, faults."""

import base64
import gc
import random
import socket
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import pytest

from pyd2.backend import make_backend
from pyd2.config.model import DnsServer
from pyd2.dns.tsig import HmacKey, SigningContext, SigningKey
from pyd2.update.engine import Engine, Outgoing, Selection, SelectKey
from pyd2.update.retry.shares import OCTETS_PER_ENTRY
from pyd2.update.schedule.queue_limit import LARGEST_REQUEST
from pyd2.update.schedule.steps import STEP
from tests.kit import replies
from tests.kit.dnswire import parse
from tests.update import support
from tests.update.support import (
    Peer,
    SendError,
    VirtualD2,
    answer,
    collect_messages,
    datagram,
    dead,
    domain,
    draws,
    make_config,
    ok,
    request,
    simple_map,
    statistics,
)

SECRET = base64.b64encode(b"secret-secret-secret-secret").decode()
KEYS = [{"name": "k.example", "algorithm": "HMAC-SHA256", "secret": SECRET}]


def forward(number: int = 0, **fields: Any) -> dict[str, Any]:
    """Return a request of a client of its own, forward only."""
    values = {"fqdn": f"h{number}.example.com.", "dhcid": f"{number:08X}", "reverse_change": False}
    return request(**(values | fields))


def virtual(
    peer: Peer, *ports: int, settings: Mapping[str, Any] | None = None, debuglevel: int = 55,
    select_key: SelectKey | None = None,
) -> VirtualD2:
    """Return an engine with one forward domain."""
    config = make_config(simple_map([domain("example.com.", *(ports or (1,)))], settings=settings))
    return VirtualD2(config, peer, debuglevel, select_key)


class Held:
    """A peer that keeps the messages until the test answers them."""

    def __init__(self) -> None:
        self.messages: list[Outgoing] = []

    def __call__(self, outgoing: Outgoing, now: float) -> Iterable[tuple[float, bytes]]:
        self.messages.append(outgoing)
        return ()

    def release(self, d2: VirtualD2, index: int = 0, rcode: int = 0) -> Outgoing:
        outgoing = self.messages.pop(index)
        reply = answer(outgoing.message, rcode)
        d2.engine.receive_reply(outgoing.lane, outgoing.slot, reply, d2.now, d2.wall)
        d2.flush()
        return outgoing


def owner(outgoing: Outgoing) -> str:
    """Return the name that a message updates."""
    return parse(outgoing.message).update[0].split()[0]


# Local ports.

def test_what_goes_out_together_goes_from_one_port_and_what_follows_from_any() -> None:
    d2 = virtual(dead)
    d2.engine.lanes[0].slots = [0, 1, 2, 3]
    used = set()
    for turn in range(200):
        for number in range(5):
            d2.engine.receive_request(datagram(forward(5 * turn + number)), d2.now, d2.wall)
        messages = collect_messages(d2.engine)
        slots = {message.slot for message in messages}
        assert len(slots) == 1
        used |= slots
        for message in messages:
            d2.engine.receive_reply(message.lane, message.slot, answer(message.message), d2.now, d2.wall)
    assert used == {0, 1, 2, 3}


# One transaction per DHCID.

def test_requests_of_one_client_go_one_after_the_other_in_order() -> None:
    held = Held()
    d2 = virtual(held)
    for name in ("a", "b", "c"):
        d2.request(forward(dhcid="AA", fqdn=f"{name}.example.com."))
    assert (d2.engine.active, d2.engine.queued) == (1, 2)
    seen = []
    while held.messages:
        assert len(held.messages) == 1
        seen.append(owner(held.release(d2)))
    assert seen == ["a.example.com.", "b.example.com.", "c.example.com."]
    assert (d2.engine.active, d2.engine.queued) == (0, 0)


def test_the_order_of_one_client_holds_across_servers() -> None:
    held = Held()
    d2 = VirtualD2(make_config(simple_map([domain("one.test.", 1), domain("two.test.", 2)])), held)
    d2.request(forward(dhcid="AA", fqdn="h.one.test."))
    d2.request(forward(dhcid="AA", fqdn="h.two.test."))
    assert [message.lane.port for message in held.messages] == [1]
    held.release(d2)
    assert [message.lane.port for message in held.messages] == [2]


def test_a_request_in_a_lane_holds_its_client_too() -> None:
    """Waiting for a congested server, it is not overtaken by the client's next request to an idle one."""
    held = Held()
    lanes = {"user-context": {"pyd2": {"lanes": {"max-in-flight": 1}}}}
    zones = simple_map([domain("one.test.", 1), domain("two.test.", 2)], settings=lanes)
    d2 = VirtualD2(make_config(zones), held)
    d2.request(forward(1, fqdn="x.one.test."))
    d2.request(forward(dhcid="AA", fqdn="h.one.test."))
    d2.request(forward(dhcid="AA", fqdn="h.two.test."))
    assert [owner(message) for message in held.messages] == ["x.one.test."]
    held.release(d2)
    assert [owner(message) for message in held.messages] == ["h.one.test."]
    held.release(d2)
    assert [owner(message) for message in held.messages] == ["h.two.test."]


@pytest.mark.parametrize("dhcid", ["AA", "AB" * 480], ids=["a truncated reply", "a large update"])
def test_what_c_hands_to_python_holds_its_client_meanwhile(dhcid: str) -> None:
    """What C declines is made or judged there, and tried over TCP: the next request must not overtake it."""
    held = Held()
    zones = simple_map([domain("one.test.", 1), domain("two.test.", 2)])
    d2 = VirtualD2(make_config(zones), held, debuglevel=0)
    d2.request(forward(dhcid=dhcid, fqdn="h.one.test."))
    d2.request(forward(dhcid=dhcid, fqdn="h.two.test."))
    (outgoing,) = held.messages
    if not outgoing.tcp:
        held.messages.clear()
        reply = bytearray(answer(outgoing.message))
        reply[2] |= 2
        d2.engine.receive_reply(outgoing.lane, outgoing.slot, bytes(reply), d2.now, d2.wall)
        d2.flush()
    assert [(owner(message), message.tcp) for message in held.messages] == [("h.one.test.", True)]
    held.release(d2)
    assert [owner(message) for message in held.messages] == ["h.two.test."]


def test_a_long_chain_of_hopeless_requests_is_no_recursion() -> None:
    d2 = virtual(ok, debuglevel=0)
    held = Held()
    d2.peer = held
    d2.request(forward(dhcid="AA"))
    for _ in range(5000):
        d2.request(forward(dhcid="AA", fqdn="h.elsewhere.test."))
    held.release(d2)
    assert d2.log.ids.count("DHCP_DDNS_NO_FWD_MATCH_ERROR") <= STEP
    d2.run()
    assert d2.log.ids.count("DHCP_DDNS_NO_FWD_MATCH_ERROR") == 5000
    assert (d2.engine.active, d2.engine.queued) == (0, 0)


def test_servers_that_callouts_skip_are_no_recursion() -> None:
    d2 = virtual(ok, debuglevel=0, select_key=lambda server, key: Selection(None, skip=True))
    for number in range(3000):
        d2.request(forward(dhcid="AA" if number % 2 else f"{number:08X}"))
    assert d2.log.ids.count("DHCP_DDNS_ADD_FAILED") == 3000
    assert d2.sent == []


# Lanes.

def test_a_dead_server_delays_no_other_server() -> None:
    def peer(outgoing: Outgoing, now: float) -> Iterable[tuple[float, bytes]]:
        return dead(outgoing, now) if outgoing.lane.port == 9 else [(0.001, answer(outgoing.message))]

    d2 = VirtualD2(make_config(simple_map([domain("dead.test.", 9), domain("good.test.", 1)])), peer)
    for number in range(200):
        d2.request(forward(number, fqdn=f"h{number}.dead.test."))
    begin = d2.now
    for number in range(200, 400):
        d2.request(forward(number, fqdn=f"h{number}.good.test."))
    d2.run(begin + 0.1)
    assert d2.log.ids.count("DHCP_DDNS_ADD_SUCCEEDED") == 200
    d2.run()
    assert d2.log.ids.count("DHCP_DDNS_ADD_FAILED") == 200


def test_the_tries_to_a_dead_server_are_keas() -> None:
    d2 = virtual(dead, 9, 8, settings={"dns-server-timeout": 200})
    d2.request(forward())
    begin = d2.now
    d2.run()
    tries = [(round(at - begin, 6), message.lane.port) for at, message in d2.sent]
    assert tries == [(0.0, 9), (0.2, 9), (0.4, 9), (0.6, 8), (0.8, 8), (1.0, 8)]
    assert round(d2.now - begin, 6) == 1.2
    assert len({message.query_id for _, message in d2.sent}) == 6


def test_started_transactions_go_before_waiting_requests() -> None:
    held = Held()
    lanes = {"user-context": {"pyd2": {"lanes": {"max-in-flight": 1}}}}
    zones = simple_map([domain("example.com.", 1)], [domain("2.0.192.in-addr.arpa.", 1)], settings=lanes)
    d2 = VirtualD2(make_config(zones), held)
    for number in range(2):
        d2.request(request(dhcid=f"0{number}", fqdn=f"h{number}.example.com."))
    assert (d2.engine.active, d2.engine.queued) == (1, 1)
    assert owner(held.release(d2)) == "h0.example.com."
    assert owner(held.release(d2)) == "10.2.0.192.in-addr.arpa."
    assert owner(held.release(d2)) == "h1.example.com."


def test_a_server_may_be_given_more_or_less() -> None:
    held = Held()
    context = {"pyd2": {"lanes": {"max-in-flight": 5}}}
    zone = domain("example.com.", 1, 2)
    zone["dns-servers"][0]["user-context"] = context
    d2 = VirtualD2(make_config(simple_map([zone, domain("other.test.", 1)])), held)
    for number in range(40):
        d2.request(forward(number))
    assert len(held.messages) == 5
    assert (d2.engine.active, d2.engine.queued) == (5, 35)


# Replies.

def test_forged_replies_change_nothing() -> None:
    held = Held()
    d2 = virtual(held)
    d2.request(forward())
    (outgoing,) = held.messages
    good = answer(outgoing.message)
    wrong_id = (outgoing.query_id ^ 1).to_bytes(2, "big") + good[2:]
    slot = outgoing.slot
    attempts = [(slot, wrong_id), (slot ^ 1, good), (slot, b""), (slot, b"\0")]
    for slot, reply in attempts:
        d2.engine.receive_reply(outgoing.lane, slot, reply, d2.now, d2.wall)
        d2.flush()
    assert d2.counters.replies_ignored.value == len(attempts)
    assert len(d2.sent) == 1
    assert d2.engine.active == 1
    held.release(d2)
    assert d2.engine.active == 0
    d2.engine.receive_reply(outgoing.lane, outgoing.slot, good, d2.now, d2.wall)
    assert d2.counters.replies_ignored.value == len(attempts) + 1


def test_query_ids_and_ports_are_drawn_from_the_whole_range() -> None:
    d2 = virtual(ok, debuglevel=0)
    d2.engine.lanes[0].slots = [0, 1, 2, 3]
    for number in range(3000):
        d2.request(forward(number))
        d2.run()
    assert {message.slot for _, message in d2.sent} == {0, 1, 2, 3}
    ids = [message.query_id for _, message in d2.sent]
    assert len(set(ids)) > 2800
    assert min(ids) < 300
    assert max(ids) > 65235
    for _, message in d2.sent:
        assert int.from_bytes(message.message[:2], "big") == message.query_id


def test_a_query_id_in_use_is_drawn_again_and_one_that_is_free_again_may_come() -> None:
    """Drawn, and not looked for in the neighbourhood of one that is taken: that would be easier to guess."""
    held = Held()
    d2 = virtual(held, debuglevel=0)
    (lane,) = d2.engine.lanes
    lane.slots = [0]
    drawn = random.Random(2136)
    ids = range(1000, 33000, 1000)
    d2.engine._driver.tries.random = draws(drawn.choice(ids) for _ in range(20_000))
    d2.engine.receive_requests([datagram(forward(number)) for number in range(32)], d2.now, d2.wall)
    d2.flush()
    assert sorted(message.query_id for message in held.messages) == list(ids)
    free = held.release(d2, 7).query_id
    d2.run(d2.now)
    d2.request(forward(32))
    assert held.messages[-1].query_id == free
    assert owner(held.messages[-1]) == "h32.example.com."
    held.release(d2, -1)
    assert (d2.engine.active, d2.counters.replies_ignored.value) == (31, 0)


def test_a_truncated_reply_counts_if_there_is_no_tcp() -> None:
    """The answer is whole enough for Kea, so it must not become a failure here."""

    def peer(outgoing: Outgoing, now: float) -> Iterable[tuple[float, bytes]]:
        if outgoing.tcp:
            raise SendError(111)
        reply = bytearray(answer(outgoing.message))
        reply[2] |= 2
        return [(0.0, bytes(reply))]

    d2 = virtual(peer)
    d2.request(forward())
    d2.run()
    assert [message.tcp for _, message in d2.sent] == [False, True]
    assert d2.log.ids[-1] == "DHCP_DDNS_ADD_SUCCEEDED"
    assert "ASIODNS_SEND_DATA" not in d2.log.ids
    found = statistics(d2.counters)
    assert (found["update-sent"], found["update-success"], found["update-timeout"]) == (1, 1, 0)


def test_a_truncated_reply_counts_if_tcp_is_silent() -> None:
    def peer(outgoing: Outgoing, now: float) -> Iterable[tuple[float, bytes]]:
        reply = bytearray(answer(outgoing.message, 5))
        reply[2] |= 2
        return [] if outgoing.tcp else [(0.0, bytes(reply))]

    d2 = virtual(peer)
    d2.request(forward())
    d2.run()
    assert d2.log.ids[-2:] == ["DHCP_DDNS_FORWARD_ADD_REJECTED", "DHCP_DDNS_ADD_FAILED"]


def test_the_answer_over_tcp_is_what_counts() -> None:
    def peer(outgoing: Outgoing, now: float) -> Iterable[tuple[float, bytes]]:
        reply = bytearray(answer(outgoing.message, 0 if outgoing.tcp else 2))
        reply[2] |= 2
        return [(0.0, bytes(reply))]

    d2 = virtual(peer)
    d2.request(forward())
    d2.run()
    assert d2.log.ids[-1] == "DHCP_DDNS_ADD_SUCCEEDED"
    assert len(d2.sent) == 2


def test_tcp_may_be_chosen() -> None:
    d2 = virtual(ok, settings={"user-context": {"pyd2": {"lanes": {"transport": "tcp"}}}})
    d2.request(forward())
    d2.run()
    assert [message.tcp for _, message in d2.sent] == [True]
    assert d2.log.ids[-1] == "DHCP_DDNS_ADD_SUCCEEDED"


@pytest.mark.parametrize("key", [{}, {"key-name": "k.example"}], ids=["unsigned", "signed"])
def test_what_is_beyond_512_octets_goes_over_tcp(key: dict[str, str]) -> None:
    """With its signature, to the octet."""
    config = make_config(simple_map([domain("example.com.", 1, **key)], settings={"tsig-keys": KEYS}))
    d2 = VirtualD2(config, dead, debuglevel=0)
    for size in range(280, 450):
        d2.request(forward(dhcid=f"{size:04X}" + "AB" * size))
    d2.run()
    assert {512, 513} <= {len(message.message) for _, message in d2.sent}
    assert all(message.tcp == (len(message.message) > 512) for _, message in d2.sent)


def test_a_failed_send_is_logged_at_once_and_tried_again_after_its_timeout() -> None:
    """As in the real server, seen with a route that is missing."""
    def peer(outgoing: Outgoing, now: float) -> Iterable[tuple[float, bytes]]:
        if outgoing.lane.port == 9:
            raise SendError(101)
        return ok(outgoing, now)

    d2 = virtual(peer, 9, 1)
    begin = d2.now
    d2.request(forward())
    assert d2.log.ids[-1] == "ASIODNS_SEND_DATA"
    assert d2.counters.update_timeout.value == 0
    d2.run()
    tries = [(round(at - begin, 6), message.lane.port) for at, message in d2.sent]
    assert tries == [(0, 9), (0.5, 9), (1.0, 9), (1.5, 1)]
    assert d2.log.ids.count("ASIODNS_READ_TIMEOUT") == 3
    assert d2.log.texts("ASIODNS_SEND_DATA") == ["error 101 sending data using UDP to 127.0.0.1(9)"] * 3
    found = statistics(d2.counters)
    assert (found["update-sent"], found["update-timeout"], found["update-success"]) == (4, 3, 1)


def test_an_address_is_shown_as_kea_shows_it() -> None:
    def peer(outgoing: Outgoing, now: float) -> Iterable[tuple[float, bytes]]:
        raise SendError(13)

    servers = [{"ip-address": "::ffff:255.255.255.255"}]
    d2 = VirtualD2(make_config(simple_map([{"name": "example.com.", "dns-servers": servers}])), peer)
    d2.request(forward())
    d2.run()
    sent = "error 13 sending data using UDP to ::ffff:255.255.255.255(53)"
    assert d2.log.texts("ASIODNS_SEND_DATA") == [sent] * 3


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_way_that_is_missing_for_less_than_three_timeouts_costs_no_update(transport: str) -> None:
    def peer(outgoing: Outgoing, now: float) -> Iterable[tuple[float, bytes]]:
        if now < begin + 0.7:
            raise SendError(111 if outgoing.tcp else 101)
        return ok(outgoing, now)

    settings = {"user-context": {"pyd2": {"lanes": {"transport": transport}}}}
    d2 = virtual(peer, settings=settings, debuglevel=0)
    begin = d2.now
    for number in range(20):
        d2.request(forward(number))
    d2.run()
    assert d2.log.ids.count("DHCP_DDNS_ADD_SUCCEEDED") == 20
    assert d2.log.ids.count("ASIODNS_SEND_DATA") == d2.counters.update_timeout.value == 40


def test_a_failed_send_keeps_its_place_in_the_window() -> None:
    def peer(outgoing: Outgoing, now: float) -> Iterable[tuple[float, bytes]]:
        if owner(outgoing) == "h1.example.com.":
            raise SendError(101)
        return ok(outgoing, now)

    d2 = limited(peer, 100, in_flight=1)
    begin = d2.now
    d2.request(forward(1))
    d2.request(forward(2))
    d2.run()
    (second,) = [at for at, message in d2.sent if owner(message) == "h2.example.com."]
    assert second >= begin + 1.5


def test_all_that_goes_over_one_connection_has_ids_of_its_own() -> None:
    """Whatever slots there are for UDP: the connection knows nothing but the ID."""
    held = Held()
    settings = {"user-context": {"pyd2": {"lanes": {"transport": "tcp"}}}}
    d2 = virtual(held, settings=settings, debuglevel=0)
    d2.engine.lanes[0].slots = [0, 1, 2, 3]
    drawn = random.Random(7766)
    d2.engine._driver.tries.random = draws(
        drawn.getrandbits(2) << 16 | drawn.choice(range(40)) for _ in range(20_000)
    )
    for number in range(32):
        d2.request(forward(number))
    assert len({message.query_id for message in held.messages}) == 32


def test_a_late_report_of_a_failed_send_is_nothing() -> None:
    held = Held()
    d2 = virtual(held)
    d2.request(forward())
    (outgoing,) = held.messages
    held.release(d2)
    d2.engine.send_failed(outgoing, 104, d2.now, d2.wall)
    assert d2.log.ids[-1] == "DHCP_DDNS_ADD_SUCCEEDED"
    assert d2.counters.update_timeout.value == 0


# Building and sending.

@pytest.mark.parametrize(("change_type", "failure", "outcome"), [
    (0, "DHCP_DDNS_FORWARD_ADD_BUILD_FAILURE", "DHCP_DDNS_ADD_FAILED"),
    (1, "DHCP_DDNS_FORWARD_REMOVE_ADDRS_BUILD_FAILURE", "DHCP_DDNS_REMOVE_FAILED"),
])
def test_an_address_with_a_scope_cannot_become_a_record(change_type: int, failure: str, outcome: str) -> None:
    """Seen from the real server, with ``2001:db8::1%1``."""
    d2 = virtual(ok)
    d2.request(forward(ip_address="2001:db8::1%1", change_type=change_type))
    assert d2.log.ids[-2:] == [failure, outcome]
    reason = ", reason: Cannot add address rdata: Bad IN/AAAA RDATA text: '2001:db8::1%1'"
    assert d2.log.texts(failure)[0].endswith(reason)
    assert "Event: UPDATE_FAILED_EVT,  Forward change: failed,  request: " in d2.log.lines[-1][3]
    assert d2.counters.update_sent.value == 0


def test_an_address_with_a_scope_is_good_enough_for_a_reverse_name() -> None:
    zones = simple_map(reverse=[domain("8.b.d.0.1.0.0.2.ip6.arpa.", 1)])
    d2 = VirtualD2(make_config(zones), ok)
    d2.request(request(ip_address="2001:db8::1%1", forward_change=False))
    d2.run()
    assert d2.log.ids[-1] == "DHCP_DDNS_ADD_SUCCEEDED"


@pytest.mark.parametrize(("zone", "section"), [("com.", "com."), ("*", "*."), (".", None)])
def test_the_wildcard_is_a_zone_of_that_name_and_the_root_matches_nothing(
    zone: str, section: str | None
) -> None:
    """As with Kea, which compares texts: no name ends in the root's dot behind another dot."""
    d2 = VirtualD2(make_config(simple_map([domain(zone, 1)])), ok)
    d2.request(forward(fqdn="a.host.com."))
    d2.run()
    found = [parse(message.message) for _, message in d2.sent]
    assert [message.zone[0].split()[0] for message in found] == ([section] if section else [])
    assert [message.update[0].split()[0] for message in found] == (["a.host.com."] if section else [])
    assert ("DHCP_DDNS_ADD_SUCCEEDED" in d2.log.ids) == bool(section)


def test_a_zone_that_is_no_name_fails_at_building() -> None:
    """Its text ends a name whose first label holds two escaped dots, so that it matches."""
    d2 = VirtualD2(make_config(simple_map([domain(".x.", 1)])), ok)
    d2.request(forward(fqdn="\\..x."))
    assert d2.log.ids[-2:] == ["DHCP_DDNS_FORWARD_ADD_BUILD_FAILURE", "DHCP_DDNS_ADD_FAILED"]
    assert "reason: Cannot create new request :" in d2.log.lines[-2][3]


def test_a_timeout_beyond_keas_integers_cannot_send() -> None:
    d2 = virtual(ok, settings={"dns-server-timeout": 2**31})
    d2.request(forward())
    assert d2.log.ids[-2:] == ["DHCP_DDNS_TRANS_SEND_ERROR", "DHCP_DDNS_ADD_FAILED"]
    assert d2.log.lines[-2][3].endswith(
        "A timeout value for DNS Update request must not exceed 2147483647."
        " Provided timeout value is '2147483648'"
    )
    assert d2.sent == []
    assert d2.counters.update_sent.value == 0
    assert d2.engine.timer() is None


def test_the_longest_timeout_is_kept() -> None:
    d2 = virtual(dead, settings={"dns-server-timeout": 2**31 - 1})
    d2.request(forward())
    assert d2.engine.timer() == d2.now + (2**31 - 1) / 1000


# Callouts.

class OddKey:
    """A key whose context raises what a library may raise."""

    name = "odd."
    algorithm = "gss-tsig."

    def create_context(self) -> SigningContext:
        raise RuntimeError("no credentials")


def test_select_key_is_asked_once_per_server_and_direction() -> None:
    asked: list[tuple[int, str | None]] = []

    def select(server: DnsServer, key: SigningKey | None) -> Selection:
        asked.append((server.port, key.name if key else None))
        return Selection(key)

    def peer(outgoing: Outgoing, now: float) -> Iterable[tuple[float, bytes]]:
        return dead(outgoing, now) if outgoing.lane.port == 9 else ok(outgoing, now)

    reverse = domain("2.0.192.in-addr.arpa.", 1, **{"key-name": "k.example"})
    zones = simple_map([domain("example.com.", 9, 1)], [reverse], {"tsig-keys": KEYS})
    d2 = VirtualD2(make_config(zones), peer, select_key=select)
    d2.request(request())
    d2.run(d2.now + 1.6)
    assert asked == [(9, None), (1, None), (1, "k.example.")]


def test_select_key_may_take_the_key_away_or_bring_one() -> None:
    other = HmacKey("Other.Example", "hmac-md5", b"0123456789")
    answers = iter([Selection(None), Selection(other)])
    zones = simple_map([domain("example.com.", 1, **{"key-name": "k.example"})], settings={"tsig-keys": KEYS})
    d2 = VirtualD2(make_config(zones), dead, select_key=lambda server, key: next(answers))
    d2.request(forward(1))
    d2.request(forward(2))
    tsigs = [parse(message.message).tsig for _, message in d2.sent]
    assert tsigs[0] is None
    assert tsigs[1] is not None
    assert tsigs[1].name.to_text() == "other.example."
    found = statistics(d2.counters)
    assert (found["update-unsigned"], found["update-signed"]) == (1, 1)
    assert found["key[k.example.].update-sent"] == 0
    assert found["key[other.example.].update-sent"] == 1


def test_select_key_may_skip_servers() -> None:
    def select(server: DnsServer, key: SigningKey | None) -> Selection:
        return Selection(key, skip=server.port != 3)

    d2 = virtual(ok, 1, 2, 3, 4, select_key=select)
    d2.request(forward())
    assert [message.lane.port for _, message in d2.sent] == [3]


def test_all_servers_skipped_is_a_failure() -> None:
    d2 = virtual(ok, 1, 2, select_key=lambda server, key: Selection(key, skip=True))
    d2.request(forward())
    assert d2.log.ids[-1] == "DHCP_DDNS_ADD_FAILED"
    assert "Event: NO_MORE_SERVERS_EVT," in d2.log.lines[-1][3]


def test_a_callout_that_raises_costs_one_request() -> None:
    def select(server: DnsServer, key: SigningKey | None) -> Selection:
        if server.port == 9:
            raise ZeroDivisionError("of a library")
        return Selection(key)

    zones = simple_map([domain("bad.test.", 9), domain("example.com.", 1)])
    d2 = VirtualD2(make_config(zones), ok, select_key=select)
    d2.request(forward(1, fqdn="h.bad.test."))
    assert d2.log.ids[-1] == "DHCP_DDNS_STATE_MODEL_UNEXPECTED_ERROR"
    assert d2.log.lines[-1][3].endswith(
        "of a library : current state: [ 1 END_ST ] next event: [ 3 FAIL_EVT ]",
    )
    assert d2.engine.active == 0
    d2.request(forward(1))
    d2.run()
    assert d2.log.ids[-1] == "DHCP_DDNS_ADD_SUCCEEDED"


def test_a_key_that_raises_costs_one_request() -> None:
    d2 = virtual(ok, select_key=lambda server, key: Selection(OddKey()))
    d2.request(forward())
    assert d2.log.ids[-2:] == ["DHCP_DDNS_TRANS_SEND_ERROR", "DHCP_DDNS_ADD_FAILED"]
    assert d2.log.lines[-2][3].endswith("no credentials")
    assert d2.engine.active == 0
    assert d2.engine.timer() is None


class OddContext:
    """A context that signs nothing and cannot verify."""

    length = 0

    def sign(self, message: bytes, qid: int, wall: int) -> bytes:
        return qid.to_bytes(2, "big") + message[2:]

    def verify(self, reply: bytes, tsig: object, wall: int) -> None:
        raise RuntimeError("context expired")


class ForgetfulKey(OddKey):
    """A key whose contexts do not survive until the reply."""

    def create_context(self) -> SigningContext:
        return OddContext()


def test_a_context_that_raises_spoils_the_reply() -> None:
    d2 = virtual(ok, select_key=lambda server, key: Selection(ForgetfulKey()))
    d2.request(forward())
    d2.run()
    assert d2.log.ids.count("DHCP_DDNS_FORWARD_ADD_RESP_CORRUPT") == 3
    assert d2.log.texts("DHCP_DDNS_INVALID_RESPONSE")[0].endswith("malformed: context expired")
    assert d2.log.ids[-1] == "DHCP_DDNS_ADD_FAILED"
    assert statistics(d2.counters)["key[odd.].update-error"] == 3
    assert d2.engine.timer() is None


# The limit.

def limited(peer: Peer, entries: int, in_flight: int = 2) -> VirtualD2:
    context = {"pyd2": {"queue": {"max-entries": entries}, "lanes": {"max-in-flight": in_flight}}}
    return virtual(peer, settings={"user-context": context})


def test_a_full_queue_drops_counts_and_says_so_once() -> None:
    held = Held()
    d2 = limited(held, 10)
    for number in range(20):
        d2.request(forward(number))
    # Two are under way, ten wait, eight are lost.
    assert (d2.engine.active, d2.engine.queued) == (2, 10)
    found = statistics(d2.counters)
    assert (found["ncr-received"], found["queue-mgr-queue-full"]) == (20, 8)
    assert d2.log.texts("DHCP_DDNS_QUEUE_MGR_QUEUE_FULL") == [
        "application request queue has reached maximum number of entries 10",
    ]
    assert d2.log.ids.count("DHCP_DDNS_QUEUE_MGR_QUEUE_RECEIVE") == 12
    held.release(d2)
    assert "DHCP_DDNS_QUEUE_MGR_RESUMING" not in d2.log.ids
    held.release(d2)
    assert d2.engine.queued == 8
    (resuming,) = d2.log.texts("DHCP_DDNS_QUEUE_MGR_RESUMING")
    assert resuming.endswith("now that the request queue size has reached 8 of a maximum 10 allowed")
    for number in range(30, 40):
        d2.request(forward(number))
    assert d2.log.ids.count("DHCP_DDNS_QUEUE_MGR_QUEUE_FULL") == 2
    assert d2.counters.queue_full.value == 8 + 8


def test_the_limit_bounds_octets_too() -> None:
    d2 = limited(Held(), 100)
    for number in range(100):
        d2.request(forward(number, dhcid=f"{number:04X}" * 900))
    capacity = 100 * OCTETS_PER_ENTRY
    assert capacity <= d2.engine._limit.octets < capacity + LARGEST_REQUEST
    assert d2.counters.queue_full.value == 100 - 2 - d2.engine.queued > 0
    assert "DHCP_DDNS_QUEUE_MGR_QUEUE_FULL" in d2.log.ids


def test_the_limit_counts_transactions_that_wait_for_a_dead_server() -> None:
    """The forward zone is quick, the reverse zone dead: what piles up behind it is bounded, too."""

    def peer(outgoing: Outgoing, now: float) -> Iterable[tuple[float, bytes]]:
        return dead(outgoing, now) if outgoing.lane.port == 9 else ok(outgoing, now)

    context = {"pyd2": {"queue": {"max-entries": 50}}}
    reverse = domain("2.0.192.in-addr.arpa.", 9)
    zones = simple_map([domain("example.com.", 1)], [reverse], {"user-context": context})
    d2 = VirtualD2(make_config(zones), peer)
    for number in range(200):
        d2.request(request(dhcid=f"{number:04X}", fqdn=f"h{number}.example.com."))
        d2.run(d2.now + 0.0001)
    assert d2.engine.active + d2.engine.queued <= 50 + 32
    assert d2.counters.queue_full.value == 200 - d2.engine.active - d2.engine.queued


def test_without_a_drop_there_is_no_statistic_of_it() -> None:
    d2 = virtual(ok)
    d2.request(forward())
    assert "queue-mgr-queue-full" not in statistics(d2.counters)


# Bad requests.

def test_a_bad_request_is_counted_and_logged() -> None:
    d2 = virtual(ok)
    d2.request(b"\0\x02{}")
    assert d2.log.ids == ["DHCP_DDNS_INVALID_NCR"]
    assert d2.log.lines[0][3] == (
        "application received an invalid DNS update request: fromFormat: buffer read error:"
        " NameChangeRequest value missing for: change-type"
    )
    assert statistics(d2.counters)["ncr-invalid"] == 1
    assert statistics(d2.counters)["ncr-received"] == 0


# Reconfiguration.

def test_active_transactions_go_on_under_the_old_configuration() -> None:
    held = Held()
    d2 = virtual(held, 1, 2)
    d2.request(forward())
    d2.configure(make_config(simple_map([domain("example.com.", 7)])))
    held.release(d2, rcode=6)
    assert [(message.lane.port, owner(message)) for message in held.messages] == [(1, "h0.example.com.")]
    held.messages.clear()
    d2.run()
    assert {message.lane.port for message in held.messages} == {1, 2}


def test_keys_and_zones_live_as_long_as_the_transactions_that_need_them() -> None:
    """Two directions, both signed: the second begins when the configuration that brought it is long gone."""
    secret = base64.b64decode(SECRET)
    zones = simple_map(
        [domain("example.com.", 1, **{"key-name": "k.example"})],
        [domain("2.0.192.in-addr.arpa.", 1, **{"key-name": "k.example"})], {"tsig-keys": KEYS})
    held = Held()
    d2 = VirtualD2(make_config(zones), held, debuglevel=0)
    d2.request(request())
    for _ in range(2):
        d2.configure(make_config(simple_map([domain("other.test.", 7)])))
        gc.collect()
    for zone in ("example.com.", "2.0.192.in-addr.arpa."):
        (outgoing,) = held.messages
        held.messages.clear()
        asked = parse(outgoing.message)
        assert asked.zone[0].split()[0] == zone
        reply = replies.build(asked, {"rcode": 0}, {"k.example.": secret})
        assert reply is not None
        d2.engine.receive_reply(outgoing.lane, outgoing.slot, reply, d2.now, d2.wall)
        d2.flush()
    assert d2.log.ids[-1] == "DHCP_DDNS_ADD_SUCCEEDED"
    assert (d2.engine.active, d2.counters.update_error.value) == (0, 0)


def test_the_timeout_is_read_at_each_send() -> None:
    d2 = virtual(dead, settings={"dns-server-timeout": 500})
    begin = d2.now
    d2.request(forward())
    d2.configure(make_config(simple_map([domain("example.com.", 1)], settings={"dns-server-timeout": 100})))
    d2.run()
    assert [round(at - begin, 6) for at, _ in d2.sent] == [0.0, 0.5, 0.6]


def test_a_shorter_timeout_is_not_held_up_by_a_longer_one() -> None:
    d2 = virtual(dead, settings={"dns-server-timeout": 5000})
    begin = d2.now
    d2.request(forward(1))
    d2.configure(make_config(simple_map([domain("example.com.", 1)], settings={"dns-server-timeout": 100})))
    d2.request(forward(2))
    d2.run(begin + 1)
    assert d2.log.ids.count("DHCP_DDNS_ADD_FAILED") == 1
    assert round(d2.engine.timer() or 0.0, 6) == begin + 5


def test_waiting_requests_are_matched_again() -> None:
    held = Held()
    one = {"user-context": {"pyd2": {"lanes": {"max-in-flight": 1}}}}
    d2 = virtual(held, settings=one)
    for number in range(3):
        d2.request(forward(number))
    d2.request(forward(0, fqdn="again.example.com."))
    d2.configure(make_config(simple_map([domain("example.com.", 7)], settings=one)))
    assert [(message.lane.port, owner(message)) for message in held.messages] == [
        (1, "h0.example.com."), (7, "h1.example.com."),
    ]
    held.release(d2, 1)
    held.release(d2, 1)
    held.release(d2, 0)
    assert [(message.lane.port, owner(message)) for message in held.messages] == [(7, "again.example.com.")]
    d2.configure(make_config(simple_map([domain("other.test.", 7)], settings=one)))
    held.release(d2)
    assert (d2.engine.active, d2.engine.queued) == (0, 0)


def test_a_large_backlog_is_worked_off_in_parts() -> None:
    held = Held()
    d2 = virtual(held, debuglevel=0)
    for number in range(5000):
        d2.request(forward(number))
    d2.peer = ok
    d2.configure(make_config(simple_map([domain("example.com.", 7)])))
    assert d2.engine.timer() == 0.0
    for message in held.messages:
        d2.engine.receive_reply(message.lane, message.slot, answer(message.message), d2.now, d2.wall)
    d2.run()
    assert d2.log.ids.count("DHCP_DDNS_ADD_SUCCEEDED") == 5000
    assert {message.lane.port for _, message in d2.sent[32:]} == {7}


def test_a_request_whose_domain_is_gone_is_dropped_with_its_message() -> None:
    held = Held()
    one = {"user-context": {"pyd2": {"lanes": {"max-in-flight": 1}}}}
    d2 = virtual(held, settings=one)
    d2.request(forward(0))
    d2.request(forward(1))
    d2.configure(make_config(simple_map([domain("other.test.", 7)], settings=one)))
    assert d2.log.ids.count("DHCP_DDNS_NO_FWD_MATCH_ERROR") == 1
    assert (d2.engine.active, d2.engine.queued) == (1, 0)


def test_lanes_are_kept_while_they_are_used() -> None:
    held = Held()
    d2 = virtual(held)
    d2.request(forward())
    before = set(d2.engine.lanes)
    d2.configure(make_config(simple_map([domain("example.com.", 1, 7)])))
    assert before < set(d2.engine.lanes)
    d2.configure(make_config(simple_map([domain("example.com.", 7)])))
    assert {lane.port for lane in d2.engine.lanes} == {1, 7}
    held.release(d2)
    assert {lane.port for lane in d2.engine.lanes} == {7}


def test_key_statistics_stay_while_the_key_is_configured() -> None:
    zones = simple_map([domain("example.com.", 1, **{"key-name": "k.example"})], settings={"tsig-keys": KEYS})
    d2 = VirtualD2(make_config(zones), dead)
    assert statistics(d2.counters)["key[k.example.].update-sent"] == 0
    d2.request(forward())
    d2.configure(make_config(simple_map(settings={"tsig-keys": KEYS})))
    assert statistics(d2.counters)["key[k.example.].update-sent"] == 1
    d2.configure(make_config(simple_map()))
    assert "key[k.example.].update-sent" not in statistics(d2.counters)


# Ended leases.

def test_ended_leases_are_added_as_kea_does() -> None:
    d2 = virtual(ok)
    d2.request(forward(lease_expires_on="20010101000000"))
    d2.run()
    assert d2.log.ids[-1] == "DHCP_DDNS_ADD_SUCCEEDED"


def test_ended_leases_may_be_dropped() -> None:
    d2 = virtual(ok, settings={"user-context": {"pyd2": {"expired": "drop"}}})
    d2.request(forward(1, lease_expires_on="20010101000000"))
    assert "PYD2_REQUEST_EXPIRED" in d2.log.ids
    assert (d2.sent, d2.engine.active) == ([], 0)
    d2.request(forward(1, lease_expires_on="20010101000000", change_type=1))
    d2.request(forward(2, lease_expires_on="29990101000000"))
    d2.run()
    assert d2.log.ids.count("DHCP_DDNS_REMOVE_SUCCEEDED") == 1
    assert d2.log.ids.count("DHCP_DDNS_ADD_SUCCEEDED") == 1


def test_replies_do_not_wait_for_a_lane_that_is_dropped_whole() -> None:
    """Requests that are only dropped use no place of the window; the engine drops them in parts."""
    held = Held()
    context = {"pyd2": {"expired": "drop", "lanes": {"max-in-flight": 1}}}
    d2 = virtual(held, settings={"user-context": context})
    d2.request(forward(0))
    for number in range(1, 3001):
        d2.request(forward(number, lease_expires_on="20300101000000"))
    assert d2.engine.queued == 3000
    d2._wall_offset += 10 * 365 * 86400
    held.release(d2)
    left = [3000, d2.engine.queued]
    while d2.engine.timer() == 0.0:
        d2.engine.handle_timer(d2.now, d2.wall)
        left.append(d2.engine.queued)
    assert left[-1] == 0
    assert all(0 <= before - after <= STEP for before, after in pairwise(left))
    assert d2.log.ids.count("PYD2_REQUEST_EXPIRED") == 3000


# Shutdown.

def test_when_the_daemon_may_leave() -> None:
    held = Held()
    d2 = limited(held, 1000, in_flight=1)
    engine = d2.engine
    kinds = ("normal", "drain_first", "now")
    assert [engine.cleared_for_shutdown(kind) for kind in kinds] == [True, True, True]
    d2.request(forward(1))
    d2.request(forward(2))
    assert [engine.cleared_for_shutdown(kind) for kind in kinds] == [False, False, True]
    held.release(d2)
    assert [engine.cleared_for_shutdown(kind) for kind in kinds] == [False, False, True]
    held.release(d2)
    assert [engine.cleared_for_shutdown(kind) for kind in kinds] == [True, True, True]


def test_before_the_first_configuration_requests_go_nowhere() -> None:
    d2 = VirtualD2(make_config(simple_map()), ok)
    engine = Engine(d2.counters, d2.log, make_backend(support.LAYER))
    engine.receive_request(datagram(request()), 0.0, 0.0)
    assert d2.log.ids[-2:] == ["DHCP_DDNS_REQUEST_DROPPED", "DHCP_DDNS_NO_ELIGIBLE_JOBS"]
    assert not engine.has_output


def test_ipv6_servers() -> None:
    zone = {"name": "example.com.", "dns-servers": [{"ip-address": "2001:DB8:0:0::1", "port": 5353}]}
    d2 = VirtualD2(make_config(simple_map([zone])), dead)
    d2.request(forward())
    assert d2.log.texts("DHCP_DDNS_UPDATE_REQUEST_SENT")[0].endswith("to server: 2001:db8::1 port:5353")
    (lane,) = d2.engine.lanes
    assert socket.inet_pton(socket.AF_INET6, str(lane.address)) == lane.address.packed


def test_a_paced_lane_is_served_by_the_timer() -> None:
    """When places are free again, held-back requests go out without a reply or request to wake the lane."""
    held = Held()
    context = {"pyd2": {"lanes": {"max-in-flight": 2000}}}
    d2 = virtual(held, settings={"user-context": context, "dns-server-timeout": 60000})
    (lane,) = d2.engine.lanes
    now = 1000.0
    while lane.window.limit < 1000:
        sent = 0
        while lane.window.in_flight < lane.window.limit:
            now += 0.0002
            for _ in range(lane.window.free_places(now)):
                lane.window.sent()
                sent += 1
        now += 0.02
        for _ in range(sent):
            lane.window.replied(now - 0.02, now)
    d2.now = now + 0.01
    for number in range(900):
        d2.request(forward(number))
    assert 0 < d2.engine.active < 900
    timer = d2.engine.timer()
    assert timer is not None
    assert d2.now < timer < d2.now + 0.01
    d2.run(d2.now + 0.1)
    assert (d2.engine.active, d2.engine.queued) == (900, 0)
