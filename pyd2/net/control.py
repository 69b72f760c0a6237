"""The open control channels, and the change from one set of them to another: whole, or not at all.

A channel serves one control socket of the configuration. Each kind of channel is a module of its own:
``control_unix`` and ``control_http``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pyd2.config.model import UnixSocket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pyd2.config.model import ControlSocket


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

        Called again after ``leave``, or after its socket was taken over, it goes on as before.

        Raises ConfigError or ElementTypeError with Kea's text; then nothing has changed.
        """

    def leave(self) -> None:
        """Say that the channel is about to close, and accept no connection until it closes or opens again."""

    def close(self) -> None:
        """Stop listening and close the connections whose command is not under way."""


class ControlChannels:
    """The channels of the configuration in force.

    A change has two steps: ``prepare`` opens the new channels beside the open ones, then ``commit`` closes
    those that are no longer wanted, or ``roll_back`` undoes the first step. The channel of a UNIX socket that
    does not change is not touched. One of an HTTP socket always has a successor, since the files that the
    socket names may have changed; the successor takes all over, and no client notices.

    ``make`` returns a channel, not yet open, for a socket of the configuration.
    """

    def __init__(self, make: Callable[[ControlSocket], ControlChannel]) -> None:
        self._make = make
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
        """Close the channels that are no longer wanted."""
        leaving = self._without(self._current, self._next)
        # Of several entries with one address and port, as Kea accepts them, the last one has the socket.
        listening = [pair for pair in self._next if pair[1].listening]
        self._current = sorted(listening, key=lambda pair: pair[1].place)
        for channel in leaving:
            channel.close()

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

    def _opened(self) -> list[ControlChannel]:
        """Return the channels that ``prepare`` has opened so far."""
        return [channel for channel in self._without(self._next, self._current) if channel.listening]

    def _current_channel(self, wanted: ControlSocket) -> ControlChannel | None:
        """Return the open channel of a UNIX socket that is the same in the configuration in force."""
        if not isinstance(wanted, UnixSocket):
            return None
        plain = wanted.element.plain()
        return next((channel for socket, channel in self._current if socket.element.plain() == plain), None)

    @staticmethod
    def _without(
        pairs: Iterable[tuple[ControlSocket, ControlChannel]],
        others: Iterable[tuple[ControlSocket, ControlChannel]],
    ) -> list[ControlChannel]:
        """Return the channels of ``pairs`` that are not among the ``others``."""
        known = [channel for _, channel in others]
        return [channel for _, channel in pairs if channel not in known]
