"""Fail-over: where Kea gives up, the domain's next server is asked, if the configuration says so."""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import pytest

from pyd2.config.model import DnsServer
from pyd2.dns.constants import Rcode
from pyd2.dns.tsig import SigningKey
from pyd2.update.engine import Outgoing, Selection
from pyd2.update.model.reasons import reason
from pyd2.update.status import servers_status
from tests.kit.dnswire import parse
from tests.update.support import SendError, VirtualD2, answer, domain, make_config, request, simple_map

FORWARD, REVERSE = "example.com.", "2.0.192.in-addr.arpa."


def context(**failover: Any) -> dict[str, Any]:
    """Return a map's user-context with fail-over."""
    return {"user-context": {"pyd2": {"failover": {"enabled": True, **failover}}}}


class Rcodes:
    """Servers by port, each with the RCODEs of its answers in turn, the last for ever; None: silence."""

    def __init__(self, answers: Mapping[int, list[Rcode | None]]) -> None:
        self.answers = {port: list(rcodes) for port, rcodes in answers.items()}

    def __call__(self, outgoing: Outgoing, now: float) -> Iterable[tuple[float, bytes]]:
        rcodes = self.answers[outgoing.lane.port]
        rcode = rcodes.pop(0) if len(rcodes) > 1 else rcodes[0]
        return [] if rcode is None else [(0.001, answer(outgoing.message, rcode))]


def carry_out(
    peer: Rcodes, ncr: Mapping[str, Any], settings: Mapping[str, Any] | None = None, **more: Any
) -> VirtualD2:
    """Return an engine that has carried out a request; each domain has the servers 1 and 2."""
    zones = simple_map([domain(FORWARD, 1, 2)], [domain(REVERSE, 1, 2)], settings or context())
    d2 = VirtualD2(make_config(zones), peer, **more)
    d2.request(ncr)
    d2.run()
    return d2


def ports(d2: VirtualD2) -> list[int]:
    """Return where the messages went, in order."""
    return [outgoing.lane.port for _, outgoing in d2.sent]


@pytest.mark.parametrize("sendable", [True, False])
def test_a_server_that_cannot_be_sent_to_is_followed_by_the_next_at_once(sendable: bool) -> None:
    """If no other one is left, each try waits for its timeout, as without fail-over."""
    def peer(outgoing: Outgoing, now: float) -> Iterable[tuple[float, bytes]]:
        if outgoing.lane.port == 1 or not sendable:
            raise SendError(101)
        return [(0.001, answer(outgoing.message))]

    zones = simple_map([domain(FORWARD, 1, 2)], settings=context())
    d2 = VirtualD2(make_config(zones), peer)
    begin = d2.now
    d2.request(request(reverse_change=False))
    d2.run()
    tries = [(round(at - begin, 6), message.lane.port) for at, message in d2.sent]
    assert tries == ([(0, 1), (0, 2)] if sendable else [(0, 1), (0, 2), (0.5, 2), (1, 2)])
    assert d2.counters.update_timeout.value == (1 if sendable else 4)


@pytest.mark.parametrize("rcode", [Rcode.SERVFAIL, Rcode.REFUSED, Rcode.NOTAUTH])
def test_a_server_that_cannot_is_followed_by_the_next(rcode: Rcode) -> None:
    d2 = carry_out(Rcodes({1: [rcode], 2: [Rcode.NOERROR]}), request())
    assert ports(d2) == [1, 2, 1, 2]
    assert d2.log.ids.count("DHCP_DDNS_FORWARD_ADD_REJECTED") == 1
    assert d2.log.ids.count("DHCP_DDNS_REVERSE_REPLACE_REJECTED") == 1
    assert d2.log.ids[-1] == "DHCP_DDNS_ADD_SUCCEEDED"


@pytest.mark.parametrize("rcode", [Rcode.SERVFAIL, Rcode.REFUSED, Rcode.NOTAUTH])
def test_without_the_switch_it_ends_as_with_kea(rcode: Rcode) -> None:
    d2 = carry_out(Rcodes({1: [rcode], 2: [Rcode.NOERROR]}), request(), {"user-context": {"pyd2": {}}})
    assert ports(d2) == [1]
    assert "Event: UPDATE_FAILED_EVT" in d2.log.texts("DHCP_DDNS_ADD_FAILED")[0]


