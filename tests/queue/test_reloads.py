"""Reloads: nothing moves while the daemon runs, and each file that holds requests is named."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.config.switches import QueueSwitches
from pyd2.data.element import Position
from pyd2.queue import lifecycle
from pyd2.queue.interface import InUseError, StoreError
from pyd2.queue.release import CHUNK
from pyd2.queue.sqlite import DATABASE, FOLDER
from pyd2.queue.sqlite.folder import NEW
from pyd2.queue.sqlite.lock import DirectoryLock
from pyd2.queue.sqlite.store import Store
from pyd2.tools.cli import main
from tests.queue.played import Daemon, fill, gated, in_file, names, play

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pyd2.queue.interface import Entry


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "RETRY_SECONDS", (0.02,))
    monkeypatch.setattr("pyd2.queue.sqlite.writer.HOUSE_SECONDS", 0.02)


def is_free(directory: Path) -> bool:
    try:
        DirectoryLock(str(directory)).release()
    except InUseError:
        return False
    return True


def test_another_directory_is_used_from_the_next_start_on(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"

    async def before(daemon: Daemon) -> None:
        daemon.use(one)
        daemon.queue.accept(names(1))
        await daemon.until_begun(*names(1))
        for _ in range(2):
            daemon.use(two)
        await daemon.until_logged("PYD2_QUEUE_NEXT_START")
        daemon.queue.accept(names(2))
        await daemon.until_begun(*names(1, 2))
        await daemon.until(lambda: in_file(one) == names(1, 2))
        status = daemon.queue.status(0.0)
        assert status is not None
        assert (status["file"], status["next-start"]) == (str(one / DATABASE), str(two / DATABASE))
        daemon.queue.close()
        (text,) = daemon.log.texts("PYD2_QUEUE_NEXT_START")
        assert text.startswith(f"durable queue {one / DATABASE} stays in use until the next start, which "
                               f"uses {two / DATABASE}.")
        (text,) = daemon.log.texts("PYD2_QUEUE_KEPT_ELSEWHERE")
        assert str(one / DATABASE) in text
        assert f"pyd2ctl queue move {one} {two}" in text

    async def at_last(daemon: Daemon) -> None:
        daemon.use(two)
        await daemon.until_begun(*names(1, 2))
        assert daemon.log.ids == ["PYD2_QUEUE_OPENED"]

    play(before)
    assert main(["queue", "move", str(one), str(two)]) == 0
    play(at_last)


def test_back_to_the_present_directory_there_is_nothing_to_say(tmp_path: Path) -> None:
    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path / "one")
        await daemon.until_logged("PYD2_QUEUE_OPENED")
        daemon.use(tmp_path / "two")
        await daemon.until_logged("PYD2_QUEUE_NEXT_START")
        daemon.use(tmp_path / "one")
        daemon.queue.accept(names(1))
        await daemon.until_begun(*names(1))
        daemon.queue.close()
        assert daemon.log.ids[-1] == "PYD2_QUEUE_KEPT"

    play(scene)


# To memory, and back.


def test_a_stop_after_a_reload_to_memory_says_the_truth(tmp_path: Path) -> None:
    """It said both that requests are lost and that they go on at the next start."""
    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        daemon.queue.accept(names(1, 2))
        await daemon.until_begun(*names(1, 2))
        daemon.use(None)
        (text,) = daemon.log.texts("PYD2_QUEUE_RETIRED")
        assert "pyd2 processes the 2 requests in it, then closes it" in text
        assert daemon.queue.kept == 2
        daemon.queue.accept(names(3))
        assert daemon.queue.kept == 2
        daemon.end(*names(1))
        daemon.queue.close()
        (text,) = daemon.log.texts("PYD2_QUEUE_KEPT_RETIRED")
        assert text.startswith("stopping with 1 requests that are not processed; they are in "
                               f"{tmp_path / DATABASE}, but the configuration asks for no durable queue")

    play(scene)
    assert in_file(tmp_path) == names(2)


@pytest.mark.parametrize("left_in", [FOLDER, NEW])
def test_a_start_without_it_tells_of_requests_that_were_left(tmp_path: Path, left_in: str) -> None:
    """It was silent after a kill. Without a block ``queue`` in the configuration nothing is looked at."""
    fill(tmp_path, *names(1, 2))
    (tmp_path / FOLDER).rename(tmp_path / left_in)
    before = [(path, path.read_bytes()) for path in sorted(tmp_path.glob("*/*.sqlite3"))]

    async def scene(daemon: Daemon) -> None:
        daemon.queue.configure(QueueSwitches("memory", str(tmp_path)))
        daemon.queue.configure(QueueSwitches("memory", str(tmp_path), position=Position("f", 1, 2)))
        await daemon.until_logged("PYD2_QUEUE_NOT_USED")
        (text,) = daemon.log.texts("PYD2_QUEUE_NOT_USED")
        assert text.startswith(f"durable queue {tmp_path / left_in}/queue.sqlite3 holds 2 requests, but ")
        daemon.queue.accept(names(3))
        assert list(daemon.begun) == names(3)
        assert daemon.queue.status(0.0) is None

    play(scene)
    assert before == [(path, path.read_bytes()) for path in sorted(tmp_path.glob("*/*.sqlite3"))]


def test_to_memory_while_the_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, *names(1, 2))
    gate = gated(monkeypatch, "read")

    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        daemon.queue.accept(names(3))
        daemon.use(None)
        daemon.queue.accept(names(4))
        assert list(daemon.begun) == names(3, 4)
        gate.set()
        await daemon.until_begun(*names(1, 2))
        daemon.end(*names(1, 2))
        await daemon.until_logged("PYD2_QUEUE_CLOSED")
        assert is_free(tmp_path)

    play(scene)
    assert in_file(tmp_path) == []


def test_to_memory_while_very_many_wait_for_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand at once held the update thread for more than 10 ms."""
    fill(tmp_path, *names(1))
    gate = gated(monkeypatch, "read")

    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        daemon.queue.accept(names(*range(2, 3000)))
        daemon.use(None)
        await daemon.until_begun(*names(*range(2, 3000)))
        assert list(daemon.begun) == names(*range(2, 3000))
        assert max(daemon.parts) <= CHUNK
        gate.set()
        await daemon.until_begun(*names(1))

    play(scene)


