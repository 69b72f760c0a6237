"""Odd and broken requests over HTTP, to pyd2 and to the real Kea 3.0: the same response, end and reasons."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.control.http_fakes import ADMIN, basic
from tests.kit import kea
from tests.kit.as_kea import as_kea
from tests.kit.d2 import D2, private_directory
from tests.kit.ports import PortLease

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.peers, pytest.mark.kea30]

COUNT = int(os.environ.get("PYD2_HTTP_REQUESTS", "60"))
TIME = 5.0
"""Seconds that a response may take: what comes, comes much sooner; some requests get none."""
_REASONS = re.compile(
    r"HTTP_BAD_CLIENT_REQUEST_RECEIVED .*|HTTP_CLIENT_REQUEST_\w+ rec.*|COMMAND_(?:RECEIVED|PROCESS_\w+) .*"
)
_HEADERS = (
    b"Host: localhost", b"Connection: close", b"Connection: keep-alive", b"Connection: Keep-Alive, x",
    b"Authorization: Basic YWRtaW46eA==", b"Authorization: Bearer x", b"Authorization:",
    b"Authorization:   basic    YWRtaW46czNjcmV0  ", b"Content-Type: text/plain",
    b"content-type: APPLICATION/json", b"Expect: 100-continue", b"Upgrade: h2c", b"X: a\r\n b",
    b"X: a\r\n\tb", b"X", b"X : y", b"X:\t", b": y", b"\xff: y", b"X: \xff\xe9", b"X: a\tb", b"X: \x01",
    b"X(: y", b"X:y", b"X:", b"\r", b" folded", b"X: a\nY: b",
)  # fmt: skip
_BODIES = (
    b'{ "command": "list-commands" }', b'{ "command": "x" }', b"{", b"", b"[1]", b'"x"', b"1", b"{}",
    b'{"command":1}', b' {"command":"list-commands"} ', b'{"command":"list-commands"} x',
    b'{"command":"list-commands","x":1}', b'{"command":"list-commands",}',
    b'{/*c*/"command":"list-commands"}', b'# c\n{"command":"list-commands"}', b"null", b"true",
    b'{"command":"list-commands","service":["x"]}', b"\xff", b'{"command":"\xc3\xa9"}',
    b'{"command":"\\u00e9"}',
    b'{"command":"a","arguments":5}', b'{"command":"statistic-get"}',
    b'{"command":"list-commands","remote-address":5}', b"[" * 150 + b"]" * 150,
)  # fmt: skip
_METHODS = (
    b"GET", b"post", b"Post", b"OPTIONS", b"HEAD", b"CONNECT", b"FOO", b"", b"PO ST", b"P(", b"PATCH",
    b"\x16",
    b"POST\t", b" POST",
)  # fmt: skip
_VERSIONS = (
    b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1", b"HTTP/1.1 ", b"http/1.1", b"HTTP/1.10", b"HTTP/01.1",
    b"HTTP/.1", b"HTTP/1.", b"HTTP/11.1", b"HTTPS/1.1", b"",
)  # fmt: skip


def invent(number: int) -> bytes:
    """Return a request; those with several lengths, which pyd2 refuses, are not among them."""
    rng = random.Random(number)
    body = rng.choice(_BODIES)
    length = rng.choice([b"x", b"+3", b"3", b""]) if rng.random() < 0.1 else b"%d" % len(body)
    headers = [b"Content-Type: application/json", b"Content-Length: " + length]
    if rng.random() < 0.8:
        headers.append(basic(ADMIN).encode())
    for _ in range(rng.choice([0, 0, 0, 1, 1, 2])):
        headers.insert(rng.randint(0, len(headers)), rng.choice(_HEADERS))
    if rng.random() < 0.07:
        headers.pop(rng.randrange(len(headers)))
    method = rng.choice(_METHODS) if rng.random() < 0.15 else b"POST"
    version = rng.choice(_VERSIONS) if rng.random() < 0.5 else b"HTTP/1.1"
    target = rng.choice([b"/", b"/x?y", b"*", b"", b"/\xe9", b"/\x7f", b"http://a/"])
    return b"\r\n".join([b" ".join([method, target, version]), *headers, b"", body])


@dataclass
class Server:
    """A D2 with an HTTP socket."""

    d2: D2
    port: int
    mark: int = 0

    def ask(self, request: bytes) -> tuple[str, bool, list[str]]:
        """Return the response, whether the server ends the connection, and what it logs of the request.

        A second client asks afterwards, so that all that there will be is there.
        """
        with socket.create_connection(("127.0.0.1", self.port), timeout=TIME) as sock:
            sock.sendall(request)
            response = self._response(sock)
            self.d2.barrier()
            sock.setblocking(False)
            try:
                more = sock.recv(100)
            except BlockingIOError:
                ended = False
            except ConnectionResetError:
                ended = True
            else:
                ended = not more
        found = _REASONS.findall(self.d2.stdout())
        new, self.mark = found[self.mark :], len(found)
        return re.sub(r"Date: [^\r]*", "Date:", response.decode("latin-1")), ended, new

    def _response(self, sock: socket.socket) -> bytes:
        """Return a response that comes before the server has answered two other clients."""
        found = b""
        sock.setblocking(False)
        for _ in range(2):
            self.d2.barrier()
            with contextlib.suppress(BlockingIOError, ConnectionResetError):
                while data := sock.recv(65536):
                    found += data
        return found


@contextlib.contextmanager
def serve(binary: str) -> Iterator[Server]:
    with PortLease() as lease, private_directory() as directory:
        port = lease.take()
        client = {"user": ADMIN.user, "password": ADMIN.password}
        body = {
            "port": lease.take(),
            "control-sockets": [
                {"socket-type": "unix", "socket-name": "d2.sock"},
                {"socket-type": "http", "socket-port": port,
                 "authentication": {"type": "basic", "clients": [client]}},
            ],
            "loggers": [{"name": "kea-dhcp-ddns", "severity": "DEBUG", "debuglevel": 99,
                         "output-options": [{"output": "stdout"}]}],
        }  # fmt: skip
        with D2.start(binary, directory, json.dumps({"DhcpDdns": body})) as d2:
            yield Server(d2, port)


def test_both_do_the_same(d2_binary: str, tmp_path: Path) -> None:
    real = kea.unpacked("3.0")
    ours = as_kea(d2_binary, real.release, tmp_path)
    differ = []
    with serve(real.program("kea-dhcp-ddns")) as theirs, serve(ours) as own:
        for number in range(COUNT):
            request = invent(number)
            expected, found = theirs.ask(request), own.ask(request)
            if found != expected:
                differ.append((number, request, expected, found))
    assert differ == []
