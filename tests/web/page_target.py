"""A daemon's page from outside: requests of each role, and of strangers, to all that its HTTP socket has.

Meanwhile requests fail, streams of events are read slowly or not at all, and DNS servers are asked.
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
import tempfile
import time
from collections import deque
from http import HTTPStatus
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import h11

from pyd2.web.files import Files
from tests.fuzz.api_target import NAMES, OF_EXPLAIN, VALUES, any_query
from tests.fuzz.daemon_target import GROWTH
from tests.fuzz.http_target import HEADERS
from tests.fuzz.mutate import in_pieces, mutate_bytes, mutate_text
from tests.fuzz.runner import ACCEPTED, Finding, Report
from tests.web.site import HOSTILE, OPERATOR, READER, SECRETS, Site, credentials, running
from tests.web.test_roles import ALL, COMMANDS, PAGES, READ

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME: Final = "page"
EVENTS: Final = "/api/v1/events"
OPEN_STREAMS: Final = 10
"""Of events, which are read no further: more than the daemon allows at a time."""
_EVERY: Final = 50
"""Requests over HTTP from one DHCP server's request, and from one look at the daemon, to the next."""
_WAIT: Final = 30.0
"""Seconds for a response; the longest that pyd2 takes of its own are 10, for the rest of a request."""
_STATUSES: Final = frozenset({200, 400, 401, 403, 404, 408, 413, 421, 431, 503})
_CHANGING: Final = frozenset({"shutdown", "config-set", "config-reload", "config-write"})
"""Commands after which this would be another daemon, or none: only those send them who may not."""
_CLIENTS: Final[tuple[tuple[dict[str, Any], str], ...]] = (
    (OPERATOR, ALL), (READER, READ), (READER, READ), ({"user": "operator", "password": "x"}, ""), ({}, ""),
)  # fmt: skip
_ODD_PATHS: Final = (
    "", "*", "/.", "/../page.js", "//", "/api/v1/", "/api/v1/hosts/", "/api/v1/hosts/a/b", "/api/v2/status",
    "/index.html", "/%70age.js", "/page.js/x", "/api/v1/hosts/%00", "/api/v1/hosts/" + "a" * 3000,
    "http://localhost/api/v1/status", "/api/v1/hosts/h1.example.com.%3Fdns=1", "/API/V1/STATUS",
)  # fmt: skip
_ACCEPTS: Final = ("*/*", "application/openmetrics-text", "text/event-stream", ";;")
_HOSTS: Final = (
    "h1.example.com.", "bad.refused.example.", "none.", "x" * 300, "%3Cimg", "h%31.example.com",
)  # fmt: skip
_FOREIGN: Final = ("attacker.example", "localhost.attacker.example", "x" * 300)
_OWN: Final = ("[::2]", "", "LOCALHOST.:1")
"""What the header Host may have: no name, or an address, is nothing that a web page could choose."""
_SENT: Final = ("h1.example.com.", "bad.refused.example.", "lost.silent.example.", HOSTILE)
"""Names for which requests come meanwhile."""
_PAGES: Final = tuple(path for path in PAGES if "?" not in path)
_FILES: Final = tuple(f"/{name}" for name in Files().names)
_ODD_VALUES: Final[tuple[object, ...]] = (
    None, True, -1, 0, 1, 2**63, 1.5, "", "x", [], [1], [0], ["x"], [1] * 501, [[]], {},
    {"numbers": [1]},
)  # fmt: skip


class Asked(NamedTuple):
    """What is sent over one connection, and what is known of it."""

    wire: tuple[bytes, ...]
    role: str
    """That of its credentials; empty: they are no client's, or there are none."""
    whole: bool
    """Whether it is one request as HTTP wants it."""
    path: str = ""
    command: str = ""
    foreign: bool = False
    """Whether another site, or a name that is not the daemon's, is in its headers."""


def run_page(binary: str, count: int, seed: int, seconds: float = inf) -> Report:
    """Send ``count`` requests to a daemon of its own, or as many as ``seconds`` allow."""
    report = Report(NAME)
    begin = time.monotonic()
    last = Asked((), "", whole=False)
    with tempfile.TemporaryDirectory() as folder:
        queue = {"type": "durable", "directory": folder}
        page = {"web": "operate", "metrics": True}
        try:
            with running(binary, Path(folder), page=page, queue=queue) as site:
                before = site.d2.process.resident_bytes()
                with contextlib.ExitStack() as stack:
                    streams: deque[socket.socket] = deque()
                    stack.callback(_close, streams)
                    for number in range(count):
                        if time.monotonic() - begin > seconds:
                            break
                        if number % _EVERY == 0:
                            _look(site, number)
                        last = make(random.Random(f"{seed}/{NAME}/{number}"))
                        report.count(_ask(site.port, last, streams))
                _check_end(site, before)
                report.peak = site.d2.process.peak_resident_bytes()
        except Exception as error:  # whatever it is, it is a finding
            report.faults += 1
            size = sum(map(len, last.wire))
            what = f"{type(error).__name__}: {error} ({last._replace(wire=())})"
            report.findings.append(Finding(NAME, seed, report.inputs, last.wire, what, "", size))
    report.seconds = time.monotonic() - begin
    return report


