"""Retries: what fails for a reason that may pass is tried again, and nothing is applied out of order."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from pyd2.config.model import DnsServer
from pyd2.dns.constants import Rcode
from pyd2.dns.tsig import SigningKey
from pyd2.update.engine import Outgoing, Selection
from pyd2.update.model.reasons import reason
from tests.kit.dnswire import parse
from tests.update.support import (
    SendError,
    VirtualD2,
    answer,
    datagram,
    domain,
    make_config,
    request,
    simple_map,
)

FORWARD, REVERSE = "example.com.", "2.0.192.in-addr.arpa."
DNS_PORT, OTHER_PORT = 1, 2


def context(**retry: Any) -> dict[str, Any]:
    """Return a map's user-context with retries."""
    return {"user-context": {"pyd2": {"retry": {"enabled": True, **retry}}}}


def expiry(d2: VirtualD2, seconds: float) -> str:
    """Return when a lease expires that ends in so many seconds."""
    return f"{datetime.fromtimestamp(d2.wall + seconds, UTC):%Y%m%d%H%M%S}"


class Server:
    """A DNS server whose answers a test chooses; ``seen`` has the updates that it has answered."""

    def __init__(self) -> None:
        self.rcode: Rcode | None = Rcode.NOERROR
        """The RCODE of every answer; None: no answer."""
        self.error = 0
        """Else the error with which nothing can be sent."""
        self.seen: list[str] = []

    def __call__(self, outgoing: Outgoing, now: float) -> Iterable[tuple[float, bytes]]:
        if self.error:
            raise SendError(self.error)
        if self.rcode is None:
            return []
        if self.rcode == Rcode.NOERROR:
            self.seen.append(parse(outgoing.message).update[-1])
        return [(0.001, answer(outgoing.message, self.rcode))]


class Servers:
    """Servers by port."""

    def __init__(self) -> None:
        self.by_port: dict[int, Server] = {DNS_PORT: Server(), OTHER_PORT: Server()}

    def __call__(self, outgoing: Outgoing, now: float) -> Iterable[tuple[float, bytes]]:
        return self.by_port[outgoing.lane.port](outgoing, now)


def virtual(
    servers: Servers, settings: Mapping[str, Any] | None = None, reverse_port: int = DNS_PORT, **more: Any
) -> VirtualD2:
    """Return an engine with a forward zone at the first server and a reverse zone."""
    zones = simple_map([domain(FORWARD, DNS_PORT), domain("other.test.", OTHER_PORT)],
                       [domain(REVERSE, reverse_port)], settings or context())
    return VirtualD2(make_config(zones), servers, **more)


def balanced(d2: VirtualD2) -> None:
    """Check that each request is somewhere."""
    tally = d2.counters.tally
    gone = tally.done + tally.failed + tally.unmatched + tally.expired + tally.superseded + tally.lost
    assert tally.received == gone + d2.engine.queued + d2.engine.active


@pytest.mark.parametrize("fault", [None, Rcode.SERVFAIL, Rcode.REFUSED, Rcode.NOTAUTH, 113])
def test_what_may_pass_is_tried_again_until_it_succeeds(fault: Rcode | int | None) -> None:
    servers = Servers()
    server = servers.by_port[DNS_PORT]
    if fault is None or isinstance(fault, Rcode):
        server.rcode = fault
    else:
        server.error = fault
    d2 = virtual(servers)
    d2.request(request())
    d2.run(d2.now + 60)
    assert (d2.engine.active, d2.engine.queued, d2.engine.retries) == (0, 1, 1)
    assert "DHCP_DDNS_ADD_FAILED" not in d2.log.ids
    balanced(d2)
    server.rcode, server.error = Rcode.NOERROR, 0
    d2.run(d2.now + 300)
    assert d2.log.ids.count("DHCP_DDNS_ADD_SUCCEEDED") == 1
    assert (d2.engine.active, d2.engine.queued, d2.engine.timer()) == (0, 0, None)
    assert not any(d2.engine._scheduler.clients.held)
    balanced(d2)


@pytest.mark.parametrize("rcode", [Rcode.NXRRSET, Rcode.YXRRSET, Rcode.FORMERR, Rcode.NOTIMP, Rcode.NOTZONE])
def test_what_cannot_pass_ends_as_with_kea(rcode: Rcode) -> None:
    servers = Servers()
    servers.by_port[DNS_PORT].rcode = rcode
    d2 = virtual(servers)
    d2.request(request())
    d2.run()
    assert len(d2.sent) == 1
    assert d2.log.ids[-1] == "DHCP_DDNS_ADD_FAILED"
    (dead,) = d2.pop_dead_letters()
    assert dead.ncr.fqdn == "host.example.com."
    assert dead.reason.startswith(rcode.name)
    balanced(d2)


