"""The sockets towards one DNS server: a few UDP ports, renewed all the time, and a TCP connection on demand.

Kea opens a socket with a fresh port for every try. A few connected sockets that are replaced every few
seconds are as hard to hit for a forger who is not on the path (he must guess address, port and query ID),
let the kernel drop what comes from elsewhere, and cost no system calls per try.
"""

from __future__ import annotations

import errno
import socket
from collections import deque
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Final

from pyd2.net.addresses import socket_address
from pyd2.net.tcp import TcpLink

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from pyd2.update.engine import Outgoing
    from pyd2.update.lane import Lane

RENEW_SECONDS: Final = 10.0
"""Age at which a socket gives way to one with another port."""

LINGER_SECONDS: Final = 60.0
"""How long a replaced socket goes on listening for the replies to what it sent."""

PAUSE_SECONDS: Final = 0.001
"""How long to wait when the kernel has no room for a datagram."""

BATCH: Final = 64
"""Replies read before the loop gets its turn."""

REPLY_LIMIT: Final = 8192
"""Kea's receive buffer for replies (contract, section 6)."""


class ServerSockets:
    """Sends to one DNS server and reads its replies.

    ``on_replies(lane, slot, datagrams)`` gets what the server answers; ``on_failure(outgoing, error)`` gets
    what cannot be sent, with the errno or the reason.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        lane: Lane,
        on_replies: Callable[[Lane, int, list[bytes]], None],
        on_failure: Callable[[Outgoing, int | str], None],
    ) -> None:
        self._loop = loop
        self._lane = lane
        self._on_replies = on_replies
        self._on_failure = on_failure
        self._family = socket.AF_INET6 if isinstance(lane.address, IPv6Address) else socket.AF_INET
        self._current: dict[int, tuple[socket.socket, float]] = {}
        self._retired: dict[socket.socket, asyncio.TimerHandle] = {}
        self._unsent: deque[Outgoing] = deque()
        """What the kernel had no room for, in order."""
        self._again: asyncio.TimerHandle | None = None
        self._tcp: TcpLink[Outgoing] | None = None

    def send(self, outgoing: Outgoing, now: float) -> None:
        """Send a message; ``now`` is monotonic seconds."""
        if outgoing.tcp:
            if self._tcp is None:
                self._tcp = TcpLink(
                    self._loop, str(self._lane.address), self._lane.port, self._tcp_reply, self._on_failure
                )
            self._tcp.send(outgoing.message, outgoing)
            return
        found = self._current.get(outgoing.slot)
        if found is None or now - found[1] > RENEW_SECONDS:
            try:
                self._open(outgoing.slot, now)
            except OSError as error:
                self._on_failure(outgoing, error.errno or str(error))
                return
        if self._unsent or not self._send(outgoing):
            self._unsent.append(outgoing)
            if self._again is None:
                self._again = self._loop.call_later(PAUSE_SECONDS, self._send_unsent)

    def close(self) -> None:
        """Close all sockets; what is under way stays without an answer."""
        if self._tcp is not None:
            self._tcp.close()
        if self._again is not None:
            self._again.cancel()
        self._unsent.clear()
        for timer in self._retired.values():
            timer.cancel()
        for sock in (*(sock for sock, _ in self._current.values()), *self._retired):
            self._loop.remove_reader(sock.fileno())
            sock.close()
        self._current.clear()
        self._retired.clear()

    def _send(self, outgoing: Outgoing) -> bool:
        """Send over UDP; return False when the kernel has no room just now."""
        sock, _ = self._current[outgoing.slot]
        try:
            try:
                sock.send(outgoing.message)
            except ConnectionRefusedError:
                # The ICMP error of an *earlier* message, which hid this one: then once more.
                self._loop.call_soon(self._watch_again, sock, outgoing.slot)
                sock.send(outgoing.message)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.ENOBUFS):
                return False
            if error.errno != errno.ECONNREFUSED:
                self._on_failure(outgoing, error.errno or str(error))
        return True

    def _send_unsent(self) -> None:
        self._again = None
        while self._unsent:
            if not self._send(self._unsent[0]):
                self._again = self._loop.call_later(PAUSE_SECONDS, self._send_unsent)
                return
            self._unsent.popleft()

    def _open(self, slot: int, now: float) -> None:
        sock = socket.socket(self._family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            sock.connect(socket_address(self._lane.address, self._lane.port))
        except OSError:
            sock.close()
            raise
        self._loop.add_reader(sock.fileno(), self._readable, sock, slot)
        found = self._current.get(slot)
        if found is not None:
            self._retired[found[0]] = self._loop.call_later(LINGER_SECONDS, self._close_retired, found[0])
        self._current[slot] = sock, now

    def _close_retired(self, sock: socket.socket) -> None:
        del self._retired[sock]
        self._loop.remove_reader(sock.fileno())
        sock.close()

    def _readable(self, sock: socket.socket, slot: int) -> None:
        receive = sock.recv
        datagrams: list[bytes] = []
        try:
            for _ in range(BATCH):
                datagrams.append(receive(REPLY_LIMIT))  # noqa: PERF401  what came before an error counts
        except BlockingIOError:
            pass
        except OSError:
            # An ICMP error for an earlier message: Kea does not see those, the try goes on until its timeout
            # (contract, section 6).
            self._loop.call_soon(self._watch_again, sock, slot)
        else:
            self._loop.call_soon(self._watch_again, sock, slot)  # an error may stand behind a full batch
        if datagrams:
            self._on_replies(self._lane, slot, datagrams)

    def _watch_again(self, sock: socket.socket, slot: int) -> None:
        """Go on listening after an error on the socket: libuv stops watching it then, without a word.

        Called when the loop has dealt with what it knows, or it would stop once more for the same error.
        """
        if sock.fileno() >= 0:
            self._loop.remove_reader(sock.fileno())
            self._loop.add_reader(sock.fileno(), self._readable, sock, slot)

    def _tcp_reply(self, outgoing: Outgoing, message: bytes) -> None:
        self._on_replies(self._lane, outgoing.slot, [message])
