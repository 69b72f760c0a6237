"""A receiver whose disk fails and hangs, and stops at any moment: no request is lost in silence."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import pytest

from tests.cluster.disk.planted import answer_before_the_stop
from tests.cluster.disk.world import Violation, play

if TYPE_CHECKING:
    from tests.cluster.disk.world import World


@pytest.mark.parametrize("seed", range(6))
def test_a_request_is_in_a_file_or_in_the_stream_or_the_log_says_that_it_is_lost(seed: int) -> None:
    play(seed)


def test_a_seed_is_the_same_in_each_run() -> None:
    def figures(world: World) -> list[object]:
        return [world.turns.now, world.disk.operations, world.disk.failed, world.servers.found()]

    assert figures(play(3)) == figures(play(3))


def test_it_finds_a_hole_that_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file lacked one request, and PYD2_QUEUE_KEPT counted it."""
    answer_before_the_stop(monkeypatch)

    def play_some() -> None:
        for seed in chain((13,), range(60)):  # another Python may draw otherwise
            play(seed)

    with pytest.raises(Violation, match="1 requests are lost, and 0 by the log"):
        play_some()
