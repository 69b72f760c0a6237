"""The lock on a directory of the durable queue: one daemon at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Final

from pyd2.errors import Pyd2Error

LOCK_FILE: Final = "pyd2-queue.lock"
"""A file of its own: closing the database's file a second time would give up SQLite's locks on it."""

_DIRECTORY_MODE: Final = 0o750


class InUseError(Pyd2Error):
    """Another process has the directory."""


class DirectoryLock:
    """Holds a directory until it is released or the process ends, however it ends."""

    def __init__(self, directory: str) -> None:
        """Take the lock; the directory is made if only its last part is missing.

        Raises InUseError when another process has it, OSError when the directory cannot be used.
        """
        self.directory: Final = directory
        path = Path(directory, LOCK_FILE)
        if not path.parent.exists():
            path.parent.mkdir(_DIRECTORY_MODE)
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError:
            if not path.exists():
                raise
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._file = os.fdopen(file, "rb")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = self._file.read(20).decode("ascii", "replace").strip() or "unknown"
            self._file.close()
            raise InUseError(f"the durable queue in {directory} is in use by process {holder}") from None
        # Who asks in vain is told the holder; a disk that is full or read-only keeps that to itself.
        with contextlib.suppress(OSError):
            os.ftruncate(file, 0)
            os.pwrite(file, b"%d\n" % os.getpid(), 0)

    @property
    def in_place(self) -> bool:
        """Whether the file is still there; else the next process will not see that it is locked."""
        with contextlib.suppress(OSError):
            return os.path.samestat(os.fstat(self._file.fileno()), Path(self.directory, LOCK_FILE).stat())
        return False

    def release(self) -> None:
        """Give the directory back."""
        self._file.close()
