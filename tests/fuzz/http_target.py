"""Requests over HTTP, through all of the channel but its socket: whole, broken, cut, and in long rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import h11

from pyd2.control.http_request import Bodies, RequestReader, Verdict
from pyd2.control.http_session import HttpService, HttpSession
from pyd2.data.json import from_json
from tests.control.http_fakes import ADMIN, READER, at_once, http_socket
from tests.fuzz.command_target import ControlTarget
from tests.fuzz.mutate import any_bytes, in_pieces, mutate_bytes, mutate_text
from tests.fuzz.runner import ACCEPTED

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from tests.fuzz.runner import Input

_STATUSES: Final = frozenset({200, 400, 401, 403, 408, 413, 431})
HEADERS: Final = (
    b"Host: localhost",
    b"Host: elsewhere",
    b"Connection: close",
    b"Connection: keep-alive",
    b"Authorization: Basic cmVhZGVyOmxvb2s=",
    b"Authorization: Basic YWRtaW46eA==",
    b"Authorization: Bearer x",
    b"Authorization:",
    b"Content-Length: 5",
    b"Content-Length: x",
    b"Content-Length: 99999999999999999999",
    b"Content-Length: -1",
    b"Content-Type: text/plain",
    b"Transfer-Encoding: chunked",
    b"Expect: 100-continue",
    b"Upgrade: h2c",
    b"X: a\r\n b",
    b"X",
    b"X : y",
    b"X:\t",
    b": y",
    b"\xff: y",
    b"X: " + b"y" * 40000,
    b"\r\nX: y".join([b""] * 300)[2:],
)
_ADMIN: Final = b"Authorization: Basic YWRtaW46czNjcmV0"


class HttpTarget(ControlTarget):
    """An input is what a client sends over one connection, in pieces."""

    name = "http"

    def make(self, rng: random.Random) -> Input:
        stream = b"".join(self._request(rng) for _ in range(rng.choice([1, 1, 1, 2, 3])))
        way = rng.random()
        if way < 0.15:
            stream = mutate_bytes(stream, rng, [stream])
        elif way < 0.18:
            stream = any_bytes(rng)
        return in_pieces(stream, rng)

    def _request(self, rng: random.Random) -> bytes:
        body = rng.choice(self._seeds)
        if rng.random() < 0.4:
            body = mutate_text(body, rng, self._seeds)
        headers = [b"Content-Type: application/json", b"Content-Length: %d" % len(body)]
        if rng.random() < 0.8:
            headers.append(_ADMIN)
        if rng.random() < 0.4:
            for _ in range(rng.choice([1, 1, 2, 3])):
                headers.insert(rng.randint(0, len(headers)), rng.choice(HEADERS))
        if rng.random() < 0.05:
            headers.pop(rng.randrange(len(headers)))
        odd = rng.random() < 0.1
        method = rng.choice([b"GET", b"post", b"OPTIONS", b"FOO", b"", b"PO ST"]) if odd else b"POST"
        version = rng.choice([b"1.1", b"1.1", b"1.1", b"1.0", b"2.0", b"0.9", b"1", b"1.1 "])
        line = b"%b %b HTTP/%b" % (method, rng.choice([b"/", b"/x?y", b"*", b""]), version)
        return b"\r\n".join([line, *headers, b"", body])

    def run(self, data: Input) -> Iterator[str]:
        if sum(map(len, data)) < 4096:
            _check_pieces(data)
        registry = self.registry
        registry.fault = None
        service = HttpService(http_socket(0, ADMIN, READER), registry.process, self._log)
        session = service.session("192.0.2.7", tls=False)
        for piece in data:
            response = at_once(session.receive(piece))
            while response is not None:
                if registry.fault is not None:
                    raise registry.fault
                yield _judge(response)
                if session.closing:
                    return
                response = at_once(session.resume())
        self._log.lines.clear()
        if not session.idle:
            yield f"incomplete, then {_judge(session.timed_out())}"
            _check_deaf(session)


def _judge(response: bytes) -> str:
    """Check that a client can read a response, and that it is what the status says; return what it was."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="POST", target="/", headers=[("Host", "x"), ("Content-Length", "0")]))
    client.send(h11.EndOfMessage())
    client.receive_data(response)
    head, body = client.next_event(), b""
    assert isinstance(head, h11.Response)
    assert head.status_code in _STATUSES
    while isinstance(event := client.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert client.trailing_data == (b"", False)
    read = from_json(body.replace(b"\n", b" ")) if len(body) < 1000 and b"\\" not in body else None
    if head.status_code != 200:
        assert read is not None
        assert read.map_value()["result"].value == head.status_code
        return f"{head.status_code} {read.map_value()['text'].value}"
    assert body.startswith(b"[ {")
    assert body.endswith(b"} ]")
    if read is None:
        return ACCEPTED if b'"result": 0' in body else "200, a long error"
    (answer,) = read.list_value()
    members = answer.map_value()
    return ACCEPTED if members["result"].value == 0 else f"200 {members['text'].value}"


def _check_deaf(session: HttpSession) -> None:
    """Check that nothing is taken for a request after a time-out."""
    if not session.closing:
        assert session.receive(b"POST / HTTP/1.1\r\n\r\n") is None
        assert session.resume() is None


def _check_pieces(data: Input) -> None:
    """Check that it does not matter how requests are cut into pieces."""

    def read(pieces: Input) -> list[tuple[object, ...]]:
        reader = RequestReader(lambda _: True, Bodies())
        found: list[tuple[object, ...]] = []
        for piece in pieces:
            request = reader.feed(piece)
            while request is not None:
                head = request.head
                found.append((request.verdict, request.reason, request.body, head.method, head.headers))
                if request.verdict is not Verdict.GOOD:
                    return found
                request = reader.feed(b"")
        return found

    assert read(data) == read((b"".join(data),))
