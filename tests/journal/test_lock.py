"""The lock on a directory of the durable queue."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pyd2.journal.lock import LOCK_FILE, DirectoryLock, InUseError

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
    code = ("import os, signal, sys\nfrom pyd2.journal.lock import DirectoryLock\n"
            "lock = DirectoryLock(sys.argv[1])\nos.kill(os.getpid(), signal.SIGKILL)\n")
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode < 0
    assert (tmp_path / LOCK_FILE).read_text().strip().isdecimal()
    DirectoryLock(str(tmp_path)).release()
    assert (tmp_path / LOCK_FILE).read_text() == f"{os.getpid()}\n"


def test_the_directory_is_made_with_a_tight_mode(tmp_path: Path) -> None:
    directory = tmp_path / "queue"
    DirectoryLock(str(directory)).release()
    assert directory.stat().st_mode & 0o777 == 0o750
    assert (directory / LOCK_FILE).stat().st_mode & 0o137 == 0
    with pytest.raises(FileNotFoundError):
        DirectoryLock(str(tmp_path / "absent" / "queue"))
    with pytest.raises(NotADirectoryError):
        DirectoryLock(str(directory / LOCK_FILE))
