"""What a receiver has under way: one batch, the same again, the spool, a new start."""

from __future__ import annotations

from pyd2.queue.shared.batch import MOST_REQUESTS, BatchNumber, RequestBatch
from pyd2.queue.shared.outgoing import Outgoing


def batch(boot: int, serial: int, taken: float, *datagrams: bytes) -> RequestBatch:
    return RequestBatch("r.1", BatchNumber(boot, serial), taken, list(datagrams))


def test_one_batch_is_under_way_and_what_comes_meanwhile_makes_the_next() -> None:
    outgoing = Outgoing("r.1", 3)
    assert outgoing.first() is None
    outgoing.add([b"a"], 100.0, 0.0)
    assert outgoing.first() == batch(3, 1, 100.0, b"a")
    outgoing.add([b"b"], 101.0, 1.0)
    outgoing.add([b"c"], 102.0, 2.0)
    assert outgoing.first() == batch(3, 1, 100.0, b"a")  # the same again
    assert len(outgoing) == 3
    assert not outgoing.acknowledged()
    assert outgoing.first() == batch(3, 2, 101.0, b"b", b"c")
    outgoing.acknowledged()
    assert outgoing.first() is None
    assert len(outgoing) == 0


def test_a_batch_is_not_larger_than_it_may_be() -> None:
    outgoing = Outgoing("r.1", 1)
    outgoing.add([b"x"] * (MOST_REQUESTS + 1), 1.0, 0.0)
    sizes = []
    while (one := outgoing.first()) is not None:
        sizes.append(len(one.datagrams))
        outgoing.acknowledged()
    assert sizes == [MOST_REQUESTS, 1]


def test_what_waits_too_long_goes_to_the_spool_with_its_number_and_leaves_it_when_acknowledged() -> None:
    outgoing = Outgoing("r.1", 1)
    outgoing.add([b"a"], 100.0, 0.0)
    outgoing.first()
    outgoing.add([b"b"], 101.0, 1.0)
    outgoing.add([b"c"], 102.0, 9.0)
    assert outgoing.to_spool(0.0) == []
    late = outgoing.to_spool(2.0)
    assert late == [batch(1, 1, 100.0, b"a"), batch(1, 2, 101.0, b"b", b"c")]
    assert outgoing.to_spool(2.0) == late  # until they are there
    outgoing.spooled(late)
    assert outgoing.to_spool(2.0) == []
    assert outgoing.first() == late[0]
    assert outgoing.acknowledged()
    assert outgoing.first() == late[1]


def test_one_that_is_acknowledged_while_it_is_written_is_no_longer_of_interest() -> None:
    outgoing = Outgoing("r.1", 1)
    outgoing.add([b"a"], 100.0, 0.0)
    late = outgoing.to_spool(1.0)
    assert not outgoing.acknowledged()
    outgoing.spooled(late)
    outgoing.add([b"b"], 101.0, 2.0)
    assert outgoing.first() == batch(1, 2, 101.0, b"b")


def test_after_a_new_start_the_spool_goes_first_with_its_numbers() -> None:
    spool = [batch(1, 7, 50.0, b"a"), batch(1, 8, 51.0, b"b")]
    outgoing = Outgoing("r.1", 2, spool)
    outgoing.add([b"c"], 100.0, 0.0)
    assert outgoing.to_spool(0.0) == []
    sent = []
    while (one := outgoing.first()) is not None:
        sent.append((one, outgoing.acknowledged()))
    assert sent == [(spool[0], True), (spool[1], True), (batch(2, 1, 100.0, b"c"), False)]
