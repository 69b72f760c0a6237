"""The size of batches adapts to how long a server takes."""

from pyd2.update.batch.size import (
    AGAIN,
    AT_A_TIME,
    AT_A_TIME_LEAST,
    FIRST,
    BatchesAtATime,
    BatchSize,
)


def test_a_slow_reply_halves_the_size_and_a_quick_one_doubles_it() -> None:
    size = BatchSize(50, removals=False)
    size.answered(50, 0.101, 0.5, 0.0)
    assert size.allowed(0.0) == 25
    size.answered(25, 0.099, 0.5, 0.0)
    assert size.allowed(0.0) == 25
    size.answered(25, 0.024, 0.5, 0.0)
    assert size.allowed(0.0) == 50
    size.answered(50, 0.001, 0.5, 0.0)
    assert size.allowed(0.0) == 50


def test_a_small_batch_says_nothing_of_large_ones() -> None:
    size = BatchSize(50, removals=False)
    size.halve(0.0)
    size.answered(2, 0.001, 0.5, 0.0)
    assert size.allowed(0.0) == 25


def test_removals_one_by_one_within_the_server_gain_nothing() -> None:
    """PowerDNS deletes each for some milliseconds; a commit to a disk is no reason."""
    slow, disk = BatchSize(50, removals=True), BatchSize(50, removals=True)
    slow.answered(50, 0.075, 0.5, 0.0)
    disk.answered(2, 0.021, 0.5, 0.0)
    assert (slow.allowed(0.0), disk.allowed(0.0)) == (25, 50)


def test_at_one_there_are_none_for_a_while() -> None:
    size = BatchSize(3, removals=False)
    size.halve(10.0)
    assert size.allowed(10.0) == 1
    assert size.allowed(10.0 + AGAIN - 0.1) == 1
    assert size.allowed(10.0 + AGAIN) == 2


def test_a_smaller_switch_counts_at_once() -> None:
    size = BatchSize(50, removals=False)
    size.limit(7)
    assert size.allowed(0.0) == 7


def test_the_first_batch_is_not_large() -> None:
    size = BatchSize(200, removals=False)
    assert size.allowed(0.0) == FIRST
    size.answered(FIRST, 0.001, 0.5, 0.0)
    assert size.allowed(0.0) == 2 * FIRST


def test_a_server_gets_more_batches_at_a_time_while_it_is_quick() -> None:
    batches = BatchesAtATime()
    for expected in range(AT_A_TIME + 1, AT_A_TIME + 9):
        batches.answered(batches.number - 1, 0.024, 0.5, grows=True)
        assert batches.number == expected
    batches.answered(0, 0.001, 0.5, grows=True)  # a single one says nothing of more
    batches.answered(batches.number - 1, 0.05, 0.5, grows=True)
    batches.answered(batches.number - 1, 0.001, 0.5, grows=False)
    assert batches.number == AT_A_TIME + 8
    batches.answered(0, 0.101, 0.5, grows=False)
    assert batches.number == (AT_A_TIME + 8) // 2
    for _ in range(4):
        batches.halve()
    assert batches.number == AT_A_TIME_LEAST
