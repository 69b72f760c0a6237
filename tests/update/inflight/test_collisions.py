"""Updates over one TCP connection never have the same query ID."""

from tests.update import support
from tests.update.inflight.collisions import collisions


def test_no_two_updates_under_way_have_the_same_id() -> None:
    """The full run is ``python -m tests.update.inflight.collisions``."""
    assert collisions(support.LAYER, 30_000) == (0, 96)
