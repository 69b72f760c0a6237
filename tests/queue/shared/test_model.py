"""The rules of a shared queue in a model in virtual time; and that the model finds rules which are wrong."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyd2.queue.shared.acknowledged import Acknowledged
from pyd2.queue.shared.outgoing import Outgoing
from pyd2.queue.shared.ownership import Ownership
from pyd2.queue.shared.progress import Progress
from pyd2.queue.shared.record import Revision
from pyd2.queue.shared.under_way import UnderWay
from tests.queue.shared.model import Log, World, of_datagram
from tests.queue.shared.planted import floor_does_not_wait

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.queue.shared.ownership import Moment, Write

STEPS = 300


@settings(max_examples=150)
@given(st.integers(0, 2**64))
def test_whatever_happens_one_node_sends_and_nothing_is_lost(seed: int) -> None:
    World(Random(seed), Counter()).run(STEPS)


@pytest.mark.parametrize("seed", [128626, 500120, 510524])
def test_what_was_under_way_at_a_kill_may_arrive_too_late(seed: int) -> None:
    """It was neither acknowledged nor on a disk: the model took it for one that the owner had skipped."""
    World(Random(seed), Counter()).run(STEPS)


def test_all_that_may_happen_happens() -> None:
    happened: Counter[str] = Counter()
    for seed in range(1000):
        World(Random(seed), happened).run(STEPS)
    assert set(happened) == {
        "acknowledged batches lost", "another term of one owner", "batch appended", "batch at the floor lost",
        "batch begun that has waited for another one", "batch read twice",
        "batch sent again", "batch that was lost sent again", "claim", "what was read last is lost",
        "claim known without an answer", "late batch begun by a claim", "late batch ended",
        "late batch written",
        "lease renewed when it was over", "older update after a newer one", "owner left",
        "owner lost the queue", "receiver goes on with its disk", "receiver loses what is in memory only",
        "stale update, prepared before",
        "term ended with the lease", "update", "what is missing is read again", "write refused",
    }  # fmt: skip


def run_many(runs: int) -> None:
    for seed in range(runs):
        World(Random(seed), Counter()).run(STEPS)


def no_lease(patch: pytest.MonkeyPatch) -> None:
    """An owner sends without a look at the clocks."""
    patch.setattr(Ownership, "may_send", lambda self, now: self.is_owner)


def no_grace(patch: pytest.MonkeyPatch) -> None:
    """Standbys wait for the lease only, whatever their clocks are worth."""
    made = Ownership.__init__
    patch.setattr(Ownership, "__init__", lambda self, node, lease, grace: made(self, node, lease, 0.0))


def no_wall_clock(patch: pytest.MonkeyPatch) -> None:
    """A machine that stood still does not find out."""
    patch.setattr(Ownership, "may_send", lambda self, now: self._lease_until is not None
                  and not self._refused and now.boot < self._lease_until.boot)


def lease_from_the_answer(patch: pytest.MonkeyPatch) -> None:
    """The lease counts from the answer, which may have come late."""
    written = Ownership.written

    def later(self: Ownership, revision: Revision, now: Moment) -> None:
        assert self._under_way is not None
        self._under_way = self._under_way._replace(begun=now)
        written(self, revision, now)

    patch.setattr(Ownership, "written", later)


def no_wait(patch: pytest.MonkeyPatch) -> None:
    """A standby claims the queue as soon as it knows the record."""
    patch.setattr(Ownership, "may_claim", lambda self, now: not self.is_owner and not self._refused
                  and self._under_way is None and self.record is not None)


def duplicates_count(patch: pytest.MonkeyPatch) -> None:
    """A batch that comes twice is carried out twice."""
    patch.setattr(Progress, "is_new", lambda self, batch: True)


def late_batches_are_not_written(patch: pytest.MonkeyPatch) -> None:
    """The floor passes a late batch whose write was refused, or has not been answered."""
    def look(self: UnderWay, now: float) -> None:
        for sequence in self.progress.held_back_by(now, 1):
            self.progress.set_late(sequence)

    patch.setattr(UnderWay, "look_for_late", look)


def claims_do_not_begin_late_batches(patch: pytest.MonkeyPatch) -> None:
    """A claim begins behind the floor only."""
    patch.setattr(UnderWay, "begin_late", lambda self, found: [() for _ in found])
    patch.setattr(World, "wait", lambda self, node, numbers, datagrams: node.waiting.extend(
        (number, *of_datagram(datagram)) for number, datagram in zip(numbers, datagrams, strict=False)))


def starts_are_not_counted(patch: pytest.MonkeyPatch) -> None:
    """After a new start a receiver numbers its batches as before."""
    made = Outgoing.__init__
    patch.setattr(Outgoing, "__init__", lambda self, receiver, boot: made(self, receiver, 1))


def disk_is_not_waited_for(patch: pytest.MonkeyPatch) -> None:
    """A receiver appends what is in memory only while older requests are still on its disk."""
    first = Outgoing.first
    patch.setattr(Outgoing, "first", lambda self, wall, safe, disk_is_empty: first(self, wall, safe=safe))


def disk_is_not_written(patch: pytest.MonkeyPatch) -> None:
    """A receiver appends what goes to the disk before it is there."""
    first = Outgoing.first
    patch.setattr(Outgoing, "first", lambda self, wall, safe, disk_is_empty: first(
        self, wall, disk_is_empty=disk_is_empty))


def acknowledged_batches_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    """A receiver forgets what the servers have acknowledged."""
    patch.setattr(Acknowledged, "behind", lambda self, number: None)


def batches_do_not_wait(patch: pytest.MonkeyPatch) -> None:
    """What comes again behind later batches of its receiver is skipped."""
    patch.setattr(Progress, "missing_before", lambda self, batch: 0)


def any_revision(patch: pytest.MonkeyPatch) -> None:
    """The servers replace a record without a look at its revision."""
    def replace(self: Log, write: Write) -> Revision:
        last = self.records[-1][0].last
        self.records.append((Revision(last + 1, last + 1), write.record))
        return self.records[-1][0]

    patch.setattr(Log, "replace", replace)


@pytest.mark.parametrize("plant", [no_lease, no_grace, no_wall_clock, lease_from_the_answer, no_wait,
                                   duplicates_count, floor_does_not_wait, any_revision,
                                   late_batches_are_not_written,
                                   claims_do_not_begin_late_batches, starts_are_not_counted,
                                   disk_is_not_waited_for, disk_is_not_written,
                                   acknowledged_batches_are_forgotten, batches_do_not_wait])
def test_a_wrong_rule_is_found(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        run_many(1000)
