"""One connection to one server of NATS: its handshake, requests with their answers, subscriptions.

All of it runs in the thread of its loop. When the connection ends, each caller that
waits for an answer gets a NoAnswerError.
"""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from pyd2.config.tls import TlsError
from pyd2.queue.nats import commands
from pyd2.queue.nats.errors import ConnectError, NatsError, NoAnswerError, ProtocolError, RefusedError
from pyd2.queue.nats.parser import Info, Message, Parser, Refusal, Signal, read_header

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.config.nats.servers import Server
    from pyd2.config.tls import ContextReader
    from pyd2.queue.nats.parser import Event

CONNECT_SECONDS: Final = 2.0
"""How long TCP, TLS and NATS's handshake may take together."""

_NO_RESPONDERS: Final = 503
_MAY_NOT_PUBLISH: Final = re.compile(r"Permissions Violation for Publish to \"(.*)\"", re.IGNORECASE)


class Client(NamedTuple):
    """What a server gets to know of its client."""

    name: str
    """For the lists of connections that the server shows."""
    inbox: str
    """The subject below which its answers arrive; its rights must allow to listen there."""
    tls: ContextReader | None = None
    """How to reach servers with ``tls://``."""
    hostname: str = ""
    """The name that their certificates must have; empty: that of the address."""


class _Request(NamedTuple):
    """A request that waits for its answer."""

    subject: str
    answer: asyncio.Future[Message]


