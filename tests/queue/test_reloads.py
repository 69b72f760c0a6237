"""Reloads: nothing moves while the daemon runs, and each file that holds requests is named."""

from __future__ import annotations

import os
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.config.switches import QueueSwitches
from pyd2.data.element import Position
from pyd2.queue import lifecycle
from pyd2.queue.interface import InUseError, StoreError
from pyd2.queue.sqlite import DATABASE, FOLDER, elsewhere
from pyd2.queue.sqlite.lock import DirectoryLock
from pyd2.queue.sqlite.store import Store
from pyd2.tools.cli import main
from tests.queue.played import PATIENCE, Daemon, fill, gated, in_file, names, play

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
        assert elsewhere.named(str(two)) == [str(one)]
        daemon.queue.close()
        (text,) = daemon.log.texts("PYD2_QUEUE_NEXT_START")
        assert text.startswith(f"durable queue {one / DATABASE} stays in use until the next start, and "
                               f"{two / DATABASE} is used from then on")
        (text,) = daemon.log.texts("PYD2_QUEUE_KEPT_ELSEWHERE")
        assert str(one / DATABASE) in text
        assert f"pyd2ctl queue move {one} {two}" in text

    async def after(daemon: Daemon) -> None:
        daemon.use(two)
        await daemon.until_logged("PYD2_QUEUE_OPENED")
        (text,) = daemon.log.texts("PYD2_QUEUE_ELSEWHERE")
        assert text.startswith(f"durable queue {one / DATABASE} holds 2 requests that are not carried out")
        assert not daemon.begun

    async def at_last(daemon: Daemon) -> None:
        daemon.use(two)
        await daemon.until_begun(*names(1, 2))
        assert daemon.log.ids == ["PYD2_QUEUE_OPENED"]

    play(before)
    for _ in range(2):
        play(after)
    assert main(["queue", "move", str(one), str(two)]) == 0
    play(at_last)


def test_the_note_is_there_before_a_reload_is_answered(tmp_path: Path) -> None:
    """A kill just behind it left the requests in a file that nobody named."""
    one, two = tmp_path / "one", tmp_path / "two"

    async def scene(daemon: Daemon) -> None:
        daemon.use(one)
        await daemon.until_logged("PYD2_QUEUE_OPENED")
        daemon.use(two)
        assert daemon.log.ids[-1] == "PYD2_QUEUE_NEXT_START"
        assert elsewhere.named(str(two)) == [str(one)]

    play(scene)


def test_a_reload_says_so_also_when_the_other_disk_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    gate = threading.Event()
    point = elsewhere.point

    def slow(directory: str, to: Sequence[str]) -> None:
        assert gate.wait(PATIENCE)
        point(directory, to)

    async def scene(daemon: Daemon) -> None:
        daemon.use(one)
        await daemon.until_logged("PYD2_QUEUE_OPENED")
        monkeypatch.setattr(lifecycle, "STALL_SECONDS", 0.05)
        monkeypatch.setattr(elsewhere, "point", slow)
        daemon.use(two)
        (text,) = daemon.log.texts("PYD2_QUEUE_NEXT_START")
        assert text.endswith("No note of that is there yet: the disk does not answer")
        gate.set()
        await daemon.until(lambda: two.exists() and elsewhere.named(str(two)) == [str(one)])

    play(scene)


