"""Late batches: when a batch is one, what is written of it, and when the floor passes it."""

from __future__ import annotations

import pytest

from pyd2.queue.shared.batch import BatchError, BatchNumber, RequestBatch
from pyd2.queue.shared.late import LATE_BEHIND, LATE_SECONDS, LateBatch, LateName, read_name
from pyd2.queue.shared.progress import Progress
from pyd2.queue.shared.record import NO_RECORD
from pyd2.queue.shared.under_way import UnderWay
from pyd2.update.output import Amendment
from tests.kit import ncr


def batch(count: int, requests: int = 2) -> RequestBatch:
    return RequestBatch("r.1", BatchNumber(1, count), 7.0, [b"%d.%d" % (count, n) for n in range(requests)])


def begin(work: UnderWay, sequence: int, now: float = 0.0, requests: int = 2) -> range:
    one = batch(sequence, requests)
    assert work.progress.begin(sequence, one, now)
    return work.begin(sequence, one.taken, one.datagrams)


def new_work() -> UnderWay:
    return UnderWay(Progress(NO_RECORD), 3)


def test_a_batch_is_late_when_it_has_held_back_done_ones_for_long_enough() -> None:
    work = new_work()
    first, second = begin(work, 1, 100.0), begin(work, 2, 101.0)
    work.end(first[:1])
    late = 100.0 + LATE_SECONDS
    work.look_for_late(late)
    assert work.next_late() is None  # nothing behind it is done
    work.end(second)
    work.look_for_late(late - 0.1)
    assert work.next_late() is None
    work.look_for_late(late)
    one = work.next_late()
    assert one == LateBatch(LateName(3, 1), 7.0, [b"1.1"])
    assert not work.advance()  # it is not written
    work.late_written(one)
    assert work.advance()
    assert (work.progress.floor, work.late, work.count) == (2, 1, 1)
    work.end(first[1:])
    assert not work.advance()
    ended = work.next_late()
    assert ended == LateBatch(LateName(3, 1), 7.0, [])
    work.late_written(ended)
    assert (work.late, work.count, work.next_late()) == (0, 0, None)


def test_so_is_one_that_has_held_back_many_requests() -> None:
    work = new_work()
    begin(work, 1)
    work.end(begin(work, 2, requests=LATE_BEHIND - 1))
    work.look_for_late(0.0)
    assert work.next_late() is None
    begin(work, 3, requests=1)
    work.look_for_late(0.0)
    one = work.next_late()
    assert one is not None
    assert one.name == LateName(3, 1)
    work.look_for_late(0.0)
    assert work.next_late() is None  # it is being written


def test_what_ends_while_it_is_written_is_written_before_the_floor_rises() -> None:
    work = new_work()
    first, second = begin(work, 1), begin(work, 2)
    work.end(second)
    work.look_for_late(LATE_SECONDS)
    one = work.next_late()
    assert one is not None
    assert one.datagrams == [b"1.0", b"1.1"]
    work.end(first[:1])
    work.late_written(one)
    assert not work.advance()
    again = work.next_late()
    assert again == LateBatch(one.name, 7.0, [b"1.1"])
    work.late_unwritten(again)
    assert not work.advance()
    assert work.next_late() == again
    work.late_written(again)
    assert work.advance()
    assert work.progress.floor == 2


def test_a_claim_begins_late_batches_and_they_end_under_their_names() -> None:
    work = new_work()
    found = [LateBatch(LateName(1, 5), 6.0, [b"a", b"b"]), LateBatch(LateName(2, 4), 6.5, [])]
    first, nothing = work.begin_late(found)
    assert [work.datagram(number) for number in first] == [b"a", b"b"]
    assert (len(nothing), work.late, work.count) == (0, 2, 2)
    assert work.next_late() == found[1]  # its owner was killed before it was removed
    work.late_written(found[1])
    assert not set(first) & set(begin(work, 5))
    assert work.dead_letter(first[0], 9.0, "why") == (0, 6.0, 9.0, "why", b"a")
    work.end(first[:1])
    assert work.next_late() == LateBatch(LateName(1, 5), 6.0, [b"b"])


def test_late_requests_are_kept_in_their_present_form() -> None:
    work = new_work()
    octets = ncr.datagram(ncr.request("a.example.com.", "192.0.2.1", ncr.dhcid(b"c", "a.example.com.")))
    one = RequestBatch("r.1", BatchNumber(1, 1), 7.0, [octets])
    work.progress.begin(1, one)
    (number,) = work.begin(1, 7.0, one.datagrams)
    work.end(begin(work, 2))
    work.amend([Amendment(number, forward=False, reverse=True)])
    work.look_for_late(LATE_SECONDS)
    written = work.next_late()
    assert written is not None
    assert b'"forward-change":false' in written.datagrams[0]
    work.late_written(written)
    work.amend([Amendment(number, forward=True, reverse=False), Amendment(77, forward=True, reverse=True)])
    assert not work.advance()
    again = work.next_late()
    assert again is not None
    assert b'"forward-change":true' in again.datagrams[0]


def test_names_are_read_and_ordered() -> None:
    names = [LateName(2, 9), LateName(10, 1), LateName(2, 11)]
    assert sorted(map(read_name, map(str, names))) == [LateName(2, 9), LateName(2, 11), LateName(10, 1)]
    for text in ("", "1", "1.", ".1", "1.x", "1.2.3", "-1.2", "9" * 20 + ".1"):
        with pytest.raises(BatchError):
            read_name(text)
