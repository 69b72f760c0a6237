"""The durable queue goes to another directory, and comes back: nothing stays behind, and nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.journal import journal as journal_module
from pyd2.journal.entry import DATABASE, Entry, StoreError
from pyd2.journal.lock import DirectoryLock, InUseError
from pyd2.journal.store import Store
from pyd2.ncr import decode
from tests.journal.played import Daemon, fill, in_file, names, play
from tests.kit import ncr

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


def test_to_another_directory_with_all_that_waits(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    new.mkdir()
    fill(new, *names(11, 12))

    async def scene(daemon: Daemon) -> None:
        daemon.use(old)
        daemon.journal.take(names(1, 2, 3))
        await daemon.until_begun(*names(1, 2, 3))
        daemon.use(new)
        daemon.journal.take(names(4))
        daemon.end(*names(2))
        await daemon.until_begun(*names(4))
        assert list(daemon.begun) == names(1, 3, 11, 12, 4)
        await daemon.until(lambda: in_file(new) == names(1, 3, 11, 12, 4))
        await daemon.until(lambda: in_file(old) == [])
        daemon.end(*names(1, 11))
        await daemon.until(lambda: in_file(new) == names(3, 12, 4))
        await daemon.until(lambda: _free(old))

    play(scene)


def _free(directory: Path) -> bool:
    with contextlib.suppress(InUseError):
        DirectoryLock(str(directory)).release()
        return True
    return False


def test_an_empty_queue_moves_and_comes_back(tmp_path: Path) -> None:
    """The directory of before was kept locked until something was moved."""
    async def scene(daemon: Daemon) -> None:
        for turn, name in enumerate(["one", "two", "one", "two"], 1):
            daemon.use(tmp_path / name)
            await daemon.until_logged("PYD2_QUEUE_OPENED", turn)
            daemon.journal.take(names(turn))
            await daemon.until_begun(*names(turn))
            daemon.end(*names(turn))

    play(scene)


async def _begin(daemon: Daemon, directory: Path) -> None:
    """Use a directory, and begin a request that is in it."""
    daemon.use(directory)
    daemon.journal.take(names(1))
    await daemon.until_begun(*names(1))


async def _begin_and_move(daemon: Daemon, one: Path, two: Path) -> None:
    """Begin requests in a directory, and go on to one in which another daemon has left a request."""
    fill(two, *names(7))
    daemon.use(one)
    daemon.journal.take(names(1, 2))
    await daemon.until_begun(*names(1, 2))
    daemon.use(two)


def test_two_moves_in_a_row_leave_nothing_behind(tmp_path: Path) -> None:
    """What stayed in a directory would be carried out again, after newer requests, when it is used again."""
    async def scene(daemon: Daemon) -> None:
        one, two, three = (tmp_path / name for name in ("one", "two", "three"))
        two.mkdir()
        await _begin_and_move(daemon, one, two)
        daemon.use(three)
        await daemon.until(lambda: three.exists() and in_file(three) == names(1, 2), "the requests to move")
        await daemon.until(lambda: in_file(one) == [], "the first directory to be left")
        # Nobody has seen what another daemon had left in the second one.
        assert in_file(two) == names(7)

    play(scene)


def test_back_to_a_directory_that_the_next_one_has_not_taken_over_from(tmp_path: Path) -> None:
    async def scene(daemon: Daemon) -> None:
        one, two = tmp_path / "one", tmp_path / "two"
        two.mkdir()
        await _begin_and_move(daemon, one, two)
        daemon.journal.take(names(3))
        daemon.use(None)
        daemon.use(one)
        daemon.journal.take(names(4))
        await daemon.until_begun(*names(3, 4))
        daemon.end(*names(1, 3))
        await daemon.until(lambda: in_file(one) == names(2, 4), "the first directory to hold what waits")
        assert in_file(two) == names(7)
        assert list(daemon.begun) == names(2, 4)

    play(scene)


@pytest.mark.parametrize("back", [False, True], ids=["on", "back"])
def test_what_was_handed_over_before_a_move_is_not_written_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, back: bool
) -> None:
    """It stayed in the directory that was left, and was carried out again when that was used again."""
    monkeypatch.setattr("pyd2.journal.writer.GROUP_SECONDS", 600.0)
    one, two = tmp_path / "one", tmp_path / "two"

    async def scene(daemon: Daemon) -> None:
        await _begin(daemon, one)
        daemon.journal.take(names(2))  # waits for more, to share their commit
        daemon.use(two)
        if back:
            daemon.use(one)
        await daemon.until_begun(*names(2))
        left, used = (two, one) if back else (one, two)
        await daemon.until(lambda: _free(left), "the thread of the other directory to end")
        assert (in_file(left), in_file(used)) == ([], names(1, 2))
        assert "PYD2_QUEUE_FAILED" not in daemon.log.ids

    play(scene)


def _letters(*directories: Path) -> list[bytes]:
    """Return the requests that are dead letters in any of the directories."""
    found = []
    for directory in directories:
        store = Store(str(directory))
        found += [letter.datagram for letter in store.read_dead()]
        store.close()
    return found


@pytest.mark.parametrize("when", ["before", "before going back", "meanwhile"])
def test_a_dead_letter_is_kept_through_a_move(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    monkeypatch.setattr("pyd2.journal.writer.REMOVE_SECONDS", 600.0)
    one, two = tmp_path / "one", tmp_path / "two"

    async def scene(daemon: Daemon) -> None:
        await _begin(daemon, one)
        if when == "meanwhile":
            daemon.use(two)
        daemon.journal.done([1], {1: "REFUSED"})
        daemon.use(two)
        if when == "before going back":
            daemon.use(one)
        left = two if when == "before going back" else one
        await daemon.until(lambda: _free(left), "the thread of the other directory to end")

    play(scene)
    assert _letters(one, two) == names(1)


def test_what_is_left_of_a_request_is_noted_where_it_stands(tmp_path: Path) -> None:
    """The next directory cannot be opened; a restart with the former one must not make the change again."""
    one, two = tmp_path / "one", tmp_path / "two"
    (two / DATABASE).mkdir(parents=True)
    name = "host.example.com."
    octets = ncr.datagram(ncr.request(name, "192.0.2.1", ncr.dhcid(b"client", name)))

    async def scene(daemon: Daemon) -> None:
        daemon.use(one)
        daemon.journal.take([octets])
        await daemon.until_begun(octets)
        daemon.use(two)
        daemon.journal.amend([(1, False, True)])
        await daemon.until_logged("PYD2_QUEUE_FAILED")

    play(scene)
    (left,) = in_file(one)
    assert decode(left).text() == decode(octets).without_forward().text()


def _fail_at_two(monkeypatch: pytest.MonkeyPatch, directory: Path, fail: Callable[[], object]) -> None:
    """Do something each time that request 2 is written into a directory."""
    write = Store.write

    def failing(store: Store, entries: Sequence[Entry], *more: Any) -> None:
        if store.path.parent == directory and any(entry.datagram == b"request 2" for entry in entries):
            fail()
        write(store, entries, *more)

    monkeypatch.setattr(Store, "write", failing)


def _disk_is_full() -> None:
    raise StoreError("the disk is full")


async def _fail(daemon: Daemon, directory: Path) -> None:
    """Use a directory until its file has failed; two requests have begun, one of them is in it."""
    await _begin(daemon, directory)
    daemon.journal.take(names(2))
    await daemon.until_logged("PYD2_QUEUE_FAILED")
    await daemon.until_begun(*names(2))


async def _until_left(daemon: Daemon, directory: Path) -> None:
    """Wait until nobody works with a directory any more, and what became of it is told."""
    await daemon.until(lambda: _free(directory), f"the thread of {directory} to end")
    await asyncio.sleep(0)


@pytest.mark.parametrize("to_memory", [False, True])
def test_a_file_that_failed_is_cleaned_when_it_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to_memory: bool
) -> None:
    """What is done stayed in it, and was carried out again when the directory was used again."""
    one, two = tmp_path / "one", tmp_path / "two"
    _fail_at_two(monkeypatch, one, _disk_is_full)

    async def scene(daemon: Daemon) -> None:
        await _fail(daemon, one)
        daemon.use(None if to_memory else two)
        daemon.end(*names(1, 2))
        await _until_left(daemon, one)
        assert in_file(one) == []
        assert "PYD2_QUEUE_LEFT_BEHIND" not in daemon.log.ids

    play(scene)


def test_a_write_that_hung_and_failed_is_of_no_interest_when_its_file_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "STALL_SECONDS", 0.02)
    one, two = tmp_path / "one", tmp_path / "two"
    answers = threading.Event()

    def hang() -> None:
        answers.wait()
        raise StoreError("input/output error")

    _fail_at_two(monkeypatch, one, hang)

    async def scene(daemon: Daemon) -> None:
        await _fail(daemon, one)
        daemon.use(two)
        await daemon.until(lambda: two.exists() and in_file(two) == names(1, 2), "the requests to move")
        answers.set()
        # By the thread that follows the one whose write has failed, and has told of that before.
        await daemon.until(lambda: in_file(one) == [], "the file to be emptied")
        await asyncio.sleep(0)
        assert "PYD2_QUEUE_LEFT_BEHIND" not in daemon.log.ids

    play(scene)


def test_a_damaged_file_that_was_left_is_set_aside_by_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"

    def damaged(*_: object, add: bool) -> None:
        raise StoreError("damaged", damaged=True)

    failures = [_disk_is_full]
    _fail_at_two(monkeypatch, one, lambda: failures and failures.pop()())
    monkeypatch.setattr(Store, "reconcile", damaged)

    async def scene(daemon: Daemon) -> None:
        await _fail(daemon, one)
        daemon.use(two)
        await daemon.until_logged("PYD2_QUEUE_SET_ASIDE")
        (text,) = daemon.log.texts("PYD2_QUEUE_SET_ASIDE")
        assert text.startswith(f"durable queue {one / DATABASE} ")

    play(scene)


def test_a_directory_that_is_left_while_a_former_thread_ends_can_be_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lock is this daemon's own."""
    one, two = tmp_path / "one", tmp_path / "two"
    two.mkdir()
    write, read, close = Store.write, Store.read, Store.close
    loading, closing = threading.Event(), threading.Event()

    def failing(store: Store, entries: Sequence[Entry], removed: Sequence[int] = (), *more: Any) -> None:
        if store.path.parent == one and removed:
            raise StoreError("the disk is full")
        write(store, entries, removed, *more)

    def slow_read(store: Store) -> list[Entry]:
        if store.path.parent == two:
            loading.wait()
        return read(store)

    def slow_close(store: Store) -> None:
        if store.path.parent == one:
            closing.wait()
        close(store)

    monkeypatch.setattr(Store, "write", failing)
    monkeypatch.setattr(Store, "read", slow_read)
    monkeypatch.setattr(Store, "close", slow_close)

    async def scene(daemon: Daemon) -> None:
        await _begin(daemon, one)
        daemon.use(two)
        daemon.end(*names(1))
        await daemon.until_logged("PYD2_QUEUE_LEFT_BEHIND")
        try:
            daemon.use(one)
        finally:
            loading.set()
            closing.set()

    play(scene)


