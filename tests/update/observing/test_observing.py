"""What is counted of requests and replies while metrics are on, on each packet layer."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.config.model import HttpSocket
from pyd2.config.switches import PageSwitches
from pyd2.data.element import Element
from pyd2.errors import BadReply
from pyd2.update.model.faults import Result
from pyd2.update.observing.recent import Cause, RecentFailures
from pyd2.update.observing.replies import replies_of
from pyd2.update.observing.requests import ENDS, OF_ZONES
from pyd2.update.server.reply_counts import RCODES
from tests.update.support import VirtualD2, answer, dead, domain, make_config, ok, request, simple_map

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyd2.config.model import Config
    from pyd2.update.engine import Outgoing

METRICS = HttpSocket(ip_address("127.0.0.1"), 0, None, None, (), Element({}), PageSwitches(metrics=True))


def config(*forward: Any, reverse: Iterable[Any] = (), on: bool = True, **settings: Any) -> Config:
    made = make_config(simple_map(forward, reverse, settings))
    return made._replace(control_sockets=(METRICS,) if on else ())


def zones(d2: VirtualD2) -> dict[str, dict[str, int]]:
    """Return the counts of the zones that are not all zero."""
    observer = d2.engine.observer
    assert observer is not None
    found = {
        name: {result.word: count for result, count in zip(OF_ZONES, counts, strict=True) if count}
        for name, counts in observer.zones()
    }
    return {name: counts for name, counts in found.items() if counts}


def send(d2: VirtualD2, count: int, **fields: Any) -> None:
    """Send requests of as many clients."""
    for number in range(count):
        d2.request(request(dhcid=f"000101{number:064X}", **fields))


def rcodes(d2: VirtualD2) -> dict[str, int]:
    """Return the RCODEs of all servers."""
    counts = [replies_of(lane).rcodes for lane in d2.engine.lanes]
    together = [sum(each) for each in zip(*counts, strict=True)]
    return {name: count for name, count in zip(RCODES, together, strict=True) if count}


def test_nothing_is_counted_unless_it_is_asked_for() -> None:
    d2 = VirtualD2(config(domain("example.com.", 1), on=False), ok)
    send(d2, 3, reverse_change=False)
    d2.run()
    assert d2.engine.observer is None
    assert all(lane.replies is None for lane in d2.engine.lanes)
    assert rcodes(d2) == {}
    assert d2.counters.tally.done == 3


def test_requests_are_counted_by_their_forward_zones() -> None:
    reverse = [domain("192.in-addr.arpa.", 1)]
    d2 = VirtualD2(config(domain("example.com.", 1), domain("example.net.", 1), reverse=reverse), ok)
    send(d2, 3)
    send(d2, 2, fqdn="other.example.net.", reverse_change=False)
    send(d2, 4, forward_change=False)
    d2.run()
    assert zones(d2) == {
        "example.com.": {"done": 3},
        "example.net.": {"done": 2},
        "192.in-addr.arpa.": {"done": 4},
    }
    assert d2.counters.tally.done == 9
    observer = d2.engine.observer
    assert observer is not None
    assert sum(observer.seconds(Result.DONE).counts) == 9
    assert rcodes(d2) == {"NOERROR": 12}
    assert sum(sum(replies_of(lane).seconds.counts) for lane in d2.engine.lanes) == 12


def test_a_name_that_is_no_plain_one_counts_like_the_others() -> None:
    """It is not packed."""
    d2 = VirtualD2(config(domain("example.com.", 1)), ok)
    send(d2, 2, fqdn="a\\\\032b.example.com.", reverse_change=False)
    send(d2, 1, reverse_change=False)
    d2.run()
    assert zones(d2) == {"example.com.": {"done": 3}}
    observer = d2.engine.observer
    assert observer is not None
    assert sum(observer.seconds(Result.DONE).counts) == 3


@pytest.mark.parametrize(("rcode", "name"), [(5, "REFUSED"), (8, "NXRRSET"), (13, "other")])
def test_failures_are_counted(rcode: int, name: str) -> None:
    def refuse(outgoing: Outgoing, now: float) -> list[tuple[float, bytes]]:
        return ok(outgoing, now, rcode)

    d2 = VirtualD2(config(domain("example.com.", 1), domain("example.net.", 1)), refuse)
    send(d2, 2, reverse_change=False)
    d2.request(request(fqdn="a.example.org."))
    d2.run()
    assert zones(d2) == {"example.com.": {"failed": 2}}
    assert rcodes(d2) == {name: 2}
    assert (d2.counters.tally.failed, d2.counters.tally.unmatched) == (2, 1)
    observer = d2.engine.observer
    assert observer is not None
    assert [sum(observer.seconds(result).counts) for result in ENDS] == [0, 2, 0, 0, 1]


@pytest.mark.parametrize(
    ("forward", "reverse", "fields", "note"),
    [
        ("example.net.", "", {}, "no forward domain holds host.example.com."),
        ("example.com.", "3.0.192.in-addr.arpa.", {}, "no reverse domain holds 10.2.0.192.in-addr.arpa."),
        ("example.net.", "3.0.192.in-addr.arpa.", {},
         "no forward domain holds host.example.com.; no reverse domain holds 10.2.0.192.in-addr.arpa."),
        ("", "2.0.192.in-addr.arpa.", {"reverse_change": False}, "forward-ddns has no domains"),
    ],
)  # fmt: skip
def test_what_no_domain_holds_is_noted(
    forward: str, reverse: str, fields: dict[str, Any], note: str
) -> None:
    domains = [[domain(name, 1)] if name else [] for name in (forward, reverse)]
    d2 = VirtualD2(config(*domains[0], reverse=domains[1]), ok)
    d2.engine.sink = recent = RecentFailures()
    d2.configure(d2.config)
    send(d2, 1, **fields)
    ((_, end),) = recent.take().recent
    assert (end.result, end.note) == (Result.UNMATCHED, note)


def test_a_failure_is_that_of_the_zone_whose_update_has_failed() -> None:
    """The request counts for the zone of its forward change, but that is not the one to look into."""

    def refuse_reverse(outgoing: Outgoing, now: float) -> list[tuple[float, bytes]]:
        return ok(outgoing, now, 5 if b"\x07in-addr" in outgoing.message else 0)

    reverse = "2.0.192.in-addr.arpa."
    d2 = VirtualD2(config(domain("example.com.", 1), reverse=[domain(reverse, 1)]), refuse_reverse)
    d2.engine.sink = recent = RecentFailures()
    d2.configure(d2.config)
    send(d2, 2)
    d2.run()
    assert zones(d2) == {"example.com.": {"failed": 2}}
    (logged,) = d2.log.texts("PYD2_REQUESTS_FAILED")
    assert logged.startswith(f"zone {reverse}, DNS server 127.0.0.1 port:1: requests failed with REFUSED")
    assert "change the PTR there" in logged
    assert [*recent.take().causes] == [Cause(reverse, "127.0.0.1 port:1", "REFUSED")]


def test_the_log_says_why_and_how_to_mend_it() -> None:
    """Once a minute for each zone, server and cause; and nothing unless something looks at requests."""

    def refuse(outgoing: Outgoing, now: float) -> list[tuple[float, bytes]]:
        return ok(outgoing, now, 5)

    d2 = VirtualD2(config(domain("example.com.", 1)), refuse)
    send(d2, 3, reverse_change=False)
    d2.request(request(fqdn="a.example.org."))
    d2.run()
    unmatched, refused = d2.log.texts("PYD2_REQUESTS_FAILED")
    where = "zone example.com., DNS server 127.0.0.1 port:1"
    assert refused.startswith(f"{where}: requests failed with REFUSED (1 since the last such message")
    assert "The DNS server does not allow this update" in refused
    assert "Mend: Allow the key in the server's policy to change A, AAAA" in refused
    assert unmatched.startswith("no zone: requests failed with unmatched (1 since")
    d2.now += 61
    send(d2, 2, reverse_change=False)
    d2.run()
    assert "with REFUSED (3 since" in d2.log.texts("PYD2_REQUESTS_FAILED")[2]
    quiet = VirtualD2(config(domain("example.com.", 1), on=False), refuse)
    send(quiet, 3, reverse_change=False)
    quiet.run()
    assert quiet.log.texts("PYD2_REQUESTS_FAILED") == []


def test_silence_and_bad_replies_are_counted() -> None:
    def odd(outgoing: Outgoing, now: float) -> list[tuple[float, bytes]]:
        return [(0.0, answer(outgoing.message)[:5])] if outgoing.lane.port == 1 else dead(outgoing, now)

    d2 = VirtualD2(config(domain("example.com.", 1), domain("example.net.", 2)), odd)
    send(d2, 1, reverse_change=False)
    send(d2, 1, reverse_change=False, fqdn="a.example.net.")
    d2.run()
    first, second = (replies_of(lane) for lane in d2.engine.lanes)
    assert (first.bad, first.timeouts) == ({BadReply.FORMAT: 3}, 0)
    assert (second.bad, second.timeouts) == ({}, 3)
    assert d2.counters.update_timeout.value == 3
    assert d2.counters.update_error.value == 3


KEY = {"name": "k.", "algorithm": "HMAC-SHA256", "secret": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"}


SIGNED: dict[str, Any] = {"tsig-keys": [KEY]}


def test_the_reason_of_a_bad_reply_is_known() -> None:
    unsigned = VirtualD2(config(domain("example.com.", 1, **{"key-name": "k."}), **SIGNED), ok)
    send(unsigned, 1, reverse_change=False)
    unsigned.run()
    (lane,) = unsigned.engine.lanes
    assert replies_of(lane).bad == {BadReply.UNSIGNED: 3}

    def echo(outgoing: Outgoing, now: float) -> list[tuple[float, bytes]]:
        """Send back the whole update with another RCODE, as some servers do with its signature."""
        message = outgoing.message
        at = message.index(b"\x01k\x00\x00\xfa")
        return [(0.0, message[:2] + b"\xa8\x06" + bytes(7) + b"\x01" + message[at:])]

    echoed = VirtualD2(config(domain("example.com.", 1, **{"key-name": "k."}), **SIGNED), echo)
    send(echoed, 1, reverse_change=False)
    echoed.run()
    (lane,) = echoed.engine.lanes
    assert replies_of(lane).bad == {BadReply.ECHO: 3}


def test_the_time_of_a_request_begins_when_it_is_read() -> None:
    """One request waits for another of its client."""

    def slow(outgoing: Outgoing, now: float) -> list[tuple[float, bytes]]:
        return [(0.2, answer(outgoing.message))]

    d2 = VirtualD2(config(domain("example.com.", 1)), slow)
    for _ in range(2):
        d2.request(request(reverse_change=False))
    d2.run()
    observer = d2.engine.observer
    assert observer is not None
    seconds = observer.seconds(Result.DONE)
    assert seconds.sum == pytest.approx(0.6, abs=0.05)
    (lane,) = d2.engine.lanes
    assert replies_of(lane).seconds.sum == pytest.approx(0.4, abs=0.02)


def test_counts_outlive_a_reload() -> None:
    first = config(domain("example.com.", 1), domain("example.net.", 1))
    d2 = VirtualD2(first, ok)
    send(d2, 3, reverse_change=False)
    send(d2, 1, reverse_change=False, fqdn="a.example.net.")
    d2.run()
    for number in (1, 2, 3):
        d2.configure(config(domain("example.org.", 1), domain("example.com.", 1)))
        send(d2, 2, reverse_change=False)
        d2.run()
        assert zones(d2) == {"example.com.": {"done": 3 + 2 * number}}
    assert rcodes(d2) == {"NOERROR": 10}
    observer = d2.engine.observer
    assert observer is not None
    assert sum(observer.seconds(Result.DONE).counts) == 10


def test_what_began_before_a_reload_counts_for_its_zone() -> None:
    def slow(outgoing: Outgoing, now: float) -> list[tuple[float, bytes]]:
        return [(0.2, answer(outgoing.message))]

    d2 = VirtualD2(config(domain("example.com.", 1), domain("example.net.", 1)), slow)
    d2.request(request(reverse_change=False, fqdn="a.example.net."))
    d2.configure(config(domain("example.net.", 1), domain("example.org.", 1)))
    d2.run()
    assert zones(d2) == {"example.net.": {"done": 1}}


def test_metrics_may_be_turned_off_and_on() -> None:
    d2 = VirtualD2(config(domain("example.com.", 1)), ok)
    send(d2, 2, reverse_change=False)
    d2.run()
    d2.configure(config(domain("example.com.", 1), on=False))
    send(d2, 2, reverse_change=False)
    d2.run()
    assert d2.engine.observer is None
    assert rcodes(d2) == {}
    d2.configure(config(domain("example.com.", 1)))
    send(d2, 1, reverse_change=False)
    d2.run()
    assert zones(d2) == {"example.com.": {"done": 1}}
    assert rcodes(d2) == {"NOERROR": 1}


RETRY: Mapping[str, Any] = {"user-context": {"pyd2": {"retry": {"enabled": True}}}}


def test_retries_are_counted_when_they_end() -> None:
    rcode = 2

    def peer(outgoing: Outgoing, now: float) -> list[tuple[float, bytes]]:
        return ok(outgoing, now, rcode)

    d2 = VirtualD2(config(domain("example.com.", 1), **RETRY), peer)
    d2.request(request(reverse_change=False))
    d2.run(until=d2.now + 0.1)
    assert zones(d2) == {}
    d2.request(request(reverse_change=False))  # which makes the first superfluous
    d2.run(until=d2.now + 0.1)
    assert zones(d2) == {"example.com.": {"superseded": 1}}
    rcode = 0
    d2.run()
    assert zones(d2) == {"example.com.": {"superseded": 1, "done": 1}}
