"""Asks a DNS server one question and waits for the answer: for threads that may wait."""

from __future__ import annotations

import socket
from time import monotonic
from typing import TYPE_CHECKING, Final

from pyd2.config.addresses import address_text

if TYPE_CHECKING:
    from pyd2.hooks.gss.parameters import GssServer

_MOST: Final = 0xFFFF
"""Octets of a DNS message."""


def ask(server: GssServer, message: bytes) -> bytes:
    """Return the server's answer to a message: the one with its query ID.

    Raises TimeoutError when none comes within the server's ``exchange-timeout``, else OSError.
    """
    deadline = monotonic() + server.exchange_timeout / 1000
    kind = socket.SOCK_STREAM if server.protocol == "TCP" else socket.SOCK_DGRAM
    family, _, _, _, peer = socket.getaddrinfo(
        address_text(server.address), server.port, type=kind, flags=socket.AI_NUMERICHOST
    )[0]
    with socket.socket(family, kind) as link:
        _limit(link, deadline)
        link.connect(peer)
        if kind == socket.SOCK_DGRAM:
            return _by_datagram(link, message, deadline)
        return _by_stream(link, message, deadline)


def _by_datagram(link: socket.socket, message: bytes, deadline: float) -> bytes:
    link.send(message)
    while True:
        _limit(link, deadline)
        answer = link.recv(_MOST)
        if answer[:2] == message[:2]:
            return answer


def _by_stream(link: socket.socket, message: bytes, deadline: float) -> bytes:
    link.sendall(len(message).to_bytes(2, "big") + message)
    while True:
        size = int.from_bytes(_read(link, 2, deadline), "big")
        answer = _read(link, size, deadline)
        if answer[:2] == message[:2]:
            return answer


def _read(link: socket.socket, size: int, deadline: float) -> bytes:
    parts = b""
    while len(parts) < size:
        _limit(link, deadline)
        part = link.recv(size - len(parts))
        if not part:
            raise ConnectionError("the server closed the connection before it answered")
        parts += part
    return parts


def _limit(link: socket.socket, deadline: float) -> None:
    """Limit the next call to the time until a moment; raises TimeoutError when that has passed."""
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError
    link.settimeout(left)
