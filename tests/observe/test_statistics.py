"""The statistics as commands show them."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.counters import MOST_LIBRARY_KEYS, Counter, Counters
from pyd2.data.text import to_text
from pyd2.observe.statistics import KEYS_AT_ONCE, Sample, Statistics
from tests.kit.profile import PROFILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

START = 1767323045.123456  # 2026-01-02 03:04:05.123456 UTC


class Library:
    """Statistics of a hook library."""

    def __init__(self) -> None:
        self.value = 7.5

    def samples(self) -> list[Sample]:
        return [Sample("gss-tsig-key-created", self.value, START), Sample("ncr-received", 99, START)]

    def reset(self, name: str | None) -> bool:
        if name in {None, "gss-tsig-key-created"}:
            self.value = 0.0
            return True
        return False


@pytest.fixture(autouse=True)
def _india(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A time zone that no machine has by accident: local times must differ from UTC."""
    monkeypatch.setenv("TZ", "IST-5:30")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def counters() -> Counters:
    return Counters(START)


@pytest.fixture
def statistics(counters: Counters) -> Statistics:
    return Statistics(counters, PROFILE.statistics, lambda: START + 60)


def test_all_statistics_of_a_new_server(statistics: Statistics) -> None:
    sample = '[ [ 0, "2026-01-02 08:34:05.123456" ] ]'
    names = [
        "ncr-error", "ncr-invalid", "ncr-received", "update-error", "update-sent", "update-signed",
        "update-success", "update-timeout", "update-unsigned",
    ]  # fmt: skip
    shown = ", ".join(f'"{name}": {sample}' for name in names)
    assert to_text(statistics.get_all()) == f"{{ {shown} }}"


def test_one(statistics: Statistics, counters: Counters) -> None:
    counters.update_sent.add(START + 0.876544)
    assert to_text(statistics.get("update-sent")) == (
        '{ "update-sent": [ [ 1, "2026-01-02 08:34:06.000000" ] ] }'
    )
    assert to_text(statistics.get("bogus")) == "{  }"


def test_keys(statistics: Statistics, counters: Counters) -> None:
    counters.key("k.example.", START).sent.add(START)
    assert set(statistics.get_all().map_value()) >= {
        f"key[k.example.].update-{what}" for what in ("sent", "success", "timeout", "error")
    }
    assert '[ 1, "' in to_text(statistics.get("key[k.example.].update-sent"))
    assert statistics.reset("key[k.example.].update-sent")
    assert counters.keys["k.example."].sent.value == 0


@pytest.mark.parametrize("name", ["a\\000b.", 'a"b.', "a\\.b.", "k.example.", "\\195\\169."])
def test_a_keys_name_leaves_the_answer_json(statistics: Statistics, counters: Counters, name: str) -> None:
    counters.key(name, START).sent.add(START)
    wanted = f"key[{name}].update-sent"
    shown = json.loads(to_text(statistics.get_all()))
    assert shown[wanted] == [[1, "2026-01-02 08:34:05.123456"]]
    assert json.loads(to_text(statistics.get(wanted))) == {wanted: shown[wanted]}
    assert statistics.reset(wanted)


def test_the_statistics_of_a_key_end_with_the_key(statistics: Statistics, counters: Counters) -> None:
    for name in ("gone.", "stays."):
        counters.key(name, START).sent.add(START)
    counters.keep_keys({"stays.", "new."})
    assert statistics.get("key[gone.].update-sent").value == {}
    assert '[ 1, "' in to_text(statistics.get("key[stays.].update-sent"))


def test_resets_note_the_time(statistics: Statistics, counters: Counters) -> None:
    counters.ncr_received.add(START)
    counters.ncr_error.add(START)
    assert statistics.reset("ncr-received")
    assert (counters.ncr_received.value, counters.ncr_received.changed) == (0, START + 60)
    assert counters.ncr_error.value == 1
    assert not statistics.reset("bogus")
    statistics.reset_all()
    assert (counters.ncr_error.value, counters.ncr_error.changed) == (0, START + 60)
    assert counters.update_sent.changed == START + 60


def test_what_kea_2_6_does_not_count_is_shown_when_it_happened(
    statistics: Statistics, counters: Counters
) -> None:
    assert statistics.get("queue-mgr-queue-full").value == {}
    assert not statistics.reset("queue-mgr-queue-full")
    counters.queue_full.add(START)
    assert '"queue-mgr-queue-full": [ [ 1, ' in to_text(statistics.get_all())