def _close(streams: deque[socket.socket]) -> None:
    for stream in streams:
        stream.close()


# What is sent.


def make(rng: random.Random) -> Asked:
    """Return an input."""
    client, role = rng.choice(_CLIENTS)
    host, site = "localhost", ""
    if rng.random() < 0.05:
        host = rng.choice([*_FOREIGN, *_OWN])
    if rng.random() < 0.05:
        site = "cross-site"
    headers = [f"Host: {host}"]
    if client:
        headers.append(f"Authorization: {credentials(client)}")
    if site:
        headers.append(f"Sec-Fetch-Site: {site}")
    foreign = host in _FOREIGN or bool(site)
    if foreign:  # which a browser says of a command
        headers.append("Origin: http://attacker.example")
    if rng.random() < 0.5:
        headers.append("Connection: close")
    if rng.random() < 0.3:
        headers.append(f"Accept: {rng.choice(_ACCEPTS)}")
    asked = (_get if rng.random() < 0.75 else _command)(rng, role, headers)
    asked = asked._replace(foreign=foreign)
    way = rng.random()
    if way < 0.7:
        return asked
    if way < 0.8:  # several, of which the first one may be cut or have any header
        more = rng.choice(HEADERS)
        stream = b"".join(asked.wire).replace(b"\r\n", b"\r\n" + more + b"\r\n", 1) * rng.choice([1, 1, 2, 3])
    else:
        stream = mutate_bytes(b"".join(asked.wire), rng, [b"GET / HTTP/1.1\r\n", b"\r\n\r\n", b": ", *VALUES])
    if role == ALL and _changes(stream):
        return asked
    return asked._replace(wire=in_pieces(stream, rng), whole=False)


def _get(rng: random.Random, role: str, headers: list[str]) -> Asked:
    way = rng.random()
    path = rng.choice(_PAGES if way < 0.8 else _FILES if way < 0.9 else _ODD_PATHS)
    path = path.replace("*", rng.choice(_HOSTS))
    query = b""
    if rng.random() < 0.6:
        names = (*NAMES, b"offset", b"dns", b"dns", *(OF_EXPLAIN if "explain" in path else ()))
        query = b"?" + any_query(rng, names)
    if "hosts/" in path and rng.random() < 0.2:
        query = b"?dns=1"
    method = b"GET"
    if rng.random() < 0.05:
        method = rng.choice([b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE", b"get", b"CONNECT"])
    target = path.encode() + query
    # What is not quoted as it must be is no request as HTTP wants it.
    whole = method == b"GET" and target.startswith(b"/") and all(0x21 <= octet < 0x7F for octet in target)
    lines = [b"%b %b HTTP/1.1" % (method, target), *(line.encode() for line in headers), b"", b""]
    return Asked((b"\r\n".join(lines),), role, whole=whole, path=path)


def _command(rng: random.Random, role: str, headers: list[str]) -> Asked:
    name = rng.choice([command for command in COMMANDS if role != ALL or command not in _CHANGING])
    given: dict[str, Any] = {}
    for member in ("limit", "before", "numbers", "name", "DhcpDdns", "file", "seconds"):
        if rng.random() < 0.3:
            given[member] = rng.choice(_ODD_VALUES)
    if rng.random() < 0.1:
        name = name.replace("-", "_")
    asked = {"command": name, "service": ["d2"], "arguments": given}
    body = json.dumps(asked).encode()
    whole = True
    if rng.random() < 0.3:
        changed = mutate_text(body, rng, [body])
        if role != ALL or not _changes(changed):
            body, whole = changed, False
    head = [*headers, "Content-Type: application/json", f"Content-Length: {len(body)}", "", ""]
    path = rng.choice(["/", "/", "/api/v1/status", "/x"])
    wire = f"POST {path} HTTP/1.1\r\n".encode() + "\r\n".join(head).encode() + body
    return Asked((wire,), role, whole=whole, command=name)


def _changes(stream: bytes) -> bool:
    text = stream.decode("latin-1").replace("_", "-").replace("\\u", "shutdown")  # whatever is behind that
    return any(name in text for name in _CHANGING)


# What comes back.


def _ask(port: int, asked: Asked, streams: deque[socket.socket]) -> str:
    """Send it; return what became of it. Whoever sends no whole request says that nothing more comes."""
    connection = socket.create_connection(("127.0.0.1", port), _WAIT)
    keep = False
    try:
        # The daemon answers and closes as soon as it has read enough.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for piece in asked.wire:
                connection.sendall(piece)
            if not asked.whole:
                connection.shutdown(socket.SHUT_WR)
        outcomes = []
        for status, headers, body in _responses(connection, first=asked.whole):
            judge(asked, status, headers, body)
            outcomes.append(status)
            keep |= asked.whole and status == 200 and headers["content-type"] == "text/event-stream"
        if asked.whole:
            assert outcomes, "there is no answer"
    finally:
        if keep:
            streams.append(connection)
            if len(streams) > OPEN_STREAMS:
                streams.popleft().close()
        else:
            connection.close()
    if not outcomes:
        return "closed without an answer"
    return ACCEPTED if outcomes[0] == HTTPStatus.OK else HTTPStatus(outcomes[0]).phrase


def _responses(
    connection: socket.socket, *, first: bool
) -> Iterator[tuple[int, dict[str, str], bytes]]:
    """Yield status, headers and body of what comes: the ``first`` response, or all up to the end.

    Of a stream of events it is what comes first.
    """
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="POST", target="/", headers=[("Host", "x"), ("Content-Length", "0")]))
    client.send(h11.EndOfMessage())
    head: h11.Response | None = None
    headers: dict[str, str] = {}
    body = b""
    while True:
        event = client.next_event()
        if event is h11.NEED_DATA:
            try:
                data = connection.recv(1 << 16)
            except ConnectionResetError:
                data = b""
            if not data and head is None:
                assert client.trailing_data[0] == b"", "the connection ends within a head"
                return
            client.receive_data(data)
            continue
        if isinstance(event, h11.Response):
            head, body = event, b""
            headers = {name.decode(): value.decode() for name, value in head.headers}
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
            if b"\nevent: status\n" in body and headers["content-type"] == "text/event-stream":
                assert head is not None
                yield head.status_code, headers, body
                return
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            yield head.status_code, headers, body
            if first or client.their_state is not h11.DONE:
                return
            client = _again(client)
            head = None
        else:
            return


