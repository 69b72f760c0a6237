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


def test_a_reply_that_is_neither_lets_the_size_grow_by_a_quarter() -> None:
    """A commit that takes the same time for many would else keep batches small for ever."""
    size = BatchSize(200, removals=False)
    for expected in (63, 79, 99):
        size.answered(size.allowed(0.0), 0.049, 0.5, 0.0)
        assert size.allowed(0.0) == expected


def test_a_server_that_stands_still_halves_once() -> None:
    """Whatever was under way then took as long."""
    size, at_a_time = BatchSize(200, removals=False), BatchesAtATime()
    for begun in (1.0, 1.2, 1.4):
        size.halve(begun, 1.5)
        at_a_time.halve(begun, 1.5)
    size.answered(50, 0.6, 0.5, 1.9)
    at_a_time.answered(0, 0.6, 0.5, 1.9, grows=True)
    assert (size.allowed(1.9), at_a_time.number) == (FIRST // 2, AT_A_TIME // 2)
    size.halve(1.5, 2.0)
    assert size.allowed(2.0) == FIRST // 4


def test_a_small_batch_says_nothing_of_large_ones() -> None:
    size = BatchSize(50, removals=False)
    size.halve(0.0, 0.0)
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
    size.halve(9.0, 10.0)
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
        batches.answered(batches.number - 1, 0.049, 0.5, 0.0, grows=True)
        assert batches.number == expected
    batches.answered(0, 0.001, 0.5, 0.0, grows=True)  # a single one says nothing of more
    batches.answered(batches.number - 1, 0.051, 0.5, 0.0, grows=True)
    batches.answered(batches.number - 1, 0.001, 0.5, 0.0, grows=False)
    assert batches.number == AT_A_TIME + 8
    batches.answered(0, 0.101, 0.5, 0.0, grows=False)
    assert batches.number == (AT_A_TIME + 8) // 2
    for second in range(1, 5):
        batches.halve(second, second)
    assert batches.number == AT_A_TIME_LEAST
