"""A control channel over HTTP or HTTPS: sockets and timers (contract of Kea 3.0, section 8).

A session reads the requests and returns the responses. Commands run one at a time, in the event loop of the
main thread.
"""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Final, Protocol

from pyd2.config.addresses import SystemInterfaces, address_text
from pyd2.counters import MinuteReport
from pyd2.errors import ConfigError
from pyd2.net.addresses import socket_address
from pyd2.net.control import Acceptor
from pyd2.net.control_http_connection import HttpConnection

if TYPE_CHECKING:
    import asyncio
    import ssl
    from collections.abc import Sequence

    from pyd2.config.addresses import Address
    from pyd2.config.model import HttpSocket
    from pyd2.messages import Log
    from pyd2.net.control import ControlChannel
    from pyd2.net.control_http_connection import HttpSession

MAX_CONNECTIONS: Final = 128
"""Connections open at a time. A further one takes the place of the one that has waited longest for a request;
when all are busy it waits in the kernel's queue."""


class HttpService(Protocol):
    """What the sessions of a channel share: ``pyd2.control.http_session.HttpService``."""

    def session(self, peer: str, *, tls: bool) -> HttpSession:
        """Return the session of a new connection from an address."""

    def adopt(self, session: HttpSession) -> None:
        """Make a session of the channel before one of this channel."""


