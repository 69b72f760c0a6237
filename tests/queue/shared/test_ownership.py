"""The rules of the lease, one by one; ``test_model`` tries them together."""

from __future__ import annotations

import pytest

from pyd2.queue.shared.ownership import Change, Moment, Ownership, Write
from pyd2.queue.shared.record import NO_RECORD, Record, Revision

LEASE, GRACE = 6.0, 1.0
OTHER = NO_RECORD._replace(node="other.1", epoch=4, floor=9)


def at(seconds: float, wall: float | None = None) -> Moment:
    return Moment(seconds, 1e9 + (seconds if wall is None else wall))


def rev(number: int) -> Revision:
    return Revision(number, number)


def node() -> Ownership:
    return Ownership("me.1", LEASE, GRACE)


def owner(begun: float = 0.0) -> Ownership:
    """Return a node that has claimed a free queue."""
    one = node()
    one.observed(rev(3), NO_RECORD, at(begun))
    one.claim(at(begun))
    one.written(rev(4), at(begun + 0.5))
    return one


def renew(one: Ownership, now: Moment) -> Write:
    assert one.record is not None
    return one.renew(now, one.record.floor, one.record.at, one.record.seen)


def test_a_free_queue_is_claimed_at_once() -> None:
    one = node()
    assert not one.may_claim(at(100))  # the record is not known
    assert one.observed(rev(3), NO_RECORD, at(100)) is Change.NONE
    assert one.may_claim(at(100))
    write = one.claim(at(101))
    assert write == (Record("me.1", 1, 0, None, {}), rev(3), at(101))
    assert not one.may_claim(at(101))  # that is under way
    assert not one.may_send(at(101))
    one.written(rev(4), at(102))
    assert one.may_send(at(106.9))
    assert not one.may_send(at(107))  # the lease counts from the beginning of the write


def test_one_that_has_an_owner_is_claimed_after_lease_and_grace_without_a_write() -> None:
    one = node()
    one.observed(rev(3), OTHER, at(0))
    assert not one.may_claim(at(6.9))
    one.observed(rev(4), OTHER, at(6.9))  # it was renewed
    one.observed(rev(4), OTHER, at(10))
    assert not one.may_claim(at(13.8))
    assert one.may_claim(at(13.95))
    assert one.claim(at(14)).record == OTHER._replace(node="me.1", epoch=5)


def test_an_owner_prolongs_its_lease_and_notes_what_is_done() -> None:
    one = owner()
    write = one.renew(at(4), 17, None, {})
    assert write == (Record("me.1", 1, 17, None, {}), rev(4), at(4))
    assert not one.may_write()
    one.written(rev(5), at(4.2))
    assert one.may_send(at(9.9))
    assert not one.may_send(at(10))
    assert one.record == write.record


def test_a_lease_ends_by_either_clock_and_comes_back_with_the_next_write() -> None:
    one = owner()
    assert not one.may_send(at(1, wall=7))  # the machine stood still and its clock was put right
    assert one.may_send(at(1, wall=-99))
    assert not one.may_send(at(7))
    assert one.may_write()
    renew(one, at(8))
    one.written(rev(5), at(8))
    assert one.may_send(at(9))


def test_one_that_is_refused_sends_nothing_until_it_knows_more() -> None:
    one = owner()
    renew(one, at(1))
    one.refused()
    assert not one.may_send(at(1.1))
    assert not one.may_write()
    assert one.observed(rev(9), OTHER, at(1.2)) is Change.LOST
    assert not one.may_send(at(1.3))
    assert not one.may_claim(at(8.1))
    assert one.may_claim(at(8.3))


def test_a_refusal_may_be_for_an_earlier_write_of_its_own() -> None:
    one = owner()
    renew(one, at(1))
    one.unanswered()
    assert one.may_send(at(2))  # the lease of before goes on
    write = renew(one, at(2))
    assert write.expected == rev(4)
    one.refused()
    assert one.record is not None
    assert one.observed(rev(5), one.record, at(2.5)) is Change.NONE
    assert one.may_send(at(2.6))
    assert not one.may_send(at(6))  # no write is known to have been good since
    assert renew(one, at(6)).expected == rev(5)


def test_a_claim_whose_answer_was_lost_needs_a_renewal() -> None:
    one = node()
    one.observed(rev(3), OTHER, at(0))
    write = one.claim(at(7))
    one.unanswered()
    assert one.observed(rev(4), write.record, at(9)) is Change.GAINED
    assert not one.may_send(at(9))
    renew(one, at(9))
    one.written(rev(5), at(9))
    assert one.may_send(at(9))


def test_a_claim_that_was_lost_itself_may_be_tried_again() -> None:
    one = node()
    one.observed(rev(3), OTHER, at(0))
    one.claim(at(7))
    one.unanswered()
    one.observed(rev(3), OTHER, at(9))
    assert one.may_claim(at(9))


def test_one_that_was_refused_a_claim_waits_anew() -> None:
    one = node()
    one.observed(rev(3), OTHER, at(0))
    one.claim(at(7))
    one.refused()
    assert not one.may_claim(at(7))
    one.observed(rev(4), OTHER, at(8))
    assert not one.may_claim(at(14.9))


def test_one_that_leaves_sends_nothing_more_and_others_need_not_wait() -> None:
    one = owner()
    write = one.leave(at(1), 7, None, {})
    assert not one.may_send(at(1))
    one.written(rev(5), at(1.1))
    assert not one.is_owner
    other = Ownership("other.2", LEASE, GRACE)
    other.observed(rev(5), write.record, at(1.2))
    assert other.may_claim(at(1.2))


def test_another_process_of_the_same_name_is_another_node() -> None:
    one = owner()
    again = Ownership("me.2", LEASE, GRACE)
    assert one.record is not None
    assert again.observed(rev(4), one.record, at(0)) is Change.NONE
    assert not again.may_claim(at(6.9))


def test_what_a_server_that_lags_behind_says_costs_a_pause_and_no_more() -> None:
    """An epoch that was dropped is not taken up again: what the node then knew of it may be old."""
    one = owner()
    mine = one.record
    assert mine is not None
    assert one.observed(rev(3), NO_RECORD, at(1)) is Change.LOST
    assert not one.may_send(at(1))
    assert one.observed(rev(4), mine, at(2)) is Change.NONE
    assert not one.is_owner
    assert not one.may_claim(at(8.9))
    assert one.claim(at(9)).record.epoch == mine.epoch + 1


def test_no_write_begins_that_must_not() -> None:
    one = node()
    one.observed(rev(3), OTHER, at(0))
    with pytest.raises(AssertionError):
        one.claim(at(1))
    with pytest.raises(AssertionError):
        renew(one, at(1))
    with pytest.raises(AssertionError):
        one.leave(at(1), 7, None, {})
