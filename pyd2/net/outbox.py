"""Messages to one DNS server that wait to be sent, in order: those of Python, and those that C has posted."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, Protocol

from pyd2.update.inflight.contract import Outgoing

if TYPE_CHECKING:
    import socket

    from pyd2.net.datagrams import Datagrams
    from pyd2.update.server.lane import Lane

EMPTY: Final = -1


class Outbox(Protocol):
    """The face."""

    @property
    def slot(self) -> int:
        """The slot that the first message is to go out from; EMPTY if there is none."""

    def send(self, sock: socket.socket) -> tuple[int, int]:
        """Send from the first slot's socket; return how many were sent, and the errno of the next one, or 0.

        What is sent leaves. None sent and no errno, or fewer than there are: the next call says more.
        """

    def skip(self) -> Outgoing:
        """Take out the first message."""

    def clear(self) -> None:
        """Throw all away."""


class PythonOutbox:
    """Messages made in Python."""

    def __init__(self, datagrams: Datagrams) -> None:
        self._datagrams = datagrams
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
        sent, error = self._datagrams.send(sock, messages)
        for _ in range(sent):
            self._waiting.popleft()
        return sent, error

    def skip(self) -> Outgoing:
        """See Outbox."""
        return self._waiting.popleft()

    def clear(self) -> None:
        """See Outbox."""
        self._waiting.clear()


class NativeOutbox:
    """Messages that the compiled tries have posted to a lane."""

    def __init__(self, lane: Lane) -> None:
        from pyd2.packets.wire import lib

        self._lane = lane
        window: Any = lane.window  # a NativeWindow
        self._box: Any = window.lane
        self._send = lib.wire_lane_send
        self._skip = lib.wire_lane_skip

    @property
    def slot(self) -> int:
        """See Outbox."""
        box = self._box
        if box.first == box.count:
            return EMPTY
        slot: int = box.messages[box.first].slot
        return slot

    def send(self, sock: socket.socket) -> tuple[int, int]:
        """See Outbox."""
        sent: int = self._send(self._box, sock.fileno())
        return (sent, 0) if sent >= 0 else (0, -sent)

    def skip(self) -> Outgoing:
        """See Outbox."""
        box = self._box
        first = box.messages[box.first]
        outgoing = Outgoing(self._lane, first.slot, first.query_id, tcp=False, message=b"")
        self._skip(box)
        return outgoing

    def clear(self) -> None:
        """See Outbox."""
        while self.slot != EMPTY:
            self._skip(self._box)
