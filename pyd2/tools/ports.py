"""A free port, for daemons that a tool starts."""

from __future__ import annotations

import socket


def free_udp_port() -> int:
    """Return a UDP port of 127.0.0.1 that is free at the moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
