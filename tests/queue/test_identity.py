"""What a file is: another one in its place is never emptied, and what operators do to it is noticed."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.config.switches import QueueSwitches
from pyd2.queue import lifecycle
from pyd2.queue.interface import InUseError
from pyd2.queue.sqlite import DATABASE, FOLDER, folder
from pyd2.queue.sqlite.lock import DirectoryLock
from pyd2.queue.sqlite.opening import Opening
from tests.kit import ncr
from tests.queue.played import TIMEOUT, Daemon, fill, gated, in_file, names, play

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.queue.interface import Entries
    from pyd2.queue.sqlite.store import Store

UNPRIVILEGED = 65534


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "RETRY_SECONDS", (0.02,))
    monkeypatch.setattr("pyd2.queue.sqlite.writer.HOUSE_SECONDS", 0.02)


def put_in_place(directory: Path, other: Path) -> None:
    """Put the files of another directory into the place of those of one."""
    for path in directory.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.suffix != ".lock":
            path.unlink()
    for path in other.iterdir():
        path.rename(directory / path.name)


def everywhere(directory: Path) -> set[bytes]:
    """Return the requests in all files of a directory, those that were set aside included."""
    found = set(in_file(directory))
    for path in directory.glob("*.aside-*"):
        found |= set(in_file_of(path))
    return found


def in_file_of(aside: Path) -> list[bytes]:
    from pyd2.queue.sqlite.salvage import salvage

    return [entry.datagram for entry in salvage(str(aside), "queue.sqlite3").entries]


def test_a_file_that_comes_into_the_place_is_not_emptied(tmp_path: Path) -> None:
    """A mount that comes late, or a backup that is put back."""
    queue, other = tmp_path / "queue", tmp_path / "other"
    other.mkdir()
    fill(other, *names(11, 12, 13))

    async def scene(daemon: Daemon) -> None:
        daemon.use(queue)
        daemon.queue.accept(names(1))
        await daemon.until_begun(*names(1))
        put_in_place(queue, other)
        await daemon.until_logged("PYD2_QUEUE_RESUMED")
        assert in_file(queue) == names(1)
        assert everywhere(queue) == set(names(1, 11, 12, 13))
        (text,) = daemon.log.texts("PYD2_QUEUE_SET_ASIDE")
        assert f"it was renamed to {queue / 'pyd2-queue'}.aside-1" in text
        assert "3 requests could be read" in text

    play(scene)


def test_an_older_copy_of_the_file_itself_is_another_file(tmp_path: Path) -> None:
    """What it holds was done."""
    queue, copy = tmp_path / "queue", tmp_path / "copy"

    async def scene(daemon: Daemon) -> None:
        daemon.use(queue)
        daemon.queue.accept(names(1, 2))
        await daemon.until_begun(*names(1, 2))
        shutil.copytree(queue, copy)
        daemon.end(*names(1))
        await daemon.until(lambda: in_file(queue) == names(2))
        put_in_place(queue, copy)
        await daemon.until_logged("PYD2_QUEUE_RESUMED")
        assert in_file(queue) == names(2)
        assert "PYD2_QUEUE_SET_ASIDE" in daemon.log.ids

    play(scene)


@pytest.mark.parametrize("how", ["wal removed", "wal cut", "database emptied", "database overwritten"])
def test_what_an_operator_does_to_the_file_is_noticed_without_a_further_request(
    tmp_path: Path, how: str
) -> None:
    database, wal = tmp_path / DATABASE, tmp_path / f"{DATABASE}-wal"

    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        daemon.queue.accept(names(*range(20)))
        await daemon.until_begun(*names(*range(20)))
        if how == "wal removed":
            wal.unlink()
        elif how == "wal cut":
            os.truncate(wal, wal.stat().st_size // 2)
        elif how == "database emptied":
            os.truncate(database, 0)
        else:
            database.write_bytes(b"no database" * 500)
        await daemon.until_logged("PYD2_QUEUE_RESUMED")
        assert "PYD2_QUEUE_FAILED" in daemon.log.ids
        assert in_file(tmp_path) == names(*range(20))

    play(scene)


@pytest.mark.parametrize("spelled", ["{}/", "{}/../queue"])
def test_a_directory_spelled_in_another_way_is_the_same(tmp_path: Path, spelled: str) -> None:
    queue = tmp_path / "queue"

    async def scene(daemon: Daemon) -> None:
        daemon.use(queue)
        daemon.queue.accept(names(1))
        await daemon.until_begun(*names(1))
        other = QueueSwitches("durable", spelled.format(queue))
        daemon.queue.claim(other)
        daemon.queue.configure(other)
        daemon.queue.accept(names(2))
        await daemon.until_begun(*names(1, 2))
        await daemon.until(lambda: in_file(queue) == names(1, 2))
        assert daemon.log.ids == ["PYD2_QUEUE_OPENED"]

    play(scene)


@pytest.mark.parametrize("when", ["at the start", "while it runs"])
def test_a_folder_or_file_that_is_a_link_is_not_followed(tmp_path: Path, when: str) -> None:
    """In a directory of another user's it could lead anywhere, and root's daemon would write there."""
    queue, other = tmp_path / "queue", tmp_path / "other"
    queue.mkdir()
    other.mkdir()
    fill(other, *names(7))
    before = (other / DATABASE).read_bytes()
    folder = queue / "pyd2-queue"
    if when == "at the start":
        folder.symlink_to(other / "pyd2-queue")

    async def scene(daemon: Daemon) -> None:
        daemon.use(queue)
        if when == "while it runs":
            await daemon.until_logged("PYD2_QUEUE_OPENED")
            folder.rename(queue / "away")
            folder.symlink_to(other / "pyd2-queue")
        daemon.queue.accept(names(1))
        await daemon.until_begun(*names(1))
        await daemon.until_logged("PYD2_QUEUE_FAILED")
        await daemon.until(lambda: "is a symbolic link or no" in daemon.log.texts("PYD2_QUEUE_FAILED")[-1])
        assert (other / DATABASE).read_bytes() == before
        folder.unlink()
        await daemon.until_logged("PYD2_QUEUE_RESUMED")
        assert in_file(queue) == names(1)

    play(scene)


@pytest.mark.parametrize("name", ["queue.sqlite3", "queue.sqlite3-wal", "at-work"])
def test_a_special_file_blocks_nothing(tmp_path: Path, name: str) -> None:
    fill(tmp_path, *names(1))
    path = tmp_path / "pyd2-queue" / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)

    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        daemon.queue.accept(names(2))
        await daemon.until_begun(*names(2))
        await daemon.until(lambda: daemon.log.ids)

    play(scene)


def test_requests_do_not_wait_for_a_disk_that_does_not_answer_at_the_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of any zone left, without bound and without a word."""
    monkeypatch.setattr(lifecycle, "STALL_SECONDS", 0.05)
    old, newer = (ncr.datagram(ncr.request("host.example.com.", "192.0.2.1", ncr.dhcid(b"c", "x"), ttl=ttl))
                  for ttl in (100, 200))
    fill(tmp_path, old, *names(1))
    gate = gated(monkeypatch, "read")

    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        daemon.queue.accept([newer])
        await daemon.until_begun(newer)
        assert "the disk has not answered for 0.05 seconds" in daemon.log.texts("PYD2_QUEUE_FAILED")[0]
        gate.set()
        await daemon.until_logged("PYD2_QUEUE_RESUMED")
        await daemon.until_begun(*names(1))
        assert list(daemon.begun) == [newer, *names(1)]
        await daemon.until(lambda: in_file(tmp_path) == [newer, *names(1)])
        (text,) = daemon.log.texts("PYD2_QUEUE_LATE")
        assert "1 of its requests are processed, and 1 are dead letters" in text

    play(scene)


