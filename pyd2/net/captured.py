"""Shows requests and updates to a capture. Without a capture nothing of this is in use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from pyd2.net.datagrams import Datagrams
    from pyd2.update.server.lane import Lane


def endpoint_text(lane: Lane) -> str:
    """Return address and port of a DNS server."""
    return f"[{lane.host}]:{lane.port}" if ":" in lane.host else f"{lane.host}:{lane.port}"


class UpdateCapture(Protocol):
    """What notes updates."""

    def note_update(self, at: float, server: str, slot: int, message: bytes) -> None:
        """Note a message that is about to be sent; ``at`` is seconds since the epoch."""

    def note_replies(self, server: str, slot: int, datagrams: Sequence[bytes]) -> None:
        """Note messages that a server has sent."""


class CapturedDatagrams:
    """Datagrams (see there) that are noted as they are received: for the port of requests."""

    def __init__(self, datagrams: Datagrams, note: Callable[[Sequence[bytes]], None]) -> None:
        self._receive = datagrams.receive
        self._note = note
        self.send = datagrams.send
        self.posted = datagrams.posted
        self.waiting = datagrams.waiting

    def receive(self, sock: socket.socket, count: int, size: int) -> tuple[Sequence[bytes], int]:
        """See Datagrams."""
        datagrams, error = self._receive(sock, count, size)
        if datagrams:
            self._note(list(datagrams))  # copies: these are valid until the next call only
        return datagrams, error