def test_of_a_directory_that_was_never_read_nothing_is_said_to_be_done(tmp_path: Path) -> None:
    """It was left at once, and cannot be opened; it may hold what another daemon has left."""
    one, two = tmp_path / "one", tmp_path / "two"
    (one / DATABASE).mkdir(parents=True)

    async def scene(daemon: Daemon) -> None:
        daemon.use(one)
        daemon.use(two)
        await daemon.until_logged("PYD2_QUEUE_OPENED")
        await _until_left(daemon, one)
        assert daemon.log.ids == ["PYD2_QUEUE_OPENED"]

    play(scene)


def test_a_file_that_cannot_be_emptied_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    replace = Store.replace

    def failing(store: Store, entries: Sequence[Entry]) -> None:
        if not entries:
            raise StoreError("the disk is full")
        replace(store, entries)

    monkeypatch.setattr(Store, "replace", failing)

    async def scene(daemon: Daemon) -> None:
        await _begin(daemon, one)
        daemon.use(two)
        await daemon.until_logged("PYD2_QUEUE_LEFT_BEHIND")
        (text,) = daemon.log.texts("PYD2_QUEUE_LEFT_BEHIND")
        assert str(one) in text
        assert "the disk is full" in text
        assert in_file(two) == names(1)

    play(scene)


