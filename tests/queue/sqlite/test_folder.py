"""A new file takes the place of another: after a kill at any moment the log names each file with requests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from pyd2.queue import lifecycle
from pyd2.queue.interface import Entries, Held, StoreError
from pyd2.queue.sqlite import DATABASE, FOLDER, folder
from pyd2.queue.sqlite.opening import Opening
from pyd2.queue.sqlite.store import Store
from tests.queue.played import Daemon, fill, gated, in_file, names, play
from tests.queue.sqlite.test_store import entries

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STEPS = ("chown", "fsync", "mkdir", "rename", "rmdir", "unlink")
"""The system calls by which files and folders are made, moved and removed."""


class KilledError(BaseException):
    """Stands for a kill."""


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A queue with 100 requests, one of which is damaged; in its WAL, as it was not closed."""
    queue, made = tmp_path / "queue", tmp_path / "made"
    queue.mkdir()
    made.mkdir()
    store = Store(str(made))
    store.write(entries(*range(1, 101)))
    store.close()
    store = Store(str(made))
    store.write(entries(101, 102))
    shutil.copytree(made, queue, dirs_exist_ok=True)
    store.close()
    path = queue / DATABASE
    octets = bytearray(path.read_bytes())
    octets[octets.index(b"57....") + 100] ^= 1
    path.write_bytes(octets)
    return queue


def steps_of(work: Callable[[], object], monkeypatch: pytest.MonkeyPatch, kill_at: int) -> int:
    """Do work, and be killed before a step; return how many there were."""
    count = 0

    def stepping(call: Callable[..., object]) -> Callable[..., object]:
        def step(*arguments: object, **named: object) -> object:
            nonlocal count
            if count == kill_at:
                raise KilledError
            count += 1
            return call(*arguments, **named)

        return step

    with monkeypatch.context() as patch:
        for name in STEPS:
            patch.setattr(os, name, stepping(getattr(os, name)))
        with suppress(KilledError):
            work()
    return count


