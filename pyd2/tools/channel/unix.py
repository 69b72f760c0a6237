"""One command over a control socket of type unix."""

from __future__ import annotations

import socket
from typing import Final

USUAL_SOCKET: Final = "/run/kea/kea-ddns-ctrl-socket"
"""That of Kea's example configuration."""
LONGEST: Final = 1 << 28
"""Octets of an answer. A page of 1000 leases has half a million."""


def ask_unix(path: str, command: bytes, timeout: float) -> bytes:
    """Return the answer; ``timeout`` is seconds without progress.

    Raises OSError without an answer, ValueError for one of more than LONGEST octets.
    """
    answer = bytearray()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(timeout)
        client.connect(path)
        client.sendall(command)
        while part := client.recv(1 << 16):
            answer += part
            if len(answer) > LONGEST:
                raise ValueError(f"longer than {LONGEST} octets")
    return bytes(answer)


def reason(error: Exception) -> str:
    """Return why there is no answer, without an error number."""
    return str((isinstance(error, OSError) and error.strerror) or error or type(error).__name__)
