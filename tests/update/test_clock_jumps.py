"""The wall clock jumps, both ways and far, and the process stands still for an hour: nothing hangs."""

import base64
from dataclasses import dataclass
from typing import Any

import pytest

from pyd2.update.engine import Outgoing
from tests.kit import replies
from tests.kit.dnswire import parse
from tests.update.support import VirtualD2, dead, domain, make_config, ok, request, simple_map, statistics

HOUR, DAY, CENTURY = 3600.0, 86400.0, 86400.0 * 36524
SECRET = base64.b64encode(b"clock" * 8).decode()
KEY = {"name": "clock.test.", "algorithm": "HMAC-SHA256", "secret": SECRET}
KEYS = {"clock.test.": base64.b64decode(SECRET)}


@dataclass
class Clock(VirtualD2):
    """Its wall clock may jump; the servers have the right time."""

    def jump(self, seconds: float) -> None:
        self._wall_offset += seconds


def _d2(peer: Any, *, signed: bool, settings: dict[str, Any] | None = None) -> Clock:
    named = {"key-name": KEY["name"]} if signed else {}
    values = {"tsig-keys": [KEY] if signed else [], "dns-server-timeout": 200, **(settings or {})}
    return Clock(make_config(simple_map([domain("example.com.", 9, **named)], settings=values)), peer)


def _request(number: int, **fields: Any) -> dict[str, Any]:
    return request(dhcid=f"{number:08X}", fqdn=f"h{number}.example.com.", reverse_change=False, **fields)


def _signed(outgoing: Outgoing, now: float) -> list[tuple[float, bytes]]:
    """A server with the right time, which it does not compare with ours."""
    reply = replies.build(parse(outgoing.message), {"rcode": 0}, KEYS)
    assert reply is not None
    return [(0.1, reply)]


def _balance(d2: Clock) -> dict[str, int]:
    counts = statistics(d2.counters)
    assert counts["update-sent"] == \
        counts["update-success"] + counts["update-timeout"] + counts["update-error"]
    assert (d2.engine.active, d2.engine.queued) == (0, 0)
    return counts


@pytest.mark.parametrize("jump", [-DAY, -1.0, 1.0, DAY, CENTURY])
def test_the_tries_keep_their_spacing(jump: float) -> None:
    d2 = _d2(dead, signed=False)
    begin = d2.now
    d2.request(_request(1))
    d2.run(begin + 0.1)
    d2.jump(jump)
    d2.run(begin + 0.3)
    d2.jump(-jump)
    d2.run()
    assert [round(at - begin, 6) for at, _ in d2.sent] == [0.0, 0.2, 0.4]
    assert _balance(d2)["update-timeout"] == 3


@pytest.mark.parametrize("jump", [-HOUR, HOUR, CENTURY])
def test_signatures_fail_while_the_clock_is_wrong_and_no_longer(jump: float) -> None:
    """A reply that seems an hour old is not believed (RFC 8945, section 5.2.3), whichever clock is wrong."""
    d2 = _d2(_signed, signed=True)
    d2.request(_request(1))
    d2.jump(jump)  # with the update under way
    d2.run()
    assert d2.log.ids.count("DHCP_DDNS_ADD_FAILED") == 1
    assert _balance(d2)["update-error"] == 3
    d2.jump(-jump)
    d2.request(_request(1))
    d2.run()
    assert d2.log.ids.count("DHCP_DDNS_ADD_SUCCEEDED") == 1
    assert _balance(d2)["update-success"] == 1


@pytest.mark.parametrize("jump", [-299.0, 299.0])
def test_signatures_hold_within_the_fudge(jump: float) -> None:
    d2 = _d2(_signed, signed=True)
    d2.jump(jump)
    for number in range(100):
        d2.request(_request(number))
    d2.run()
    assert _balance(d2)["update-success"] == 100


def test_an_hour_in_which_the_process_stood_still() -> None:
    """Monotonic time has gone on: every try has timed out, and each has its two others."""
    silent = True

    def peer(outgoing: Outgoing, now: float) -> list[tuple[float, bytes]]:
        return [] if silent else ok(outgoing, now)

    d2 = _d2(peer, signed=False)
    for number in range(300):
        d2.request(_request(number))
    under_way = len(d2.sent)
    d2.now += HOUR
    silent = False
    d2.run()
    counts = _balance(d2)
    assert counts["update-timeout"] == under_way
    assert counts["update-success"] == 300
    assert d2.log.ids.count("DHCP_DDNS_ADD_SUCCEEDED") == 300


@pytest.mark.parametrize(("jump", "dropped"), [(-DAY, False), (CENTURY, True)])
def test_leases_end_by_the_wall_clock(jump: float, dropped: bool) -> None:
    """The one use of the wall clock that decides anything, and it was asked for."""
    d2 = _d2(ok, signed=False, settings={"user-context": {"pyd2": {"expired": "drop"}}})
    d2.jump(jump)
    d2.request(_request(1, lease_expires_on="20990102030405"))
    d2.run()
    assert ("PYD2_REQUEST_EXPIRED" in d2.log.ids) == dropped
    assert _balance(d2)["update-sent"] == (0 if dropped else 1)