def test_ignored_replies_are_shown_only_when_asked_for(statistics: Statistics, counters: Counters) -> None:
    counters.replies_ignored.add(START)
    assert to_text(statistics.get("pyd2-replies-ignored")).startswith('{ "pyd2-replies-ignored": [ [ 1, ')
    assert "pyd2-replies-ignored" not in to_text(statistics.get_all())
    assert statistics.reset("pyd2-replies-ignored")
    assert counters.replies_ignored.value == 0


def test_providers_add_theirs(statistics: Statistics) -> None:
    library = Library()
    statistics.providers.append(library)
    shown = statistics.get_all()
    assert '"gss-tsig-key-created": [ [ 7.5, ' in to_text(shown)
    assert '"ncr-received": [ [ 0, ' in to_text(shown)
    assert statistics.reset("gss-tsig-key-created")
    assert library.value == 0.0
    assert not statistics.reset("bogus")
    library.value = 1.0
    statistics.reset_all()
    assert library.value == 0.0


def test_keys_of_libraries_are_counted_while_they_are_there(
    statistics: Statistics, counters: Counters,
) -> None:
    counters.key("configured.", START)
    assert counters.library_key("configured.", START) is counters.keys["configured."]
    counters.library_key("k.", START).sent.add(START)
    assert statistics.library_keys() == ["k."]
    assert dict(statistics.own_values())["key[k.].update-sent"] == 1
    statistics.forget_library_key("k.")
    assert "key[k.].update-sent" not in dict(statistics.own_values())


def test_a_library_that_makes_a_key_for_each_update_takes_no_more_memory(counters: Counters) -> None:
    for number in range(MOST_LIBRARY_KEYS + 3):
        counters.library_key(f"{number}.", START)
    assert list(counters.library_keys) == [f"{number}." for number in range(3, MOST_LIBRARY_KEYS + 3)]


def test_all_samples_of_a_library_are_shown(statistics: Statistics) -> None:
    class Sampling(Library):
        def samples(self) -> list[Sample]:
            return [Sample("many", 2, START + 1), Sample("many", 1, START), Sample("text", "a", START)]

    statistics.providers.append(Sampling())
    assert to_text(statistics.get("many")) == (
        '{ "many": [ [ 2, "2026-01-02 08:34:06.123456" ], [ 1, "2026-01-02 08:34:05.123456" ] ] }'
    )
    assert '"text": [ [ "a", ' in to_text(statistics.get_all())


def test_what_a_library_adds_to_the_server_s_own_counts(statistics: Statistics, counters: Counters) -> None:
    counters.update_sent.add(START)
    statistics.adjust("update-sent", 10)
    statistics.adjust("no-such", 10)
    assert (counters.update_sent.value, counters.update_sent.changed) == (11, START + 60)


def test_thousands_of_keys_do_not_keep_the_updates_waiting(counters: Counters) -> None:
    """Counting stops while statistics are read or changed, so this covers only some keys at a time."""
    count = 3 * KEYS_AT_ONCE + 1
    for number in range(count):
        counters.key(f"k{number}.", START).sent.add(START)
    calls = 0

    def consistently(function: Callable[[], Any]) -> Any:
        nonlocal calls
        calls += 1
        return function()

    statistics = Statistics(counters, PROFILE.statistics, lambda: START + 60, consistently)
    assert len(statistics.get_all().map_value()) == 9 + 4 * count
    assert calls == 5
    assert dict(statistics.own_values())[f"key[k{count - 1}.].update-sent"] == 1
    assert calls == 10
    statistics.reset_all()
    assert calls == 16
    assert not any(key.sent.value for key in counters.keys.values())
    counters.keys["k7."].sent.add(START)
    statistics.adjust("key[k7.].update-sent", 2)
    assert (calls, counters.keys["k7."].sent.value) == (17, 3)
    assert statistics.reset("key[k7.].update-sent")
    assert (calls, counters.keys["k7."].sent.value) == (18, 0)


def test_every_counter_can_be_shown() -> None:
    """A counter in neither list would be counted, and never shown."""
    counters = Counters(START)
    kept = {value for value in vars(counters).values() if isinstance(value, Counter)}
    assert kept == {*counters.of_kea, *counters.of_pyd2}