@pytest.mark.parametrize("rcode", [Rcode.NXRRSET, Rcode.YXRRSET, Rcode.FORMERR, Rcode.NOTIMP, Rcode.NOTZONE])
def test_what_the_update_itself_is_refused_for_ends_it(rcode: Rcode) -> None:
    d2 = carry_out(Rcodes({1: [Rcode.YXDOMAIN, rcode], 2: [Rcode.NOERROR]}), request())
    assert ports(d2) == [1, 1]
    assert "Event: UPDATE_FAILED_EVT" in d2.log.texts("DHCP_DDNS_ADD_FAILED")[0]


def test_the_direction_begins_anew_at_the_next_server() -> None:
    """The second step is refused by the first server; the second one is asked for the first step."""
    d2 = carry_out(
        Rcodes({1: [Rcode.YXDOMAIN, Rcode.SERVFAIL], 2: [Rcode.NOERROR]}), request(reverse_change=False)
    )
    asked = [parse(outgoing.message).prereq for _, outgoing in d2.sent]
    assert ports(d2) == [1, 1, 2]
    assert asked[0] == asked[2] != asked[1]


@pytest.mark.parametrize("rcode", [Rcode.REFUSED, None])
def test_the_second_update_of_a_removal_has_another_server_too(rcode: Rcode | None) -> None:
    ncr = request(change_type=1, reverse_change=False)
    peer: dict[int, list[Rcode | None]] = {1: [Rcode.NOERROR, rcode], 2: [Rcode.NOERROR]}
    d2 = carry_out(Rcodes(peer), ncr)
    assert ports(d2) == [1, 1, 2, 2] if rcode is not None else [1, 1, 1, 1, 2, 2]
    assert d2.log.ids[-1] == "DHCP_DDNS_REMOVE_SUCCEEDED"
    kea = carry_out(Rcodes(peer), ncr, {"user-context": {"pyd2": {}}})
    assert ports(kea) == ([1, 1] if rcode is not None else [1, 1, 1, 1])
    assert kea.log.ids[-1] == "DHCP_DDNS_REMOVE_FAILED"


def test_when_all_refuse_it_has_failed_as_with_kea() -> None:
    d2 = carry_out(Rcodes({1: [Rcode.REFUSED], 2: [Rcode.SERVFAIL]}), request())
    assert ports(d2) == [1, 2]
    assert d2.log.ids.count("DHCP_DDNS_FORWARD_ADD_REJECTED") == 2
    assert "Event: UPDATE_FAILED_EVT" in d2.log.texts("DHCP_DDNS_ADD_FAILED")[0]


def test_a_server_may_go_its_own_way() -> None:
    """The first server's own switch is off: its refusal ends the transaction."""
    entry = domain(FORWARD, 1, 2)
    entry["dns-servers"][0] |= {"user-context": {"pyd2": {"failover": {"enabled": False}}}}
    d2 = VirtualD2(make_config(simple_map([entry], settings=context())), Rcodes({1: [Rcode.REFUSED]}))
    d2.request(request(reverse_change=False))
    d2.run()
    assert ports(d2) == [1]


def test_callouts_choose_the_key_for_each_server() -> None:
    asked = []

    def select_key(server: DnsServer, key: SigningKey | None) -> Selection:
        asked.append(server.port)
        return Selection(key, skip=server.port == 2)

    zones = simple_map([domain(FORWARD, 1, 2, 3)], settings=context())
    peer = Rcodes({1: [Rcode.REFUSED], 3: [Rcode.NOERROR]})
    d2 = VirtualD2(make_config(zones), peer, select_key=select_key)
    d2.request(request(reverse_change=False))
    d2.run()
    assert asked == [1, 2, 3]
    assert ports(d2) == [1, 3]


# The circuit breaker.


def many(d2: VirtualD2, count: int, first: int = 0) -> None:
    """Send requests of clients of their own, forward only, one each 10 ms."""
    for number in range(first, first + count):
        name = f"h{number}.{FORWARD}"
        d2.request(request(dhcid=f"{number:08X}", fqdn=name, reverse_change=False))
        until = d2.now + 0.01
        d2.run(until)
        d2.now = until


