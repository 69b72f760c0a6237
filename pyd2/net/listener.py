"""The UDP socket on which NameChangeRequests arrive (contract, section 3).

The socket is drained at once whenever it is readable: requests wait in the engine's queue, which is
counted and bounded, and not in the kernel's buffer, which drops in silence.
"""

from __future__ import annotations

import os
import socket
import struct
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Final

from pyd2.config.addresses import address_text
from pyd2.net.addresses import socket_address

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from pyd2.config.addresses import Address
    from pyd2.net.datagrams import Datagrams
    from pyd2.net.read_turns import ReadTurns

RECEIVE_BUFFER: Final = 128 * 1024 * 1024
"""Octets asked of the kernel; it holds some 200,000 requests. Linux's default holds about 170.

Only waiting datagrams take memory; ``net.ipv4.udp_mem``, a part of the machine's memory, bounds it.
"""

DATAGRAM_LIMIT: Final = 4096
"""Kea's receive buffer: a longer datagram is cut (contract, section 3)."""

BATCH: Final = 128
"""Datagrams read before the loop gets its turn, so that a flood starves neither DNS nor control channel."""

LAST_BATCHES: Final = 4096
"""Batches read before closing: more than the kernel's buffer holds, and an end even under a flood."""

# Linux's <asm-generic/socket.h> and <linux/sock_diag.h>; Python's socket module does not name them.
SO_RCVBUFFORCE: Final = 33
SO_MEMINFO: Final = 55
_MEMINFO: Final = struct.Struct("=9I")
_MEMINFO_DROPS: Final = 8


class NcrListener:
    """One bound socket; ``on_datagrams`` gets what arrives, at most BATCH at a time."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_datagrams: Callable[[Sequence[bytes]], None],
        on_error: Callable[[OSError], None],
        datagrams: Datagrams,
        turns: ReadTurns,
    ) -> None:
        self._loop = loop
        self.datagrams = datagrams
        self._turns = turns
        self._on_datagrams = on_datagrams
        self._on_error = on_error
        self.socket: socket.socket | None = None
        """While it is open."""
        self.bound_to: tuple[str, int] | None = None
        """Address and port while the socket is open."""
        self.buffer_size = 0
        """The size that the kernel granted, in octets."""

    def open(self, address: Address, port: int, bound: socket.socket | None = None) -> None:
        """Bind and start to read; ``bound`` is a socket that is bound there already.

        Raises OSError when the address cannot be bound.
        """
        self.bind(address, port, bound)
        self.start()

    def bind(self, address: Address, port: int, bound: socket.socket | None = None) -> None:
        """Bind only: the kernel keeps what arrives until ``start``.

        No SO_REUSEADDR: a second instance must fail rather than take the traffic unnoticed.
        Raises OSError when the address cannot be bound.
        """
        sock = bound or self._new_socket(address, port)
        try:
            sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
        except PermissionError:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self.buffer_size = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        self.socket = sock
        self.bound_to = (address_text(address), port)

    def start(self) -> None:
        """Start to read, unless the socket has been closed again."""
        if self.socket is not None:
            self._loop.add_reader(self.socket.fileno(), self._readable)

    @staticmethod
    def _new_socket(address: Address, port: int) -> socket.socket:
        family = socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            sock.bind(socket_address(address, port))
        except OSError:
            sock.close()
            raise
        return sock

    def drain(self, on_closed: Callable[[], None]) -> None:
        """Close once the kernel's datagrams have been handed over, a batch in each turn of the loop.

        ``bound_to`` is None at once. If the kernel holds less than a batch, all is done before this returns.
        ``close`` ends it without calling ``on_closed``.
        """
        if self.socket is None:
            on_closed()
            return
        self.bound_to = None
        self._turns.request_socket_waits = False
        self._loop.remove_reader(self.socket.fileno())
        self._drain_some(LAST_BATCHES, on_closed)

    def _drain_some(self, batches: int, on_closed: Callable[[], None]) -> None:
        """Read a batch of ``batches`` that may still be read."""
        if self.socket is None:
            return
        if not self._read_last(self.socket) or batches == 1:
            self.close(hand_over=False)
            on_closed()
        else:
            self._loop.call_soon(self._drain_some, batches - 1, on_closed)

    def close(self, *, hand_over: bool = True) -> None:
        """Stop reading and close the port; before that, ``hand_over`` the kernel's datagrams."""
        sock = self.socket
        if sock is None:
            return
        for _ in range(LAST_BATCHES if hand_over else 0):
            if not self._read_last(sock):
                break
        self.socket = None
        self.bound_to = None
        self._loop.remove_reader(sock.fileno())
        sock.close()

    def kernel_drops(self) -> int:
        """Return how many datagrams the kernel has dropped at this socket for want of buffer."""
        if self.socket is None:
            return 0
        words = self.socket.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, _MEMINFO.size)
        return int(_MEMINFO.unpack(words)[_MEMINFO_DROPS])

    def _readable(self) -> None:
        turns = self._turns
        if turns.requests_unread:
            return
        if not turns.request_socket_waits and turns.used_up():
            turns.request_socket_waits = True  # the loop will find it readable once more
            return
        turns.request_socket_waits = False
        sock = self.socket
        if sock is not None:
            self._read(sock, int(BATCH * turns.share))

    def _read_last(self, sock: socket.socket) -> bool:
        """Read a batch before closing; return whether the kernel may hold more.

        A fault of one batch is reported, for the others and the port that follows must not be lost with it.
        """
        try:
            return self._read(sock, BATCH) == BATCH
        except Exception as error:
            message = "a batch of requests was lost; those behind it are read"
            self._loop.call_exception_handler({"message": message, "exception": error})
            return True

    def _read(self, sock: socket.socket, most: int) -> int:
        """Read up to that many datagrams, hand them over and return their number."""
        datagrams, error = self.datagrams.receive(sock, most, DATAGRAM_LIMIT)
        if error:
            self._on_error(OSError(error, os.strerror(error)))
        if datagrams:
            self._on_datagrams(datagrams)
        return len(datagrams)
