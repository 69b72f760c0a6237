"""What is known of the file without reading it, against a plain model."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pyd2.queue.interface import Entries, Entry
from pyd2.queue.pending import Pending
from pyd2.queue.sqlite.contents import Contents


@given(st.lists(st.integers(1, 40), min_size=1, max_size=10), st.data())
def test_no_request_is_lost_or_comes_back_by_tidying(sizes: list[int], data: st.DataObject) -> None:
    contents = Contents()
    rows: dict[int, list[int]] = {}
    first = 1
    for size in sizes:
        rows[contents.next_row] = list(range(first, first + size))
        contents.add(contents.next_row, rows[contents.next_row])
        first += size
    model = set(range(1, first))
    for all_rows in data.draw(st.lists(st.booleans(), max_size=5)):
        done = data.draw(st.sets(st.sampled_from(range(1, first))))
        contents.note(done)
        model -= done
        assert contents.live() == model
        tidied = contents.tidy(all_rows=all_rows)
        assert not (all_rows and tidied.still)
        for row in tidied.gone:
            assert set(rows.pop(row)) & model == tidied.left.get(row, set())
        moving = sorted(set().union(*tidied.left.values()))
        if moving:
            rows[contents.next_row] = moving
            contents.add(contents.next_row, moving)
        assert contents.live() == model
        assert set(contents.find(range(1, first))) == {row for row, some in rows.items() if model & set(some)}
        assert model <= {number for numbers in rows.values() for number in numbers}


def test_a_number_that_is_there_is_noticed_wherever_it_stands() -> None:
    contents = Contents()
    contents.add(1, [3, 5, 9])
    assert [contents.has_any([number]) for number in (1, 3, 4, 5, 9, 10)] == \
        [False, True, False, True, True, False]


def test_requests_by_the_column_are_what_they_are_one_by_one() -> None:
    one_by_one = [Entry(number, number / 2, b"%d" % number) for number in range(1, 6)]
    entries = Entries.of(one_by_one)
    assert (list(entries), entries[2], list(entries[1:3])) == (one_by_one, one_by_one[2], one_by_one[1:3])
    assert list(Entries.of([])) == []
    entries.extend(Entries.of([Entry(9, 1.0, b"9")]))
    assert list(entries) == [*one_by_one, Entry(9, 1.0, b"9")]


def test_pending_requests_stay_in_their_order() -> None:
    pending = Pending()
    pending._add(Entries.of([Entry(1, 1.0, b"a"), Entry(2, 2.0, b"b"), Entry(3, 3.0, b"c")]))
    pending.forget([1, 99])
    pending.change(Entry(3, 3.0, b"less"))
    assert list(pending.hold(0).entries) == [Entry(2, 2.0, b"b"), Entry(3, 3.0, b"less")]
    assert (len(pending), pending.oldest(), pending.get(1), pending.get(2)) == (2, 2.0, None, (2, 2.0, b"b"))
