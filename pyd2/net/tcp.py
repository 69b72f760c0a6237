"""DNS over TCP (RFC 2136 section 6.2, RFC 7766) or TLS (RFC 7858), for large updates or by choice.

One connection per server, opened when it is needed, pipelined, closed when idle or stuck. A server, or an
attacker on the way to it, may send anything: what a connection can cost is bounded, and beyond that it is
closed.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar, cast

from pyd2.config.tls import ContextReader, TlsError
from pyd2.net.read_turns import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyd2.config.tls import TlsSwitches
    from pyd2.net.descriptors import Descriptors

Sent = TypeVar("Sent")

IDLE_SECONDS: Final = 30.0
"""A connection on which nothing moves for so long is closed (RFC 7766, section 6.2.3)."""

CONNECT_SECONDS: Final = 5.0
"""How long the making of a connection may take at least, however short messages wait: a far server needs some
round trips for it. Then another attempt is better, for TCP asks a silent host ever more rarely.
"""

AGAIN_SECONDS: Final = 0.1
"""Pause before the next connection when one has ended without an answer; messages wait for it meanwhile."""

TICK: Final = 0.001
"""Seconds that a timer may be early."""

HEADER: Final = 12
"""Octets of the shortest DNS message (RFC 1035, section 4.1.1)."""

MOST_UNASKED: Final = 100
"""How many more messages may come over a connection that answer nothing than such that do."""

MOST_UNREAD: Final = 16 << 20
"""Octets that may wait for a server to read them."""

BATCH: Final = 32
"""Messages that are handed over, or reported as failed, before the loop gets its turn."""


class _Waiting(NamedTuple, Generic[Sent]):
    """A message without its reply."""

    sent: Sent
    framed: bytes
    answered: int
    """How many answers had come from the server when it was sent."""
    deadline: float
    """When it is forgotten, in the loop's time."""


class _Connection(asyncio.Protocol):
    """One TCP connection, and what has come over it that is not cut into messages yet."""

    def __init__(
        self,
        on_open: Callable[[_Connection], None],
        on_data: Callable[[_Connection], None],
        on_end: Callable[[_Connection, str], None],
        on_lost: Callable[[], None],
    ) -> None:
        self.transport: asyncio.Transport
        """From ``on_open`` on."""
        self.received = bytearray()
        self.answered = False
        """Whether any answer has come."""
        self.unasked = 0
        """How many more messages have come that answer nothing than such that do; at least 0."""
        self.paused = False
        """Whether more has come than the loop's turn allows: then nothing is read meanwhile."""
        self.socket: socket.socket | None = None
        """The connection's, to have what comes acknowledged at once."""
        self._on_open = on_open
        self._on_data = on_data
        self._on_end = on_end
        self._on_lost = on_lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, since uvloop's transports are not subclasses of asyncio's.
        self.transport = cast("asyncio.Transport", transport)
        self._on_open(self)

    def data_received(self, data: bytes) -> None:
        if self.socket is not None:
            with suppress(OSError):  # it is closed
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        self.received += data
        if not self.paused:
            self._on_data(self)

    def eof_received(self) -> None:
        # What is written from now on would be lost.
        self._on_end(self, "connection closed")

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_lost()
        self._on_end(self, str(exc) if exc is not None else "connection closed")