def test_a_claim_does_not_wait_for_a_disk_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "STALL_SECONDS", 0.05)
    gate = threading.Event()
    make: Callable[..., None] = DirectoryLock.__init__

    def slow(lock: DirectoryLock, directory: str) -> None:
        gate.wait()
        make(lock, directory)

    monkeypatch.setattr(DirectoryLock, "__init__", slow)

    async def scene(daemon: Daemon) -> None:
        rescue = threading.Timer(TIMEOUT, gate.set)
        rescue.start()
        daemon.use(tmp_path)
        assert not gate.is_set()
        rescue.cancel()
        daemon.queue.accept(names(1))
        await daemon.until_begun(*names(1))
        gate.set()
        await daemon.until_logged("PYD2_QUEUE_RESUMED")
        assert in_file(tmp_path) == names(1)

    play(scene)


def test_a_stop_while_the_file_is_opened_writes_what_has_come(tmp_path: Path) -> None:
    fill(tmp_path, *names(1, 2))

    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        daemon.queue.accept(names(3))
        daemon.queue.close()
        assert daemon.log.ids == ["PYD2_QUEUE_KEPT"]

    play(scene)
    assert in_file(tmp_path) == names(1, 2, 3)


def test_a_stop_tries_once_more_to_write_what_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "RETRY_SECONDS", (600.0,))

    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        daemon.queue.accept(names(1))
        await daemon.until_begun(*names(1))
        shutil.rmtree(tmp_path / "pyd2-queue")
        await daemon.until_logged("PYD2_QUEUE_FAILED")
        daemon.queue.accept(names(2))
        daemon.queue.close()
        assert "PYD2_QUEUE_KEPT" in daemon.log.ids

    play(scene)
    assert in_file(tmp_path) == names(1, 2)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_roots_is_reported_and_works_as_soon_as_it_is_given_back() -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        fill(directory, *names(1, 2))
        os.chown(directory, UNPRIVILEGED, UNPRIVILEGED)
        paths = list(directory.rglob("*"))
        for path in paths:
            path.chmod(0o700 if path.is_dir() else 0o600)

        async def scene(daemon: Daemon) -> None:
            os.seteuid(UNPRIVILEGED)
            try:
                daemon.use(directory)
                daemon.queue.accept(names(3))
                await daemon.until_begun(*names(3))
                assert "'chown -R'" in daemon.log.texts("PYD2_QUEUE_FAILED")[0]
                os.seteuid(0)
                for path in paths:
                    os.chown(path, UNPRIVILEGED, UNPRIVILEGED)
                os.seteuid(UNPRIVILEGED)
                await daemon.until_logged("PYD2_QUEUE_RESUMED")
                assert list(daemon.begun) == names(3, 1, 2)
                assert in_file(directory) == names(3, 1, 2)
            finally:
                os.seteuid(0)

        play(scene)