@pytest.mark.parametrize("stalls", [False, True])
def test_a_file_that_was_never_read_is_not_emptied_by_going_away_and_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stalls: bool
) -> None:
    monkeypatch.setattr(journal_module, "RETRY_SECONDS", (0.02,))
    monkeypatch.setattr(journal_module, "STALL_SECONDS", 0.02)
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    fill(one, *names(1, 2))
    (one / DATABASE).rename(tmp_path / "hidden")
    (one / DATABASE).symlink_to(DATABASE)  # to itself: not to be opened
    gate, tried = threading.Event(), threading.Event()

    def wait(_: DirectoryLock) -> bool:
        tried.set()
        return gate.wait()

    async def scene(daemon: Daemon) -> None:
        daemon.use(one)
        await daemon.until_logged("PYD2_QUEUE_FAILED")
        with monkeypatch.context() as patch:
            patch.setattr(DirectoryLock, "in_place", property(wait))
            await daemon.until(tried.is_set, "the next try")
        daemon.use(two)
        daemon.use(one)
        if stalls:
            daemon.journal.take(names(3))
            await daemon.until_begun(*names(3))
        gate.set()
        await daemon.until(lambda: daemon.journal._retry is not None, "that to fail, too")
        (tmp_path / "hidden").replace(one / DATABASE)
        await daemon.until_logged("PYD2_QUEUE_SET_ASIDE")

    play(scene)


