"""What C has posted and the kernel has not taken yet."""

from __future__ import annotations

from typing import Any

from pyd2.backend import make_backend
from pyd2.counters import Counters
from pyd2.packets.wire import ffi, lib
from pyd2.update.engine import Engine
from tests.kit.dnswire import parse
from tests.update.support import MemoryLog, answer, datagram, domain, make_config, request, simple_map

TOGETHER = 32
"""Updates that may be under way at first."""


def test_an_outbox_that_is_never_empty_does_not_grow() -> None:
    """A kernel that always lags behind takes the updates in order, and their memory is used again."""
    engine = Engine(Counters(), MemoryLog(0), make_backend("compiled"))
    engine.configure(make_config(simple_map([domain("example.com.", 1)])), None, 0.0, 0.0)
    (lane,) = engine.lanes
    box: Any = lane.native

    def ask(number: int) -> None:
        fields = request(fqdn=f"h{number}.example.com.", dhcid=f"{number:08X}", reverse_change=False)
        engine.receive_request(datagram(fields), 0.0, 0.0)
        engine.handle_timer(0.0, 0.0)  # as the loop does when a turn has used up its steps

    def take_first() -> tuple[int, bytes]:
        first = box.messages[box.first]
        message = bytes(ffi.buffer(box.octets + first.at, first.size))
        assert int.from_bytes(message[:2], "big") == first.query_id
        slot: int = first.slot
        lib.wire_lane_skip(box)
        return slot, message

    for number in range(TOGETHER):
        ask(number)
    capacities = set()
    for number in range(5000):
        slot, message = take_first()
        assert parse(message).update[0].split()[0] == f"h{number}.example.com."
        assert 0 < box.count - box.first < TOGETHER  # few while the window measures the empty path
        engine.receive_replies(lane, slot, [answer(message)], 0.0, 0.0)
        ask(TOGETHER + number)
        capacities.add((box.capacity, box.octets_capacity))
    assert len(capacities) < 4
    assert max(capacities) < (4 * TOGETHER, 2048 * TOGETHER)
