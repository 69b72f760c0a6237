"""The lock on a directory of the durable queue."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pyd2.queue.interface import InUseError
from pyd2.queue.sqlite.lock import DirectoryLock

if TYPE_CHECKING:
    from pathlib import Path


def test_one_at_a_time(tmp_path: Path) -> None:
    lock = DirectoryLock(str(tmp_path))
    text = f"^the durable queue in {tmp_path} is in use by process {os.getpid()}$"
    with pytest.raises(InUseError, match=text):
        DirectoryLock(str(tmp_path))
    lock.release()
    DirectoryLock(str(tmp_path)).release()


def test_a_process_that_dies_gives_it_back(tmp_path: Path) -> None:
    code = ("import os, signal, sys\nfrom pyd2.queue.sqlite.lock import DirectoryLock\n"
            "lock = DirectoryLock(sys.argv[1])\nos.kill(os.getpid(), signal.SIGKILL)\n")
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode < 0
    DirectoryLock(str(tmp_path)).release()


def test_it_is_no_file_that_could_be_removed_or_be_a_link(tmp_path: Path) -> None:
    """The lock file of before: removed, a second daemon started; as a link, its target was cut to a PID."""
    target = tmp_path / "target"
    target.write_text("of great worth")
    directory = tmp_path / "queue"
    directory.mkdir()
    (directory / "pyd2-queue.lock").symlink_to(target)
    lock = DirectoryLock(str(directory))
    for entry in directory.iterdir():
        entry.unlink()
    with pytest.raises(InUseError):
        DirectoryLock(str(directory))
    lock.release()
    assert target.read_text() == "of great worth"
    assert not list(directory.iterdir())


def test_a_directory_is_the_same_however_it_is_spelled(tmp_path: Path) -> None:
    (tmp_path / "queue").mkdir()
    (tmp_path / "link").symlink_to("queue")
    lock = DirectoryLock(str(tmp_path / "queue"))
    assert lock.is_of(f"{tmp_path}//queue/")
    assert lock.is_of(str(tmp_path / "link"))
    assert not lock.is_of(str(tmp_path))
    assert not lock.is_of(str(tmp_path / "absent"))
    (tmp_path / "queue").rename(tmp_path / "moved")
    (tmp_path / "queue").mkdir()
    assert not lock.is_of(str(tmp_path / "queue"))
    lock.release()


def test_the_directory_is_made_with_a_tight_mode(tmp_path: Path) -> None:
    directory = tmp_path / "queue"
    DirectoryLock(str(directory)).release()
    assert directory.stat().st_mode & 0o777 == 0o750
    with pytest.raises(FileNotFoundError):
        DirectoryLock(str(tmp_path / "absent" / "queue"))
    (directory / "file").touch()
    with pytest.raises(NotADirectoryError):
        DirectoryLock(str(directory / "file"))
