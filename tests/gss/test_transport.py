"""Asking a DNS server and waiting for the answer, by both protocols."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.hooks.gss.transport import ask
from tests.gss.test_parameters import parse, server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyd2.hooks.gss.parameters import GssServer

_QUESTION = b"\1\2question"
_ANSWER = b"\1\2answer"


@contextlib.contextmanager
def peer(kind: socket.SocketKind, serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Run a server; return its port."""
    with socket.socket(socket.AF_INET, kind) as listener:
        listener.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            listener.listen()

        def run() -> None:
            with contextlib.suppress(OSError):
                serve(listener)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(60)


def target(port: int, protocol: str, timeout: int = 60000) -> GssServer:
    """Return the server as the parameters have it."""
    more: dict[str, Any] = {"tkey-protocol": protocol, "exchange-timeout": timeout, "port": port}
    return parse({"servers": [server(**more) | {"ip-address": "127.0.0.1"}]}).servers[0]


def test_datagrams_with_another_query_id_are_ignored() -> None:
    def serve(listener: socket.socket) -> None:
        message, client = listener.recvfrom(1000)
        assert message == _QUESTION
        for answer in (b"", b"\2\1other", _ANSWER):
            listener.sendto(answer, client)

    with peer(socket.SOCK_DGRAM, serve) as port:
        assert ask(target(port, "UDP"), _QUESTION) == _ANSWER


def _framed(message: bytes) -> bytes:
    return len(message).to_bytes(2, "big") + message


def test_a_stream_may_come_in_pieces() -> None:
    def serve(listener: socket.socket) -> None:
        link, _ = listener.accept()
        with link:
            assert link.recv(1000) == _framed(_QUESTION)
            for octet in _framed(b"\2\1other") + _framed(_ANSWER):
                link.sendall(bytes([octet]))

    with peer(socket.SOCK_STREAM, serve) as port:
        assert ask(target(port, "TCP"), _QUESTION) == _ANSWER


def test_a_server_that_hangs_up_is_an_error() -> None:
    def serve(listener: socket.socket) -> None:
        link, _ = listener.accept()
        with link:
            link.recv(1000)
            link.sendall(_framed(_ANSWER)[:-1])

    with peer(socket.SOCK_STREAM, serve) as port, pytest.raises(ConnectionError, match="before it answered"):
        ask(target(port, "TCP"), _QUESTION)


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_silence_ends(protocol: str) -> None:
    kind = socket.SOCK_STREAM if protocol == "TCP" else socket.SOCK_DGRAM
    with peer(kind, lambda _: None) as port, pytest.raises(TimeoutError):
        ask(target(port, protocol, timeout=1), _QUESTION)
