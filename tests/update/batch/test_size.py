"""The size of batches adapts to how long a server takes."""

from pyd2.update.batch.size import AGAIN, BatchSize


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
    size.most = 7
    assert size.allowed(0.0) == 7