def two_servers(answers: dict[int, list[Rcode | None]], **failover: Any) -> tuple[VirtualD2, Rcodes]:
    peer = Rcodes(answers)
    zones = simple_map([domain(FORWARD, 1, 2)], settings=context(**failover))
    return VirtualD2(make_config(zones), peer), peer


def test_a_server_that_is_down_is_passed_over_and_asked_now_and_then() -> None:
    d2, peer = two_servers({1: [None], 2: [Rcode.NOERROR]}, **{"breaker-threshold": 3})
    many(d2, 100)
    d2.run(d2.now + 2)
    assert d2.log.texts("PYD2_SERVER_DOWN") == [
        "DNS server 127.0.0.1 port:1 has not answered 3 tries in a row; pyd2 tries it from time to time. "
        + reason("timeout").mend
    ]
    begin, before = d2.now, len(d2.sent)
    many(d2, 2000, 100)
    d2.run(d2.now + 2)
    probes = [moment for moment, outgoing in d2.sent[before:] if outgoing.lane.port == 1]
    assert 3 <= len(probes) <= 10
    assert all(late - early >= 1 for early, late in pairwise(probes))
    assert max(late - early for early, late in pairwise(probes)) <= 5.6
    assert d2.counters.tally.done == 2100
    peer.answers[1] = [Rcode.NOERROR]
    many(d2, 1000, 2100)
    assert d2.log.ids.count("PYD2_SERVER_UP") == 1
    assert d2.log.ids.count("PYD2_SERVER_DOWN") == 1
    d2.sent.clear()
    many(d2, 10, 4000)
    assert set(ports(d2)) == {1}
    assert begin < d2.now


def test_an_update_under_way_leaves_a_server_that_goes_down() -> None:
    d2, _ = two_servers({1: [None], 2: [Rcode.NOERROR]})
    many(d2, 20)
    d2.run()
    # Twenty first tries; five of them unanswered, and all others go to the second server at once.
    assert ports(d2).count(1) < 20 + 10
    assert d2.counters.tally.done == 20


def test_when_all_servers_are_down_each_is_asked_as_kea_does() -> None:
    d2, _ = two_servers({1: [None], 2: [None]})
    many(d2, 10)
    d2.run()
    assert d2.log.ids.count("PYD2_SERVER_DOWN") == 2
    d2.sent.clear()
    many(d2, 1, 50)
    d2.run()
    assert ports(d2) == [1, 1, 1, 2, 2, 2]
    assert d2.counters.tally.failed == 11


def test_what_was_passed_over_is_asked_in_the_end() -> None:
    """The only server that is up refuses, and the first one has come back unnoticed."""
    d2, peer = two_servers({1: [None], 2: [Rcode.NOERROR]})
    many(d2, 20)
    d2.run()
    peer.answers |= {1: [Rcode.NOERROR], 2: [Rcode.REFUSED]}
    d2.sent.clear()
    lane = d2.engine.lanes[0]
    assert lane.breaker is not None
    lane.breaker.probe_at = d2.now + 100
    many(d2, 1, 50)
    d2.run()
    assert ports(d2) == [2, 1]
    assert d2.counters.tally.done == 21


def test_servers_that_refuse_are_not_down() -> None:
    d2, _ = two_servers({1: [Rcode.REFUSED], 2: [Rcode.NOERROR]}, **{"breaker-threshold": 1})
    many(d2, 20)
    d2.run()
    assert ports(d2).count(1) == 20
    assert "PYD2_SERVER_DOWN" not in d2.log.ids


def test_with_retries_nothing_is_sent_to_servers_that_are_all_down() -> None:
    settings = context()
    settings["user-context"]["pyd2"]["retry"] = {"enabled": True}
    peer = Rcodes({1: [None], 2: [None]})
    d2 = VirtualD2(make_config(simple_map([domain(FORWARD, 1, 2)], settings=settings)), peer)
    many(d2, 20)
    d2.run(d2.now + 10)
    d2.sent.clear()
    many(d2, 500, 50)
    d2.run(d2.now + 60)
    assert len(d2.sent) < 90  # three tries each some 6 s, at each server
    assert d2.engine.queued + d2.engine.active == 520
    status = d2.engine.status(d2.wall)
    assert status["retries"]["waiting"] == d2.engine.queued  # type: ignore[index,call-overload]
    servers = servers_status(d2.engine.lanes, d2.wall)
    assert [server["state"] for server in servers] == ["down", "down"]  # type: ignore[index,call-overload]
    peer.answers[2] = [Rcode.NOERROR]
    d2.run(d2.now + 15)
    assert d2.counters.tally.done == 520


