"""Messages to one DNS server that wait for the kernel, in order."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from pyd2.update.inflight.contract import Outgoing

EMPTY: Final = -1


class Outbox(Protocol):
    """The interface of an outbox."""

    @property
    def slot(self) -> int:
        """The slot that the first message is to go out from; EMPTY if there is none."""

    def send(self, sock: socket.socket) -> tuple[int, int]:
        """Send from the first slot's socket; return how many were sent, and the errno of the next one, or 0.

        What is sent leaves the outbox. If none is sent and there is no errno, or fewer are sent than there
        are, the next call says more.
        """

    def skip(self) -> Outgoing:
        """Remove the first message unsent, and return it."""

    def clear(self) -> None:
        """Remove all messages."""


class PythonOutbox:
    """Messages made in Python. ``send`` is a method of Datagrams."""

    def __init__(self, send: Callable[[socket.socket, Sequence[bytes]], tuple[int, int]]) -> None:
        self._send = send
        self._waiting: deque[Outgoing] = deque()

    def add(self, outgoing: Outgoing) -> None:
        """Add a message."""
        self._waiting.append(outgoing)

    @property
    def slot(self) -> int:
        """See Outbox."""
        return self._waiting[0].slot if self._waiting else EMPTY

    def send(self, sock: socket.socket) -> tuple[int, int]:
        """See Outbox."""
        slot = self.slot
        messages = []
        for outgoing in self._waiting:
            if outgoing.slot != slot:
                break
            messages.append(outgoing.message)
        sent, error = self._send(sock, messages)
        for _ in range(sent):
            self._waiting.popleft()
        return sent, error

    def skip(self) -> Outgoing:
        """See Outbox."""
        return self._waiting.popleft()

    def clear(self) -> None:
        """See Outbox."""
        self._waiting.clear()
