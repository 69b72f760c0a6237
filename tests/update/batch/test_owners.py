"""Who may have an owner: one update of a batch, or any number that go alone."""

from __future__ import annotations

from typing import Any

import pytest

from pyd2.update.batch.owners import Owners


class Work:
    """What the owners know of a transaction."""

    def __init__(self) -> None:
        self.ended = False
        self.domain = object()


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
    alone.ended = True
    assert not owners.take(b"a")
    other.domain = object()  # it has gone on to its other direction
    assert owners.take(b"a")


def test_what_has_ended_is_forgotten(owners: Owners) -> None:
    found = [work() for _ in range(10)]
    for number, each in enumerate(found):
        owners.add_alone(b"%d" % number, each)
        each.ended = number % 2 == 0
    owners.forget_ended()
    assert owners.count_alone == 5
    owners.forget_alone()
    assert owners.count_alone == 0


def work() -> Any:
    return Work()
