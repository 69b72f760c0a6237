"""What a receiver keeps of acknowledged batches."""

from __future__ import annotations

import pytest

from pyd2.cluster.receiver import LOOK_PAUSE, LOOK_SECONDS
from pyd2.queue.shared import acknowledged as module
from pyd2.queue.shared.acknowledged import Acknowledged
from pyd2.queue.shared.batch import BatchNumber, Joined, RequestBatch
from pyd2.queue.shared.order import WAIT_SECONDS


def batch(serial: int) -> RequestBatch:
    return RequestBatch("r.1", BatchNumber(3, serial), 100.0, [b"x%d" % serial])


def three() -> Acknowledged:
    """Return what three batches have left that have the sequences 11, 12 and 15."""
    kept = Acknowledged()
    for serial, sequence in enumerate((11, 12, 15), 1):
        kept.add(batch(serial), sequence, 50.0 + serial)
    return kept


def serials(kept: Acknowledged) -> list[int]:
    """Return the numbers of all that are kept."""
    found = []
    one = kept.behind(None)
    while one is not None:
        found.append(one.batch.number.serial)
        one = kept.behind(one.batch.number)
    return found


def test_a_batch_is_kept_until_it_is_done() -> None:
    kept = three()
    first = kept.behind(None)
    assert first is not None
    assert (len(kept), first.sequence, first.since, first.batch) == (3, 11, 51.0, batch(1))
    kept.done(BatchNumber(3, 2))
    assert serials(kept) == [3]
    kept.done(None)
    kept.done(BatchNumber(2, 9))
    assert serials(kept) == [3]
    kept.done(BatchNumber(3, 3))
    assert (len(kept), kept.behind(None)) == (0, None)


def test_in_a_backlog_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_OCTETS", 4)
    assert serials(three()) == [2, 3]
    monkeypatch.setattr(module, "MOST_OCTETS", 1)
    kept = three()
    assert serials(kept) == [3]
    assert len(kept._looks) == 1


def test_all_are_looked_for_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = three()
    assert kept.next_look == 51.0
    assert [one.sequence for one in kept.look(52.0, 60.0)] == [11, 12]
    assert (kept.next_look, [one.sequence for one in kept.look(52.0, 60.0)]) == (53.0, [])
    kept.done(BatchNumber(3, 1))
    monkeypatch.setattr(module, "MOST_LOOKS", 1)
    assert [[one.sequence for one in kept.look(61.0, 61.0)] for _ in range(3)] == [[15], [12], [15]]
    kept.done(BatchNumber(3, 3))
    assert kept.next_look is None


def test_not_too_many_octets_are_looked_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_OCTETS", 3)
    assert [one.sequence for one in three().look(60.0, 60.0)] == [11, 12]


@pytest.mark.parametrize("octets", [300, 200_000])
def test_in_a_backlog_all_are_looked_for_before_an_owner_gives_one_up(octets: int) -> None:
    """Of lone requests 50,000 were kept, and it took minutes: what servers had lost came back too late."""
    kept, now, look_at = Acknowledged(), 0.0, 0.0
    for serial in range(1, 20_001):
        now += 0.005
        one = RequestBatch("r.1", BatchNumber(3, serial), 100.0, Joined(b"x" * (octets + 2), 1))
        kept.add(one, serial, now)
        if now >= look_at:
            kept.look(now - LOOK_SECONDS, now)
            look_at = now + LOOK_PAUSE
    assert 50 < len(kept) <= module.MOST_BATCHES
    assert max(now - one.since for one in kept._kept) < 2 * WAIT_SECONDS
