"""What a receiver has under way: one batch, the same again, and what is on its disk until then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyd2.queue.shared.batch import MOST_REQUESTS, BatchNumber, RequestBatch
from pyd2.queue.shared.outgoing import Outgoing

if TYPE_CHECKING:
    from collections.abc import Sequence


def batch(serial: int, taken: float, *datagrams: bytes) -> RequestBatch:
    return RequestBatch("r.1", BatchNumber(3, serial), taken, list(datagrams))


def test_one_batch_is_under_way_and_what_comes_meanwhile_makes_the_next() -> None:
    outgoing = Outgoing("r.1", 3)
    assert outgoing.first(100.0) is None
    outgoing.add([b"a"], [7], 100.0)
    assert outgoing.first(100.0) == batch(1, 100.0, b"a")
    outgoing.add([b"b"], [8], 101.0)
    outgoing.add([b"c"], [9], 102.0)
    assert outgoing.first(101.9) == batch(1, 100.0, b"a")  # the same again
    assert len(outgoing) == 3
    assert outgoing.oldest == 100.0
    assert outgoing.acknowledged() == [7]
    assert outgoing.first(102.0) == batch(2, 101.0, b"b", b"c")
    assert outgoing.acknowledged() == [8, 9]
    assert outgoing.first(102.0) is None
    assert len(outgoing) == 0


def test_what_is_in_memory_only_waits_until_the_disk_is_empty() -> None:
    outgoing = Outgoing("r.1", 3)
    outgoing.add([b"a"], [7], 100.0)
    outgoing.add([b"b"], (), 100.0)
    outgoing.add([b"c"], (), 100.5)
    assert (len(outgoing), outgoing.on_disk, outgoing.in_memory, outgoing.oldest) == (3, 1, 2, 100.0)
    assert outgoing.first(100.0) == batch(1, 100.0, b"a")
    assert outgoing.acknowledged() == [7]
    assert outgoing.first(100.0, disk_is_empty=False) is None
    assert (len(outgoing), outgoing.oldest_in_memory) == (2, 100.0)
    assert outgoing.first(100.0) == batch(2, 100.0, b"b", b"c")
    assert outgoing.acknowledged() == []
    found = len(outgoing), outgoing.oldest, outgoing.oldest_in_memory
    assert found == (0, None, None)


def test_what_is_put_on_the_disk_is_appended_when_it_is_there() -> None:
    outgoing = Outgoing("r.1", 3)
    outgoing.add([b"a", b"b"], (), 100.0)
    assert outgoing.first(100.0) == batch(1, 100.0, b"a", b"b")
    outgoing.add([b"c"], (), 100.5)
    kept: list[bytes] = []

    def write(datagrams: Sequence[bytes], _: float) -> Sequence[int]:
        kept.extend(datagrams)
        return range(len(kept) - len(datagrams) + 1, len(kept) + 1)

    outgoing.keep(write)
    assert kept == [b"a", b"b", b"c"]
    assert (outgoing.on_disk, outgoing.in_memory) == (3, 0)
    assert outgoing.first(100.0, safe=0) == batch(1, 100.0, b"a", b"b")  # it is under way
    assert outgoing.acknowledged() == [1, 2]
    assert outgoing.first(100.0, safe=2) is None
    assert outgoing.first(100.0, safe=3, disk_is_empty=False) == batch(2, 100.5, b"c")
    outgoing.keep(write)
    assert len(kept) == 3
    outgoing.add([b"d"], (), 101.0)
    with pytest.raises(AssertionError, match="has come before"):
        outgoing.add([b"e"], [9], 101.0)


def test_a_batch_is_not_larger_than_it_may_be() -> None:
    outgoing = Outgoing("r.1", 1)
    outgoing.add([b"x"] * (MOST_REQUESTS + 1), range(1, MOST_REQUESTS + 2), 1.0)
    sizes = []
    while (one := outgoing.first(1.0)) is not None:
        sizes.append(len(one.datagrams))
        outgoing.acknowledged()
    assert sizes == [MOST_REQUESTS, 1]


def test_what_comes_in_a_burst_is_a_few_batches() -> None:
    # What waits longer than 50 ms goes to the disk, and behind it all that follows: a batch takes some 5 ms.
    outgoing = Outgoing("r.1", 1)
    outgoing.add([bytes(340)] * 2000, (), 1.0)
    batches = 0
    while outgoing.first(1.0) is not None:
        batches += 1
        outgoing.acknowledged()
    assert batches == 3


def test_what_has_waited_says_so_and_those_that_came_together_go_together() -> None:
    outgoing = Outgoing("r.1", 3)
    for number, taken in enumerate((100.0, 100.5, 101.0, 101.5, 110.0, 119.0, 119.5), start=1):
        outgoing.add([b"%d" % number], [number], taken)
    found = []
    while (one := outgoing.first(120.0)) is not None:
        found.append((one.taken, list(one.datagrams), one.spooled))
        outgoing.acknowledged()
    assert found == [
        (100.0, [b"1", b"2", b"3", b"4"], True), (110.0, [b"5"], True),
        (119.0, [b"6", b"7"], False),
    ]  # fmt: skip


def test_so_does_what_was_under_way_when_the_servers_were_gone() -> None:
    outgoing = Outgoing("r.1", 3)
    outgoing.add([b"a"], [1], 100.0)
    assert outgoing.first(100.0) == batch(1, 100.0, b"a")
    assert outgoing.first(700.0) == batch(1, 100.0, b"a")._replace(spooled=True)


def test_a_clock_that_is_set_back_makes_nothing_wait() -> None:
    outgoing = Outgoing("r.1", 3)
    outgoing.add([b"a"], [1], 5000.0)
    outgoing.add([b"b"], [2], 100.0)
    assert outgoing.first(100.0) == batch(1, 5000.0, b"a", b"b")
