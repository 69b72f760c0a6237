"""Datagrams by the batch: the interface, and one system call for each. ``net/native.py`` has one for many."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final, Protocol

from pyd2.net.outbox import PythonOutbox

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from pyd2.net.outbox import Outbox
    from pyd2.update.inflight.contract import Outgoing
    from pyd2.update.server.lane import Lane

BATCH: Final = 128
"""Datagrams of the largest batch."""

LIMIT: Final = 8192
"""Octets of the longest datagram that is received whole."""


class Datagrams(Protocol):
    """The interface; an object serves one thread, since it may have buffers of its own."""

    def receive(self, sock: socket.socket, count: int, size: int) -> tuple[Sequence[bytes], int]:
        """Return what has arrived, at most ``count`` (up to BATCH), and the errno of what went wrong, or 0.

        The datagrams stay valid until the next call. Those longer than ``size`` (up to LIMIT) octets are cut.
        Fewer than ``count`` and no errno: there is nothing more. What came before an error is returned with
        it or before it.
        """

    def send(self, sock: socket.socket, messages: Sequence[bytes]) -> tuple[int, int]:
        """Send from a connected socket; return how many were sent, and the errno of the next one, or 0.

        Fewer than all and no errno: the next call sends on, or says what is wrong.
        """

    def posted(self, lane: Lane, refused: Callable[[int], None]) -> Outbox:
        """Return the outbox into which the tries of the same back end post the messages to a server.

        ``refused`` gets the errno when the kernel refuses to cut messages to that server into segments.
        """

    def waiting(self, lane: Lane) -> Sequence[Outgoing]:
        """Return what the tries have posted to a server and is not sent yet."""


class PythonDatagrams:
    """One system call for each datagram."""

    def receive(self, sock: socket.socket, count: int, size: int) -> tuple[Sequence[bytes], int]:
        """See Datagrams."""
        receive = sock.recv
        found: list[bytes] = []
        try:
            for _ in range(count):
                found.append(receive(size))  # noqa: PERF401  what came before an error counts
        except BlockingIOError:
            pass
        except OSError as error:
            return found, error.errno or errno.EIO
        return found, 0

    def send(self, sock: socket.socket, messages: Sequence[bytes]) -> tuple[int, int]:
        """See Datagrams."""
        sent = 0
        try:
            for message in messages:
                sock.send(message)
                sent += 1
        except OSError as error:
            return sent, error.errno or errno.EIO
        return sent, 0

    def posted(self, _lane: Lane, _refused: Callable[[int], None]) -> Outbox:
        """See Datagrams; tries in Python hand all their messages to the engine, so it stays empty."""
        return PythonOutbox(self.send)

    def waiting(self, _lane: Lane) -> Sequence[Outgoing]:
        """See Datagrams."""
        return ()
