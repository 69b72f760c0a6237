"""DNS over TCP (RFC 2136 section 6.2, RFC 7766) or TLS (RFC 7858), for large updates or by choice.

One connection per server, opened when it is needed, pipelined, closed when idle or stuck.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar, cast

from pyd2.config.tls import TlsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.config.tls import TlsSwitches

Sent = TypeVar("Sent")

IDLE_SECONDS: Final = 30.0
"""A connection on which nothing moves for so long is closed (RFC 7766, section 6.2.3)."""


class _Waiting(NamedTuple, Generic[Sent]):
    """A message without its reply."""

    sent: Sent
    framed: bytes
    heard: int
    """How many messages had come from the server when it was sent."""
    expiry: asyncio.TimerHandle


class TcpLink(asyncio.Protocol, Generic[Sent]):
    """The TCP connection to one DNS server, encrypted if ``tls`` says how.

    ``on_reply`` gets what was sent and its reply; None and the message when it answers nothing that waits.
    ``on_failure`` gets what was sent and the reason, for what is unanswered when the connection cannot be
    made or ends. ``patience`` gives the seconds a message waits: then it is forgotten without a report, for
    its sender has a timer of its own, and if nothing at all came meanwhile the connection is given up, so
    that updates whose time has passed do not stay queued in it.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        address: str,
        port: int,
        on_reply: Callable[[Sent | None, bytes], None],
        on_failure: Callable[[Sent, str], None],
        patience: Callable[[], float],
        tls: TlsSwitches | None = None,
    ) -> None:
        self._loop = loop
        self._address = address
        self._port = port
        self._on_reply = on_reply
        self._on_failure = on_failure
        self._patience = patience
        self._tls = tls
        self._transport: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._waiting: dict[bytes, _Waiting[Sent]] = {}
        self._heard = 0
        self._received = bytearray()

    def send(self, message: bytes, sent: Sent) -> None:
        """Send a message; its reply is recognised by the query id, the first two octets."""
        query_id = message[:2]
        if query_id in self._waiting:
            self._loop.call_soon(self._on_failure, sent, "query ID in use on this connection")
            return
        framed = len(message).to_bytes(2, "big") + message
        expiry = self._loop.call_later(self._patience(), self._expire, query_id)
        self._waiting[query_id] = _Waiting(sent, framed, self._heard, expiry)
        if self._transport is not None:
            self._transport.write(framed)
            self._watch_idle()
        elif self._connecting is None:
            self._connecting = self._loop.create_task(self._connect())

    def close(self) -> None:
        """Close at once; nothing is reported."""
        for waiting in self._waiting.values():
            waiting.expiry.cancel()
        self._waiting.clear()
        self._give_up()
        if self._idle is not None:
            self._idle.cancel()

    async def _connect(self) -> None:
        tls = self._tls
        try:
            if tls is None:
                await self._loop.create_connection(lambda: self, self._address, self._port)
            else:
                # The files are read for each connection: certificates are renewed.
                await self._loop.create_connection(
                    lambda: self, self._address, self._port, ssl=tls.make_context(),
                    server_hostname=tls.hostname or self._address,
                )  # fmt: skip
        except OSError as error:
            self._fail(error.strerror or str(error))
        except TlsError as error:
            self._fail(str(error))
        finally:
            self._connecting = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send what has waited for the connection."""
        # A cast, since uvloop's transports are not subclasses of asyncio's.
        connected = self._transport = cast("asyncio.Transport", transport)
        self._received.clear()
        # Each by itself, which over TLS makes each a record: Knot DNS 3.4 reads no second message from one.
        for waiting in self._waiting.values():
            connected.write(waiting.framed)
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
            self._heard += 1
            waiting = self._waiting.pop(message[:2], None)
            if waiting is None:
                self._on_reply(None, message)
            else:
                waiting.expiry.cancel()
                self._on_reply(waiting.sent, message)
        self._watch_idle()

    def connection_lost(self, exc: Exception | None) -> None:
        """Report what stays without an answer."""
        self._transport = None
        if self._idle is not None:
            self._idle.cancel()
        self._fail(str(exc) if exc is not None else "connection closed")

    def _fail(self, reason: str) -> None:
        failed = list(self._waiting.values())
        self._waiting.clear()
        for waiting in failed:
            waiting.expiry.cancel()
            self._on_failure(waiting.sent, reason)

    def _expire(self, query_id: bytes) -> None:
        waiting = self._waiting.pop(query_id)
        if waiting.heard == self._heard:
            self._give_up()

    def _give_up(self) -> None:
        """Drop the connection, with what is still queued in it."""
        if self._transport is not None:
            self._transport.abort()
        elif self._connecting is not None and not self._waiting:
            self._connecting.cancel()

    def _watch_idle(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        if self._transport is not None:
            self._idle = self._loop.call_later(IDLE_SECONDS, self._transport.abort)
