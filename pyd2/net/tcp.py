"""DNS over TCP (RFC 2136 section 6.2, RFC 7766) or TLS (RFC 7858), for large updates or by choice.

One connection per server, opened when it is needed, pipelined, closed when idle or stuck.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar, cast

from pyd2.config.tls import TlsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from ssl import SSLContext

    from pyd2.config.tls import TlsSwitches

Sent = TypeVar("Sent")
T = TypeVar("T")

IDLE_SECONDS: Final = 30.0
"""A connection on which nothing moves for so long is closed (RFC 7766, section 6.2.3)."""

CONNECT_SECONDS: Final = 5.0
"""How long the making of a connection may take at least, however short messages wait: a far server needs some
round trips for it. Then another attempt is better, for TCP asks a silent host ever more rarely.
"""


class _Waiting(NamedTuple, Generic[Sent]):
    """A message without its reply."""

    sent: Sent
    framed: bytes
    heard: int
    """How many messages had come from the server when it was sent."""
    expiry: asyncio.TimerHandle


class _Connection(asyncio.Protocol):
    """One TCP connection: cuts the stream into messages (RFC 1035, section 4.2.2)."""

    def __init__(
        self,
        on_open: Callable[[_Connection], None],
        on_message: Callable[[_Connection, bytes], None],
        on_end: Callable[[_Connection, str], None],
    ) -> None:
        self.transport: asyncio.Transport
        """From ``on_open`` on."""
        self._on_open = on_open
        self._on_message = on_message
        self._on_end = on_end
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, since uvloop's transports are not subclasses of asyncio's.
        self.transport = cast("asyncio.Transport", transport)
        self._on_open(self)

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        while len(received) >= 2:
            end = 2 + int.from_bytes(received[:2], "big")
            if len(received) < end:
                break
            message = bytes(received[2:end])
            del received[:end]
            self._on_message(self, message)

    def eof_received(self) -> None:
        # What is written from now on would be lost.
        self._on_end(self, "connection closed")

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_end(self, str(exc) if exc is not None else "connection closed")


class TcpLink(Generic[Sent]):
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
        self._connection: _Connection | None = None
        """The present one; what comes from others counts no more."""
        self._connecting: asyncio.Task[None] | None = None
        self._reading: asyncio.Future[SSLContext] | None = None
        """Of the certificates. It goes on when the time for a connection is up: the next one waits for it."""
        self._idle: asyncio.TimerHandle | None = None
        self._waiting: dict[bytes, _Waiting[Sent]] = {}
        self._heard = 0

    def send(self, message: bytes, sent: Sent) -> None:
        """Send a message; its reply is recognised by the query id, the first two octets."""
        query_id = message[:2]
        if query_id in self._waiting:
            self._loop.call_soon(self._on_failure, sent, "query ID in use on this connection")
            return
        framed = len(message).to_bytes(2, "big") + message
        expiry = self._loop.call_later(self._patience(), self._expire, query_id)
        self._waiting[query_id] = _Waiting(sent, framed, self._heard, expiry)
        if self._connection is not None:
            self._connection.transport.write(framed)
            self._watch_idle()
        elif self._connecting is None:
            self._connecting = self._loop.create_task(self._connect())

    def close(self) -> None:
        """Close at once; nothing is reported."""
        for waiting in self._waiting.values():
            waiting.expiry.cancel()
        self._waiting.clear()
        if self._connecting is not None:
            self._connecting.cancel()
        connection = self._leave()
        if connection is not None:
            connection.transport.abort()

    async def _connect(self) -> None:
        tls = self._tls
        try:
            async with asyncio.timeout(max(CONNECT_SECONDS, self._patience())):
                if tls is None:
                    await self._loop.create_connection(self._new_connection, self._address, self._port)
                else:
                    context = await self._read_certificates(tls)
                    await self._loop.create_connection(
                        self._new_connection, self._address, self._port, ssl=context,
                        server_hostname=tls.hostname or self._address,
                    )  # fmt: skip
        except TimeoutError as error:
            self._fail(error.strerror or "no connection in time")
        except OSError as error:
            self._fail(error.strerror or str(error))
        except (TlsError, ValueError) as error:  # the latter for a name that no certificate can have
            self._fail(str(error))
        finally:
            self._connecting = None
        if self._waiting and self._connection is None:
            # It has ended as soon as it was made, and more has come meanwhile.
            self._connecting = self._loop.create_task(self._connect())

    async def _read_certificates(self, tls: TlsSwitches) -> SSLContext:
        """Read the files anew, since certificates are renewed, and elsewhere: a disk may take its time."""
        reading = self._reading
        if reading is None or reading.done():
            reading = self._reading = _in_thread(self._loop, tls.make_context)
        await asyncio.wait((reading,))  # being cancelled cancels nothing here
        self._reading = None
        return reading.result()

    def _new_connection(self) -> _Connection:
        return _Connection(self._opened, self._received, self._ended)

    def _opened(self, connection: _Connection) -> None:
        """Send what has waited for the connection."""
        self._connection = connection
        # Each by itself, which over TLS makes each a record: Knot DNS 3.4 reads no second message from one.
        for query_id, waiting in self._waiting.items():
            connection.transport.write(waiting.framed)
            # A connection whose making took long is not given up for that: it is there for the next tries.
            waiting.expiry.cancel()
            expiry = self._loop.call_later(self._patience(), self._expire, query_id)
            self._waiting[query_id] = waiting._replace(heard=self._heard, expiry=expiry)
        self._watch_idle()

    def _received(self, connection: _Connection, message: bytes) -> None:
        if connection is not self._connection:
            return
        self._heard += 1
        waiting = self._waiting.pop(message[:2], None)
        if waiting is None:
            self._on_reply(None, message)
        else:
            waiting.expiry.cancel()
            self._on_reply(waiting.sent, message)
        self._watch_idle()

    def _ended(self, connection: _Connection, reason: str) -> None:
        """Report what stays without an answer."""
        if connection is self._connection:
            self._leave()
            self._fail(reason)

    def _fail(self, reason: str) -> None:
        failed = list(self._waiting.values())
        self._waiting.clear()
        for waiting in failed:
            waiting.expiry.cancel()
            self._on_failure(waiting.sent, reason)

    def _expire(self, query_id: bytes) -> None:
        waiting = self._waiting.pop(query_id)
        if waiting.heard == self._heard:
            connection = self._leave()
            if connection is not None:
                connection.transport.abort()
                self._fail("nothing comes over the connection")

    def _leave(self) -> _Connection | None:
        """Have no connection from now on; return the one that was."""
        connection, self._connection = self._connection, None
        if self._idle is not None:
            self._idle.cancel()
        return connection

    def _watch_idle(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        if self._connection is not None:
            self._idle = self._loop.call_later(IDLE_SECONDS, self._close_idle)

    def _close_idle(self) -> None:
        if self._waiting:
            self._watch_idle()  # each of them has a timer of its own
            return
        connection = self._leave()
        if connection is not None:
            connection.transport.close()


def _in_thread(loop: asyncio.AbstractEventLoop, function: Callable[[], T]) -> asyncio.Future[T]:
    """Call a function in a thread of its own, which the end of the process does not wait for."""
    outcome: asyncio.Future[T] = loop.create_future()
    outcome.add_done_callback(asyncio.Future.exception)  # perhaps nobody asks for it any more

    def call() -> None:
        tell: tuple[Callable[[Any], None], object]
        try:
            tell = outcome.set_result, function()
        except Exception as error:
            tell = outcome.set_exception, error
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(*tell)

    Thread(target=call, name="pyd2-tls", daemon=True).start()
    return outcome
