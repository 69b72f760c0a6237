"""The file descriptors and local ports that the sockets to DNS servers may use."""

from __future__ import annotations

import errno
import os
import resource
from math import inf
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

RESERVE: Final = 256
"""File descriptors that stay free for the control channel (128 connections), the log and the queue."""

_SHORTAGE: Final = frozenset({
    errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.ENOBUFS,
    errno.ENOMEM,
})
"""The kernel's errors when descriptors, local ports or memory are exhausted."""

T = TypeVar("T", bound="socket.socket")


def is_shortage(error: OSError) -> bool:
    """Return whether a socket cannot be opened because descriptors, local ports or memory are used up."""
    return error.errno in _SHORTAGE


class Lease:
    """A descriptor that is counted until ``release`` is called, once or more."""

    def __init__(self, on_release: Callable[[], None]) -> None:
        self._on_release: Callable[[], None] | None = on_release

    def release(self) -> None:
        """Stop counting it."""
        if self._on_release is not None:
            self._on_release()
            self._on_release = None


class Descriptors:
    """Counts the sockets to DNS servers, and keeps a reserve of file descriptors for all else.

    ``close_idle`` closes idle sockets, and returns whether there were any.
    """

    def __init__(self, close_idle: Callable[[], bool]) -> None:
        self._close_idle = close_idle
        self._used = 0

    def open(self, make: Callable[[], T]) -> tuple[T, Lease]:
        """Return the socket that ``make`` opens, if need be after idle ones were closed. Raises OSError."""
        lease = self.take()
        try:
            try:
                return make(), lease
            except OSError as error:
                if not is_shortage(error) or not self._close_idle():
                    raise
                return make(), lease
        except BaseException:
            lease.release()
            raise

    def take(self) -> Lease:
        """Count one more socket. Raises OSError (EMFILE) if that would use up the reserve."""
        most = _most()
        if self._used >= most and not (self._close_idle() and self._used < most):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        self._used += 1
        return Lease(self._release)

    @property
    def plenty(self) -> bool:
        """Whether there are enough for sockets that a server can do without."""
        return self._used < _most() / 2

    def _release(self) -> None:
        self._used -= 1


def _most() -> float:
    """Return how many sockets there may be: read each time, for the limit can be changed from outside."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return inf if limit == resource.RLIM_INFINITY else limit - min(RESERVE, limit // 2)
