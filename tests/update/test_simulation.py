"""An outage in virtual time: 10,000 hosts, three zones, one server dead, one failing for half a minute."""

import heapq
from collections.abc import Iterable
from typing import Any

from pyd2.backend import make_backend
from pyd2.counters import Counters
from pyd2.update.engine import Engine, Outgoing
from tests.kit.profile import MESSAGES
from tests.update import support
from tests.update.support import (
    MemoryLog,
    answer,
    collect_messages,
    datagram,
    domain,
    make_config,
    request,
    simple_map,
)

HOSTS = 10_000
ARRIVALS = 200.0
"""Requests per second, all zones together."""
DELAY, SERVICE = 0.002, 0.0002
"""The healthy server: seconds on the way, and per update (which it does one at a time)."""
FAILING = 30.0
ZONES = ("good", "dead", "failing")
PORTS = {name: port for port, name in enumerate(ZONES, 1)}


class OutcomeLog(MemoryLog):
    """Notes when each request ended, and how."""

    def __init__(self, world: "World") -> None:
        super().__init__()
        self.on = frozenset(name for name in MESSAGES if name.startswith(("DHCP_DDNS_ADD_", "DHCP_DDNS_NO_")))
        self.world = world
        self.ends: dict[str, tuple[float, str]] = {}

    def emit(self, message_id: str, *arguments: object) -> None:
        if message_id in self.on:
            assert arguments[0] not in self.ends
            self.ends[str(arguments[0])] = (self.world.now, message_id)


class World:
    """The engine, its servers and the clock."""

    def __init__(self, requests: Iterable[tuple[float, dict[str, Any]]]) -> None:
        self.now = 0.0
        self.log = OutcomeLog(self)
        self.engine = Engine(Counters(), self.log, make_backend(support.LAYER))
        zones = [domain(f"{name}.test.", PORTS[name]) for name in ZONES]
        self.engine.configure(make_config(simple_map(zones)), None, 0.0, 0.0)
        self.events: list[tuple[float, int, Outgoing | None, bytes]] = []
        self.number = 0
        self.free_at = 0.0
        self.tries = dict.fromkeys(ZONES, 0)
        self.most_under_way = dict.fromkeys(ZONES, 0)
        for at, ncr in requests:
            self.later(at, None, datagram(ncr))

    def later(self, at: float, outgoing: Outgoing | None, data: bytes) -> None:
        self.number += 1
        heapq.heappush(self.events, (at, self.number, outgoing, data))

    def serve(self, outgoing: Outgoing) -> None:
        zone = ZONES[outgoing.lane.port - 1]
        self.tries[zone] += 1
        self.most_under_way[zone] = max(self.most_under_way[zone], outgoing.lane.window.in_flight)
        if zone == "good":
            self.free_at = max(self.free_at, self.now + DELAY / 2) + SERVICE
            self.later(self.free_at + DELAY / 2, outgoing, answer(outgoing.message))
        elif zone == "failing":
            rcode = 2 if self.now < FAILING else 0
            self.later(self.now + DELAY, outgoing, answer(outgoing.message, rcode))

    def run(self) -> None:
        engine = self.engine
        while True:
            timer = engine.timer()
            due = self.events[0][0] if self.events else None
            if timer is None and due is None:
                return
            if due is None or (timer is not None and timer < due):
                assert timer is not None
                self.now = max(self.now, timer)
                engine.handle_timer(self.now, self.now)
            else:
                self.now, _, outgoing, data = heapq.heappop(self.events)
                if outgoing is None:
                    engine.receive_request(data, self.now, self.now)
                else:
                    engine.receive_reply(outgoing.lane, outgoing.slot, data, self.now, self.now)
            for message in collect_messages(engine):
                self.serve(message)


def hosts(zones: Iterable[str]) -> list[tuple[float, dict[str, Any]]]:
    """Return the requests of those hosts whose zone is wanted; each comes when it would come among all."""
    wanted = set(zones)
    found = []
    for number in range(HOSTS):
        zone = ZONES[number % 3]
        if zone in wanted:
            # From time to time many come at once, as after a power cut.
            at = number / ARRIVALS if number % 2000 > 500 else number // 2000 * 2000 / ARRIVALS
            ncr = request(dhcid=f"{number:08X}", fqdn=f"h{number}.{zone}.test.", reverse_change=False)
            found.append((at, ncr))
    return found


def delays(world: World, requests: list[tuple[float, dict[str, Any]]]) -> list[float]:
    return sorted(world.log.ends[ncr["dhcid"]][0] - at for at, ncr in requests if ".good." in ncr["fqdn"])


def test_a_healthy_zone_does_not_notice_the_bad_ones() -> None:
    everybody, alone = hosts(ZONES), hosts(["good"])
    mixed, undisturbed = World(everybody), World(alone)
    mixed.run()
    undisturbed.run()

    assert len(mixed.log.ends) == HOSTS
    with_outage, without = delays(mixed, everybody), delays(undisturbed, alone)
    assert len(with_outage) == len(without) == len(alone)
    for part in (0.5, 0.9, 0.99, 0.9999):
        index = int(len(without) * part)
        assert with_outage[index] <= 1.05 * without[index]
    assert sum(with_outage) <= 1.05 * sum(without)

    outcomes = [outcome for _, outcome in mixed.log.ends.values()]
    assert outcomes.count("DHCP_DDNS_ADD_SUCCEEDED") > len(alone) + 1000
    for at, ncr in everybody:
        ended, outcome = mixed.log.ends[ncr["dhcid"]]
        if ".good." in ncr["fqdn"] or (".failing." in ncr["fqdn"] and at >= FAILING):
            assert outcome == "DHCP_DDNS_ADD_SUCCEEDED"
        elif ".dead." in ncr["fqdn"]:
            assert outcome == "DHCP_DDNS_ADD_FAILED"
            assert ended - at >= 1.5
        else:
            # Kea gives up on SERVFAIL (docs/differences.md, 7), and so the failing zone never has a queue.
            assert outcome == "DHCP_DDNS_ADD_FAILED"
            assert ended - at < 0.1
    dead = HOSTS // 3
    assert mixed.tries == {"good": len(alone), "dead": 3 * dead, "failing": dead}
    assert mixed.most_under_way["dead"] == 32
    assert all(most <= 96 for most in mixed.most_under_way.values())
    # The dead server's own requests are no slower than Kea's, which has 32 under way.
    assert mixed.now <= 1.05 * dead * 1.5 / 32
    assert (mixed.engine.active, mixed.engine.queued) == (0, 0)