def test_without_the_switch_nothing_is_tried_again() -> None:
    servers = Servers()
    servers.by_port[DNS_PORT].rcode = Rcode.REFUSED
    d2 = virtual(servers, {"user-context": {"pyd2": {}}})
    d2.request(request())
    d2.run()
    assert len(d2.sent) == 1
    assert d2.pop_dead_letters() == []


def test_the_pauses_grow_within_their_bounds() -> None:
    servers = Servers()
    servers.by_port[DNS_PORT].rcode = Rcode.REFUSED
    d2 = virtual(servers, context(**{"initial-delay": 2, "max-delay": 50}))
    d2.request(request())
    d2.run(d2.now + 1000)
    moments = [moment for moment, _ in d2.sent]
    pauses = [late - early for early, late in pairwise(moments)]
    for number, pause in enumerate(pauses):
        longest = min(50, 2.0 ** (number + 2))
        assert max(2, longest / 2) <= pause <= longest + 0.01
    assert len({round(pause, 3) for pause in pauses[5:]}) > 5


def test_what_the_forward_direction_has_done_is_not_repeated() -> None:
    servers = Servers()
    servers.by_port[OTHER_PORT].rcode = Rcode.SERVFAIL
    d2 = virtual(servers, reverse_port=OTHER_PORT)
    d2.request(request())
    d2.run(d2.now + 60)
    servers.by_port[OTHER_PORT].rcode = Rcode.NOERROR
    d2.run(d2.now + 300)
    assert [outgoing.lane.port for _, outgoing in d2.sent].count(DNS_PORT) == 1
    assert d2.log.ids[-1] == "DHCP_DDNS_ADD_SUCCEEDED"


def test_an_addition_ends_with_its_lease() -> None:
    servers = Servers()
    servers.by_port[DNS_PORT].rcode = Rcode.REFUSED
    d2 = virtual(servers)
    d2.request(request(lease_expires_on=expiry(d2, 100)))
    d2.run(d2.now + 99)
    assert d2.engine.queued == 1
    d2.run()
    assert d2.log.ids[-1] == "PYD2_RETRY_ABANDONED"
    assert "abandoned (its lease has ended); last failure: REFUSED" in d2.log.lines[-1][3]
    assert d2.now < 1000 + 100 + 300
    assert (d2.engine.queued, d2.counters.tally.expired, len(d2.pop_dead_letters())) == (0, 1, 1)


@pytest.mark.parametrize(("lease", "seconds"), [(3600, 86400), (2 * 86400, 2 * 86400)])
def test_a_removal_is_tried_for_a_day_or_as_long_as_the_lease(lease: int, seconds: float) -> None:
    servers = Servers()
    servers.by_port[DNS_PORT].rcode = Rcode.REFUSED
    d2 = virtual(servers)
    begin = d2.now
    d2.request(request(change_type=1, lease_expires_on=expiry(d2, 0), lease_length=lease))
    d2.run()
    assert d2.log.ids[-1] == "PYD2_RETRY_ABANDONED"
    assert "it has been tried for long enough" in d2.log.lines[-1][3]
    assert seconds - 1 <= d2.now - begin <= seconds + 301


def test_requests_are_found_again_as_soon_as_the_server_answers() -> None:
    """A hundred wait for up to 300 s; one of them notices the server's return within 5 s, and all follow."""
    servers = Servers()
    server = servers.by_port[DNS_PORT]
    server.rcode = None
    d2 = virtual(servers, context(**{"initial-delay": 200, "max-delay": 300}))
    for number in range(100):
        name, address = f"h{number}.{FORWARD}", f"192.0.2.{number}"
        d2.request(request(dhcid=f"{number:08X}", fqdn=name, ip_address=address))
    d2.run(d2.now + 60)
    assert (d2.engine.active, d2.engine.queued) in {(0, 100), (1, 99)}
    assert d2.log.texts("PYD2_SERVER_DOWN") == [
        "DNS server 127.0.0.1 port:1 has not answered 5 tries in a row; pyd2 tries it from time to time. "
        + reason("timeout").mend
    ]
    server.rcode = Rcode.NOERROR
    back = d2.now
    d2.run(d2.now + 8)
    assert d2.log.ids.count("DHCP_DDNS_ADD_SUCCEEDED") == 100
    assert d2.log.ids.count("PYD2_SERVER_UP") == 1
    assert d2.now - back <= 8
    balanced(d2)


