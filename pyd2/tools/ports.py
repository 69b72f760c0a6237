"""Ports for daemons and servers that a tool starts."""

from __future__ import annotations

import contextlib
import socket


def free_ports(count: int, *, udp: bool = False) -> list[int]:
    """Return ports of 127.0.0.1 that are free at the moment, each once."""
    kind = socket.SOCK_DGRAM if udp else socket.SOCK_STREAM
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket(socket.AF_INET, kind)) for _ in range(count)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]