def test_numbers_go_on_behind_those_of_the_directory_before(tmp_path: Path) -> None:
    """Which of them are on the disk was said of the higher ones."""
    one, two = tmp_path / "one", tmp_path / "two"
    two.mkdir()
    fill(two, *names(11))

    async def scene(daemon: Daemon) -> None:
        daemon.use(one)
        daemon.journal.take(names(1, 2, 3))
        await daemon.until_begun(*names(1, 2, 3))
        daemon.end(*names(1, 2, 3))
        daemon.use(two)
        daemon.journal.take(names(4))
        await daemon.until_begun(*names(11, 4))
        assert daemon.begun == {b"request 11": 1, b"request 4": 4}

    play(scene)


def test_a_disk_that_hangs_after_a_move_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when no further request comes."""
    monkeypatch.setattr(journal_module, "STALL_SECONDS", 0.02)
    monkeypatch.setattr("pyd2.journal.writer.GROUP_SECONDS", 600.0)
    read, replace = Store.read, Store.replace
    opened, answers = threading.Event(), threading.Event()

    def slow_read(store: Store) -> list[Entry]:
        if store.path.parent.name == "two":
            opened.wait()
        return read(store)

    def hanging(store: Store, entries: Sequence[Entry]) -> None:
        answers.wait()
        replace(store, entries)

    monkeypatch.setattr(Store, "read", slow_read)
    monkeypatch.setattr(Store, "replace", hanging)

    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path / "one")
        daemon.journal.take(names(1))
        await daemon.until_begun(*names(1))
        daemon.journal.take(names(2))  # waits for more, to share their commit
        daemon.use(tmp_path / "two")
        await daemon.until(lambda: daemon.journal._stall is None, "the look for a stall of before")
        opened.set()
        await daemon.until_begun(*names(2))
        assert "PYD2_QUEUE_FAILED" in daemon.log.ids
        answers.set()

    play(scene)
