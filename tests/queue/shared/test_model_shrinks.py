"""The model again, each choice in it drawn by Hypothesis: what breaks a rule then is as short as can be."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.queue.shared.model import World

if TYPE_CHECKING:
    from random import Random

STEPS = 60


@settings(max_examples=50)
@given(st.randoms(use_true_random=False))
def test_whatever_is_chosen_one_node_sends_and_nothing_is_lost(random: Random) -> None:
    World(random, Counter()).run(STEPS)