def test_to_memory_and_back_while_the_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, *names(1, 2))
    gate = gated(monkeypatch, "read")

    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        daemon.use(None)
        daemon.queue.accept(names(3))
        daemon.use(tmp_path)
        daemon.queue.accept(names(4))
        assert list(daemon.begun) == names(3)
        gate.set()
        await daemon.until_begun(*names(1, 2, 4))
        await daemon.until(lambda: in_file(tmp_path) == names(1, 2, 4))

    play(scene)


def test_a_retired_file_that_cannot_be_emptied_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Store.write

    def failing(store: Store, entries: Sequence[Entry], removed: Sequence[int] = (), *more: Any) -> None:
        if removed:
            raise StoreError("the disk is full")
        write(store, entries, removed, *more)

    monkeypatch.setattr(Store, "write", failing)

    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        daemon.queue.accept(names(1))
        await daemon.until_begun(*names(1))
        daemon.use(None)
        daemon.end(*names(1))
        await daemon.until_logged("PYD2_QUEUE_LEFT_BEHIND")
        (text,) = daemon.log.texts("PYD2_QUEUE_LEFT_BEHIND")
        assert str(tmp_path / DATABASE) in text
        assert "the disk is full" in text
        await daemon.until(lambda: is_free(tmp_path))
        assert daemon.queue.status(0.0) is None

    play(scene)


def test_requests_of_a_file_that_was_left_behind_keep_their_numbers(tmp_path: Path) -> None:
    """Another request with the same number was removed when one of them ended."""
    queue, other = tmp_path / "queue", tmp_path / "other"
    other.mkdir()
    fill(other, *names(11, 12))

    async def scene(daemon: Daemon) -> None:
        daemon.use(queue)
        daemon.queue.accept(names(1))
        await daemon.until_begun(*names(1))
        daemon.use(None)
        (queue / FOLDER).rename(tmp_path / "away")
        (other / FOLDER).rename(queue / FOLDER)
        await daemon.until_logged("PYD2_QUEUE_LEFT_BEHIND")
        daemon.use(queue)
        daemon.queue.accept(names(2))
        await daemon.until_begun(*names(11, 12, 2))
        await daemon.until(lambda: in_file(queue) == names(1, 11, 12, 2))
        daemon.end(*names(1))
        await daemon.until(lambda: in_file(queue) == names(11, 12, 2))

    play(scene)


def test_a_file_that_failed_is_emptied_when_it_is_retired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "RETRY_SECONDS", (600.0,))
    write = Store.write
    faults = [StoreError("the disk is full")]

    def failing(store: Store, entries: Sequence[Entry], *more: Any) -> None:
        if len(entries) and faults:
            raise faults.pop()
        write(store, entries, *more)

    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        await daemon.until_logged("PYD2_QUEUE_OPENED")
        monkeypatch.setattr(Store, "write", failing)
        daemon.queue.accept(names(1, 2))
        await daemon.until_begun(*names(1, 2))
        daemon.use(None)
        daemon.end(*names(1, 2))
        await daemon.until_logged("PYD2_QUEUE_CLOSED")

    play(scene)
    assert in_file(tmp_path) == []


def test_a_dead_letter_outlives_a_commit_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its request was removed without it."""
    write = Store.write
    faults = [StoreError("input/output error")]

    def failing(store: Store, entries: Sequence[Entry], removed: Sequence[int] = (), *more: Any) -> None:
        if any(more) and faults:
            raise faults.pop()
        write(store, entries, removed, *more)

    monkeypatch.setattr(Store, "write", failing)

    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        daemon.queue.accept(names(1, 2, 3))
        await daemon.until_begun(*names(1, 2, 3))
        daemon.queue.done([1, 2], {1: "REFUSED"})
        await daemon.until_logged("PYD2_QUEUE_RESUMED")
        await daemon.until(lambda: in_file(tmp_path) == names(3))
        assert "PYD2_QUEUE_FAILED" in daemon.log.ids

    play(scene)
    with closing(Store(str(tmp_path))) as store:
        assert [dead_letter.datagram for dead_letter in store.read_dead()] == names(1)


def test_a_dead_letter_outlives_a_fault(tmp_path: Path) -> None:
    """It was in no file and in no memory when the file did not work at that moment."""
    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        daemon.queue.accept(names(1, 2))
        await daemon.until_begun(*names(1, 2))
        os.truncate(tmp_path / DATABASE, 0)
        daemon.queue.accept(names(3))
        await daemon.until_logged("PYD2_QUEUE_FAILED")
        daemon.queue.done([1], {1: "REFUSED"})
        await daemon.until_logged("PYD2_QUEUE_RESUMED")
        daemon.queue.done([2], {2: "REFUSED"})
        await daemon.until(lambda: in_file(tmp_path) == names(3))

    play(scene)
    with closing(Store(str(tmp_path))) as store:
        assert [dead_letter.datagram for dead_letter in store.read_dead()] == names(1, 2)
