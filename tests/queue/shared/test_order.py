"""Batches that servers have lost, and that come again behind those that followed them."""

from __future__ import annotations

from pyd2.queue.shared.batch import BatchNumber, RequestBatch
from pyd2.queue.shared.order import WAIT_SECONDS, Order, Ready
from pyd2.queue.shared.progress import Progress
from pyd2.queue.shared.record import Record

NOW = 1000.0


def batch(serial: int, boot: int = 1, receiver: str = "r.x") -> RequestBatch:
    return RequestBatch(receiver, BatchNumber(boot, serial), 100.0, [b"a", b"b"])


def waited(serial: int, boot: int = 1, receiver: str = "r.x") -> RequestBatch:
    """Return a batch that has waited: newer requests of its clients may have come by another receiver."""
    return batch(serial, boot, receiver)._replace(spooled=True)


def begun() -> tuple[Progress, Order]:
    """Return the progress of a term behind the batch 1.1 with the sequence 9, and its order."""
    progress = Progress(Record("n.x", 1, 9, ("r.x", BatchNumber(1, 1)), {"r.x": BatchNumber(1, 1)}))
    return progress, Order(progress)


def test_batches_in_their_order_begin_at_once() -> None:
    progress, order = begun()
    assert order.add(10, batch(2), NOW) == [Ready(10, batch(2), 0)]
    assert order.add(11, batch(1, receiver="q.x"), NOW) == [Ready(11, batch(1, receiver="q.x"), 0)]
    assert order.add(12, batch(2), NOW) == []  # it comes again
    assert order.add(13, batch(1, boot=2), NOW) == [Ready(13, batch(1, boot=2), 0)]
    assert not order.waits
    for sequence in (10, 11, 13):
        progress.done(sequence, 2)
    assert progress.advance()
    assert (progress.floor, progress.seen["r.x"]) == (13, BatchNumber(2, 1))


def test_batches_wait_for_one_that_is_missing_and_the_floor_for_both() -> None:
    progress, order = begun()
    assert order.add(10, batch(3), NOW) == []
    assert order.add(11, batch(4), NOW) == []
    assert order.add(12, batch(3), NOW) == []  # it comes again while it waits
    assert order.add(13, batch(1, receiver="q.x"), NOW) == [Ready(13, batch(1, receiver="q.x"), 0)]
    progress.done(13, 2)
    assert not progress.advance()
    assert order.add(14, batch(2), NOW) == [Ready(14, batch(2), 0), Ready(10, waited(3), 0),
                                            Ready(11, waited(4), 0)]
    assert not order.waits
    progress.done(10, 2)
    progress.done(11, 2)
    assert not progress.advance(), "a record would have seen 1.4, and a new owner would skip 1.2"
    progress.done(14, 2)
    assert progress.advance()
    assert (progress.floor, progress.seen["r.x"]) == (14, BatchNumber(1, 4))


def test_batches_that_have_waited_in_another_order_wait_for_each_other() -> None:
    """Servers have lost two batches, and the first of them once more."""
    progress, order = begun()
    assert order.add(10, batch(4), NOW) == []
    assert order.add(11, batch(3), NOW) == []
    assert order.add(12, batch(2), NOW) == [Ready(12, batch(2), 0), Ready(11, waited(3), 0),
                                            Ready(10, waited(4), 0)]
    progress.done(12, 2)
    progress.done(10, 2)
    assert not progress.advance(), "a record would have seen 1.4, and a new owner would skip 1.3"
    progress.done(11, 2)
    assert progress.advance()
    assert (progress.floor, progress.seen["r.x"]) == (12, BatchNumber(1, 4))


def test_what_follows_a_batch_that_was_given_up_waits_for_each_other_too() -> None:
    progress, order = begun()
    order.add(10, batch(6), NOW)
    order.add(11, batch(5), NOW)
    order.add(12, batch(4), NOW)
    order.wait(WAIT_SECONDS)
    overdue = order.overdue()
    assert overdue is not None
    order.give_up(overdue)
    progress.done(12, 2)
    progress.done(10, 2)
    assert not progress.advance()
    progress.done(11, 2)
    assert progress.advance()


def test_the_floor_does_not_pass_a_batch_without_requests_that_waits() -> None:
    progress, order = begun()
    empty = batch(3)._replace(datagrams=[])
    order.add(10, empty, NOW)
    assert not progress.advance()
    assert [ready.sequence for ready in order.add(11, batch(2), NOW)] == [11, 10]


def test_one_that_is_missing_among_those_that_wait_is_waited_for_too() -> None:
    _, order = begun()
    assert order.add(10, batch(3), NOW) == []
    assert order.add(11, batch(5), NOW) == []
    assert order.add(12, batch(2), NOW) == [Ready(12, batch(2), 0), Ready(10, waited(3), 0)]
    assert order.add(13, batch(4), NOW) == [Ready(13, batch(4), 0), Ready(11, waited(5), 0)]
    assert not order.waits


def test_what_does_not_come_is_given_up_after_a_time() -> None:
    progress, order = begun()
    order.add(10, batch(4), NOW)
    order.wait(1.0)
    order.add(11, batch(5), NOW + 1)
    order.wait(WAIT_SECONDS - 1.1)
    assert order.overdue() is None
    order.wait(0.2)
    overdue = order.overdue()
    assert overdue is not None
    assert (overdue.sequence, overdue.batch) == (10, batch(4))
    assert order.give_up(overdue) == [Ready(10, waited(4), 2), Ready(11, waited(5), 0)]
    assert not order.waits
    progress.done(10, 2)
    progress.done(11, 2)
    assert progress.advance()


def test_what_waits_is_given_up_at_once_when_it_is_too_much() -> None:
    _, order = begun()
    order.add(10, batch(3), NOW)
    assert order.requests == 2
    assert order.overdue(3) is None
    overdue = order.overdue(2)
    assert overdue is not None
    order.give_up(overdue)
    assert not order.requests


def test_a_receiver_that_has_started_again_does_not_append_what_is_missing() -> None:
    _, order = begun()
    order.add(10, batch(3), NOW)
    assert order.add(11, batch(1, boot=2), NOW) == []
    overdue = order.overdue()
    assert overdue is not None
    assert order.give_up(overdue) == [Ready(10, waited(3), 1), Ready(11, waited(1, boot=2), 0)]


def test_the_first_batch_of_a_receiver_may_be_missing_too() -> None:
    _, order = begun()
    assert order.add(10, batch(2, receiver="q.x"), NOW) == []
    assert order.add(11, batch(1, receiver="q.x"), NOW) == [
        Ready(11, batch(1, receiver="q.x"), 0), Ready(10, waited(2, receiver="q.x"), 0)]


def test_a_batch_that_waits_is_not_late() -> None:
    progress, order = begun()
    order.add(10, batch(3), NOW)
    order.add(11, batch(1, receiver="q.x"), NOW)
    progress.done(11, 2)
    assert progress.held_back_by(NOW + 3600, 32) == []
