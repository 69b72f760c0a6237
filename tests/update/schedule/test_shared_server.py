"""A dead server that two domains share, one of which has a second server: what the other one costs it.

All times are virtual, so they are the same on each machine.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.dns.constants import Rcode
from pyd2.update.server.breaker import LONGEST_PAUSE
from pyd2.update.server.lane import MOST_READY
from tests.update.support import VirtualD2, answer, domain, make_config, request, simple_map

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyd2.update.engine import Outgoing
    from pyd2.update.model.transaction import Transaction

DEAD, SECOND, HEALTHY = 1, 2, 3
RATE = 60
"""Requests a second, for each of the two domains."""
TIMEOUT = 0.5
PLACES, TRIES = 32, 3
"""Of Kea: transactions under way, and tries of each at a server."""

FAILOVER = {"failover": {"enabled": True}}
RETRY = {"retry": {"enabled": True}}
BATCH = {"lanes": {"batch": 50}}


class Shared:
    """Domain A has the dead server and a second one, domain B the dead one only.

    If they are reverse zones, the forward zones have a healthy server of their own.
    """

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, switches: dict[str, Any], *, reverse: bool,
        of_a: dict[str, Any] | None = None,
    ) -> None:
        own = {} if of_a is None else {"user-context": {"pyd2": of_a}}
        settings = {"user-context": {"pyd2": switches}}
        if reverse:
            zones = simple_map(
                [domain("a.test.", HEALTHY), domain("b.test.", HEALTHY)],
                [domain("10.in-addr.arpa.", DEAD, SECOND, **own), domain("11.in-addr.arpa.", DEAD)], settings,
            )
        else:
            forward = [domain("a.test.", DEAD, SECOND, **own), domain("b.test.", DEAD)]
            zones = simple_map(forward, [], settings)
        self.second: Rcode | None = Rcode.NOERROR
        """What the second server answers; None: nothing."""
        self.waits: list[float] = []
        """Seconds from each request of domain A that is done to its end."""
        self._begun: dict[str, float] = {}
        self._reverse = reverse
        self.d2 = d2 = VirtualD2(make_config(zones), self._peer, debuglevel=-1, keep_sent=False)
        succeed = d2.engine._ends.succeed

        def succeeded(transactions: Sequence[Transaction]) -> None:
            succeed(transactions)
            self.waits += [d2.now - self._begun.pop(transaction.ncr.fqdn) for transaction in transactions]

        monkeypatch.setattr(d2.engine._ends, "succeed", succeeded)

    def _peer(self, outgoing: Outgoing, now: float) -> list[tuple[float, bytes]]:
        port = outgoing.lane.port
        rcode = {DEAD: None, SECOND: self.second}.get(port, Rcode.NOERROR)
        return [] if rcode is None else [(0.001, answer(outgoing.message, rcode))]

    def ask(self, seconds: int) -> None:
        """Send requests for both domains for so long."""
        d2 = self.d2
        for number in range(RATE * seconds):
            for zone, net in (("b", 11), ("a", 10)):
                name = f"h{number}.{zone}.test."
                self._begun[name] = d2.now
                d2.request(request(
                    fqdn=name, dhcid=f"{net}{number:08X}", reverse_change=self._reverse,
                    ip_address=f"{net}.0.{number >> 8}.{number & 255}",
                ))
            until = d2.now + 1 / RATE
            d2.run(until)
            d2.now = until

    @property
    def left(self) -> int:
        """Requests of domain A that are not done."""
        return sum(".a." in name for name in self._begun)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("switches", [FAILOVER, FAILOVER | RETRY, FAILOVER | BATCH, FAILOVER | RETRY | BATCH])
def test_a_domain_with_a_second_server_does_not_wait_for_one_without(
    monkeypatch: pytest.MonkeyPatch, switches: dict[str, Any], *, reverse: bool
) -> None:
    """It has waited behind the other one's requests: those that came early, and each that probed."""
    shared = Shared(monkeypatch, switches, reverse=reverse)
    shared.ask(5)
    shared.d2.run(shared.d2.now + TIMEOUT + 0.1)  # one that probes may be under way
    assert shared.left == 0
    # Two tries are unanswered at most: until the server counts as down, and of each that probes.
    assert max(shared.waits) < 2 * TIMEOUT + 0.1
    assert sum(wait > 0.1 for wait in shared.waits) < RATE


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("switches", [{}, RETRY, BATCH, RETRY | BATCH])
def test_without_failover_it_gets_as_much_done_as_with_kea(
    monkeypatch: pytest.MonkeyPatch, switches: dict[str, Any], *, reverse: bool
) -> None:
    """Kea's transactions take their places for three tries; each domain has half of them."""
    shared = Shared(monkeypatch, switches, reverse=reverse)
    shared.ask(12)
    rounds = ceil(12 / (TRIES * TIMEOUT)) - 1  # the last one is not complete
    assert len(shared.waits) >= rounds * PLACES // 2


