"""Disks that are full or read-only, for whoever runs the tests."""

import contextlib
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.kit.process import Process

Mend = Callable[[], None]


@contextlib.contextmanager
def small_disk(directory: Path, size: int) -> Iterator[bool]:
    """Put a file system of ``size`` octets on a directory; False if mounts are not permitted."""
    mounted = _mount("-t", "tmpfs", "-o", f"size={size},mode=0750", "tmpfs", directory)
    try:
        yield mounted
    finally:
        if mounted:
            _unmount(directory)


def fill(process: Process, directory: Path, size: int, *, mounted: bool) -> Mend:
    """Fill a small disk, or limit the size of the process's files; return the function that repairs it."""
    if mounted:
        ballast = directory / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * 4096)
        return ballast.unlink
    before = resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    return lambda: resource.prlimit(process.pid, resource.RLIMIT_FSIZE, before) and None


@contextlib.contextmanager
def read_only(directory: Path) -> Iterator[Mend]:
    """Make a directory and its files read-only; yields what mends that."""
    mended = False
    mounted = _mount("--bind", directory, directory)
    if mounted:
        assert _mount("-o", "remount,bind,ro", directory)
    else:
        assert os.geteuid() != 0, "root writes in spite of modes, and may not mount here"
        _set_modes(directory, 0o440, 0o550)

    def mend() -> None:
        nonlocal mended
        if not mended:
            mended = True
            if mounted:
                _unmount(directory)
            else:
                _set_modes(directory, 0o640, 0o750)

    try:
        yield mend
    finally:
        mend()


def _mount(*arguments: str | Path) -> bool:
    if os.geteuid() != 0:
        return False
    done = subprocess.run(["mount", *map(str, arguments)], check=False, capture_output=True)
    return done.returncode == 0


def _unmount(directory: Path) -> None:
    subprocess.run(["umount", "--lazy", str(directory)], check=True)


def _set_modes(directory: Path, files: int, folder: int) -> None:
    directory.chmod(0o750)
    for path in directory.iterdir():
        if path.is_dir():
            _set_modes(path, files, folder)
        else:
            path.chmod(files)
    directory.chmod(folder)
