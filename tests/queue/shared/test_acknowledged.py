"""What a receiver keeps of acknowledged batches, and what it appends again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyd2.queue.shared import acknowledged as module
from pyd2.queue.shared.acknowledged import Acknowledged
from pyd2.queue.shared.batch import BatchNumber, RequestBatch
from pyd2.queue.shared.interface import QueuedBatch

if TYPE_CHECKING:
    import pytest


def batch(serial: int, taken: float = 100.0) -> RequestBatch:
    return RequestBatch("r.1", BatchNumber(3, serial), taken, [b"x%d" % serial])


def three() -> Acknowledged:
    """Return what three batches have left that have the sequences 11, 12 and 15."""
    kept = Acknowledged()
    for serial, sequence in enumerate((11, 12, 15), 1):
        assert kept.add(batch(serial), sequence)
    return kept


def test_a_batch_is_appended_behind_the_one_before_it_until_all_is_done() -> None:
    kept = three()
    assert (len(kept), kept.behind, kept.lost(100.0)) == (3, 15, None)
    kept.done(BatchNumber(3, 2))
    assert (len(kept), kept.behind) == (1, 15)
    kept.done(None)
    kept.done(BatchNumber(3, 3))
    found = len(kept), kept.behind
    assert found == (0, None)


def test_what_servers_do_not_have_is_appended_again_in_its_order() -> None:
    kept = three()
    assert kept.found(QueuedBatch(11, batch(1))) == 2
    assert (kept.behind, kept.lost(100.0)) == (11, batch(2))
    assert not kept.add(batch(2), 12)
    assert (kept.behind, kept.lost(100.0)) == (12, batch(3))
    assert not kept.add(batch(3), 13)
    assert (kept.behind, kept.lost(100.0)) == (13, None)
    assert kept.add(batch(4), 14)


def test_servers_that_have_nothing_get_all_of_it() -> None:
    kept = three()
    assert kept.found(None) == 3
    assert (kept.behind, kept.lost(100.0)) == (0, batch(1))
    kept.done(BatchNumber(3, 1))
    assert (kept.behind, kept.lost(100.0)) == (0, batch(2))
    assert kept.found(QueuedBatch(9, None, "it cannot be read")) == 2
    assert kept.behind == 9


def test_what_was_found_is_there_though_a_server_that_lags_did_not_have_it() -> None:
    kept = three()
    assert kept.found(QueuedBatch(11, batch(1))) == 2
    assert kept.found(QueuedBatch(15, batch(3))) == 0
    assert (kept.behind, kept.lost(100.0)) == (15, None)


def test_a_batch_that_comes_again_late_says_so() -> None:
    kept = three()
    kept.found(None)
    assert kept.lost(101.9) == batch(1)
    assert kept.lost(102.0) == batch(1)._replace(spooled=True)


def test_what_was_done_while_it_was_appended_again_is_not_kept() -> None:
    kept = three()
    kept.found(None)
    kept.done(BatchNumber(3, 3))
    assert not kept.add(batch(1), 16)
    assert (len(kept), kept.behind, kept.lost(100.0)) == (0, None, None)
    assert kept.add(batch(4), 17)


def test_in_a_backlog_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_OCTETS", 4)
    kept = three()
    assert (len(kept), kept.behind) == (2, 15)
    assert kept.found(None) == 2
    assert kept.lost(100.0) == batch(2)


def test_with_nothing_to_compare_the_next_batch_is_appended_whatever_is_there() -> None:
    kept = Acknowledged()
    assert kept.found(QueuedBatch(7, batch(1))) == 0
    assert kept.behind is None