def test_a_server_that_is_down_is_asked_now_and_then_only() -> None:
    servers = Servers()
    servers.by_port[DNS_PORT].rcode = None
    d2 = virtual(servers)
    for number in range(200):
        d2.request(request(dhcid=f"{number:08X}", fqdn=f"h{number}.{FORWARD}", reverse_change=False))
    d2.run(d2.now + 60)
    before = len(d2.sent)
    d2.run(d2.now + 600)
    assert 200 <= len(d2.sent) - before <= 400  # three tries each some 6.5 s


def test_requests_wait_for_their_names_turn_and_are_superseded() -> None:
    servers = Servers()
    servers.by_port[DNS_PORT].rcode = Rcode.SERVFAIL
    d2 = virtual(servers)
    for serial, (change, address) in enumerate([(0, 1), (1, 1), (0, 1), (0, 2), (1, 2), (0, 2)], 1):
        d2.request(request(change_type=change, ip_address=f"192.0.2.{address}", lease_length=serial,
                           reverse_change=False))
        d2.run(d2.now + 3)
    # 1, 2: made superfluous by 3; 3: another address; 4, 5: made superfluous by 6.
    assert d2.engine.queued == 2
    assert d2.counters.tally.superseded == 4
    balanced(d2)
    servers.by_port[DNS_PORT].rcode = Rcode.NOERROR
    d2.run()
    added = d2.log.texts("DHCP_DDNS_ADD_SUCCEEDED")
    assert [text.split("Lease Length: ")[1].split("\n")[0] for text in added] == ["3", "6"]
    balanced(d2)


def test_a_removal_of_another_address_comes_first() -> None:
    servers = Servers()
    servers.by_port[DNS_PORT].rcode = Rcode.SERVFAIL
    d2 = virtual(servers)
    d2.request(request(change_type=1, ip_address="192.0.2.1"))
    d2.run(d2.now + 3)
    d2.request(request(ip_address="192.0.2.2"))
    d2.run(d2.now + 3)
    assert d2.engine.queued == 2
    servers.by_port[DNS_PORT].rcode = Rcode.NOERROR
    d2.run()
    ends = [name for name in d2.log.ids if name.endswith("SUCCEEDED")]
    assert ends == ["DHCP_DDNS_REMOVE_SUCCEEDED", "DHCP_DDNS_ADD_SUCCEEDED"]
    assert d2.counters.tally.superseded == 0


def test_both_families_of_a_name_are_kept_apart() -> None:
    servers = Servers()
    servers.by_port[DNS_PORT].rcode = Rcode.SERVFAIL
    d2 = virtual(servers)
    d2.request(request(ip_address="192.0.2.1", reverse_change=False))
    d2.run(d2.now + 3)
    d2.request(request(ip_address="2001:db8::1", reverse_change=False))
    d2.run(d2.now + 3)
    servers.by_port[DNS_PORT].rcode = Rcode.NOERROR
    d2.run()
    assert d2.counters.tally.done == 2


def test_other_requests_of_a_client_do_not_wait() -> None:
    """What concerns another name goes on at once; with the same address it takes the PTR over."""
    servers = Servers()
    servers.by_port[DNS_PORT].rcode = None
    d2 = virtual(servers, reverse_port=OTHER_PORT)
    d2.request(request(ip_address="192.0.2.1"))
    d2.run(d2.now + 10)
    d2.request(request(fqdn="host.other.test.", ip_address="192.0.2.1"))
    d2.run(d2.now + 1)
    assert d2.counters.tally.done == 1
    assert "PYD2_PTR_SUPERSEDED" in d2.log.ids
    servers.by_port[DNS_PORT].rcode = Rcode.NOERROR
    d2.run()
    assert d2.counters.tally.done == 2
    pointers = [line for line in servers.by_port[OTHER_PORT].seen if "in-addr.arpa." in line]
    assert len(pointers) == 1


