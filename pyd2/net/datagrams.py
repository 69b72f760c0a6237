"""Datagrams by the batch: one system call for many where that is compiled, else one for each."""

from __future__ import annotations

import errno
from array import array
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

BATCH: Final = 128
"""Datagrams of the largest batch."""

LIMIT: Final = 8192
"""Octets of the longest datagram that is received whole."""


class Datagrams(Protocol):
    """The face; what serves one thread may have buffers of its own."""

    def receive(self, sock: socket.socket, count: int, size: int) -> tuple[Sequence[bytes], int]:
        """Return what has arrived, at most ``count`` (up to BATCH), and the errno of what went wrong, or 0.

        It is there until the next call. Datagrams longer than ``size`` (up to LIMIT) octets are cut. Fewer
        than ``count`` and no errno: there is nothing more. What came before an error is returned with it or
        before it.
        """

    def send(self, sock: socket.socket, messages: Sequence[bytes]) -> tuple[int, int]:
        """Send from a connected socket; return how many were sent, and the errno of the next one, or 0.

        Fewer than all and no errno: the next call sends on, or says what is wrong.
        """


class PlainDatagrams:
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


class CompiledDatagrams:
    """One system call for each batch. Raises ImportError if it was not built."""

    def __init__(self) -> None:
        from pyd2.packets.batch import DatagramBatch
        from pyd2.packets.wire import ffi, lib

        assert lib.WIRE_BATCH_MAX == BATCH
        self._make = DatagramBatch
        self._receive = lib.wire_receive
        self._send = lib.wire_send
        self._from_buffer = ffi.from_buffer
        # The kernel touches only the pages that it fills.
        self._room = ffi.new("uint8_t[]", BATCH * LIMIT)
        self._sizes = ffi.new("uint32_t[]", BATCH)

    def receive(self, sock: socket.socket, count: int, size: int) -> tuple[Sequence[bytes], int]:
        """See Datagrams."""
        received = self._receive(sock.fileno(), self._room, BATCH * LIMIT, size, self._sizes, count)
        if received <= 0:
            return [], 0 if received == -errno.EAGAIN else -received
        return self._make(self._room, size, self._sizes, received), 0

    def send(self, sock: socket.socket, messages: Sequence[bytes]) -> tuple[int, int]:
        """See Datagrams."""
        messages = messages[:BATCH]
        sizes = self._from_buffer("uint32_t[]", array("I", map(len, messages)))
        octets = b"".join(messages)
        sent = self._send(sock.fileno(), octets, len(octets), sizes, len(messages))
        return (sent, 0) if sent >= 0 else (0, -sent)


def make_datagrams(layer: str) -> Datagrams:
    """Return what goes with a packet layer, by the layer's name."""
    return CompiledDatagrams() if layer == "compiled" else PlainDatagrams()
