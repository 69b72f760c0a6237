"""The file of the history: its limits, its search, and what a fault leaves behind."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.history import FILE, LOCK
from pyd2.history.search import Event, History, HistoryError, parse_query
from pyd2.history.store import InUseError, Limits, Store, set_aside
from tests.history.support import AT, CLIENT, DONE, LIMITS, filled, write

if TYPE_CHECKING:
    from pathlib import Path

DAY_MS = 86_400_000


def row(number: int, **fields: Any) -> tuple[Any, ...]:
    """Return a row of a host of its own."""
    members = dict(zip(("at", "kind", "name", "address", "client"), DONE[:5], strict=True))
    members |= {
        "at": AT + number,
        "name": f"host-{number}.example.com.",
        "address": ip_address(0xC0000200 + number % 65536).packed,
        "client": CLIENT[:3] + number.to_bytes(32, "big"),
    }
    return (*(members | fields).values(), *DONE[5:])


def find(path: Path, text: str, **options: Any) -> list[Event]:
    history = History(path)
    try:
        return list(history.find(parse_query(text), **options))
    finally:
        history.close()


def names(path: Path, text: str, **options: Any) -> list[str]:
    return [event.name.partition(".")[0] for event in find(path, text, **options)]


def test_everything_that_was_written_is_found_again(tmp_path: Path) -> None:
    (event,) = find(filled(tmp_path, [DONE]), "host.example.com.")
    assert event == Event(
        1,
        AT / 1000,
        "add",
        "host.example.com.",
        "192.0.2.10",
        CLIENT.hex().upper(),
        "check-with-dhcid",
        "done",
        "done",
        "done",
        "2.0.192.in-addr.arpa.",
        "192.0.2.53 port:53",
        "k.example.",
        "",
        "REPLACING_REV_PTRS",
        1,
        2.5,
        "",
        "",
        "",
    )


@pytest.mark.parametrize("segment", [3, 1000])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("host-7.example.com.", ["host-7"]),
        ("HOST-7.Example.COM.", ["host-7"]),
        ("host-7", ["host-7"]),
        ("host-7.example", ["host-7"]),
        ("host-1*", ["host-12", "host-11", "host-10", "host-1"]),
        ("host-1", ["host-1"]),
        ("*", [f"host-{number}" for number in range(12, -1, -1)]),
        ("192.0.2.9", ["host-9"]),
        ("192.0.2.8/30", ["host-11", "host-10", "host-9", "host-8"]),
        ("c000:200::/24", []),
        ("000101" + (5).to_bytes(32, "big").hex(), ["host-5"]),
        ("000101" + (5).to_bytes(32, "big").hex().upper()[:-2] + "FF", []),
        ("stranger", []),
        ("%", []),
    ],
)
def test_a_search_finds_what_it_is_asked_for(
    tmp_path: Path, text: str, expected: list[str], segment: int
) -> None:
    """In the segment that grows, and in those that are full and have indexes."""
    path = filled(tmp_path, map(row, range(13)), Limits(segment * 8, 1 << 30, 10_000))
    assert names(path, text) == expected


def test_a_search_comes_in_pages(tmp_path: Path) -> None:
    path = filled(tmp_path, map(row, range(30)), Limits(80, 1 << 30, 10_000))
    first = find(path, "host-*", limit=7)
    second = find(path, "host-*", limit=7, before=first[-1].id)
    assert [event.id for event in (*first, *second)] == list(range(30, 16, -1))


@pytest.mark.parametrize("most", [1, 8, 20, 100])
def test_no_more_rows_are_kept_than_allowed(tmp_path: Path, most: int) -> None:
    store = Store(str(tmp_path), Limits(most, 1 << 30, 10_000))
    for first in range(0, 300, 7):
        write(store, map(row, range(first, first + 7)))
        assert store.rows <= max(most, store.limits.segment + 1)
    store.close()
    kept = names(tmp_path / FILE, "host-*", limit=500)
    assert kept == [f"host-{number}" for number in range(300, 300 - len(kept), -1)]
    assert len(kept) >= most // 2


@pytest.mark.parametrize("name", [FILE, LOCK])
def test_a_link_or_a_special_file_is_not_opened(tmp_path: Path, name: str) -> None:
    """Root's daemon made, and wrote, what a link in another user's directory leads to."""
    target, history = tmp_path / "target", tmp_path / "history"
    history.mkdir()
    (history / name).symlink_to(target)
    with pytest.raises(OSError, match="symbolic links"):
        Store(str(history), LIMITS)
    assert not target.exists()
    (history / name).unlink()
    os.mkfifo(history / name)
    with pytest.raises(OSError, match="it is no regular file"):
        Store(str(history), LIMITS)


def test_no_more_octets_are_kept_than_allowed(tmp_path: Path) -> None:
    most = 1 << 20
    store = Store(str(tmp_path), Limits(10**6, most, 10_000))
    for first in range(0, 30_000, 500):
        write(store, map(row, range(first, first + 500)))
        assert store.octets <= most
        assert (tmp_path / FILE).stat().st_size <= most
    assert store.rows > 2000
    store.close()


def test_what_is_too_old_goes(tmp_path: Path) -> None:
    store = Store(str(tmp_path), Limits(80, 1 << 30, 10))
    write(store, [row(number, at=AT + number * DAY_MS) for number in range(35)])
    store.forget_old(AT / 1000 + 34 * 86400)
    assert store.rows == 11
    store.close()
    assert names(tmp_path / FILE, "host-*")[-1] == "host-24"


def test_other_limits_count_at_once(tmp_path: Path) -> None:
    filled(tmp_path, map(row, range(100)), Limits(800, 1 << 30, 10_000))
    store = Store(str(tmp_path), Limits(16, 1 << 30, 10_000))
    store.trim()
    assert 8 <= store.rows <= 16
    store.close()


def test_it_goes_on_where_it_ended(tmp_path: Path) -> None:
    for number in range(5):
        filled(tmp_path, [row(number), row(number + 100)], Limits(24, 1 << 30, 10_000))
    ids = [event.id for event in find(tmp_path / FILE, "host-*")]
    assert ids == list(range(10, 0, -1))
    database = sqlite3.connect(tmp_path / FILE)
    (count,) = database.execute("SELECT count(*) FROM words").fetchone()
    database.close()
    assert count == 4  # each text once


def test_the_file_is_not_for_everybody(tmp_path: Path) -> None:
    path = filled(tmp_path, [DONE])
    assert path.stat().st_mode & 0o777 == 0o640


def test_two_processes_do_not_write_one_history(tmp_path: Path) -> None:
    store = Store(str(tmp_path), LIMITS)
    with pytest.raises(InUseError):
        Store(str(tmp_path), LIMITS)
    store.close()
    Store(str(tmp_path), LIMITS).close()


def test_a_search_works_beside_the_writer_and_on_a_copy(tmp_path: Path) -> None:
    store = Store(str(tmp_path), LIMITS)
    write(store, [row(1)])
    assert names(tmp_path / FILE, "host-*") == ["host-1"]
    history = History(tmp_path / FILE)
    write(store, [row(2)])
    assert len(list(history.find(parse_query("host-*")))) == 2
    history.close()
    store.close()
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(tmp_path / FILE, copy / "another-name")
    assert names(copy / "another-name", "host-*") == ["host-2", "host-1"]


def test_a_file_of_a_killed_process_can_be_read(tmp_path: Path) -> None:
    """A kill leaves behind what is on the disk then: the file, and that of the last changes."""
    store = Store(str(tmp_path), LIMITS)
    write(store, [row(1)])
    store.begin()
    store.add([row(2)[:7] + (0,) * 5 + row(2)[12:]])
    left = tmp_path / "left"
    left.mkdir()
    for file in tmp_path.glob(f"{FILE}*"):
        shutil.copy(file, left)
    store.close()
    assert names(left / FILE, "host-*") == ["host-1"]
    again = Store(str(left), LIMITS)
    write(again, [row(3)])
    again.close()
    assert names(left / FILE, "host-*") == ["host-3", "host-1"]


@pytest.mark.parametrize(
    "change",
    ["kind = 99", "result = 99", "address = x'00'", "client = NULL", "at = 'x'"],
)
def test_an_event_of_another_release_is_said(tmp_path: Path, change: str) -> None:
    path = filled(tmp_path, [DONE])
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"UPDATE segment_1 SET {change}")
    with closing(History(path)) as history, pytest.raises(HistoryError, match="this pyd2 cannot read"):
        list(history.find(parse_query("*")))


def test_what_is_no_history_is_said(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="there is no history at"):
        History(tmp_path / FILE)
    sqlite3.connect(tmp_path / "other").close()
    (tmp_path / "other").write_bytes(b"")
    with pytest.raises(HistoryError, match="is no history that this pyd2 knows"):
        History(tmp_path / "other")
    with closing(sqlite3.connect(tmp_path / "newer")) as newer:
        newer.execute("PRAGMA user_version = 2")
    with pytest.raises(HistoryError, match="it has version 2 of the layout, and this one knows 1"):
        History(tmp_path / "newer")
    (tmp_path / FILE).write_text("text " * 1000)
    with pytest.raises(sqlite3.DatabaseError):
        Store(str(tmp_path), LIMITS)
    aside = set_aside(str(tmp_path))
    assert aside.startswith(str(tmp_path / FILE.removesuffix(".sqlite3")))
    Store(str(tmp_path), LIMITS).close()
