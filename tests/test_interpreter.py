"""How the threads share the interpreter lock."""

import gc
import random
import sys
from collections.abc import Iterator

import pytest

from pyd2 import interpreter


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    threshold, interval = gc.get_threshold(), sys.getswitchinterval()
    yield
    gc.set_threshold(*threshold)
    sys.setswitchinterval(interval)
    gc.unfreeze()


def test_a_list_is_freed_from_its_end_and_others_have_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[int] = []
    objects = list(range(100))
    monkeypatch.setattr(interpreter, "give_way", lambda: left.append(len(objects)))
    interpreter.free_in_parts(objects)
    assert left == [100 - interpreter.GIVE_WAY_AFTER * count for count in (1, 2, 3)]
    assert not objects


def test_what_is_made_without_collection_counts_as_old() -> None:
    with interpreter.no_collection():
        assert not gc.isenabled()
        made = [[] for _ in range(10)]  # type: ignore[var-annotated]
    assert gc.isenabled()
    assert any(one is made for one in gc.get_objects(generation=2))


def test_the_collector_never_looks_at_many_objects() -> None:
    interpreter.collect_less()
    young, middle, _ = gc.get_threshold()
    assert young * (middle + 1) <= 2000


def test_threads_that_wait_do_not_wait_long() -> None:
    interpreter.share()
    assert sys.getswitchinterval() == pytest.approx(interpreter.SWITCH_SECONDS)


def test_while_the_main_thread_computes_for_long_others_wait_less() -> None:
    interpreter.share_more()
    assert sys.getswitchinterval() == pytest.approx(interpreter.MORE_OFTEN_SECONDS)
    assert interpreter.MORE_OFTEN_SECONDS < interpreter.SWITCH_SECONDS


def test_sorting_in_parts_is_sorting() -> None:
    random.seed(7)
    count = 3 * interpreter.SORTED_AT_ONCE + 5
    items = [(random.randrange(count // 2), number) for number in range(count)]

    def key(item: tuple[int, int]) -> int:
        return item[0]

    assert interpreter.sorted_in_parts(items, key) == sorted(items, key=key)
    assert interpreter.sorted_in_parts([], key) == []
