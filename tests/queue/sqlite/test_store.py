"""The file of the durable queue: what was committed is there after any crash, and nothing else is."""

from __future__ import annotations

import os
import random
import re
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pyd2.queue.interface import DeadLetter, Entry, StoreError
from pyd2.queue.sqlite import DATABASE, FOLDER
from pyd2.queue.sqlite.database import VERSION, Database
from pyd2.queue.sqlite.salvage import salvage
from pyd2.queue.sqlite.store import Change, Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

FILES = (DATABASE, DATABASE + "-wal")


def entries(*numbers: int, size: int = 300) -> list[Entry]:
    return [Entry(number, 1000.5 + number, f"{number}".encode().ljust(size, b".")) for number in numbers]


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path)


@pytest.fixture
def store(folder: str) -> Iterator[Store]:
    store = Store(folder)
    yield store
    store.close()


def reopened(folder: str | Path) -> list[Entry]:
    """What a start would find."""
    store = Store(str(folder))
    try:
        return store.read()
    finally:
        store.close()


def copied(folder: str, to: Path) -> Path:
    """What is on the disk at this moment, as after a power cut."""
    for name in FILES:
        if Path(folder, name).exists():
            (to / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(Path(folder, name), to / name)
    return to


def test_entries_come_back_in_their_order(store: Store, folder: str) -> None:
    store.write(entries(5, 6))
    store.write(entries(7), [5])
    assert store.read() == entries(6, 7)
    store.close()
    assert reopened(folder) == entries(6, 7)


@pytest.mark.parametrize("count", [1, 63, 64, 65, 128, 1000])
def test_any_number_of_rows(store: Store, count: int) -> None:
    numbers = range(1, count + 1)
    store.write(entries(*numbers))
    assert store.read() == entries(*numbers)
    store.write((), list(numbers[1:]))
    assert store.read() == entries(1)


def test_few_that_stay_do_not_keep_the_many_that_go(store: Store, folder: str) -> None:
    """One in ten is for a server that is dead: its requests stay, and hold no place for the others."""
    stay = []
    for first in range(1, 100_001, 1000):
        new = range(first, first + 1000)
        gone = range(max(1, first - 500), first + 500)
        store.write(entries(*new), [number for number in gone if number % 10])
        stay += [number for number in new if not number % 10]
    store.write((), [number for number in range(99_501, 100_001) if number % 10])
    assert store.read() == entries(*stay)
    assert store._db.value("PRAGMA page_count") * 8192 < 3 * 350 * len(stay) + 5_000_000


def test_the_order_of_the_ends_does_not_matter(store: Store, folder: str) -> None:
    numbers = list(range(1, 20_001))
    random.Random(3).shuffle(numbers)
    for first in range(1, 20_001, 500):
        store.write(entries(*range(first, first + 500)))
    left = set(numbers)
    for at in range(0, 20_000, 700):
        store.write((), numbers[at : at + 700])
        left -= set(numbers[at : at + 700])
        assert {entry.number for entry in store.read()} == left
    assert reopened(folder) == []


def test_numbers_are_free_again_after_a_start(store: Store, folder: str) -> None:
    store.write(entries(1, 2))
    store.write((), [1, 2])
    store.close()
    store = Store(folder)
    store.write(entries(1))
    assert store.read() == entries(1)
    store.close()


def test_what_is_committed_is_on_the_disk(store: Store, folder: str, tmp_path: Path) -> None:
    """Without closing: the copy is what a kill leaves."""
    store.write(entries(1, 2, 3))
    there = tmp_path / "copy"
    there.mkdir()
    assert reopened(copied(folder, there)) == entries(1, 2, 3)


def test_every_commit_waits_for_the_disk(store: Store) -> None:
    assert store._db.value("PRAGMA synchronous") == 2  # FULL
    assert store._db.value("PRAGMA journal_mode") == "wal"


def test_replacing(store: Store) -> None:
    store.write(entries(1, 2, 3))
    store.replace(entries(3, 9))
    assert store.read() == entries(3, 9)


def test_reconciling_keeps_what_is_there(store: Store) -> None:
    store.write(entries(1, 2, 3))
    store.reconcile(entries(2, 4))
    assert store.read() == entries(2, 4)


def test_a_transaction_that_fails_leaves_nothing(store: Store, folder: str) -> None:
    store.write(entries(1))
    with pytest.raises(StoreError, match=f"{DATABASE}: UNIQUE constraint failed: request.number"):
        store.write([*entries(2), Entry(1, 0, b"a second one of this number")], [1])
    assert store.read() == entries(1)
    store.close()
    assert reopened(folder) == entries(1)


def test_the_file_shrinks_after_a_backlog_and_the_wal_too(store: Store, folder: str) -> None:
    numbers = range(1, 40_001)
    store.write(entries(*numbers))
    full = Path(folder, DATABASE + "-wal").stat().st_size
    assert full > 12_000_000
    for at in range(0, len(numbers), 1000):
        store.write((), numbers[at : at + 1000])
        store.compact()
    store.write(entries(50_000))
    assert reopened(folder) == entries(50_000)
    store.close()
    assert Path(folder, DATABASE).stat().st_size < 5_000_000
    assert not Path(folder, DATABASE + "-wal").exists()


def test_the_files_do_not_grow_under_a_steady_load(store: Store, folder: str) -> None:
    sizes = []
    for turn in range(500):
        first = turn * 50 + 1
        store.write(entries(*range(first, first + 50)), range(first - 100, first - 50))
        sizes.append(sum(Path(folder, name).stat().st_size for name in FILES))
    assert max(sizes[250:]) <= 1.1 * max(sizes[:250]) < 18_000_000


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_cut_within_a_commit_is_noticed(
    store: Store, folder: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    store.write(entries(1))
    change = Store._change

    def cutting(store: Store, *changes: Any) -> None:
        change(store, *changes)
        os.truncate(Path(folder, name), 100)

    monkeypatch.setattr(Store, "_change", cutting)
    with pytest.raises(StoreError, match=r"it has been cut from [0-9]+ to 100 octets"):
        store.write(entries(2))


def test_a_file_that_is_replaced_while_it_is_opened_is_noticed(
    store: Store, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite went on writing the one that was moved away, and the other one was watched."""
    store.write([Entry(1, 1.0, b"here")])
    store.close()
    (tmp_path / "other").mkdir()
    other = Store(str(tmp_path / "other"))  # open: it has a WAL, too
    set_up = Database.set_up

    def overtaken(self: Database, *, empty: bool) -> None:
        set_up(self, empty=empty)
        Path(folder, FOLDER).rename(tmp_path / "moved away")
        (tmp_path / "other" / FOLDER).rename(Path(folder, FOLDER))

    monkeypatch.setattr(Database, "set_up", overtaken)
    with pytest.raises(StoreError, match="another file has been put in its place"):
        Store(folder, create=False)
    other.close()


def test_a_reader_looks_on_beside_the_writer(store: Store, folder: str) -> None:
    store.write(entries(1))
    reader = Store(folder, read_only=True)
    assert reader.read() == entries(1)
    store.write(entries(2), [1])
    assert reader.read() == entries(2)
    with pytest.raises(StoreError, match=r"attempt to write a readonly database \(make it writable"):
        reader.write(entries(3))
    reader.close()


# What else may be found in its place.


def test_a_later_version_is_left_alone(store: Store, folder: str) -> None:
    store.write(entries(1))
    store.close()
    with closing(sqlite3.connect(Path(folder, DATABASE))) as db, db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = Path(folder, DATABASE).read_bytes()
    for attempt in (lambda: Store(folder), lambda: salvage(folder).entries):
        text = f"has version {VERSION + 1}, and this pyd2 knows {VERSION}: let"
        with pytest.raises(StoreError, match=text) as caught:
            attempt()
        assert caught.value.foreign
    assert Path(folder, DATABASE).read_bytes() == before


def test_a_database_of_others_is_left_alone(folder: str) -> None:
    Path(folder, DATABASE).parent.mkdir()
    with closing(sqlite3.connect(Path(folder, DATABASE))) as db, db:
        db.execute("CREATE TABLE lease (address)")
    with pytest.raises(StoreError, match="is no file of pyd2: move it away") as caught:
        Store(folder)
    assert caught.value.foreign


def test_what_is_no_database_is_damaged(folder: str) -> None:
    Path(folder, DATABASE).parent.mkdir()
    Path(folder, DATABASE).write_bytes(b"no database at all" * 500)
    with pytest.raises(StoreError, match="file is not a database") as caught:
        Store(folder)
    assert caught.value.damaged
    assert salvage(folder).entries == []


def test_a_damaged_name_in_the_schema_is_damage(store: Store, folder: str) -> None:
    """SQLite names it in the error, whose text is not UTF-8 then: the file was tried again for ever."""
    store.write(entries(1))
    store.close()
    path = Path(folder, DATABASE)
    octets = path.read_bytes()
    for at in (found.start() for found in re.finditer(b"sqlite_sequence", octets)):
        path.write_bytes(octets[: at + 13] + b"\xe3" + octets[at + 14 :])
        with pytest.raises(StoreError) as caught:
            reopened(folder)
        assert caught.value.damaged
        assert salvage(folder).entries in ([], entries(1))


def test_a_flipped_bit_in_a_request_is_found(store: Store, folder: str) -> None:
    store.write(entries(*range(1, 101)))
    store.close()
    path = Path(folder, DATABASE)
    octets = bytearray(path.read_bytes())
    octets[octets.index(b"57....") + 100] ^= 1
    path.write_bytes(octets)
    store = Store(folder)
    with pytest.raises(StoreError, match="request 57 is damaged") as caught:
        store.read()
    store.close()
    assert caught.value.damaged
    assert salvage(folder).entries == entries(*range(1, 57), *range(58, 101))


def test_what_lies_around_a_broken_page_is_salvaged(store: Store, folder: str) -> None:
    store.write(entries(*range(1, 1001)))
    store.close()
    path = Path(folder, DATABASE)
    octets = bytearray(path.read_bytes())
    page = octets.index(b"500....") // 8192
    octets[page * 8192 : (page + 1) * 8192] = bytes(8192)
    path.write_bytes(octets)
    store = Store(folder)
    with pytest.raises(StoreError) as caught:
        store.read()
    store.close()
    assert caught.value.damaged
    found = salvage(folder).entries
    assert {1, 1000} <= {entry.number for entry in found}
    assert 900 < len(found) < 1000
    assert found == entries(*(entry.number for entry in found))


@pytest.mark.parametrize("way", ["a bit", "noise", "zeros", "cut"])
def test_nothing_wrong_is_read_whatever_page_is_damaged(store: Store, folder: str, way: str) -> None:
    store.write(entries(*range(1, 301)))
    store.write((), list(range(1, 100, 3)))
    left = {entry.number: entry for entry in entries(*range(1, 301))}
    store.close()
    path = Path(folder, DATABASE)
    whole = path.read_bytes()
    chance = random.Random(1)
    for begin in range(0, len(whole), 4096):
        octets = bytearray(whole)
        at = begin + chance.randrange(4096)
        if way == "a bit":
            octets[at] ^= 1 << chance.randrange(8)
        elif way == "cut":
            del octets[at:]
        else:
            octets[begin : begin + 4096] = chance.randbytes(4096) if way == "noise" else bytes(4096)
        path.write_bytes(octets)
        try:
            found = reopened(folder)
        except StoreError as error:
            found = [] if error.foreign else salvage(folder).entries
        for entry in found:
            assert entry.datagram == left[entry.number].datagram, f"page at {begin}"


def test_a_directory_that_is_not_there(folder: str) -> None:
    with pytest.raises(StoreError, match=r"unable to open database file \(see that it and its folder belong"):
        Store(f"{folder}/absent")
    with pytest.raises(StoreError, match="unable to open database file"):
        Store(folder, create=False)


@settings(max_examples=20, stateful_step_count=15, deadline=None,
          suppress_health_check=[HealthCheck.too_slow])  # fmt: skip
class StoreMachine(RuleBasedStateMachine):
    """The file beside a model. After each step the disk is copied: a crash there finds what was committed."""

    @initialize()
    def begin(self) -> None:
        self.place = tempfile.TemporaryDirectory()
        self.folder = self.place.name
        self.store = Store(self.folder)
        self.model: dict[int, Entry] = {}
        self.next = 1
        self.states: list[list[Entry]] = [[]]
        """What was committed since the file was closed properly, which empties the WAL."""

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.place.cleanup()

    def committed(self) -> None:
        self.states.append(list(self.model.values()))

    @rule(count=st.integers(0, 150), size=st.integers(2, 900), share=st.floats(0, 1), data=st.data())
    def write(self, count: int, size: int, share: float, data: st.DataObject) -> None:
        new = entries(*range(self.next, self.next + count), size=size)
        self.next += count
        self.model.update((entry.number, entry) for entry in new)
        wanted = list(self.model)[: int(share * len(self.model))]
        removed = data.draw(st.permutations(wanted)) if len(wanted) < 30 else wanted
        self.store.write(new, removed)
        for number in removed:
            del self.model[number]
        self.committed()

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def fail_in_the_middle(self, data: st.DataObject) -> None:
        doubled = data.draw(st.sampled_from(list(self.model.values())))
        with pytest.raises(StoreError):
            self.store.write([*entries(self.next), doubled], list(self.model))

    @rule(drop=st.sets(st.integers(0, 5)))
    def reconcile(self, drop: set[int]) -> None:
        self.model = {number: entry for number, entry in self.model.items() if number % 6 not in drop}
        self.committed()  # what goes goes first, in a transaction of its own
        new = entries(self.next)
        self.next += 1
        self.model.update((entry.number, entry) for entry in new)
        self.store.reconcile(list(self.model.values()))
        self.committed()

    @rule()
    def replace(self) -> None:
        self.model = {entry.number: entry for entry in entries(*range(self.next, self.next + 3))}
        self.next += 3
        self.store.replace(list(self.model.values()))
        self.committed()

    @rule()
    def compact(self) -> None:
        self.store.compact()

    @rule()
    def stop_and_start(self) -> None:
        self.store.close()
        self.store = Store(self.folder)
        self.states = [list(self.model.values())]

    @rule()
    def kill_and_start(self) -> None:
        """Go on with a copy of the files, as they were not closed."""
        place = tempfile.TemporaryDirectory()
        copied(self.folder, Path(place.name))
        self.store.close()
        self.place.cleanup()
        self.place, self.folder = place, place.name
        self.store = Store(self.folder)

    @rule(data=st.data())
    def lose_power_while_the_wal_is_written(self, data: st.DataObject) -> None:
        """Any part of the WAL may be missing at its end; what is found is what some commit left."""
        wal = Path(self.folder, FILES[1])
        size = wal.stat().st_size if wal.exists() else 0
        with tempfile.TemporaryDirectory() as there:
            copied(self.folder, Path(there))
            if size:
                with Path(there, FILES[1]).open("r+b") as file:
                    file.truncate(data.draw(st.integers(0, size)))
            assert reopened(there) in self.states

    @invariant()
    def the_disk_holds_what_was_committed(self) -> None:
        if not hasattr(self, "store"):
            return
        assert self.store.read() == list(self.model.values())
        with tempfile.TemporaryDirectory() as there:
            assert reopened(copied(self.folder, Path(there))) == list(self.model.values())


TestStoreMachine = StoreMachine.TestCase


def test_only_the_newest_dead_letters_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyd2.queue.sqlite.dead_letters.MOST_DEAD", 10)
    store = Store(str(tmp_path))
    for number in range(25):
        store.write([Entry(number + 1, 1.0, b"%d" % number)], [number + 1],
                    [DeadLetter(0, 1.0, 2.0, "why", b"%d" % number)])
    assert store.read() == []
    assert [dead.datagram for dead in store.read_dead()] == [b"%d" % number for number in range(15, 25)]
    assert store.count_dead() == 10
    store.close()


def test_dead_letters_outlive_the_requests(tmp_path: Path) -> None:
    """What replaces the entries, and what notes the end of some, does not touch them."""
    store = Store(str(tmp_path))
    store.write((), (), [DeadLetter(0, 1.0, 2.0, "why", b"request")])
    store.replace([Entry(1, 1.0, b"a")])
    store.reconcile([])
    store.close()
    store = Store(str(tmp_path))
    assert store.read_dead() == [DeadLetter(1, 1.0, 2.0, "why", b"request")]
    store.close()


def test_entries_are_amended_also_after_a_fault(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write(entries(1, 2, 3))
    store.amend([Entry(2, 1.0, b"less"), Entry(9, 1.0, b"gone")])
    first, second, third = store.read()
    assert ([first, third], second.datagram) == (entries(1, 3), b"less")
    store.reconcile([first._replace(datagram=b"first"), second])
    assert [entry.datagram for entry in store.read()] == [b"first", b"less"]
    store.close()


def test_reconciling_removes_nothing_that_is_wanted_under_another_number(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a file had that was read late has other numbers now, or is a dead letter: only a copy may go."""
    store = Store(folder)
    one, two, three = entries(1, 2, 3)
    store.write([one, two, three])
    change = Store._change

    def full(store: Store, rows: list[Change]) -> None:
        if any(row.octets for row in rows):
            with store._db.failing():
                raise sqlite3.OperationalError("the disk is full")
        change(store, rows)

    held = [Entry(7, one.taken, one.datagram), Entry(3, 1.0, b"newer")]
    dead = [DeadLetter(0, two.taken, 9.0, "too late", two.datagram)]
    with monkeypatch.context() as patch:
        patch.setattr(Store, "_change", full)
        with pytest.raises(StoreError):
            store.reconcile(held, dead)
    store.close()
    assert reopened(folder)[:2] == [one, two]
    with closing(Store(folder)) as store:
        store.reconcile(held, dead)
        assert sorted(entry.datagram for entry in store.read()) == sorted([one.datagram, b"newer"])
        assert [dead_letter.datagram for dead_letter in store.read_dead()] == [two.datagram]
