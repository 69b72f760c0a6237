"""Locks shared with other processes (contract, section 1).

Each write of log lines holds ``logger_lockfile``, and for a file that rolls also its ``.lock``.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import Final

from pyd2.regular import open_regular

_TIMEOUT: Final = 0.05
"""Seconds to wait for a process that released the lock in time before."""


class LockFile:
    """A lock file shared with other processes; the lock is POSIX's, on the first byte, as Kea's is.

    Kea waits for the lock for ever. Here a process that does not release it costs 50 ms once. Until the lock
    is free again, lines are written without it and without a wait.
    """

    def __init__(self, path: str, mode: int, *, whatever_umask: bool = False) -> None:
        self.path = path
        self._mode = mode
        self._whatever_umask = whatever_umask
        self._fd = -1
        self._held = False
        self._stuck = False

    def open(self) -> None:
        """Open or create the file; raises OSError. A lock without a path does nothing."""
        if not self.path:
            return
        flags = os.O_RDWR | os.O_CREAT
        if self._whatever_umask:
            # The umask belongs to all threads, so it stays.
            with contextlib.suppress(FileExistsError):
                self._fd = open_regular(self.path, flags | os.O_EXCL, self._mode, follow=False)
                os.fchmod(self._fd, self._mode)
                return
        self._fd = open_regular(self.path, flags, self._mode, follow=False)

    def __enter__(self) -> None:
        if self._fd == -1:
            return
        deadline = time.monotonic() + (0.0 if self._stuck else _TIMEOUT)
        while not (self._held or self._try_lock()):
            if time.monotonic() >= deadline:
                self._stuck = True
                return
            time.sleep(0.001)
        self._stuck = False

    def _try_lock(self) -> bool:
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1)
        except OSError:
            return False
        self._held = True
        return True

    def __exit__(self, *_: object) -> None:
        if self._held:
            self._held = False
            with contextlib.suppress(OSError):
                fcntl.lockf(self._fd, fcntl.LOCK_UN, 1)

    def close(self) -> None:
        """Close the file; it stays, because other processes may hold it."""
        if self._fd != -1:
            os.close(self._fd)
            self._fd = -1
