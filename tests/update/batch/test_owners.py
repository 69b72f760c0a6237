"""Who may have an owner: one update of a batch, or any number that go alone."""

from __future__ import annotations

from typing import Any

import pytest

from pyd2.update.batch import owners as module
from pyd2.update.batch.owners import Owners


class Work:
    """What the owners know of a transaction."""

    looks = 0
    """How often it was asked of one whether it has ended."""

    def __init__(self) -> None:
        self.has_ended = False
        self.domain = object()

    @property
    def ended(self) -> bool:
        Work.looks += 1
        return self.has_ended


@pytest.fixture
def owners() -> Owners:
    return Owners()


def test_what_comes_for_an_owner_in_a_batch_waits_behind_it(owners: Owners) -> None:
    first, second = work(), work()
    assert owners.take(b"a")
    assert owners.follow(b"a", first)
    assert owners.follow(b"a", second)
    assert not owners.follow(b"b", first)
    assert owners.followers == 2
    assert [*owners.release(b"a")] == [first, second]
    assert owners.followers == 0
    assert [*owners.release(b"a")] == []


def test_an_update_that_goes_alone_keeps_its_owner_out_of_batches_until_it_ends(owners: Owners) -> None:
    alone, other = work(), work()
    owners.add_alone(b"a", alone)
    owners.add_alone(b"a", other)
    assert not owners.take(b"a")
    alone.has_ended = True
    assert not owners.take(b"a")
    other.domain = object()  # it has gone on to its other direction
    assert owners.take(b"a")


def test_very_many_updates_for_one_owner_cost_no_more_each(owners: Owners) -> None:
    Work.looks = 0
    found = [work() for _ in range(1000)]
    for each in found:
        owners.add_alone(b"a", each)
    for each in found:
        each.has_ended = True
        owners.take(b"a")
        owners.release(b"a")
    assert Work.looks < 5000


def test_what_has_ended_is_forgotten(owners: Owners, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not before there is much of it, and much more than is left of the last time."""
    monkeypatch.setattr(module, "ALONE_KEPT", 4)
    owners._most_alone = 4
    found = [work() for _ in range(24)]
    for number, each in enumerate(found[:10]):
        owners.add_alone(b"%d" % number, each)
        each.has_ended = number % 2 == 0
    owners.forget_ended()
    assert len(owners._alone) == 5
    Work.looks = 0
    for number, each in enumerate(found[10:15]):
        owners.add_alone(b"other %d" % number, each)
    owners.forget_ended()
    assert Work.looks == 0
    owners.forget_alone()
    assert not owners._alone


def work() -> Any:
    return Work()
