"""The deadlines, against a plain sorted list."""

from typing import TYPE_CHECKING, cast

from hypothesis import given
from hypothesis import strategies as st

from pyd2.update.inflight.deadlines import Deadlines

if TYPE_CHECKING:
    from pyd2.update.model.transaction import Transaction


class Try:
    """What the deadlines know of a transaction."""

    deadline: float
    fifo: dict["Try", None]


STEPS = st.lists(st.tuples(
    st.sampled_from(["add", "remove", "pass"]), st.sampled_from([0.1, 0.5, 5.0]), st.integers(0, 1000),
), max_size=60)


@given(STEPS)
def test_as_a_sorted_list(steps: list[tuple[str, float, int]]) -> None:
    deadlines = Deadlines()
    under_way: list[Try] = []
    now = 0.0
    for step, seconds, number in steps:
        if step == "add":
            new = Try()
            deadlines.add(cast("Transaction", new), now, seconds)
            assert new.deadline == now + seconds
            under_way.append(new)
        elif step == "remove" and under_way:
            old = under_way.pop(number % len(under_way))
            del old.fifo[old]
        elif step == "pass":
            now += seconds
            expired = []
            while (found := deadlines.first_expired(now)) is not None:
                del found.fifo[found]
                expired.append(found)
            assert len(set(expired)) == len(expired)
            due = {item for item in under_way if item.deadline <= now}
            assert {cast("Try", item) for item in expired} == due
            under_way = [item for item in under_way if item not in due]
        assert deadlines.next() == min((item.deadline for item in under_way), default=None)


def test_lengths_out_of_use_are_forgotten() -> None:
    deadlines = Deadlines()
    for number in range(1, 100):
        deadlines.add(cast("Transaction", Try()), 0.0, number / 100)
    while (found := deadlines.first_expired(1.0)) is not None:
        del found.fifo[found]
    assert len(deadlines._fifos) <= 1
