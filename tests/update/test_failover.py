"""Fail-over: where Kea gives up, the domain's next server is asked, if the configuration says so."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from pyd2.config.model import DnsServer
from pyd2.dns.constants import Rcode
from pyd2.dns.tsig import SigningKey
from pyd2.update.engine import Outgoing, Selection
from tests.kit.dnswire import parse
from tests.update.support import VirtualD2, answer, domain, make_config, request, simple_map

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