class HttpChannel:
    """A listening TCP socket and its connections; a ``ControlChannel``."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, config: HttpSocket, service: HttpService, log: Log
    ) -> None:
        self.loop: Final = loop
        self.log: Final = log
        self.secure: Final = config.tls is not None
        self._config = config
        self._service = service
        self._context: ssl.SSLContext | None = None
        self._authorities: tuple[str, frozenset[bytes]] | None = None
        """Who must have signed the certificate of a client, by name and content; None: it needs none."""
        self._acceptor: Acceptor | None = None
        self._opened = False
        """Whether the channel has ever been open."""
        self._connections: dict[HttpConnection, None] = {}
        """Those that wait for a request come in the order in which they began to."""
        self._replaced = MinuteReport()

    @property
    def place(self) -> tuple[int, ...]:
        """Address and port, as numbers."""
        address = self._config.address
        return address.version, int(address), _interface(address), self._config.port

    @property
    def listening(self) -> bool:
        """Whether the channel accepts connections."""
        return self._acceptor is not None and self._acceptor.on

    @property
    def port(self) -> int:
        """The port of the socket: another one than the configuration's where that is 0."""
        assert self._acceptor is not None
        return int(self._acceptor.listener.getsockname()[1])

    def open(self, others: Sequence[ControlChannel] = ()) -> None:
        """Listen, and answer from now on; see ``ControlChannel``.

        From a channel with the same address and port it takes over the listening socket, and the connections
        if it would have accepted them itself.
        """
        tls = self._config.tls
        if tls is not None and self._context is None:
            from pyd2.net.control_tls import authorities, make_context

            self._context = make_context(tls)
            if tls.cert_required:
                self._authorities = tls.trust_anchor, authorities(self._context, tls.trust_anchor)
        same = False
        if self._acceptor is None:
            http = (other for other in others if isinstance(other, HttpChannel) and other.listening)
            present = next((other for other in http if other.place == self.place), None)
            if present is None:
                listener = _listen(self._config)
            else:
                same = present.secure == self.secure
                listener = present.hand_over(self)
            self._acceptor = Acceptor(self.loop, listener, self)
        self._acceptor.start()
        if not same:
            self.log.emit("HTTP_COMMAND_MGR_SERVICE_STARTED", self._name, *self._where)
        elif self.secure and not self._opened:
            self.log.emit("HTTP_COMMAND_MGR_HTTPS_SERVICE_UPDATED", *self._where)
        elif not self._opened:
            self.log.emit("HTTP_COMMAND_MGR_HTTP_SERVICE_UPDATED", *self._where)
        self._opened = True

    def hand_over(self, successor: HttpChannel) -> socket.socket:
        """Give the listening socket away, and the connections if the successor would have accepted them."""
        assert self._acceptor is not None
        if successor.secure == self.secure:
            self._acceptor.stop()
        else:
            self.leave()
        if successor.would_accept(self):
            successor.adopt(self._connections)
            self._connections = {}
        listener, self._acceptor = self._acceptor.listener, None
        return listener

    def would_accept(self, other: HttpChannel) -> bool:
        """Say whether the clients of another channel could also have connected to this one."""
        return self.secure == other.secure and self._authorities in {None, other._authorities}

    def adopt(self, connections: dict[HttpConnection, None]) -> None:
        """Take connections over: requests from now on are those of this channel."""
        self._connections |= connections
        for connection in connections:
            connection.channel = self
            self._service.adopt(connection.session)
            connection.end_soon()

    def leave(self) -> None:
        """Stop accepting connections, and log that the channel is about to close; see ``ControlChannel``."""
        assert self._acceptor is not None
        self._acceptor.stop()
        where = "bound to address {} port {}".format(*self._where)
        self.log.emit("HTTP_COMMAND_MGR_SERVICE_STOPPING", self._name, where)

    def close(self) -> None:
        """Stop listening. Connections are closed, except those on which a request is being answered."""
        if self.listening:
            self.leave()
        if self._acceptor is not None:
            self._acceptor.listener.close()
            self._acceptor = None
        for connection in list(self._connections):
            connection.close_soon()

    def waiting(self, connection: HttpConnection) -> None:
        """Note that a connection begins to wait for a request."""
        self._connections.pop(connection, None)
        self._connections[connection] = None
        self._go_on()

    def closed(self, connection: HttpConnection) -> None:
        """Forget a connection, and accept another one in its place."""
        self._connections.pop(connection, None)
        self._go_on()

    def _go_on(self) -> None:
        """Accept connections again, if there were too many."""
        if self._acceptor is not None:
            self._acceptor.go_on()

    @property
    def _name(self) -> str:
        return "HTTPS" if self.secure else "HTTP"

    @property
    def _where(self) -> tuple[str, int]:
        return address_text(self._config.address), self._config.port

    def has_place(self) -> bool:
        """See ``Accepting``."""
        return len(self._connections) < MAX_CONNECTIONS or self._close_longest_waiting()

    def accepted(self, connection: socket.socket, peer: str) -> None:
        """See ``Accepting``."""
        HttpConnection(self, connection, peer, self._service.session(peer, tls=self.secure), self._context)

    def refused(self, fault: OSError) -> None:
        """See ``Accepting``."""
        self.log.emit("PYD2_HTTP_ACCEPT_FAILED", *self._where, fault.strerror)

    def _close_longest_waiting(self) -> bool:
        """Close the connection that has waited longest for a request; return whether there is one."""
        longest = next((found for found in self._connections if found.is_waiting), None)
        if longest is None:
            return False
        if events := self._replaced.add(self.loop.time()):
            self.log.emit("PYD2_HTTP_CONNECTION_REPLACED", longest.peer, MAX_CONNECTIONS, events)
        longest.close()
        return True


def _interface(address: Address) -> int:
    """Return the number of the interface that an address names behind ``%``, 0 if it names none."""
    name = "" if address.version == 4 else address.scope_id or ""
    return int(name) if name.isdigit() else SystemInterfaces().index(name)


def _listen(config: HttpSocket) -> socket.socket:
    family = socket.AF_INET if config.address.version == 4 else socket.AF_INET6
    listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(socket_address(config.address, config.port))
        listener.listen(socket.SOMAXCONN)
    except OSError as fault:
        listener.close()
        raise ConfigError(
            "unable to setup TCP acceptor for listening to the incoming HTTP requests: "
            f"bind: {fault.strerror or fault} [system:{fault.errno or errno.ENODEV}]"
        ) from fault
    return listener
