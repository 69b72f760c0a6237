"""Updates that security contexts sign, in batches: as one by one, and none is refused for coming too late."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dns.name

from pyd2.tools.dns_server import make_zone
from pyd2.tools.primary import Primary
from tests.gss.test_in_engine import Site
from tests.update.batch.world import records
from tests.update.support import datagram, request, statistics

if TYPE_CHECKING:
    import pytest

    from pyd2.update.batch.lane_batches import LaneBatches
    from tests.kit.dnswire import Message
    from tests.update.batch.world import Records


class World(Site):
    """A Site whose server has zones, and carries updates out when they are sent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, batch: int = 20, **more: Any) -> None:
        super().__init__(monkeypatch, {"batch": batch, "max-in-flight": 8}, **more)
        names = map(dns.name.from_text, ("example.com.", "10.in-addr.arpa."))
        self.primary = Primary({name: make_zone(name.to_text()) for name in names})
        self.answer = self._carry_out

    def _carry_out(self, found: Message) -> bytes:
        (reply,) = self.primary.handle(found.unsigned, over_tcp=True)
        return reply

    def change(self, count: int, **of_each: str) -> None:
        """Send requests for so many hosts at once, and go on until all have ended; ``{}`` is a number."""
        datagrams = [
            datagram(request(**{
                "fqdn": f"h{number}.example.com.", "ip_address": f"10.0.{number >> 8}.{number & 255}",
                "dhcid": f"{number:08X}",
                **{name: text.format(number) for name, text in of_each.items()},
            }))
            for number in range(count)
        ]
        self.d2.engine.receive_requests(datagrams, self.d2.now, self.d2.wall)
        self.d2.flush()
        self.d2.run()
        assert (self.d2.engine.active, self.d2.engine.queued) == (0, 0)

    @property
    def batches(self) -> LaneBatches:
        """What became of batches."""
        batcher = self.d2.engine._batcher
        assert batcher is not None
        (lane,) = self.d2.engine.lanes
        return batcher._of(lane)

    @property
    def succeeded(self) -> int:
        """How many requests did."""
        return self.d2.counters.tally.done


def carry_out(world: World) -> Records:
    """Add names, some of which others have; renew all of them; return what the zones hold."""
    world.add()
    world.change(10, dhcid="FF{:06X}")
    world.change(60)
    assert world.succeeded == 10 + 50
    world.change(60, ip_address="10.1.0.{}")
    assert world.succeeded == 10 + 50 + 50
    assert world.refused() == []
    return records(world.primary)


def test_zones_are_those_of_single_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    one_by_one, world = World(monkeypatch, batch=1), World(monkeypatch)
    assert carry_out(world) == carry_out(one_by_one)
    counts = world.batches.counts
    assert counts.updates > 4 * counts.batches > 0
    assert counts.questions > 0
    assert world.batches.asking == world.batches.under_way == 0
    assert max(key.span() for key in world.ring.keys) == 0
    assert world.by_python < counts.batches + counts.questions, "C signs questions"


def test_nothing_comes_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches, questions and single updates share the contexts; some are lost, and some are late."""
    world = World(monkeypatch)
    world.add()
    world.loses, world.late = 0.02, 0.05
    for _ in range(2):
        world.change(150)
    assert world.succeeded == 300
    assert world.refused() == []
    assert statistics(world.d2.counters)["update-error"] == 0


def test_what_is_to_be_signed_waits_while_all_contexts_are_full(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    world.add()
    world.ring.on_need = lambda _: None  # no other key is to be had
    waits: list[bool] = []
    own = world.ring.is_full

    def is_full() -> bool:
        waits.append(own())
        return waits[-1]

    monkeypatch.setattr(world.ring, "is_full", is_full)
    world.late = 0.05
    for _ in range(2):
        world.change(150)
    assert any(waits)
    assert len(waits) < 1000, "it is not asked over and over while nothing ends"
    assert world.succeeded == 300
    assert world.refused() == []


def test_updates_whose_context_has_ended_fail_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    world.add()
    world.change(50)
    world.gss.fails = 12 << 16  # GSS_S_CONTEXT_EXPIRED
    world.change(50, fqdn="late{}.example.com.")
    assert world.succeeded == 50
    assert len(world.d2.log.texts("DHCP_DDNS_TRANS_SEND_ERROR")) == 50
    world.gss.fails = 0
    world.change(50, fqdn="late{}.example.com.")
    assert world.succeeded == 100


def test_where_the_order_counts_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, **{"gss-sequence-flag": True})
    world.add()
    world.change(60)
    assert (world.succeeded, world.batches.counts.batches) == (60, 0)
