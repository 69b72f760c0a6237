"""One command over a control socket of type unix, from the client's side: the daemon asks DHCP servers so."""

from __future__ import annotations

import socket
import time
from math import inf


def ask_unix(path: str, command: bytes, timeout: float, longest: int, in_all: float = inf) -> bytes:
    """Return the answer; ``timeout`` is seconds without progress, ``in_all`` those until the whole answer.

    Raises OSError without an answer, ValueError for one of more than ``longest`` octets.
    """
    answer = bytearray()
    ends = time.monotonic() + in_all
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(timeout)
        client.connect(path)
        client.sendall(command)
        while part := client.recv(1 << 16):
            answer += part
            if len(answer) > longest:
                raise ValueError(f"longer than {longest} octets")
            if time.monotonic() > ends:
                raise TimeoutError(f"it takes longer than {in_all:g} seconds")
    return bytes(answer)
