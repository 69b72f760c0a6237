"""The control channel in bad hands: huge, endless, deep and abandoned requests."""

import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit import control
from tests.kit.d2 import CONTROL_SOCKET, D2, config, private_directory
from tests.kit.ports import PortLease
from tests.kit.waiting import wait_until

pytestmark = pytest.mark.faults

MEBIBYTE = 1 << 20
_HEAD = b'{ "command": "list-commands", "arguments": { "x": "'


@contextlib.contextmanager
def _d2(binary: str) -> Iterator[D2]:
    with PortLease() as lease, private_directory() as directory, \
            D2.start(binary, directory, config(lease.take())) as d2:
        yield d2


def _pour(path: Path, megabytes: int, tail: bytes) -> tuple[bytes, bool]:
    """Send a request with that much text in it; return the answer and whether all of it was taken."""
    piece = b"x" * MEBIBYTE
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(60)
        sock.connect(str(path))
        taken = True
        try:
            for part in [_HEAD, *[piece] * megabytes, tail]:
                sock.sendall(part)
        except OSError:  # the server has had enough and closed
            taken = False
        answer = b""
        with contextlib.suppress(ConnectionError):
            while data := sock.recv(65536):
                answer += data
    return answer, taken


def test_a_request_of_100_mebibytes_is_refused_in_bounded_memory(d2_binary: str, is_pyd2: bool) -> None:
    with _d2(d2_binary) as d2:
        before = d2.process.resident_bytes()
        # The real server takes a request of any length, in time that grows with its square.
        answer, taken = _pour(d2.socket, 100 if is_pyd2 else 8, b'" } }')
        if is_pyd2:
            assert not taken
            assert json.loads(answer) == {"result": 1, "text": "request is longer than 16777216 bytes"}
            assert d2.process.peak_resident_bytes() - before < 64 * MEBIBYTE
        else:
            assert json.loads(answer)["result"] == 0
        assert d2.command("list-commands")["result"] == 0


def test_an_endless_request_does_not_keep_others_from_being_answered(d2_binary: str, is_pyd2: bool) -> None:
    with _d2(d2_binary) as d2:
        before = d2.process.resident_bytes()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(30)
            sock.connect(str(d2.socket))
            sent = sock.send(_HEAD)
            with contextlib.suppress(ConnectionError):
                while sent < (200 if is_pyd2 else 4) * MEBIBYTE:
                    sent += sock.send(b"x" * 65536)
                    if sent // 65536 % 16 == 0:
                        assert d2.command("status-get")["result"] == 0
            if is_pyd2:
                assert sent < 32 * MEBIBYTE
                assert d2.process.peak_resident_bytes() - before < 64 * MEBIBYTE
        assert d2.command("list-commands")["result"] == 0


@pytest.mark.parametrize(("opening", "middle", "closing"), [("[", "", "]"), ('{"a":', "1", "}")],
                         ids=["lists", "maps"])
def test_a_command_10000_deep_is_refused(d2_binary: str, opening: str, middle: str, closing: str) -> None:
    deep = opening * 10000 + middle + closing * 10000
    request = f'{{ "command": "config-test", "arguments": {{ "DhcpDdns": {{ "user-context": {deep} }} }} }}'
    with _d2(d2_binary) as d2:
        before = d2.process.resident_bytes()
        answer = json.loads(control.exchange(d2.socket, [request]))
        assert answer == {"result": 1, "text": "fromJSON elements nested too deeply"}
        assert d2.process.peak_resident_bytes() - before < 64 * MEBIBYTE
        assert d2.command("list-commands")["result"] == 0


def test_a_hundred_idle_clients_delay_no_other(d2_binary: str) -> None:
    with _d2(d2_binary) as d2, contextlib.ExitStack() as stack:
        idle = []
        for _ in range(100):
            sock = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            sock.settimeout(20)
            wait_until(lambda sock=sock: _connected(sock, d2.socket), "a place in the backlog")  # type: ignore[misc]
            sock.sendall(b'{ "command": ')
            idle.append(sock)
        assert d2.command("list-commands")["result"] == 0
        for sock in idle[:50]:
            sock.close()
        for sock in idle[50:]:
            sock.sendall(b'"list-commands" }')
            assert b'"result": 0' in sock.recv(65536)
        assert d2.alive


def _connected(sock: socket.socket, path: Path) -> bool:
    try:
        sock.connect(str(path))
    except BlockingIOError:
        return False
    return True


def test_the_control_channel_survives_a_client_that_resets(d2_binary: str) -> None:
    with _d2(d2_binary) as d2:
        for _ in range(50):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                sock.connect(str(d2.socket))
                sock.sendall(b'{ "command": "config-get" }')
        assert d2.command("config-get")["arguments"]["DhcpDdns"]["control-socket"] == CONTROL_SOCKET
