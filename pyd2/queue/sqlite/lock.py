"""The lock on a directory of the durable queue: one daemon at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Final

from pyd2.queue.interface import InUseError

_DIRECTORY_MODE: Final = 0o750


class DirectoryLock:
    """Holds a directory until it is released or the process ends, however it ends.

    The lock is on the directory itself: no file can be removed, belong to another user, or be a link.
    """

    def __init__(self, directory: str) -> None:
        """Lock the directory, which is made if only its last part is missing.

        Raises InUseError when another process has it, OSError when the directory cannot be used.
        """
        with contextlib.suppress(FileExistsError):
            Path(directory).mkdir(_DIRECTORY_MODE)
        self._descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(os.fstat(self._descriptor))
            os.close(self._descriptor)
            raise InUseError(f"the durable queue in {directory} is in use by {holder}") from None

    def is_of(self, directory: str) -> bool:
        """Whether this is the directory that has this path now, however it is spelled."""
        with contextlib.suppress(OSError):
            return os.path.samestat(os.fstat(self._descriptor), Path(directory).stat())
        return False

    def release(self) -> None:
        """Release the directory."""
        os.close(self._descriptor)


def _holder(directory: os.stat_result) -> str:
    """Return which process has the lock, as far as the kernel says: proc(5), /proc/locks."""
    holder = "another process"
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()
            if fields[1] != "FLOCK":
                continue  # among them the processes that wait, which begin with "->"
            major, minor, inode = fields[5].split(":")
            if int(inode) == directory.st_ino:
                holder = f"process {fields[4]}"
                if os.makedev(int(major, 16), int(minor, 16)) == directory.st_dev:
                    break  # in some file systems the kernel's device is not that of stat
    return holder