def test_a_reconfiguration_keeps_what_is_known_of_the_servers() -> None:
    d2, _ = two_servers({1: [None], 2: [Rcode.NOERROR]})
    many(d2, 20)
    d2.run()
    changed = context(**{"breaker-threshold": 9})
    d2.configure(make_config(simple_map([domain(FORWARD, 1, 2)], settings=changed)))
    assert d2.engine._driver.failover.down == {d2.engine.lanes[0]}
    d2.configure(make_config(simple_map([domain(FORWARD, 1, 2)])))
    assert d2.engine._driver.failover.down == set()
    assert not d2.engine.extended


# The PTR goes ahead.


@pytest.mark.parametrize("rcode", [Rcode.NXRRSET, Rcode.REFUSED, None])
def test_the_pointer_goes_ahead_if_so_configured(rcode: Rcode | None) -> None:
    peer = Rcodes({1: [Rcode.YXDOMAIN, rcode], 2: [rcode], 3: [Rcode.NOERROR]})
    zones = simple_map([domain(FORWARD, 1, 2)], [domain(REVERSE, 3)], context(**{"partial-success": True}))
    d2 = VirtualD2(make_config(zones), peer)
    d2.request(request())
    d2.run()
    assert ports(d2)[-1] == 3
    (text,) = d2.log.texts("DHCP_DDNS_ADD_FAILED")
    assert "Forward change: failed,  Reverse change: completed," in text
    assert d2.counters.tally.failed == 1
    assert d2.engine.active == d2.engine.queued == 0


def test_without_it_the_pointer_does_not() -> None:
    d2 = carry_out(Rcodes({1: [Rcode.NXRRSET], 2: [Rcode.NOERROR]}), request())
    assert ports(d2) == [1]


def test_both_directions_may_fail() -> None:
    peer = Rcodes({1: [Rcode.NXRRSET], 2: [Rcode.NOTIMP]})
    zones = simple_map([domain(FORWARD, 1)], [domain(REVERSE, 2)], context(**{"partial-success": True}))
    d2 = VirtualD2(make_config(zones), peer)
    d2.request(request())
    d2.run()
    (text,) = d2.log.texts("DHCP_DDNS_ADD_FAILED")
    assert "Event: UPDATE_FAILED_EVT,  Forward change: failed,  Reverse change: failed," in text


@pytest.mark.parametrize("forward", [Rcode.SERVFAIL, Rcode.NXRRSET])
@pytest.mark.parametrize("reverse", [Rcode.NOERROR, Rcode.SERVFAIL])
def test_with_retries_what_is_left_is_tried_again(forward: Rcode, reverse: Rcode) -> None:
    settings = context(**{"partial-success": True})
    settings["user-context"]["pyd2"]["retry"] = {"enabled": True}
    peer = Rcodes({1: [forward], 2: [reverse]})
    zones = simple_map([domain(FORWARD, 1)], [domain(REVERSE, 2)], settings)
    d2 = VirtualD2(make_config(zones), peer)
    d2.request(request())
    d2.run(d2.now + 10)
    waits = Rcode.SERVFAIL in (forward, reverse)
    assert d2.engine.queued == waits
    d2.sent.clear()
    peer.answers = {1: [Rcode.NOERROR], 2: [Rcode.NOERROR]}
    d2.run()
    again = [port for port, rcode in ((1, forward), (2, reverse)) if rcode is Rcode.SERVFAIL]
    assert ports(d2) == again
    if forward is Rcode.NXRRSET:
        (text,) = d2.log.texts("DHCP_DDNS_ADD_FAILED")
        assert "Forward change: failed,  Reverse change: completed," in text
        assert len(d2.pop_dead_letters()) == 1
    else:
        assert d2.log.ids[-1] == "DHCP_DDNS_ADD_SUCCEEDED"
    assert d2.engine.active == d2.engine.queued == 0
