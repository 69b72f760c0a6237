"""The open control channels, and the change from one set of them to another: whole, or not at all.

A channel serves one control socket of the configuration. Each kind of channel is a module of its own:
``control_unix`` and ``control_http``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from pyd2.config.model import UnixSocket

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pyd2.config.model import ControlSocket
    from pyd2.messages import Log

_NO_CLIENTS: Final = "anyone who can connect may send any command. Configure 'authentication' with 'clients'"
_NOT_ENCRYPTED: Final = (
    "commands, secrets and passwords are not encrypted. Configure 'trust-anchor', 'cert-file' and "
    "'key-file', or an address of the loopback interface"
)


ACCEPT_PAUSE: Final = 1.0
"""Seconds before the next try after the system has refused another socket."""


class ControlChannel(Protocol):
    """A listening socket and its connections."""

    @property
    def place(self) -> tuple[int, ...]:
        """Where the channel listens, in the form by which Kea sorts its sockets; UNIX sockets come first."""

    @property
    def listening(self) -> bool:
        """Whether the channel accepts connections: it is open, not about to close, and has its socket."""

    def open(self, others: Sequence[ControlChannel] = ()) -> None:
        """Listen, and serve from now on.

        If one of the ``others`` listens at the same place, the channel takes its listening socket over, so
        that no client finds the place closed. The other one keeps its connections and is to be closed.

        Called again after ``leave``, or after its socket was taken over, it serves as before.

        Raises ConfigError or ElementTypeError with Kea's text; then nothing has changed.
        """

    def leave(self) -> None:
        """Say that the channel is about to close, and accept no connection until it closes or opens again."""

    def close(self) -> None:
        """Stop listening and close the connections whose command is not under way."""


class Accepting(Protocol):
    """What an ``Acceptor`` asks of its channel."""

    def has_place(self) -> bool:
        """Return whether the channel can take another connection; it may close one for that."""

    def accepted(self, connection: socket.socket, peer: str) -> None:
        """Serve a connection from an address; a UNIX socket has none."""

    def refused(self, fault: OSError) -> None:
        """Log that the system has refused a socket."""


class Acceptor:
    """Accepts the connections of a listening socket while the channel has a place for them."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, listener: socket.socket, channel: Accepting
    ) -> None:
        self.listener: Final = listener
        self.on = False
        """Whether connections are accepted, now or when there is a place again."""
        self._loop = loop
        self._channel = channel
        self._pause: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Accept from now on."""
        self.on = True
        self._watch()

    def stop(self) -> None:
        """Accept no connection until ``start``."""
        self.on = False
        self._unwatch()

    def go_on(self) -> None:
        """Accept again, if there was no place: a connection has ended."""
        if self.on and self._pause is None:
            self._watch()

    def _watch(self) -> None:
        self._pause = None
        self._loop.add_reader(self.listener.fileno(), self._accept)

    def _unwatch(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        self._loop.remove_reader(self.listener.fileno())

    def _accept(self) -> None:
        if not self._channel.has_place():
            self._unwatch()
            return
        try:
            connection, peer = self.listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as fault:
            self._channel.refused(fault)
            self._unwatch()
            self._pause = self._loop.call_later(ACCEPT_PAUSE, self._watch)
            return
        connection.setblocking(False)  # noqa: FBT003  the name of the method says it
        self._channel.accepted(connection, str(peer[0]) if peer else "")


class ControlChannels:
    """The channels of the configuration in force.

    A change has two steps: ``prepare`` opens the new channels beside the open ones, then ``commit`` closes
    those that are no longer wanted, or ``roll_back`` undoes the first step. The channel of a UNIX socket that
    does not change is not touched. One of an HTTP socket always has a successor, since the files that the
    socket names may have changed; the successor takes all over, and no client notices.

    ``make`` returns a channel, not yet open, for a socket of the configuration.
    """

    def __init__(self, make: Callable[[ControlSocket], ControlChannel], log: Log) -> None:
        self._make = make
        self._log = log
        self._current: list[tuple[ControlSocket, ControlChannel]] = []
        self._next: list[tuple[ControlSocket, ControlChannel]] = []
        """The channels that are current after ``commit``."""

    def prepare(self, sockets: Iterable[ControlSocket]) -> None:
        """Open the channels that are new. Raises as ``ControlChannel.open``; then nothing has changed."""
        ordered = sorted(sockets, key=lambda socket: not isinstance(socket, UnixSocket))  # Kea's order
        wanted = [(socket, self._current_channel(socket)) for socket in ordered]
        kept = [channel for _, channel in wanted if channel is not None]
        leaving = [channel for _, channel in self._current if channel not in kept]
        self._next = []
        try:
            for socket, present in wanted:
                channel = present or self._make(socket)
                self._next.append((socket, channel))
                if present is None:
                    channel.open([*leaving, *self._opened()])
        except BaseException:
            self.roll_back()
            raise
        for channel in leaving:
            if channel.listening:
                channel.leave()

    def commit(self) -> None:
        """Close the channels that are no longer wanted, and warn of sockets that are newly unprotected."""
        known = set(self._unprotected())
        leaving = self._without(self._current, self._next)
        # Of several entries with one address and port, as Kea accepts them, the last one has the socket.
        listening = [pair for pair in self._next if pair[1].listening]
        self._current = sorted(listening, key=lambda pair: pair[1].place)
        for channel in leaving:
            channel.close()
        for fault in self._unprotected():
            if fault not in known:
                self._log.emit("PYD2_HTTP_UNPROTECTED", *fault)

    def roll_back(self) -> None:
        """Undo ``prepare``: channels that have handed their sockets over get them back."""
        added = self._opened()
        for _, channel in self._current:
            if not channel.listening:
                channel.open(added)
        for channel in added:
            channel.close()
        self._next = self._current

    def close(self) -> None:
        """Close all channels."""
        self.prepare(())
        self.commit()

    def _unprotected(self) -> Iterator[tuple[str, int, str]]:
        """Yield address, port and fault of sockets that every client may use, or that are not encrypted."""
        for socket, _ in self._current:
            if not isinstance(socket, UnixSocket):
                tls, authentication = socket.tls, socket.authentication
                where = str(socket.address), socket.port
                if not (authentication and authentication.clients) and not (tls and tls.cert_required):
                    yield *where, _NO_CLIENTS
                if tls is None and not socket.address.is_loopback:
                    yield *where, _NOT_ENCRYPTED

    def _opened(self) -> list[ControlChannel]:
        """Return the channels that ``prepare`` has opened so far."""
        return [channel for channel in self._without(self._next, self._current) if channel.listening]

    def _current_channel(self, wanted: ControlSocket) -> ControlChannel | None:
        """Return the open channel of a UNIX socket that is the same in the configuration in force."""
        if not isinstance(wanted, UnixSocket):
            return None
        unix = ((socket, channel) for socket, channel in self._current if isinstance(socket, UnixSocket))
        return next((channel for socket, channel in unix if _is_same(socket, wanted)), None)

    @staticmethod
    def _without(
        pairs: Iterable[tuple[ControlSocket, ControlChannel]],
        others: Iterable[tuple[ControlSocket, ControlChannel]],
    ) -> list[ControlChannel]:
        """Return the channels of ``pairs`` that are not among the ``others``."""
        known = [channel for _, channel in others]
        return [channel for _, channel in pairs if channel not in known]


def _is_same(socket: UnixSocket, wanted: UnixSocket) -> bool:
    """Say whether the channel of a socket continues as that of a new configuration."""
    if wanted.rules.same_by_path:
        return socket.path == wanted.path
    return socket.element.plain() == wanted.element.plain()
