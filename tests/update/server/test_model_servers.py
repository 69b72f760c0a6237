"""How much the engine has under way to model servers, in virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyd2.update.server.window import CAP, START
from tests.update.server.model_servers import CommittingServer, QueueingServer
from tests.update.support import VirtualD2, answer, domain, make_config, request, simple_map

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyd2.update.engine import Outgoing
    from tests.update.server.model_servers import Server

REQUESTS = 6000


class Peer:
    """A model server as the engine's peer."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.under_way: list[int] = []
        """Whenever an update came, those under way."""

    def __call__(self, outgoing: Outgoing, now: float) -> Iterable[tuple[float, bytes]]:
        self.under_way.append(outgoing.lane.window.in_flight)
        at = self.server.take(now)
        return [] if at is None else [(at - now, answer(outgoing.message))]


def carry_out(server: Server) -> tuple[Peer, float]:
    """Have additions done that come all at once; return the peer, and how long they took."""
    peer = Peer(server)
    d2 = VirtualD2(make_config(simple_map([domain("example.com.", 1)])), peer, debuglevel=0, keep_sent=False)
    begin = d2.now
    for number in range(REQUESTS):
        d2.request(request(fqdn=f"h{number}.example.com.", dhcid=f"{number:08X}", reverse_change=False))
    d2.run()
    assert d2.counters.update_success.value == d2.counters.update_sent.value == REQUESTS
    return peer, d2.now - begin


def test_a_server_whose_commits_take_the_same_time_does_three_times_as_much() -> None:
    peer, seconds = carry_out(CommittingServer(0.01, quick=9))
    assert max(peer.under_way) == CAP
    assert seconds < REQUESTS / START * 0.01 / 2.2


def test_a_slow_server_gets_no_long_queue() -> None:
    peer, seconds = carry_out(QueueingServer(0.0002, 0.001))
    assert sum(peer.under_way) / REQUESTS <= START + 8
    assert seconds < 1.01 * REQUESTS * 0.001
