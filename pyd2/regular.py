"""Opens files of which only regular ones are good: a FIFO or a device may block for ever when it is opened.

Every file that a configuration or a command names is opened here, or with the same flags where other kinds
are good, too: log files (``pyd2.observe.appenders``) and what ``config-write`` writes.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import time
from typing import Final

CAREFUL: Final = os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
"""Flags with which opening never blocks, and a terminal does not become the daemon's."""

PIPE_SECONDS: Final = 10.0
"""How long the writer of a pipe may be silent."""

_CHUNK: Final = 1 << 20


class UnfitFileError(OSError):
    """The file is there and of a kind that cannot be used; ``strerror`` says so."""


def open_regular(path: str, flags: int = os.O_RDONLY, mode: int = 0o666, *, follow: bool = True) -> int:
    """Open a file and return its descriptor, without waiting.

    ``follow``: a symbolic link as the last part of the path is followed; it must not be where a daemon with
    rights creates or empties a file. Raises OSError, UnfitFileError when the file is no regular one,
    IsADirectoryError, and ValueError for a NUL in the path.
    """
    fd = os.open(path, flags | CAREFUL | (0 if follow else os.O_NOFOLLOW), mode)
    kind = os.fstat(fd).st_mode
    if stat.S_ISREG(kind):
        return fd
    os.close(fd)
    if stat.S_ISDIR(kind):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    raise UnfitFileError(errno.EINVAL, "it is no regular file", path)


def read_regular(path: str, limit: int) -> bytes:
    """Return at most ``limit`` octets of a file. Raises as open_regular does."""
    fd = open_regular(path)
    try:
        return _read(fd, limit, None)
    finally:
        os.close(fd)


def read_any(path: str, limit: int) -> bytes:
    """Return at most ``limit`` octets of a file, a pipe or a device.

    Raises OSError, UnfitFileError when a pipe's writer is silent for PIPE_SECONDS, and ValueError for a NUL.
    """
    fd = os.open(path, os.O_RDONLY | CAREFUL)
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return _read(fd, limit, None if stat.S_ISREG(os.fstat(fd).st_mode) else poll)
    finally:
        os.close(fd)


def _read(fd: int, limit: int, poll: select.poll | None) -> bytes:
    octets = bytearray()
    ends = time.monotonic() + PIPE_SECONDS
    while len(octets) < limit:
        # A pipe that had no writer yet is at its end for read(), and not ready for poll().
        if poll is not None and not poll.poll(max(0.0, ends - time.monotonic()) * 1000):
            raise UnfitFileError(errno.ETIMEDOUT, f"nothing has come from it for {PIPE_SECONDS:g} seconds")
        try:
            chunk = os.read(fd, min(_CHUNK, limit - len(octets)))
        except BlockingIOError:
            continue
        if not chunk:
            break
        octets += chunk
        ends = time.monotonic() + PIPE_SECONDS
    return bytes(octets)
