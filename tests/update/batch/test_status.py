"""What status-get shows of batches."""

from pyd2.update.status import servers_status
from tests.update.batch.test_batcher import additions
from tests.update.batch.world import World, batch_map


def test_it_counts_batches_and_what_is_in_them() -> None:
    world = World(batch_map(50))
    assert world.engine.extended
    (shown,) = servers_status(world.engine.lanes, world.d2.wall)
    assert isinstance(shown, dict)
    assert shown["batches"] == {"most": 50, "sent": 0, "updates": 0, "questions": 0}
    world.send(additions(120))
    (shown,) = servers_status(world.engine.lanes, world.d2.wall)
    assert isinstance(shown, dict)
    assert shown["waiting"] == 120 - 4
    world.run([])
    (shown,) = servers_status(world.engine.lanes, world.d2.wall)
    assert isinstance(shown, dict)
    several = [size for size in world.sizes if size > 1]
    assert shown["batches"] == {"most": 50, "sent": len(several), "updates": sum(several), "questions": 0}


def test_without_the_switch_it_shows_nothing_of_them() -> None:
    world = World(batch_map(1))
    assert not world.engine.extended
    (shown,) = servers_status(world.engine.lanes, world.d2.wall)
    assert isinstance(shown, dict)
    assert "batches" not in shown
