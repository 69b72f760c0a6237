"""One client of an HTTP control channel: reads requests and writes responses, each within its time."""

from __future__ import annotations

import socket
from math import inf
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    import asyncio
    import ssl
    from collections.abc import Callable

    from pyd2.messages import Log
    from pyd2.net.control_tls import TlsStream

TIMEOUT: Final = 10.0
"""Seconds for the handshake of TLS, for the head of a request, and without progress in a body or a response.

Kea begins again with each byte of a head, and has no limit for the handshake.
"""

DEADLINE: Final = 60.0
"""Seconds for a whole request, and again for its response. Kea has no such limit."""

IDLE_TIMEOUT: Final = 30.0
"""Seconds between two requests after which a connection is closed."""

LINGER: Final = 2.0
"""Seconds in which a client may still send after the last response, or after the alert of a failed handshake:
what it sends is thrown away, so that the kernel does not reset the connection before the client has read."""

CHUNK: Final = 32768
"""Bytes read or written at a time: more than a record of TLS, so that none stays behind in OpenSSL."""


class Later(Protocol):
    """A response that comes later, or in parts: ``pyd2.control.http_later.Later``."""

    def begin(self, connection: HttpConnection) -> None:
        """Begin; the connection's ``send`` gets what there is, now or in time."""

    def leave(self) -> None:
        """End soon."""

    def gone(self) -> None:
        """Note that the connection is closed."""


class HttpSession(Protocol):
    """The requests and responses of a connection: ``pyd2.control.http_session.HttpSession``."""

    @property
    def closing(self) -> bool:
        """Whether the connection ends with the last response."""

    @property
    def idle(self) -> bool:
        """Whether a request was answered and no part of the next one has come."""

    @property
    def in_body(self) -> bool:
        """Whether the head of a request is complete and its body is not."""

    @property
    def keeps_place(self) -> bool:
        """Whether the body of a known client is coming."""

    def receive(self, data: bytes) -> bytes | Later | None:
        """Read the next bytes; return None if more must come, else the response."""

    def resume(self) -> bytes | Later | None:
        """Continue with what had come before the last response was sent."""

    def timed_out(self) -> bytes:
        """Return the response to a request whose next bytes do not come."""

    def close(self) -> None:
        """Read no more: the connection has ended."""


class Channel(Protocol):
    """What a connection needs of its channel."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop."""

    @property
    def log(self) -> Log:
        """The log."""

    def waiting(self, connection: HttpConnection) -> None:
        """Note that a connection begins to wait for a request."""

    def closed(self, connection: HttpConnection) -> None:
        """Forget a connection."""


