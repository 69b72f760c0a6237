"""What a receiver has under way: one batch, the same again, and what is on its disk until then."""

from __future__ import annotations

from pyd2.queue.shared.batch import MOST_REQUESTS, BatchNumber, RequestBatch
from pyd2.queue.shared.outgoing import Outgoing


def batch(serial: int, taken: float, *datagrams: bytes) -> RequestBatch:
    return RequestBatch("r.1", BatchNumber(3, serial), taken, list(datagrams))


def test_one_batch_is_under_way_and_what_comes_meanwhile_makes_the_next() -> None:
    outgoing = Outgoing("r.1", 3)
    assert outgoing.first() is None
    outgoing.add([b"a"], [7], 100.0)
    assert outgoing.first() == batch(1, 100.0, b"a")
    outgoing.add([b"b"], [8], 101.0)
    outgoing.add([b"c"], [9], 102.0)
    assert outgoing.first() == batch(1, 100.0, b"a")  # the same again
    assert len(outgoing) == 3
    assert outgoing.oldest == 100.0
    assert outgoing.acknowledged() == [7]
    assert outgoing.first() == batch(2, 101.0, b"b", b"c")
    assert outgoing.acknowledged() == [8, 9]
    assert outgoing.first() is None
    assert len(outgoing) == 0


def test_a_batch_is_not_larger_than_it_may_be() -> None:
    outgoing = Outgoing("r.1", 1)
    outgoing.add([b"x"] * (MOST_REQUESTS + 1), range(1, MOST_REQUESTS + 2), 1.0)
    sizes = []
    while (one := outgoing.first()) is not None:
        sizes.append(len(one.datagrams))
        outgoing.acknowledged()
    assert sizes == [MOST_REQUESTS, 1]
