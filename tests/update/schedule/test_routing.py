"""Where requests go: what is known of it is shared by those that are alike, and ends with the plan."""

from __future__ import annotations

import pytest

from pyd2.update.schedule import routing
from tests.kit.dnswire import parse
from tests.update.support import VirtualD2, domain, make_config, ok, request, simple_map

MODES = ("check-with-dhcid", "no-check-with-dhcid")


def sent_by(d2: VirtualD2) -> list[tuple[int, str]]:
    """Return the server and the zone of each message."""
    return [(message.lane.port, parse(message.message).zone[0].split()[0]) for _, message in d2.sent]


def make_requests(d2: VirtualD2) -> None:
    """Send requests of several kinds for several domains, each twice."""
    for number, (name, address, mode) in enumerate(2 * [
        (name, address, mode) for name in ("a.test.", "b.test.")
        for address in ("192.0.2.1", "2001:db8::1") for mode in MODES
    ]):
        d2.request(request(
            fqdn=f"h{number}.{name}", ip_address=address, dhcid=f"{number:08X}",
            conflict_resolution_mode=mode,
        ))
        d2.run()


@pytest.mark.parametrize("most", [1, 3, routing.MOST_DESTINATIONS])
def test_requests_go_the_same_ways_whatever_is_kept(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "MOST_DESTINATIONS", most)
    d2 = VirtualD2(make_config(simple_map(
        [domain("a.test.", 1), domain("b.test.", 2)],
        [domain("2.0.192.in-addr.arpa.", 3), domain("8.b.d.0.1.0.0.2.ip6.arpa.", 1)],
    )), ok)
    make_requests(d2)
    ways = [
        [(port, name), (3, "2.0.192.in-addr.arpa.") if four else (1, "8.b.d.0.1.0.0.2.ip6.arpa.")]
        for port, name in ((1, "a.test."), (2, "b.test.")) for four in (True, False) for _ in MODES
    ]
    assert sent_by(d2) == [message for way in 2 * ways for message in way]


def test_a_reload_leads_elsewhere() -> None:
    """The same domains have the same numbers under both plans, and other servers."""
    d2 = VirtualD2(make_config(simple_map([domain("a.test.", 1), domain("b.test.", 2)])), ok)
    d2.request(request(fqdn="h.a.test.", reverse_change=False))
    d2.run()
    d2.configure(make_config(simple_map([domain("a.test.", 2), domain("b.test.", 1)])))
    d2.request(request(fqdn="h.a.test.", reverse_change=False))
    assert sent_by(d2) == [(1, "a.test."), (2, "a.test.")]
