"""Batches, retries, fail-over, policies and reloads at once, before servers that fail in many ways.

Whatever they do, all requests end, nothing is left in a lane, and no turn begins only to wait again.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.kit.ncr import MODES
from tests.update.support import SendError, VirtualD2, answer, domain, make_config, request, simple_map

if TYPE_CHECKING:
    from pyd2.config.model import Config
    from pyd2.update.engine import Outgoing

PORTS: Final = (1, 2, 3)
WAYS: Final = ("answers", "is silent", "loses some", "is not reached", "refuses some", "refuses all")
TURNS: Final = 1000
"""Turns that may begin in one moment."""
QUERY: Final = 0


class Network:
    """The servers, each of which has its own way for a while, and the engine before them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.ways = dict.fromkeys(PORTS, "answers")
        self.d2 = VirtualD2(self.config(), self.peer, self.random.choice([0, 55]))
        self.d2.keep_sent = False

    def config(self) -> Config:
        """Return a configuration with any of the switches."""
        choice = self.random.choice
        fails_over = choice([True, False])
        switches: dict[str, Any] = {
            "lanes": {"batch": choice([1, 2, 10, 200]), "max-in-flight": choice([1, 4, 64])},
            "retry": {"enabled": choice([True, False]), "initial-delay": choice([0.1, 1]), "max-delay": 5},
            "failover": {
                "enabled": fails_over, "breaker-threshold": choice([1, 5]),
                "partial-success": fails_over and choice([True, False]),
            },
            "policy": {
                "dual-stack": choice(["off", "per-family"]), "adopt": choice(["never", "same-address"]),
                "remove-yxrrset": choice(["fail", "done"]),
            },
        }
        order = self.random.sample(PORTS, choice([1, 2, 3]))
        forward = [domain("example.com.", *order), domain("b.example.com.", choice(PORTS))]
        return make_config(simple_map(forward, [domain("10.in-addr.arpa.", *order[:2])], {
            "user-context": {"pyd2": switches}, "dns-server-timeout": choice([100, 500]),
        }))

    def peer(self, outgoing: Outgoing, _now: float) -> list[tuple[float, bytes]]:
        """Answer as the server does at present; some answers come twice."""
        way, message = self.ways[outgoing.lane.port], outgoing.message
        if way == "is silent" or (way == "loses some" and self.random.random() < 0.3):
            return []
        if way == "is not reached" and self.random.random() < 0.5:
            raise SendError(111)
        rcode = 2 if way == "refuses all" else 0
        if way == "refuses some":
            rcode = self.random.choice([0, 0, 2, 5, 6, 7, 8, 9])
        if message[2] >> 3 & 15 == QUERY:
            reply = message[:2] + bytes((0x84, self.random.choice([0, 3]))) + message[4:]
        else:
            reply = answer(message, rcode)
        return [(self.random.uniform(0.001, 0.05), reply)] * self.random.choice([1, 1, 1, 2])

    def ask(self, client: int) -> None:
        """Send a request of a client; several want each name."""
        zone = self.random.choice(["", "b."])
        self.d2.request(request(
            fqdn=f"h{self.random.randrange(40)}.{zone}example.com.", ip_address=f"10.0.0.{client}",
            dhcid=f"{client:08X}", change_type=self.random.choice([0, 0, 1]),
            reverse_change=self.random.random() < 0.7,
            conflict_resolution_mode=self.random.choice([*MODES, MODES[0], MODES[0]]),
        ))

    def run(self, until: float) -> None:
        """Let time pass."""
        turns, moment = 0, self.d2.now
        while self.d2.step(until):
            turns, moment = (turns + 1 if self.d2.now == moment else 0), self.d2.now
            assert turns < TURNS, "the engine begins turn after turn"


@pytest.mark.parametrize("seed", range(12))
def test_all_requests_end(seed: int) -> None:
    network = Network(seed)
    d2, chance = network.d2, network.random
    d2.engine.pace(0.1 if seed % 2 else 1.0)  # the least that a slow machine gets (net/read_turns.py)
    sent = 0
    while sent < 300:
        for _ in range(chance.choice([1, 20, 60])):
            network.ask(chance.randrange(120))
            sent += 1
        network.run(d2.now + chance.choice([0.01, 0.2, 1]))
        if chance.random() < 0.4:
            network.ways[chance.choice(PORTS)] = chance.choice(WAYS)
        if chance.random() < 0.15:
            d2.configure(network.config())
    network.ways = dict.fromkeys(PORTS, "answers")
    network.run(d2.now + 1000)
    counts: Any = d2.engine.status(d2.wall)["requests"]
    received = counts.pop("received")
    assert received == sent == sum(counts.values())
    assert counts["queued"] == counts["active"] == d2.engine.retries == 0
    for lane in d2.engine.lanes:
        assert not any((lane.window.in_flight, lane.ready, lane.waiting, lane.held, lane.collecting))
    assert "PYD2_INTERNAL_ERROR" not in d2.log.ids