def test_a_note_is_left_though_the_present_disk_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That may be why another directory is named; it came only when the present one answered again."""
    one, two = tmp_path / "one", tmp_path / "two"
    gate = gated(monkeypatch, "write")
    gate.set()

    async def scene(daemon: Daemon) -> None:
        daemon.use(one)
        await daemon.until_logged("PYD2_QUEUE_OPENED")
        monkeypatch.setattr(lifecycle, "STALL_SECONDS", 0.5)
        gate.clear()
        daemon.queue.accept(names(1))
        await daemon.until_begun(*names(1))
        daemon.use(two)
        assert elsewhere.named(str(two)) == [str(one)]
        gate.set()

    play(scene)


@pytest.mark.parametrize("answer", ["an error", "nothing"])
def test_a_directory_that_was_left_and_cannot_be_read_holds_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    """Its disk may be why another directory is used: the queue there could never be opened."""
    two = tmp_path / "two"
    one = tmp_path / ("n" * 300 if answer == "an error" else "one")
    two.mkdir()
    elsewhere.point(str(two), [str(one)])
    gate = threading.Event()
    if answer == "nothing":
        one.mkdir()
        fill(one, *names(1))
        monkeypatch.setattr("pyd2.queue.sqlite.elsewhere.count", lambda *_: gate.wait(PATIENCE) and None)

    async def scene(daemon: Daemon) -> None:
        monkeypatch.setattr(lifecycle, "STALL_SECONDS", 0.5)
        daemon.use(two)
        await daemon.until_logged("PYD2_QUEUE_OPENED")
        assert "PYD2_QUEUE_FAILED" not in daemon.log.ids
        gate.set()
        await daemon.until_logged("PYD2_QUEUE_ELSEWHERE")
        (text,) = daemon.log.texts("PYD2_QUEUE_ELSEWHERE")
        assert "holds an unknown number of requests" in text
        assert elsewhere.named(str(two)) == [str(one)]

    play(scene)


def test_a_directory_that_was_left_empty_is_not_named_again(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    two.mkdir()
    elsewhere.point(str(two), [str(one), str(tmp_path / "gone")])
    one.mkdir()
    fill(one)

    async def scene(daemon: Daemon) -> None:
        daemon.use(two)
        await daemon.until_logged("PYD2_QUEUE_OPENED")
        assert daemon.log.ids == ["PYD2_QUEUE_OPENED"]
        assert elsewhere.named(str(two)) == []

    play(scene)


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


def test_a_directory_in_which_no_note_can_be_left_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path / "one")
        await daemon.until_logged("PYD2_QUEUE_OPENED")
        daemon.use(tmp_path / "file" / "two")
        await daemon.until_logged("PYD2_QUEUE_NEXT_START")
        assert "No note of that could be left there: " in daemon.log.texts("PYD2_QUEUE_NEXT_START")[0]

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
        assert "its 2 requests are carried out, then it is closed" in text
        assert daemon.queue.kept == 2
        daemon.queue.accept(names(3))
        assert daemon.queue.kept == 2
        daemon.end(*names(1))
        daemon.queue.close()
        (text,) = daemon.log.texts("PYD2_QUEUE_KEPT_RETIRED")
        assert text.startswith("leaving with 1 requests not carried out; they are in "
                               f"{tmp_path / DATABASE}, but the configuration asks for no durable queue")

    play(scene)
    assert in_file(tmp_path) == names(2)


def test_a_start_without_it_tells_of_requests_that_were_left(tmp_path: Path) -> None:
    """It was silent after a kill. Without a block ``queue`` in the configuration nothing is looked at."""
    fill(tmp_path, *names(1, 2))
    before = [(path, path.read_bytes()) for path in sorted(tmp_path.glob("*/*.sqlite3"))]

    async def scene(daemon: Daemon) -> None:
        daemon.queue.configure(QueueSwitches("memory", str(tmp_path)))
        daemon.queue.configure(QueueSwitches("memory", str(tmp_path), position=Position("f", 1, 2)))
        await daemon.until_logged("PYD2_QUEUE_NOT_USED")
        (text,) = daemon.log.texts("PYD2_QUEUE_NOT_USED")
        assert text.startswith(f"durable queue {tmp_path / DATABASE} holds 2 requests that are not ")
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
        assert [letter.datagram for letter in store.read_dead()] == names(1)


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
        assert [letter.datagram for letter in store.read_dead()] == names(1, 2)
