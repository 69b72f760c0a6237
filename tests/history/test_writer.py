"""The history thread: what the engine reports comes into the file, and a fault costs nothing else."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.config.switches import HistorySwitches
from pyd2.history import FILE
from pyd2.history import writer as writer_module
from pyd2.history.search import History, HistoryError, parse_query
from pyd2.history.writer import MOST_WAITING, HistoryWriter
from tests.kit.waiting import wait_until
from tests.update.support import MemoryLog, VirtualD2, domain, make_config, ok, request, simple_map

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyd2.history.search import Event
    from pyd2.update.engine import Outgoing


class Log(MemoryLog):
    """A log that also has pyd2's own messages of the history."""

    def __init__(self) -> None:
        super().__init__()
        self.own: list[tuple[str, str]] = []

    def emit(self, message_id: str, *arguments: object) -> None:
        self.own.append((message_id, " ".join(map(str, arguments))))

    def count(self, message_id: str) -> int:
        return [name for name, _ in self.own].count(message_id)


def switches(directory: Path, **fields: Any) -> HistorySwitches:
    return HistorySwitches(enabled=True, directory=str(directory), **fields)


@contextmanager
def recorded(
    directory: Path, peer: Any = ok, settings: dict[str, Any] | None = None, **fields: Any
) -> Iterator[tuple[VirtualD2, HistoryWriter, Log]]:
    """An engine in virtual time whose requests come into a history."""
    log = Log()
    writer = HistoryWriter(log)
    writer.configure(switches(directory, **fields))
    made = make_config(simple_map([domain("example.com.", 1)], (), settings))
    made = made._replace(switches=made.switches._replace(history=switches(directory)))
    d2 = VirtualD2(make_config(simple_map()), peer)
    d2.engine.sink = writer
    d2.configure(made)
    try:
        yield d2, writer, log
    finally:
        writer.close()


def events(directory: Path, text: str = "*") -> list[Event]:
    try:
        history = History(directory / FILE)
    except HistoryError:
        return []
    try:
        return list(history.find(parse_query(text), limit=500))
    finally:
        history.close()


def send(d2: VirtualD2, *names: str, **fields: Any) -> None:
    for number, name in enumerate(names):
        d2.request(
            request(fqdn=f"{name}.example.com.", reverse_change=False, dhcid=f"000101{number:064X}", **fields)
        )
    d2.run()


def refuse(outgoing: Outgoing, now: float) -> list[tuple[float, bytes]]:
    return ok(outgoing, now, 5)


def test_what_is_done_comes_into_the_file(tmp_path: Path) -> None:
    with recorded(tmp_path) as (d2, writer, _):
        send(d2, "a", "B", "c")
    found = events(tmp_path)
    assert [event.name for event in found] == ["c.example.com.", "b.example.com.", "a.example.com."]
    (event,) = events(tmp_path, "a.example.com.")
    assert (
        event.result,
        event.operation,
        event.forward,
        event.reverse,
        event.zone,
        event.tries,
        event.fault,
    ) == ("done", "add", "done", "", "example.com.", 1, "")
    assert event.server == "127.0.0.1 port:1"
    assert event.at == pytest.approx(d2.wall, abs=60)
    assert event.ms is not None
    assert writer.lost == 0


def test_failures_come_with_their_reasons(tmp_path: Path) -> None:
    with recorded(tmp_path, refuse) as (d2, _, _log):
        send(d2, "a")
        d2.request(request(fqdn="a.example.org."))
    unmatched, refused = events(tmp_path)
    assert (refused.result, refused.fault, refused.step) == ("failed", "REFUSED", "ADDING_FWD_ADDRS")
    assert refused.note == "REFUSED from 127.0.0.1 port:1"
    assert "does not allow" in refused.why
    assert (unmatched.result, unmatched.fault, unmatched.server) == ("unmatched", "unmatched", "")
    assert "explain" in unmatched.mend
    assert unmatched.note == "no forward domain holds a.example.org."


def test_a_retry_is_there_from_its_first_failure_on(tmp_path: Path) -> None:
    rcode = 2

    def peer(outgoing: Outgoing, now: float) -> list[tuple[float, bytes]]:
        return ok(outgoing, now, rcode)

    settings = {"user-context": {"pyd2": {"retry": {"enabled": True}}}}
    with recorded(tmp_path, peer, settings) as (d2, _, _log):
        d2.request(request(reverse_change=False))
        d2.run(until=d2.now + 20)
        rcode = 0
        d2.run()
    done, first = events(tmp_path)
    assert (first.result, first.fault) == ("retrying", "SERVFAIL")
    assert done.result == "done"
    assert done.ms is not None
    assert done.ms > 15_000


def test_only_failures_and_what_follows_them(tmp_path: Path) -> None:
    rcode = 0

    def peer(outgoing: Outgoing, now: float) -> list[tuple[float, bytes]]:
        return ok(outgoing, now, rcode)

    with recorded(tmp_path, peer, what="failures") as (d2, writer, _):
        send(d2, "a", "b")
        rcode = 5
        send(d2, "a")
        rcode = 0
        send(d2, "a", "b")
        send(d2, "a", "b")
    assert [(event.name[0], event.result) for event in events(tmp_path)] == [("a", "done"), ("a", "failed")]
    assert writer.lost == 0


