"""The lock shared with other processes; another process holds it here for real."""

import fcntl
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyd2.observe.lockfile import LockFile

HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "r+")
fcntl.lockf(file, fcntl.LOCK_EX, 1)
print("held", flush=True)
sys.stdin.read()
"""
PROBE = """
import fcntl, sys
file = open(sys.argv[1], "r+")
try:
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1)
except OSError:
    sys.exit(1)
"""


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[LockFile]:
    lock = LockFile(str(tmp_path / "lock"), 0o660)
    lock.open()
    yield lock
    lock.close()


def free(lock: LockFile) -> bool:
    """Whether another process could take the lock now."""
    return subprocess.run([sys.executable, "-c", PROBE, lock.path], check=False).returncode == 0


def test_others_are_kept_out_while_it_is_held(lock: LockFile) -> None:
    assert free(lock)
    with lock:
        assert not free(lock)
    assert free(lock)


def test_a_holder_that_does_not_let_go_is_not_waited_for(lock: LockFile) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, lock.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout
        assert holder.stdin
        assert holder.stdout.readline() == b"held\n"
        for _ in range(3):
            with lock:
                pass
        holder.stdin.close()
        holder.wait()
    with lock:
        assert not free(lock)


@pytest.mark.parametrize(("whatever_umask", "mode"), [(True, 0o660), (False, 0o600)])
def test_mode(tmp_path: Path, *, whatever_umask: bool, mode: int) -> None:
    """That of all processes has the contract's mode; that of a rolling file what the umask leaves."""
    umask = os.umask(0o077)
    try:
        lock = LockFile(str(tmp_path / "lock"), 0o660, whatever_umask=whatever_umask)
        lock.open()
        lock.close()
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == mode


def test_the_file_stays(lock: LockFile) -> None:
    with lock:
        pass
    lock.close()
    assert Path(lock.path).exists()
    with lock:  # closed: no lock is taken, and nothing fails
        pass


def test_no_directory(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        LockFile(str(tmp_path / "no" / "lock"), 0o660).open()


def test_without_a_path_nothing_is_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError(arguments)

    for module, name in ((os, "open"), (fcntl, "lockf")):
        monkeypatch.setattr(module, name, refuse)
    lock = LockFile("", 0o660)
    lock.open()
    with lock:
        pass
    lock.close()


@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_only_a_file_of_its_own_is_a_lock(tmp_path: Path, kind: str) -> None:
    """A link would make the daemon create a file that another user has chosen."""
    path, target = tmp_path / "lock", tmp_path / "target"
    if kind == "link":
        path.symlink_to(target)
    else:
        os.mkfifo(path)
    for whatever_umask in (False, True):
        with pytest.raises(OSError, match=r"symbolic link|no regular file"):
            LockFile(str(path), 0o660, whatever_umask=whatever_umask).open()
    assert not target.exists()


def test_a_refused_lock_is_done_without(lock: LockFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    inside = False
    with lock:
        inside = True
        assert free(lock)
    assert inside
