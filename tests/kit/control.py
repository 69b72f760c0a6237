"""A client of the control channel: one request per connection over a UNIX stream socket."""

import fcntl
import json
import socket
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.kit.waiting import TIMEOUT, wait_until

_SIOCOUTQ = 0x5411  # bytes written that the peer hasn't read yet (Linux)


def _unread_by_peer(sock: socket.socket) -> int:
    answer = fcntl.ioctl(sock.fileno(), _SIOCOUTQ, b"\0" * 4)
    return int(struct.unpack("i", answer)[0])


def exchange(path: Path, chunks: Iterable[str | bytes], *, half_close: bool = False,
             timeout: float = TIMEOUT) -> bytes:
    """Send a request in the given pieces and return the whole answer.

    A piece goes out when the server has read the one before. `half_close` ends the request
    without closing the connection. Raises OSError; a connection broken after part of an answer
    returns that part.
    """
    answer = b""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout)
        sock.connect(str(path))
        for number, chunk in enumerate(chunks):
            if number:
                wait_until(lambda: not _unread_by_peer(sock), "the server to read a piece of the request")
            sock.sendall(chunk if isinstance(chunk, bytes) else chunk.encode())
        if half_close:
            sock.shutdown(socket.SHUT_WR)
        try:
            while data := sock.recv(65536):
                answer += data
        except OSError:
            if not answer:
                raise
    return answer


def decode(answer: bytes) -> str:
    """Return an answer as text; bytes that aren't UTF-8 are shown as escapes."""
    return answer.decode("utf-8", "backslashreplace")


def command(path: Path, name: str, arguments: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Send a command and return its answer as a value."""
    request: dict[str, Any] = {"command": name}
    if arguments is not None:
        request["arguments"] = arguments
    answer = json.loads(exchange(path, [json.dumps(request)]))
    assert isinstance(answer, dict)
    return answer


def statistics(path: Path) -> dict[str, int]:
    """Return all statistics, name to value."""
    answer = command(path, "statistic-get-all")
    return {name: samples[0][0] for name, samples in answer["arguments"].items()}