class Connection(asyncio.Protocol):
    """A connection; ``connect`` returns one that is ready."""

    def __init__(self, client: Client, server: Server) -> None:
        self.server: Final = server
        self.info: dict[str, Any] = {}
        """What the server has said of itself."""
        loop = asyncio.get_running_loop()
        self.ready: Final[asyncio.Future[None]] = loop.create_future()
        """Done when the handshake is."""
        self.ended: Final[asyncio.Future[str]] = loop.create_future()
        """Done when the connection has ended; it says why."""
        self._client = client
        self._transport: asyncio.Transport | None = None
        self._parser = Parser()
        self._numbers = count(1)
        self._inbox = f"{client.inbox}.{os.urandom(8).hex()}"
        """Where answers to this connection go; each has a number behind it."""
        self._requests: dict[str, _Request] = {}
        """By the subjects of their answers."""
        self._subscribers: dict[int, Callable[[Message], None]] = {}
        self._pongs: deque[asyncio.Future[None]] = deque()
        self._introduced = False
        """Whether the server has sent its INFO."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.server}>"

    # What others ask.

    def new_inbox(self) -> str:
        """Return a subject for a subscription of this caller alone."""
        return f"{self._inbox}.s.{next(self._numbers)}"

    def publish(self, subject: str, payload: bytes, *, reply: str = "", header: bytes = b"") -> None:
        """Send a message. Nothing says whether it arrives."""
        self._write(commands.publish(subject, payload, reply=reply, header=header))

    async def request(
        self, subject: str, payload: bytes = b"", *, seconds: float, header: bytes = b""
    ) -> Message:
        """Send a message and return its answer. Raises NoAnswerError, RefusedError and ProtocolError."""
        reply = f"{self._inbox}.{next(self._numbers)}"
        answer = asyncio.get_running_loop().create_future()
        self._requests[reply] = _Request(subject, answer)
        try:
            self.publish(subject, payload, reply=reply, header=header)
            async with asyncio.timeout(seconds):
                message: Message = await answer
        except TimeoutError:
            raise NoAnswerError(f"{self.server} has not answered {subject} within {seconds:g} s") from None
        finally:
            del self._requests[reply]
        if message.header and read_header(message.header).status == _NO_RESPONDERS:
            raise NoAnswerError(
                f"{self.server} has nothing that serves {subject}: there is no such stream, or no leader yet"
            )
        return message

    def subscribe(self, subject: str, receive: Callable[[Message], None]) -> int:
        """Have the messages of a subject handed to ``receive``; return the subscription's number."""
        sid = next(self._numbers)
        self._subscribers[sid] = receive
        self._write(commands.subscribe(subject, sid))
        return sid

    def unsubscribe(self, sid: int) -> None:
        """End a subscription."""
        if self._subscribers.pop(sid, None) is not None and not self.ended.done():
            self._write(commands.unsubscribe(sid))

    async def ping(self, seconds: float) -> None:
        """Wait until the server has worked off all that was sent. Raises NoAnswerError."""
        pong = asyncio.get_running_loop().create_future()
        self._write(commands.PING)
        self._pongs.append(pong)
        try:
            async with asyncio.timeout(seconds):
                await pong
        except TimeoutError:
            raise NoAnswerError(f"{self.server} has not answered for {seconds:g} s") from None

    def end(self, reason: str) -> None:
        """Close the connection, if that has not been done."""
        if self.ended.done():
            return
        self.ended.set_result(reason)
        if self._transport is not None:
            self._transport.abort()
        waiting: list[asyncio.Future[Any]] = [self.ready, *self._pongs]
        for future in (*waiting, *(request.answer for request in self._requests.values())):
            _fail(future, NoAnswerError(f"the connection to {self.server} has ended: {reason}"))
        self._pongs.clear()
        self._subscribers.clear()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        # A cast, since uvloop's transports are not subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        if self.ended.done():
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._parser.feed(data)
        try:
            while not self.ended.done() and (event := self._parser.next_event()) is not None:
                self._handle(event)
        except ProtocolError as error:
            self.end(str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self.end(_reason(exc) if exc is not None else "the server has closed it")

    # What the server sends.

    def _handle(self, event: Event) -> None:
        if isinstance(event, Message):
            self._receive(event)
        elif event is Signal.PING:
            self._write(commands.PONG)
        elif event is Signal.PONG:
            self._pong()
        elif isinstance(event, Refusal):
            self._refused(event.text)
        elif isinstance(event, Info):
            self._introduce(event.fields)

    def _receive(self, message: Message) -> None:
        receive = self._subscribers.get(message.sid)
        if receive is not None:
            receive(message)

    def _answered(self, message: Message) -> None:
        request = self._requests.get(message.subject)
        if request is not None and not request.answer.done():
            request.answer.set_result(message)

    def _introduce(self, fields: dict[str, Any]) -> None:
        first, self._introduced = not self._introduced, True
        self.info = fields
        if fields.get("ldm"):
            self.end("the server stops (lame duck mode)")
        elif first and fields.get("tls_required") and not self.server.tls:
            self.end("the server wants TLS: use tls:// in place of nats://")
        elif first:
            options = {"name": self._client.name, "lang": "python", "version": "1", "protocol": 1,
                       "verbose": False, "pedantic": False, "headers": True, "no_responders": True}
            sid = next(self._numbers)
            self._subscribers[sid] = self._answered
            # In one write: a server that refuses the client closes at once, and a second write would fail
            # before its reason is read.
            inbox = commands.subscribe(f"{self._inbox}.*", sid)
            self._write(commands.connect(options) + inbox + commands.PING)
            self._pongs.append(self.ready)

    def _pong(self) -> None:
        if self._pongs:
            pong = self._pongs.popleft()
            if not pong.done():
                pong.set_result(None)

    def _refused(self, text: str) -> None:
        """Give a refusal to the request that has caused it; any other one ends the connection."""
        match = _MAY_NOT_PUBLISH.search(text)
        requests = [one for one in self._requests.values() if match is not None and one.subject == match[1]]
        for request in requests:
            _fail(request.answer, RefusedError(f"{self.server}: {text}"))
        if not requests:
            self.end(text)

    def _write(self, data: bytes) -> None:
        if self._transport is None or self.ended.done():
            raise NoAnswerError(f"there is no connection to {self.server}")
        self._transport.write(data)


async def connect(client: Client, server: Server, seconds: float = CONNECT_SECONDS) -> Connection:
    """Return a connection that is ready. Raises ConnectError."""
    if server.tls and client.tls is None:
        raise ConnectError(f"{server}: it wants TLS, for which there are no certificates")
    loop = asyncio.get_running_loop()
    connection = Connection(client, server)
    try:
        async with asyncio.timeout(seconds):
            context = await client.tls.read() if server.tls and client.tls is not None else None
            await loop.create_connection(
                lambda: connection, server.host, server.port, ssl=context,
                server_hostname=(client.hostname or server.host) if context else None,
            )  # fmt: skip
            await connection.ready
    except TimeoutError:
        connection.end("it took too long")
        raise ConnectError(f"{server}: no connection within {seconds:g} s") from None
    except (OSError, ValueError) as error:  # the latter for a name that no certificate can have
        raise ConnectError(f"{server}: {_reason(error)}") from error
    except TlsError as error:
        raise ConnectError(f"{server}: {error}") from error
    except NoAnswerError:
        raise ConnectError(f"{server}: {connection.ended.result()}") from None
    except BaseException:
        connection.end("it is not wanted any more")
        raise
    return connection


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and error.reason == "WRONG_VERSION_NUMBER":
        return "the server does not begin with TLS: set 'handshake_first: true' in its block 'tls'"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {error.verify_message}"
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno)
    return (isinstance(error, OSError) and error.strerror) or str(error)


def _fail(future: asyncio.Future[Any], error: NatsError) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # perhaps no caller waits for it any more