def _again(client: h11.Connection) -> h11.Connection:
    """Return what reads the next response: what has come of it goes on."""
    left, _ = client.trailing_data
    following = h11.Connection(h11.CLIENT)
    following.send(h11.Request(method="POST", target="/", headers=[("Host", "x"), ("Content-Length", "0")]))
    following.send(h11.EndOfMessage())
    if left:
        following.receive_data(left)
    return following


def judge(asked: Asked, status: int, headers: dict[str, str], body: bytes) -> None:
    """Check that the answer is one that the client may have."""
    assert status in _STATUSES, status
    known = headers.get("content-type", "").partition(";")[0]
    seen = f"{status} {headers} {body[:400]!r}"
    text = body.decode()
    for secret in (*SECRETS, *(credentials(client)[6:] for client in (OPERATOR, READER))):
        assert secret not in text or _as_kea(asked, text), f"a secret: {seen}"
    answer: Any = json.loads(text.replace("\n", " ")) if known == "application/json" else None
    if not asked.role:
        assert status != 200, f"a stranger gets an answer: {seen}"
    if asked.role == READ:
        assert not (status == 200 and isinstance(answer, dict) and "dns" in answer), f"a reader asks: {seen}"
    if not asked.whole:
        return
    assert status not in {400, 408, 413, 431} or answer is not None, seen
    if asked.foreign:
        assert status != 200, f"another site gets an answer: {seen}"
    elif asked.role == READ and COMMANDS.get(asked.command.replace("_", "-")) == ALL:
        assert status == 403, f"a reader may do that: {seen}"
    elif asked.role and asked.path in _PAGES and b"?" not in asked.wire[0].partition(b"\r")[0]:
        assert status in {200, 400, 503}, seen  # 400: what must be given is not
    if asked.path and status == 200:
        assert headers["cache-control"] == "no-store", seen
        assert headers["x-content-type-options"] == "nosniff", seen
    if known == "text/html":
        assert "require-trusted-types-for 'script'" in headers["content-security-policy"], seen


def _as_kea(asked: Asked, text: str) -> bool:
    """Whether an answer is that of ``config-get`` to a client that may see all, as with Kea."""
    return asked.role == ALL and '"DhcpDdns"' in text


# The daemon.


def _look(site: Site, number: int) -> None:
    """See that it answers, and have it do something."""
    assert site.d2.alive, "the daemon has ended"
    assert site.api("status")["pid"] == site.d2.process.pid
    site.send(_SENT[number // _EVERY % len(_SENT)])


def _check_end(site: Site, before: int) -> None:
    """Check that it has not grown, that it says nothing of defects, and that all of it is as it was."""
    assert "PYD2_INTERNAL_ERROR" not in site.d2.process.output()
    assert site.d2.stderr() == "", site.d2.stderr()[:2000]
    grown = site.d2.process.peak_resident_bytes() - before
    assert grown < GROWTH, f"the daemon has grown by {grown} bytes"
    assert site.api("servers")["total"] == 3
    assert "<title>pyd2</title>" in site.get("/")[2]