def test_a_newer_ptr_change_waits_for_an_older_one_that_is_under_way() -> None:
    """Else the PTR would be that of the older request, whose forward change takes longer."""
    servers = Servers()
    d2 = virtual(servers, reverse_port=OTHER_PORT)
    servers.by_port[DNS_PORT].rcode = Rcode.REFUSED
    d2.request(request(dhcid="AA", fqdn="old.example.com."))
    d2.run(d2.now + 0.5)
    servers.by_port[DNS_PORT].rcode = None
    while not d2.engine.active:
        assert d2.step()
    d2.request(request(dhcid="BB", fqdn="new.other.test."))
    d2.run(d2.now + 0.1)
    assert d2.engine.active == 1
    assert len(servers.by_port[OTHER_PORT].seen) == 1
    servers.by_port[DNS_PORT].rcode = Rcode.NOERROR
    d2.run()
    assert d2.counters.tally.done == 2
    assert [line.split()[-1] for line in servers.by_port[OTHER_PORT].seen[1:]] == ["qg==", "uw=="]  # AA, BB
    balanced(d2)


def test_a_name_waits_for_its_turn_whoever_asks() -> None:
    servers = Servers()
    servers.by_port[DNS_PORT].rcode = Rcode.SERVFAIL
    d2 = virtual(servers)
    d2.request(request(dhcid="AA", ip_address="192.0.2.1"))
    d2.run(d2.now + 3)
    before = len(d2.sent)
    d2.request(request(dhcid="BB", ip_address="192.0.2.2"))
    assert len(d2.sent) == before
    servers.by_port[DNS_PORT].rcode = Rcode.NOERROR
    d2.run()
    assert d2.counters.tally.done == 2


def test_retries_are_matched_again_and_tried_at_a_reconfiguration() -> None:
    servers = Servers()
    servers.by_port[DNS_PORT].rcode = None
    d2 = virtual(servers, context(**{"initial-delay": 300}))
    d2.request(request(reverse_change=False))
    d2.run(d2.now + 30)
    d2.configure(make_config(simple_map([domain(FORWARD, OTHER_PORT)], settings=context())))
    d2.run(d2.now + 2)
    assert d2.counters.tally.done == 1
    assert d2.engine.lanes == d2.engine._plan.lanes


def test_a_retry_without_a_domain_ends() -> None:
    servers = Servers()
    servers.by_port[DNS_PORT].rcode = None
    d2 = virtual(servers)
    d2.request(request(reverse_change=False))
    d2.run(d2.now + 10)
    d2.configure(make_config(simple_map([domain("other.test.", OTHER_PORT)], settings=context())))
    d2.run()
    assert "DHCP_DDNS_NO_FWD_MATCH_ERROR" in d2.log.ids
    assert (d2.engine.queued, d2.counters.tally.unmatched, len(d2.pop_dead_letters())) == (0, 1, 1)
    balanced(d2)


def test_when_retries_are_switched_off_each_is_tried_once_more() -> None:
    servers = Servers()
    servers.by_port[DNS_PORT].rcode = None
    d2 = virtual(servers)
    d2.request(request(reverse_change=False))
    d2.run(d2.now + 10)
    d2.configure(make_config(simple_map([domain(FORWARD, DNS_PORT)])))
    d2.run()
    assert d2.log.ids[-1] == "DHCP_DDNS_ADD_FAILED"
    assert (d2.engine.queued, d2.counters.tally.failed) == (0, 1)


def test_a_domain_and_a_server_may_go_their_own_ways() -> None:
    off = {"user-context": {"pyd2": {"retry": {"enabled": False}}}}
    servers = Servers()
    for server in servers.by_port.values():
        server.rcode = Rcode.REFUSED
    own = domain(FORWARD, DNS_PORT)
    own["dns-servers"][0] |= off
    zones = simple_map([own, domain("other.test.", OTHER_PORT, **off)], settings=context())
    d2 = VirtualD2(make_config(zones), servers)
    d2.request(request(dhcid="AA", reverse_change=False))
    d2.request(request(dhcid="BB", fqdn="h.other.test.", reverse_change=False))
    d2.run()
    assert d2.counters.tally.failed == 2


def test_callouts_are_asked_again_at_each_retry() -> None:
    asked = 0

    def select_key(_server: DnsServer, key: SigningKey | None) -> Selection:
        nonlocal asked
        asked += 1
        return Selection(key, skip=asked < 4)

    d2 = virtual(Servers(), select_key=select_key)
    d2.request(request(reverse_change=False))
    d2.run()
    assert asked == 4
    assert d2.counters.tally.done == 1


