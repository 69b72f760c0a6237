"""What is done of a queue: the floor rises in order, and a batch that comes twice counts once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from pyd2.queue.shared.batch import BatchNumber, RequestBatch
from pyd2.queue.shared.interface import QueuedBatch
from pyd2.queue.shared.progress import Progress
from pyd2.queue.shared.record import NO_RECORD, Record

if TYPE_CHECKING:
    from random import Random


def batch(count: int, *, receiver: str = "r.1", requests: int = 2) -> RequestBatch:
    return RequestBatch(receiver, BatchNumber(1, count), 0.0, [b"x"] * requests)


def test_the_floor_rises_when_all_before_is_done() -> None:
    progress = Progress(NO_RECORD)
    assert progress.begin_after(None) == 0
    for sequence in (1, 2, 3):
        assert progress.begin(sequence, batch(sequence))
    progress.done(2, 2)
    assert not progress.advance()
    progress.done(1)
    assert not progress.advance()
    progress.done(1)
    assert progress.advance()
    assert (progress.floor, progress.at) == (2, ("r.1", BatchNumber(1, 2)))
    assert progress.seen == {"r.1": BatchNumber(1, 2)}
    assert not progress.advance()


def test_a_batch_that_comes_again_is_done_already() -> None:
    progress = Progress(NO_RECORD)
    assert progress.begin(1, batch(1))
    assert progress.begin(2, batch(2))
    assert not progress.begin(3, batch(2))
    assert not progress.begin(4, batch(1))
    assert progress.begin(5, batch(1, receiver="r.2"))
    progress.done(1, 2)
    progress.done(2, 2)
    progress.advance()
    assert (progress.floor, progress.at) == (4, ("r.1", BatchNumber(1, 1)))
    assert progress.seen == {"r.1": BatchNumber(1, 2)}


def test_a_batch_that_cannot_be_read_or_is_empty_holds_nothing_up() -> None:
    progress = Progress(NO_RECORD)
    assert not progress.begin(1, None)
    assert not progress.begin(2, batch(1, requests=0))
    progress.advance()
    assert (progress.floor, progress.seen) == (2, {"r.1": BatchNumber(1, 1)})


def test_what_a_former_owner_has_done_is_not_done_again() -> None:
    record = Record("n", 1, 7, ("r.1", BatchNumber(1, 5)), {"r.1": BatchNumber(1, 5)})
    progress = Progress(record)
    assert progress.begin_after(QueuedBatch(7, batch(5))) == 7
    assert not progress.begin(8, batch(5))
    assert progress.begin(9, batch(6))
    assert record.seen == {"r.1": BatchNumber(1, 5)}


def test_sequences_that_were_given_to_others_are_read_from_the_first() -> None:
    """Servers without ``sync_interval: always`` lose their last messages when the power fails."""
    record = Record("n", 1, 7, ("r.1", BatchNumber(1, 5)), {"r.1": BatchNumber(1, 5)})
    for at_floor in (None, QueuedBatch(7, batch(6)), QueuedBatch(7, None, "damaged")):
        progress = Progress(record)
        assert progress.begin_after(at_floor) == 0
        assert not progress.begin(3, batch(4))
        assert progress.begin(4, batch(6))
        progress.done(4, 2)
        assert progress.advance()
        assert progress.floor == 4


def test_a_floor_at_a_batch_that_cannot_be_read_is_found_again() -> None:
    record = Record("n", 1, 7, None, {})
    assert Progress(record).begin_after(QueuedBatch(7, None, "damaged")) == 7
    assert Progress(record).begin_after(QueuedBatch(7, batch(1))) == 0
    assert Progress(record).begin_after(None) == 0  # servers have lost it


ARRIVED = st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 6), st.integers(0, 3)), max_size=20)


@given(ARRIVED, st.randoms())
def test_nothing_below_the_floor_is_undone(arrived: list[tuple[str, int, int]], random: Random) -> None:
    progress = Progress(NO_RECORD)
    left: list[int] = []
    begun: dict[tuple[str, int], int] = {}
    for sequence, (receiver, count, requests) in enumerate(arrived, start=1):
        if progress.begin(sequence, batch(count, receiver=receiver, requests=requests)):
            assert (receiver, count) not in begun
            begun[receiver, count] = sequence
            left += [sequence] * requests
    random.shuffle(left)
    while left:
        progress.done(left.pop())
        progress.advance()
        assert progress.floor == min(left, default=len(arrived) + 1) - 1