def test_a_flood_loses_successes_first_and_counts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "MOST_WAITING", 30)
    monkeypatch.setattr(writer_module, "FOR_FAILURES", 10)
    missing = tmp_path / "missing"
    rcode = 0

    def peer(outgoing: Outgoing, now: float) -> list[tuple[float, bytes]]:
        return ok(outgoing, now, rcode)

    with recorded(missing, peer) as (d2, writer, log):
        send(d2, *(f"a{number}" for number in range(50)))
        assert writer.lost == 30
        rcode = 5
        send(d2, *(f"b{number}" for number in range(8)))
        assert writer.lost == 30
        wait_until(lambda: log.count("PYD2_HISTORY_FAILED"), "the fault is logged")
        missing.mkdir()
        writer.configure(switches(missing, keep_days=29))  # which tries it at once
        wait_until(lambda: log.count("PYD2_HISTORY_RESUMED"), "it works again")
    found = events(missing)
    assert [event.result for event in found].count("failed") == 8
    assert len(found) == 28
    assert log.count("PYD2_HISTORY_FAILED") == 1


def test_a_damaged_file_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database" * 1000)
    with recorded(tmp_path) as (d2, writer, log):
        wait_until(lambda: log.count("PYD2_HISTORY_SET_ASIDE"), "it is set aside")
        writer.configure(switches(tmp_path, keep_days=29))
        send(d2, "a")
        wait_until(lambda: events(tmp_path), "the new file is written")
    (aside,) = tmp_path.glob("pyd2-history.aside-*")
    assert aside.read_bytes() == b"no database" * 1000


def test_a_file_that_was_removed_is_made_anew(tmp_path: Path) -> None:
    with recorded(tmp_path) as (d2, writer, log):
        send(d2, "a")
        wait_until(lambda: events(tmp_path), "it is written")
        for path in tmp_path.glob(f"{FILE}*"):
            path.unlink()
        send(d2, "b")
        wait_until(lambda: events(tmp_path), "the new file is written")
        assert [event.name[0] for event in events(tmp_path)] == ["b"]
    assert log.own == [("PYD2_HISTORY_REPLACED", str(tmp_path))]
    assert writer.lost == 0


def test_a_directory_that_was_replaced_is_used(tmp_path: Path) -> None:
    """As when an older state is put back beside the running daemon."""
    place, old = tmp_path / "history", tmp_path / "old"
    place.mkdir()
    with recorded(place) as (d2, writer, log):
        send(d2, "a")
        wait_until(lambda: events(place), "it is written")
        place.rename(old)
        shutil.copytree(old, place)
        send(d2, "b")
        wait_until(lambda: len(events(place)) == 2, "the copy is written")
        shutil.rmtree(place)
        send(d2, "c")
        wait_until(lambda: log.count("PYD2_HISTORY_FAILED"), "the fault is logged")
        place.mkdir()
        writer.configure(switches(place, keep_days=29))  # which tries it at once
        wait_until(lambda: events(place), "what has waited is written")
    assert [event.name[0] for event in (*events(old), *events(place))] == ["a", "c"]
    assert log.count("PYD2_HISTORY_REPLACED") == 2
    assert writer.lost == 0


def test_a_full_disk_costs_the_history_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyd2.history import store as store_module

    full = True
    add = store_module.Store.add

    def fail(self: store_module.Store, rows: Any) -> None:
        if full:
            raise sqlite3.OperationalError("database or disk is full")
        add(self, rows)

    monkeypatch.setattr(store_module.Store, "add", fail)
    monkeypatch.setattr(writer_module, "TRY_AGAIN_SECONDS", 0.01)
    with recorded(tmp_path) as (d2, writer, log):
        send(d2, "a", "b")
        wait_until(lambda: writer.lost == 2, "the loss is counted")
        full = False
        send(d2, "c")
        wait_until(lambda: log.count("PYD2_HISTORY_RESUMED"), "it works again")
    assert [event.name for event in events(tmp_path)] == ["c.example.com."]
    assert d2.counters.tally.done == 3
    assert log.own[0] == ("PYD2_HISTORY_FAILED", f"{tmp_path} database or disk is full")


def test_another_directory_is_used_from_the_next_configuration_on(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    first.mkdir()
    second.mkdir()
    with recorded(first) as (d2, writer, _):
        send(d2, "a")
        wait_until(lambda: events(first), "it is written")
        writer.configure(switches(second))
        send(d2, "b")
    assert [event.name[0] for event in (*events(first), *events(second))] == ["a", "b"]


def test_a_history_that_nothing_asks_for_any_more_is_closed(tmp_path: Path) -> None:
    with recorded(tmp_path) as (d2, writer, _):
        send(d2, "a")
        wait_until(lambda: events(tmp_path), "it is written")
        writer.configure(HistorySwitches())
        wait_until(lambda: not (tmp_path / f"{FILE}-wal").exists(), "it is closed")
        shutil.rmtree(tmp_path)


def test_what_may_wait_is_bounded() -> None:
    assert MOST_WAITING * 1024 <= 64 << 20