def test_a_retry_keeps_its_number_until_it_ends() -> None:
    servers = Servers()
    servers.by_port[DNS_PORT].rcode = Rcode.SERVFAIL
    d2 = virtual(servers)
    for number, serial in ((7, 1), (8, 2)):
        data = datagram(request(lease_length=serial))
        d2.engine.receive_request(data, d2.now, d2.wall, number)
        d2.flush()
        d2.run(d2.now + 3)
        assert d2.pop_finished() == ([] if number == 7 else [7])
    servers.by_port[DNS_PORT].rcode = Rcode.NOERROR
    d2.run()
    assert d2.pop_finished() == [8]


def test_retries_count_against_the_queues_limit() -> None:
    servers = Servers()
    for server in servers.by_port.values():
        server.rcode = Rcode.REFUSED
    limit = {"user-context": {"pyd2": {"retry": {"enabled": True}, "queue": {"max-entries": 3}}}}
    d2 = virtual(servers, limit)
    for number in range(5):
        name = f"h{number}.{'other.test.' if number % 2 else FORWARD}"
        d2.request(request(dhcid=f"{number:08X}", fqdn=name, reverse_change=False))
        d2.run(d2.now + 0.1)
    assert (d2.engine.queued, d2.counters.tally.failed) == (2, 3)  # see test_isolation.py
    assert d2.engine._limit.free_places() == 1
    balanced(d2)
    assert d2.engine.cleared_for_shutdown("normal")


def test_other_zones_are_not_kept_waiting_by_a_great_return() -> None:
    """When a thousand requests come back at once, a healthy server answers its own as before."""
    servers = Servers()
    servers.by_port[DNS_PORT].rcode = None
    d2 = virtual(servers)
    for number in range(1000):
        d2.request(request(dhcid=f"{number:08X}", fqdn=f"h{number}.{FORWARD}", reverse_change=False))
    d2.run(d2.now + 100)
    servers.by_port[DNS_PORT].rcode = Rcode.NOERROR
    while "PYD2_SERVER_UP" not in d2.log.ids:
        assert d2.step()
    d2.request(request(fqdn="h.other.test.", reverse_change=False))
    begin = d2.now
    while not any("h.other.test." in text for text in d2.log.texts("DHCP_DDNS_ADD_SUCCEEDED")):
        assert d2.step()
    assert d2.now - begin < 0.01
    d2.run()
    assert d2.counters.tally.done == 1001


def test_without_forward_zones_the_ptr_changes_of_an_address_keep_their_order() -> None:
    """A request begins with its PTR change then, and must not do so before it has the turn."""
    servers = Servers()
    reverse = servers.by_port[OTHER_PORT]
    reverse.rcode = Rcode.REFUSED
    d2 = VirtualD2(make_config(simple_map([], [domain(REVERSE, OTHER_PORT)], context())), servers)
    d2.request(request(dhcid="AA", fqdn="old.example.com."))
    d2.run(d2.now + 0.5)
    reverse.rcode = Rcode.NOERROR
    d2.request(request(dhcid="BB", fqdn="new.example.com."))
    d2.run()
    assert reverse.seen[-1].endswith(" uw==")  # BB
    assert (d2.counters.tally.done, d2.counters.tally.superseded) == (1, 1)
    balanced(d2)


def test_what_is_left_of_a_request_is_reported_once() -> None:
    """Each report is written to the disk."""
    servers = Servers()
    servers.by_port[OTHER_PORT].rcode = Rcode.REFUSED
    d2 = virtual(servers, reverse_port=OTHER_PORT)
    d2.engine.receive_request(datagram(request()), d2.now, d2.wall, 7)
    d2.flush()
    d2.run(d2.now + 600)
    assert d2.engine.retries == 1
    assert d2.amended == [(7, False, True)]


def test_a_request_whose_forward_change_has_failed_for_good_ends_as_failed() -> None:
    """Also when a newer request overwrites its PTR change, which was left."""
    servers = Servers()
    servers.by_port[DNS_PORT].rcode = Rcode.NXRRSET
    servers.by_port[OTHER_PORT].rcode = Rcode.REFUSED
    both = {"retry": {"enabled": True}, "failover": {"enabled": True, "partial-success": True}}
    d2 = virtual(servers, {"user-context": {"pyd2": both}}, reverse_port=OTHER_PORT)
    d2.request(request(dhcid="AA"))
    d2.run(d2.now + 0.5)
    assert d2.engine.retries == 1
    d2.request(request(dhcid="BB", forward_change=False))
    d2.run(d2.now + 0.5)
    assert (d2.engine.retries, d2.counters.tally.failed, d2.counters.tally.superseded) == (1, 1, 0)
    (dead,) = d2.pop_dead_letters()
    assert dead.reason.startswith("NXRRSET")
    balanced(d2)
