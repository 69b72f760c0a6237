"""Query IDs whose time was up are left alone for a while."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from pyd2.packets.wire import ffi, lib
from pyd2.update.server.id_quarantine import MOST, PERIOD, QuarantinedIds
from tests.update.support import VirtualD2, answer, dead, domain, draws, make_config, request, simple_map

if TYPE_CHECKING:
    from pyd2.update.engine import Outgoing


def test_a_late_reply_is_never_the_answer_to_another_update() -> None:
    """The engine draws one of four IDs; the tries of a request without an answer have three."""
    for seed in range(20):
        d2 = VirtualD2(make_config(simple_map([domain("example.com.", 1)])), dead, debuglevel=0)
        (lane,) = d2.engine.lanes
        lane.slots = [0]
        drawn = random.Random(seed)
        d2.engine._driver.tries.random = draws(drawn.choice([7, 1000, 30_000, 65_535]) for _ in range(1000))
        d2.request(request(reverse_change=False))
        d2.run()
        tries: list[Outgoing] = [message for _, message in d2.sent]
        assert len({message.query_id for message in tries}) == len(tries) == 3
        d2.request(request(reverse_change=False))
        for late in tries:
            d2.engine.receive_reply(lane, late.slot, answer(late.message), d2.now, d2.wall)
        assert (d2.engine.active, d2.counters.replies_ignored.value) == (1, 3)


def test_they_come_again_after_a_while() -> None:
    quarantine = QuarantinedIds()
    quarantine.add(1, 100.0)
    quarantine.add(2, 100.0 + PERIOD + 1)
    assert 1 in quarantine
    quarantine.add(3, 100.0 + 2 * PERIOD + 2)
    assert [number in quarantine for number in (1, 2, 3)] == [False, True, True]


def test_enough_are_left_to_draw_from() -> None:
    quarantine = QuarantinedIds()
    for number in range(65536):
        quarantine.add(number, 1.0)
    assert sum(number in quarantine for number in range(65536)) == MOST == lib.WIRE_QUARANTINE_MAX


@given(st.lists(st.tuples(st.integers(0, 65535), st.floats(0, 2 * PERIOD)), max_size=60))
def test_c_is_the_same(steps: list[tuple[int, float]]) -> None:
    python, compiled = QuarantinedIds(), ffi.gc(ffi.new("wire_quarantine *"), lib.wire_quarantine_free)
    now = 100.0
    for number, seconds in steps:
        now += seconds
        python.add(number, now)
        lib.wire_quarantine_add(compiled, number, now)
        for one in {number, number ^ 1, 0, *(before for before, _ in steps)}:
            assert lib.wire_quarantine_has(compiled, one) == (one in python)
