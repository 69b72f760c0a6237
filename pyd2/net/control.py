"""The open control channels, and the change from one set of them to another: whole, or not at all.

A channel serves one control socket of the configuration. Each kind of channel is a module of its own; the one
for UNIX sockets is ``control_unix``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pyd2.config.model import ControlSocket


class ControlChannel(Protocol):
    """A listening socket and its connections."""

    @property
    def listening(self) -> bool:
        """Whether the channel accepts connections: it is open and has not handed its socket over."""

    def open(self, others: Sequence[ControlChannel] = ()) -> None:
        """Listen, and serve from now on.

        If one of the ``others`` listens at the same place, the channel takes its listening socket over, so
        that no client finds the place closed. The other one keeps its connections and is to be closed.

        Raises ConfigError or ElementTypeError with Kea's text; then nothing has changed.
        """

    def close(self) -> None:
        """Stop listening and close the connections whose command is not under way."""


class ControlChannels:
    """The channels of the configuration in force.

    A change has two steps: ``prepare`` opens the new channels beside the open ones, then ``commit`` closes
    those that are no longer wanted, or ``roll_back`` undoes the first step. A channel whose socket does not
    change is not touched.

    ``make`` returns a channel, not yet open, for a socket of the configuration.
    """

    def __init__(self, make: Callable[[ControlSocket], ControlChannel]) -> None:
        self._make = make
        self._current: list[tuple[ControlSocket, ControlChannel]] = []
        self._next: list[tuple[ControlSocket, ControlChannel]] = []
        """The channels that are current after ``commit``."""

    def prepare(self, sockets: Iterable[ControlSocket]) -> None:
        """Open the channels that are new. Raises as ``ControlChannel.open``; then nothing has changed."""
        wanted = [(socket, self._current_channel(socket)) for socket in sockets]
        kept = [channel for _, channel in wanted if channel is not None]
        leaving = [channel for _, channel in self._current if channel not in kept]
        self._next = []
        try:
            for socket, present in wanted:
                channel = present or self._make(socket)
                if present is None:
                    channel.open(leaving)
                self._next.append((socket, channel))
        except BaseException:
            self.roll_back()
            raise

    def commit(self) -> None:
        """Close the channels that are no longer wanted."""
        leaving = self._without(self._current, self._next)
        self._current = self._next
        for channel in leaving:
            channel.close()

    def roll_back(self) -> None:
        """Undo ``prepare``: channels that have handed their sockets over get them back."""
        added = self._without(self._next, self._current)
        for _, channel in self._current:
            if not channel.listening:
                channel.open(added)
        for channel in added:
            channel.close()
        self._next = self._current

    def close(self) -> None:
        """Close all channels."""
        self._next = []
        self.commit()

    def _current_channel(self, wanted: ControlSocket) -> ControlChannel | None:
        """Return the open channel of a socket that is the same in the configuration in force."""
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