def test_a_kill_at_each_step_of_a_salvage_leaves_all_that_can_be_read_in_the_place(
    damaged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the renaming of the old file and the writing of the new one, nothing named the file."""
    readable = {entry.number for entry in entries(*range(1, 57), *range(58, 103))}
    killed, step = True, 0
    while killed:
        copy = tmp_path / f"copy{step}"
        shutil.copytree(damaged, copy)
        known = Entries.of(entries(*sorted(readable)))
        done = steps_of(lambda: folder.replace(str(copy), known, []), monkeypatch, step)  # noqa: B023
        killed = done == step
        folder.settle(str(copy))
        store = Store(str(copy), create=False)
        try:
            found = {entry.number for entry in store.readable()}
        finally:
            store.close()
        assert found == readable, f"killed at step {step}"
        asides = folder.others(str(copy))
        assert not (copy / folder.NEW).exists()
        whole = [path for path in [copy / DATABASE, *asides] if b"57...." in path.read_bytes()]
        assert whole, "the damaged file is in its place or set aside"
        for path in asides:
            # Database and WAL move together.
            assert (path.with_name("queue.sqlite3-wal")).exists()
        step += 1
    assert step > 8


def test_a_start_finishes_what_a_kill_has_interrupted_and_tells(tmp_path: Path) -> None:
    fill(tmp_path, *names(1, 2))
    (tmp_path / FOLDER).rename(tmp_path / f"{FOLDER}.aside-1")
    store = Store(str(tmp_path), f"{folder.NEW}/queue.sqlite3")
    store.replace(entries(1))
    store.close()

    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        await daemon.until(lambda: daemon.begun)
        assert "PYD2_QUEUE_FINISHED" in daemon.log.ids
        await daemon.until_logged("PYD2_QUEUE_ASIDE")
        (text,) = daemon.log.texts("PYD2_QUEUE_ASIDE")
        assert text.startswith(f"{tmp_path / FOLDER}.aside-1 holds 2 requests, but was set aside")

    play(scene)


@pytest.mark.parametrize("complete", [False, True])
def test_what_was_not_put_in_the_place_of_a_file_is_a_copy_and_goes(tmp_path: Path, complete: bool) -> None:
    fill(tmp_path, *names(1, 2))
    new = tmp_path / folder.NEW
    if complete:
        store = Store(str(tmp_path), f"{folder.NEW}/queue.sqlite3")
        store.replace(entries(7))
        store.close()
    else:
        (new / f"{folder.NEW}-xyz").mkdir(parents=True)
        (new / f"{folder.NEW}-xyz" / "queue.sqlite3").write_bytes(b"a copy of a salvage")
    assert not folder.settle(str(tmp_path))
    assert not new.exists()
    assert in_file(tmp_path) == names(1, 2)


def test_kills_during_a_salvage_leave_no_copies_behind(damaged: Path) -> None:
    """A loop of crashes filled the disk with them."""
    code = ("import os, sys\nfrom pyd2.queue.sqlite import salvage, wal\n"
            "wal.mend = lambda path: os.kill(os.getpid(), 9)\n"
            "salvage.salvage(sys.argv[1], locked=True)\n")
    for _ in range(3):
        assert subprocess.run([sys.executable, "-c", code, str(damaged)], check=False).returncode == -9
        (new,) = (path for path in damaged.iterdir() if path.name != FOLDER)
        assert new.name == folder.NEW
        assert len(list(new.iterdir())) == 1
    folder.settle(str(damaged))
    assert [path.name for path in damaged.iterdir()] == [FOLDER]


def test_files_that_were_set_aside_are_counted_when_the_queue_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large one on a slow disk took the place of a disk that does not answer: the file was read late."""
    monkeypatch.setattr(lifecycle, "STALL_SECONDS", 2.0)
    fill(tmp_path, *names(1))
    (tmp_path / FOLDER).rename(tmp_path / f"{FOLDER}.aside-1")
    fill(tmp_path, *names(2))
    gate = gated(monkeypatch, "count")

    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        await daemon.until_begun(*names(2))
        assert daemon.log.ids == ["PYD2_QUEUE_OPENED"]
        gate.set()
        await daemon.until_logged("PYD2_QUEUE_ASIDE")

    play(scene)


def test_each_file_that_was_set_aside_is_named_at_each_start(tmp_path: Path) -> None:
    for number in (1, 2):
        aside = tmp_path / f"{FOLDER}.aside-{number}"
        fill(tmp_path, *names(*range(number * 3)))
        (tmp_path / FOLDER).rename(aside)
    (tmp_path / f"{FOLDER}.aside-3").mkdir()

    async def scene(daemon: Daemon) -> None:
        daemon.use(tmp_path)
        await daemon.until_logged("PYD2_QUEUE_ASIDE", 3)
        texts = [text.partition(" requests")[0] for text in daemon.log.texts("PYD2_QUEUE_ASIDE")]
        assert texts == [f"{tmp_path / FOLDER}.aside-1 holds 3", f"{tmp_path / FOLDER}.aside-2 holds 6",
                         f"{tmp_path / FOLDER}.aside-3 holds an unknown number of"]

    for _ in range(2):
        play(scene)


def _come_meanwhile(monkeypatch: pytest.MonkeyPatch, comes: Callable[[], object]) -> None:
    """Let something happen when a new folder is complete and not yet in its place."""
    give_to_owner = folder.give_to_owner

    def meanwhile(directory: str, made: Path) -> None:
        give_to_owner(directory, made)
        comes()

    monkeypatch.setattr(folder, "give_to_owner", meanwhile)


def test_a_queue_that_comes_while_a_new_one_is_made_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, other = tmp_path / "queue", tmp_path / "other"
    queue.mkdir()
    other.mkdir()
    fill(other, *names(1, 2))
    _come_meanwhile(monkeypatch, lambda: (other / FOLDER).rename(queue / FOLDER))
    reported: list[tuple[object, ...]] = []
    nothing = Held(Entries([], [], []), [], complete=True)
    opening = Opening(str(queue), None, lambda: nothing, lambda *what: reported.append(what), lambda: None)
    store, found = opening.open()
    store.close()
    assert found is not None
    assert not found.numbers
    ((message, path, _, aside, number),) = reported
    assert (message, path, number) == ("PYD2_QUEUE_SET_ASIDE", queue / DATABASE, 2)
    assert aside == queue / f"{FOLDER}.aside-1"


def test_the_old_folder_comes_back_when_the_new_one_cannot_take_its_place(
    damaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _come_meanwhile(monkeypatch, lambda: shutil.rmtree(damaged / folder.NEW))
    before = (damaged / FOLDER).stat().st_ino
    with pytest.raises(StoreError):
        folder.replace(str(damaged), Entries.of(entries(1)), [])
    assert (damaged / FOLDER).stat().st_ino == before
    assert folder.others(str(damaged)) == []
