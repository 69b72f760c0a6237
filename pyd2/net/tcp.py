"""DNS over TCP, for updates that do not fit in a UDP datagram (RFC 2136 section 6.2, RFC 7766).

One connection per server, opened when it is needed, pipelined, closed when idle.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Generic, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

Sent = TypeVar("Sent")

IDLE_SECONDS: Final = 30.0
"""A connection on which nothing moves for so long is closed (RFC 7766, section 6.2.3).

What is still unanswered then has failed: a server that takes so long is gone.
"""


class TcpLink(asyncio.Protocol, Generic[Sent]):
    """The TCP connection to one DNS server.

    ``on_reply`` gets what was sent and the datagram-like reply. ``on_failure`` gets what was sent and the
    reason, for everything still unanswered when the connection cannot be made or ends.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        address: str,
        port: int,
        on_reply: Callable[[Sent, bytes], None],
        on_failure: Callable[[Sent, str], None],
    ) -> None:
        self._loop = loop
        self._address = address
        self._port = port
        self._on_reply = on_reply
        self._on_failure = on_failure
        self._transport: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._unsent: list[bytes] = []
        self._waiting: dict[bytes, Sent] = {}
        self._received = bytearray()

    def send(self, message: bytes, sent: Sent) -> None:
        """Send a message; its reply is recognised by the query id, the first two octets."""
        if message[:2] in self._waiting:
            self._loop.call_soon(self._on_failure, sent, "query ID in use on this connection")
            return
        self._waiting[message[:2]] = sent
        framed = len(message).to_bytes(2, "big") + message
        if self._transport is not None:
            self._transport.write(framed)
            self._watch_idle()
            return
        self._unsent.append(framed)
        if self._connecting is None:
            self._connecting = self._loop.create_task(self._connect())

    def close(self) -> None:
        """Close at once; nothing is reported."""
        self._waiting.clear()
        self._unsent.clear()
        if self._connecting is not None:
            self._connecting.cancel()
        if self._idle is not None:
            self._idle.cancel()
        if self._transport is not None:
            self._transport.abort()

    async def _connect(self) -> None:
        try:
            await self._loop.create_connection(lambda: self, self._address, self._port)
        except OSError as error:
            self._fail(error.strerror or str(error))
        finally:
            self._connecting = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send what has waited for the connection."""
        # A cast, since uvloop's transports are not subclasses of asyncio's.
        connected = self._transport = cast("asyncio.Transport", transport)
        self._received.clear()
        connected.writelines(self._unsent)
        self._unsent.clear()
        self._watch_idle()

    def data_received(self, data: bytes) -> None:
        """Cut the stream into messages (RFC 1035, section 4.2.2)."""
        received = self._received
        received += data
        while len(received) >= 2:
            end = 2 + int.from_bytes(received[:2], "big")
            if len(received) < end:
                break
            message = bytes(received[2:end])
            del received[:end]
            sent = self._waiting.pop(message[:2], None)
            if sent is not None:
                self._on_reply(sent, message)
        self._watch_idle()

    def connection_lost(self, exc: Exception | None) -> None:
        """Report what stays without an answer."""
        self._transport = None
        if self._idle is not None:
            self._idle.cancel()
        self._fail(str(exc) if exc is not None else "connection closed")

    def _fail(self, reason: str) -> None:
        self._unsent.clear()
        waiting = list(self._waiting.values())
        self._waiting.clear()
        for sent in waiting:
            self._on_failure(sent, reason)

    def _watch_idle(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        assert self._transport is not None
        self._idle = self._loop.call_later(IDLE_SECONDS, self._transport.abort)
