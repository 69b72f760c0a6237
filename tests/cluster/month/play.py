"""Plays one site."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from tests.cluster.month.faults import Faults
from tests.cluster.month.rates import Rates
from tests.cluster.month.world import World

if TYPE_CHECKING:
    from tests.cluster.month.figures import Figures

DEFAULT = Rates()


def play(seed: int, nodes: int, seconds: float, rates: Rates = DEFAULT) -> Figures:
    """Return what was seen at a site. Raises AssertionError, with the seed, if a rule was broken."""
    try:
        world = World(rates, Random(seed), nodes)
        Faults(world, seconds)
        world.run(seconds)
    except AssertionError as error:
        error.add_note(f"seed {seed}")
        raise
    world.figures.seconds = seconds
    return world.figures