class TcpLink(Generic[Sent]):
    """The TCP connection to one DNS server, encrypted if ``tls`` says how.

    ``on_replies`` gets messages that answer what waits, and messages that answer nothing. ``on_failure`` gets
    what was sent and the reason, for what is unanswered when the connection cannot be made or ends.
    ``on_closed`` gets the reason when a connection is closed because of what the server does.

    ``timeout`` gives the seconds a message waits. Then it is forgotten without a report, for its sender has
    a timer of its own. If no answer at all came meanwhile, the connection is given up, so that updates whose
    time has passed do not stay queued in it.

    ``quick_acks`` says whether a new connection acknowledges at once what comes: some servers keep a second
    small reply back until the first one is acknowledged (Nagle's algorithm), and the kernel takes 40 ms for
    that.

    ``unread_seconds``: the kernel gives a connection up whose server has not acknowledged what was sent, for
    so long; 0: as it likes. ``may_write`` says whether what has waited for a connection may be sent now.

    Of the messages that wait, no two may have the same query ID.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        address: str,
        port: int,
        on_replies: Callable[[Sequence[bytes], Sequence[bytes]], None],
        on_failure: Callable[[Sent, str], None],
        on_closed: Callable[[str], None],
        timeout: Callable[[], float],
        descriptors: Descriptors,
        tls: TlsSwitches | None = None,
        quick_acks: Callable[[], bool] = lambda: False,
        unread_seconds: float = 0.0,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        self._loop = loop
        self._address = address
        self._port = port
        self._on_replies = on_replies
        self._on_failure = on_failure
        self._on_closed = on_closed
        self._timeout = timeout
        self._descriptors = descriptors
        self._quick_acks = quick_acks
        self._unread_seconds = unread_seconds
        self._may_write = may_write
        self._pace = Pace(BATCH)
        self._connection: _Connection | None = None
        """The present one; what comes from others counts no more."""
        self._connecting: asyncio.Task[None] | None = None
        self._contexts = ContextReader(tls) if tls is not None else None
        self._not_before = 0.0
        """When the next connection may be opened, in the loop's time; ``_again`` runs until then."""
        self._again: asyncio.TimerHandle | None = None
        self._moved_at = 0.0
        """When something was sent or came; ``_idle`` runs while there is a connection."""
        self._idle: asyncio.TimerHandle | None = None
        self._waiting: dict[bytes, _Waiting[Sent]] = {}
        """By query ID, in the order of their deadlines; ``_expiry`` runs until the first of them."""
        self._expiry: asyncio.TimerHandle | None = None
        self._answered = 0
        """Answers that have come over any connection."""
        self._failed: deque[tuple[Sent, str]] = deque()
        """What is still to be reported, with the reason."""

    def send(self, message: bytes, sent: Sent) -> None:
        """Send a message; its answer is recognised by the query ID, the first two octets."""
        framed = len(message).to_bytes(2, "big") + message
        self._wait_for(message[:2], sent, framed)
        connection = self._connection
        if connection is None:
            self._connect()
            return
        connection.transport.write(framed)
        self._moved_at = self._loop.time()
        if connection.transport.get_write_buffer_size() > MOST_UNREAD:
            self._give_up(connection, "the server does not read what it is sent")

    def close(self) -> None:
        """Close at once; nothing is reported."""
        self._waiting.clear()
        self._failed.clear()
        for timer in (self._expiry, self._again):
            if timer is not None:
                timer.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
        connection = self._leave()
        if connection is not None:
            connection.transport.abort()

    @property
    def busy(self) -> bool:
        """Whether the kernel may have messages whose answers have not come."""
        return bool(self._waiting)

    def close_if_idle(self) -> bool:
        """Close the connection if nothing waits for an answer; return whether there was one."""
        connection = None if self._waiting else self._leave()
        if connection is not None:
            connection.transport.abort()
        return connection is not None

    # Connections.

    def _connect(self) -> None:
        """Open a connection, when that may be."""
        if self._connecting is not None or self._again is not None:
            return
        pause = self._not_before - self._loop.time()
        if pause > 0:
            self._again = self._loop.call_later(pause, self._connect_now)
        else:
            self._connect_now()

    def _connect_now(self) -> None:
        self._again = None
        if self._waiting and self._connection is None and self._connecting is None:
            self._connecting = self._loop.create_task(self._make_connection())

    async def _make_connection(self) -> None:
        contexts = self._contexts
        lease = None
        try:
            lease = self._descriptors.take()
            new_connection = partial(_Connection, self._opened, self._read, self._ended, lease.release)
            async with asyncio.timeout(max(CONNECT_SECONDS, self._timeout())):
                if contexts is None:
                    await self._loop.create_connection(new_connection, self._address, self._port)
                else:
                    context = await contexts.read()
                    await self._loop.create_connection(
                        new_connection, self._address, self._port, ssl=context,
                        server_hostname=contexts.tls.hostname or self._address,
                    )  # fmt: skip
            lease = None  # it is released when the connection is lost
        except TimeoutError as error:
            self._fail(error.strerror or "no connection in time")
        except OSError as error:
            self._fail(error.strerror or str(error))
        except (TlsError, ValueError) as error:  # the latter for a name that no certificate can have
            self._fail(str(error))
        finally:
            self._connecting = None
            if lease is not None:
                lease.release()
        if self._connection is None:
            # It was not made, or has ended as soon as it was.
            self._pause()
            if self._waiting:
                self._connect()

    def _opened(self, connection: _Connection) -> None:
        """Send what has waited for the connection."""
        if not self._may_write():
            connection.transport.abort()
            return
        self._connection = connection
        if self._quick_acks():
            connection.socket = connection.transport.get_extra_info("socket")
        if self._unread_seconds:
            sock = connection.transport.get_extra_info("socket")
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(1000 * self._unread_seconds))
        waiting, self._waiting = self._waiting, {}
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        # Each by itself, which over TLS makes each a record: Knot DNS 3.4 reads no second message from one.
        for query_id, message in waiting.items():
            connection.transport.write(message.framed)
            # A connection whose making took long is not given up for that: it is there for the next tries.
            self._wait_for(query_id, message.sent, message.framed)
        self._moved_at = self._loop.time()
        self._idle = self._loop.call_later(IDLE_SECONDS, self._close_idle)

    def _ended(self, connection: _Connection, reason: str) -> None:
        """Report what stays without an answer."""
        if connection is self._connection:
            self._leave()
            self._fail(reason)

    def _give_up(self, connection: _Connection, reason: str) -> None:
        """Close a connection because of what the server does."""
        self._leave()
        self._pause()
        connection.received.clear()
        connection.transport.abort()
        self._on_closed(reason)
        self._fail(reason)

    def _leave(self) -> _Connection | None:
        """Have no connection from now on; return the one that was."""
        connection, self._connection = self._connection, None
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if connection is not None and not connection.answered:
            self._pause()
        return connection

    def _pause(self) -> None:
        """Delay the next connection a little: the server may end each one at once."""
        self._not_before = self._loop.time() + min(AGAIN_SECONDS, self._timeout() / 4)

    def _close_idle(self) -> None:
        left = self._moved_at + IDLE_SECONDS - self._loop.time()
        if left > 0 or self._waiting:  # each of them has a deadline
            self._idle = self._loop.call_later(max(left, IDLE_SECONDS / 2), self._close_idle)
            return
        connection = self._leave()
        if connection is not None:
            connection.transport.close()

    # Messages.

    def _wait_for(self, query_id: bytes, sent: Sent, framed: bytes) -> None:
        deadline = self._loop.time() + self._timeout()
        self._waiting.pop(query_id, None)  # so that the new one is the last
        self._waiting[query_id] = _Waiting(sent, framed, self._answered, deadline)
        if self._expiry is None:
            self._expiry = self._loop.call_at(deadline, self._expire)

    def _read(self, connection: _Connection) -> None:
        """Hand over the messages that have come whole (RFC 1035, section 4.2.2), not too many at a time."""
        if connection is not self._connection:
            return
        received = connection.received
        answers: list[bytes] = []
        others: list[bytes] = []
        reason = ""
        at = 0
        while len(received) - at >= 2:
            size = received[at] << 8 | received[at + 1]
            if size < HEADER:
                reason = f"the server has sent a message of {size} bytes, which is no DNS message"
                break
            if len(received) - at - 2 < size:
                break
            if len(answers) + len(others) >= self._pace.most:
                self._read_on_later(connection)
                break
            message = bytes(received[at + 2 : at + 2 + size])
            at += 2 + size
            if self._waiting.pop(message[:2], None) is not None:
                answers.append(message)
                connection.unasked = max(0, connection.unasked - 1)
                continue
            others.append(message)
            connection.unasked += 1
            if connection.unasked > MOST_UNASKED:
                reason = f"the server has sent more than {MOST_UNASKED} messages that answer no update"
                break
        del received[:at]
        if answers:
            connection.answered = True
            self._answered += len(answers)
            self._moved_at = self._loop.time()
        if reason:
            self._give_up(connection, reason)
        if answers or others:
            began = monotonic()
            self._on_replies(answers, others)
            self._pace.note(len(answers) + len(others), monotonic() - began)

    def _read_on_later(self, connection: _Connection) -> None:
        connection.paused = True
        connection.transport.pause_reading()
        self._loop.call_soon(self._read_on, connection)

    def _read_on(self, connection: _Connection) -> None:
        connection.paused = False
        self._read(connection)
        if connection is self._connection and not connection.paused:
            connection.transport.resume_reading()

    def _fail(self, reason: str) -> None:
        reporting = bool(self._failed)
        self._failed.extend((waiting.sent, reason) for waiting in self._waiting.values())
        self._waiting.clear()
        if not reporting:
            self._report_failed()

    def _report_failed(self) -> None:
        for _ in range(min(BATCH, len(self._failed))):
            self._on_failure(*self._failed.popleft())
        if self._failed:
            self._loop.call_soon(self._report_failed)

    def _expire(self) -> None:
        """Forget messages whose time is up, and give up a connection over which no answer came meanwhile."""
        self._expiry = None
        now = self._loop.time() + TICK
        stuck = False
        for query_id, waiting in list(self._waiting.items()):
            if waiting.deadline > now:
                self._expiry = self._loop.call_at(waiting.deadline, self._expire)
                break
            del self._waiting[query_id]
            stuck = stuck or waiting.answered == self._answered
        if stuck and self._connection is not None:
            self._give_up(self._connection, "no answer comes over the connection")