def test_a_file_that_takes_the_place_of_a_new_one_at_once_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue was said to hold all that waits, and the other file's requests were removed."""
    here, foreign = tmp_path / "here", tmp_path / "foreign"
    for directory in (here, foreign):
        directory.mkdir()
    fill(here, *names(1, 2))
    fill(foreign, *names(8, 9))
    replace = folder.replace

    def overtaken(directory: str, *arguments: Any) -> Any:
        made = replace(directory, *arguments)
        if foreign.exists():
            (here / FOLDER).rename(tmp_path / "moved away")
            (foreign / FOLDER).rename(here / FOLDER)
            foreign.rmdir()
        return made

    async def scene(daemon: Daemon) -> None:
        daemon.use(here)
        await daemon.until_begun(*names(1, 2))
        monkeypatch.setattr(folder, "replace", overtaken)
        shutil.rmtree(here / FOLDER)
        await daemon.until_logged("PYD2_QUEUE_RESUMED")
        assert in_file(here) == names(1, 2)
        assert set(names(8, 9)) <= everywhere(here)
        assert "PYD2_QUEUE_SET_ASIDE" in daemon.log.ids

    play(scene)


def test_the_directory_in_which_the_file_was_opened_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another directory came into the place behind the lock; a second daemon could use it, too."""
    queue = tmp_path / "queue"
    opening = Opening.open

    def overtaken(self: Opening) -> tuple[Store, Entries | None]:
        queue.rename(tmp_path / "away")
        queue.mkdir()
        return opening(self)

    monkeypatch.setattr(Opening, "open", overtaken)

    async def scene(daemon: Daemon) -> None:
        daemon.use(queue)
        await daemon.until_logged("PYD2_QUEUE_OPENED")
        with pytest.raises(InUseError):
            DirectoryLock(str(queue))

    play(scene)