class HttpConnection:
    """A connection; ``context`` is None when it does not speak TLS."""

    def __init__(
        self,
        channel: Channel,
        accepted: socket.socket,
        peer: str,
        session: HttpSession,
        context: ssl.SSLContext | None,
    ) -> None:
        self.channel = channel
        """The channel may change: see ``HttpChannel.open``."""
        self.peer: Final = peer
        self.session: Final = session
        self._loop = channel.loop
        self._log = channel.log
        self._number = accepted.fileno()
        self._unsent = memoryview(b"")
        self._last = True
        """Whether the response ends with what is unsent."""
        self._later: Later | None = None
        """The response under way, if it is one that comes later."""
        self._answering = False
        """Whether a request is being carried out, or its response sent."""
        self._leaving = False
        """Whether the connection ends with the response under way."""
        self._deaf = False
        """Whether what the client sends is thrown away."""
        self._reading = self._closed = False
        self._reads_on = False
        """Whether the next pass of the loop reads in any case: once, or a busy client would have ever more of
        each pass, and the loop no time to look at others."""
        self._timer: asyncio.TimerHandle | None = None
        self._ends = 0.0
        """When the request, or the response, must be complete."""
        self._stream: socket.socket | TlsStream = accepted
        channel.waiting(self)
        if context is None:
            self._log.emit("HTTP_REQUEST_RECEIVE_START", peer, int(TIMEOUT))
            self._begin()
            return
        from pyd2.net.control_tls import TlsStream

        self._log.emit("HTTP_CONNECTION_HANDSHAKE_START", peer, int(TIMEOUT))
        try:
            self._stream = stream = TlsStream(accepted, context)
        except OSError:  # the client has gone
            self.close()
            return
        self._wait(TIMEOUT, self._handshake_timed_out)
        self._loop.add_reader(self._number, self._shake_hands, stream)

    @property
    def is_waiting(self) -> bool:
        """Whether no request is under way; that of a stranger does not count before it is complete."""
        return not self._answering and not self.session.keeps_place

    def close(self) -> None:
        """Close the connection."""
        if self._closed:
            return
        self._reading, self._closed = False, True
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._number)
        self._loop.remove_writer(self._number)
        self._log.emit("HTTP_CONNECTION_STOP", self.peer)
        self._stream.close()
        self.session.close()
        self.channel.closed(self)
        later, self._later = self._later, None
        if later is not None:
            later.gone()

    def close_soon(self) -> None:
        """Close the connection, or let it close when the response under way is sent."""
        if self._answering:
            self._leaving = True
            self.end_soon()
        else:
            self.close()

    def end_soon(self) -> None:
        """End a response that has no end of its own: the next request is judged on its own."""
        if self._later is not None:
            self._later.leave()

    # The handshake.

    def _shake_hands(self, stream: TlsStream) -> None:
        try:
            stream.handshake()
        except BlockingIOError:
            return
        except OSError as fault:
            from pyd2.net.control_tls import reason

            self._log.emit("HTTP_CONNECTION_HANDSHAKE_FAILED", self.peer, reason(fault))
            self._linger()
            return
        self._log.emit("HTTPS_REQUEST_RECEIVE_START", self.peer)
        self._begin()

    def _handshake_timed_out(self) -> None:
        text = f"no end after {TIMEOUT:.0f} seconds"
        self._log.emit("HTTP_CONNECTION_HANDSHAKE_FAILED", self.peer, text)
        self.close()

    # Requests.

    def _begin(self) -> None:
        """Wait for a request, or for the rest of one that has begun."""
        self._ends = self._loop.time() + DEADLINE
        if self.session.in_body:
            self._wait_in_body()
        elif self.session.idle:
            self._wait(IDLE_TIMEOUT, self._idle_timed_out)
        else:
            self._wait(TIMEOUT, self._timed_out)
        self._reading = True
        self._loop.add_reader(self._number, self._readable)

    def _wait_in_body(self) -> None:
        """Wait for more of a body: it may be slow, but not without end."""
        self._wait(min(TIMEOUT, self._ends - self._loop.time()), self._timed_out)

    def _readable(self) -> None:
        if not self._reads_on:
            self._read()

    def _read_on(self) -> None:
        self._reads_on = False
        self._read()

    def _read(self) -> None:
        if not self._reading:
            return
        try:
            data = self._stream.recv(CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            # As with Kea, which closes the connection twice.
            self._log.emit("HTTP_CONNECTION_STOP", "(unknown address)")
            return
        idle = self.session.idle
        response = self._ask(lambda: self.session.receive(data))
        if response is not None:
            self._respond(response)
            return
        # uvloop reports a reset once, even if there is still something to read: so the next step reads on.
        self._reads_on = True
        self._loop.call_soon(self._read_on)
        if idle and not self.session.idle:  # another request has begun
            self._begin()
        elif self.session.in_body:
            self._wait_in_body()

    def _ask(self, step: Callable[[], bytes | Later | None]) -> bytes | Later | None:
        """Run a step of the session; until it ends, no other method closes the connection."""
        self._answering = True
        try:
            return step()
        except BaseException:
            self.close()
            raise
        finally:
            self._answering = False

    def _timed_out(self) -> None:
        self._respond(self.session.timed_out())

    def _idle_timed_out(self) -> None:
        self._log.emit("HTTP_IDLE_CONNECTION_TIMEOUT_OCCURRED", self.peer)
        self.close()

    # Responses.

    def _respond(self, response: bytes | Later) -> None:
        self._answering = True
        self._reading = False
        self._loop.remove_reader(self._number)
        if isinstance(response, bytes):
            self.send(response, last=True)
            return
        self._later = response
        self._rest()
        response.begin(self)

    @property
    def unsent(self) -> int:
        """Octets of the response that the client has not taken yet."""
        return len(self._unsent)

    def send(self, data: bytes, *, last: bool) -> None:
        """Send octets of the response; those that are not the ``last`` are few."""
        if self._closed:
            return
        waiting = bool(self._unsent)
        if self.session.closing and not last and not self._deaf:
            # Such a response may never end, and nothing that the client sends will be answered: so its end is
            # noticed at once, and not when the kernel refuses what is sent to it.
            self._deaf = True
            self._loop.add_reader(self._number, self._throw_away)
        self._unsent = memoryview(b"".join((self._unsent, data))) if waiting else memoryview(data)
        self._last = last
        self._ends = self._loop.time() + DEADLINE if last else inf
        if not waiting:
            self._wait(TIMEOUT, self.close)
            if self._unsent:
                self._write()
            else:
                self._sent()

    def _write(self) -> None:
        """Send a part of the response, one on each pass of the loop: other connections get their turn."""
        try:
            sent = self._stream.send(self._unsent[:CHUNK])
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self.close()
            return
        self._unsent = self._unsent[sent:]
        if not self._unsent:
            if self._last:
                self._sent()
            else:
                self._rest()
            return
        if sent:
            self._wait(min(TIMEOUT, self._ends - self._loop.time()), self.close)
        self._loop.add_writer(self._number, self._write)

    def _rest(self) -> None:
        """Wait for more of a response that comes later."""
        self._loop.remove_writer(self._number)
        if self._timer is not None:
            self._timer.cancel()

    def _sent(self) -> None:
        """Continue after a response."""
        self._loop.remove_writer(self._number)
        self._later = None
        if self._leaving or self.session.closing:
            self._linger()
            return
        self._answering = False
        self.channel.waiting(self)
        self._wait(TIMEOUT, self.close)
        self._loop.call_soon(self._resume)

    def _resume(self) -> None:
        """Answer the request that had come with the last one, or wait for another."""
        if self._closed:
            return
        response = self._ask(self.session.resume)
        if response is None:
            self._begin()
        else:
            self._respond(response)

    # The end.

    def _linger(self) -> None:
        """Say that nothing more comes, and close when the client does."""
        try:
            self._stream.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()
            return
        self._answering = False
        self._wait(LINGER, self.close)
        self._loop.add_reader(self._number, self._throw_away)

    def _throw_away(self) -> None:
        try:
            if self._stream.recv(CHUNK):
                return
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            pass
        self.close()

    def _wait(self, seconds: float, then: Callable[[], None]) -> None:
        """Set the timer, in place of the one before."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(max(0.0, seconds), then)