@pytest.mark.parametrize("batch", [{}, BATCH])
def test_retries_begin_at_the_second_server_whatever_waits_for_the_first(
    monkeypatch: pytest.MonkeyPatch, batch: dict[str, Any]
) -> None:
    """They waited until little waited there, which is not before all of the other domain has failed."""
    shared = Shared(monkeypatch, FAILOVER | batch, reverse=True, of_a=RETRY)
    shared.second = Rcode.REFUSED
    shared.ask(6)
    assert not shared.waits
    shared.second = Rcode.NOERROR
    shared.d2.run(shared.d2.now + 8)
    assert shared.left == 0


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("switches", [FAILOVER, FAILOVER | BATCH])
def test_when_the_second_server_is_back_it_takes_what_waits_for_the_first(
    monkeypatch: pytest.MonkeyPatch, switches: dict[str, Any], *, reverse: bool
) -> None:
    """While both were down the domain's requests went behind the other one's, and stayed there."""
    shared = Shared(monkeypatch, switches, reverse=reverse)
    shared.second = None
    shared.ask(10)
    shared.second = Rcode.NOERROR
    before = len(shared.waits)
    shared.d2.run(shared.d2.now + LONGEST_PAUSE + 2 * TIMEOUT)  # that it is back is found out
    done = len(shared.waits)
    assert done > before
    shared.d2.run()
    assert len(shared.waits) == done


def test_a_server_that_was_left_before_it_was_asked_is_asked_in_the_end() -> None:
    """Without retries: with Kea the request would have waited for it, and now it is up again."""
    up_from = 1000.0

    def peer(outgoing: Outgoing, now: float) -> list[tuple[float, bytes]]:
        if outgoing.lane.port == SECOND:
            return [(0.4, answer(outgoing.message, Rcode.SERVFAIL))]
        return [] if outgoing.lane.port == DEAD and now < up_from else [(0.001, answer(outgoing.message))]

    switches = FAILOVER | {"lanes": {"max-in-flight": 8}}
    forward, reverse = [domain("a.test.", HEALTHY)], [domain("10.in-addr.arpa.", DEAD, SECOND)]
    d2 = VirtualD2(make_config(simple_map(forward, reverse, {"user-context": {"pyd2": switches}})), peer)
    up_from = d2.now + TIMEOUT + 0.1
    for number in range(16):  # reverse updates: eight at once, four when the first ones are unanswered
        d2.request(request(fqdn=f"h{number}.a.test.", dhcid=f"{number:08X}", ip_address=f"10.0.0.{number}"))
    d2.run()
    done = "".join(d2.log.texts("DHCP_DDNS_ADD_SUCCEEDED"))
    assert all(f"Request ID {number:08X}" in done for number in range(12, 16))  # those not asked yet


def test_without_failover_few_retries_begin_at_a_dead_server() -> None:
    """All of them began when it counted as down: a shutdown waits for what has begun."""
    dead = False

    def peer(outgoing: Outgoing, _now: float) -> list[tuple[float, bytes]]:
        if dead and outgoing.lane.port == DEAD:
            return []
        return [(0.001, answer(outgoing.message, Rcode.SERVFAIL))]

    settings = {"user-context": {"pyd2": {"retry": {"enabled": True, "initial-delay": 1}}}}
    d2 = VirtualD2(make_config(simple_map([domain("a.test.", DEAD, SECOND)], [], settings)), peer)
    for number in range(300):
        d2.request(request(fqdn=f"h{number}.a.test.", dhcid=f"{number:08X}", reverse_change=False))
    d2.run(d2.now + 0.5)
    assert (d2.engine.retries, d2.engine.active) == (300, 0)
    dead = True
    d2.run(d2.now + 5)
    assert PLACES < d2.engine.active <= PLACES + MOST_READY + 8
