"""The head of a request by Kea's grammar, and why Kea refuses one."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyd2.control.http_head import MAX_HEAD, MAX_HEADERS, Head, HeadState

GOOD = b"POST / HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"


def read(data: bytes) -> Head:
    head = Head()
    head.feed(data)
    return head


def test_a_head_is_read_to_its_end_and_no_further() -> None:
    head = Head()
    assert head.feed(GOOD + b"\r\n{}more") == len(GOOD) + 2
    assert head.state is HeadState.COMPLETE
    assert (head.method, head.target, head.version) == ("POST", "/", (1, 1))
    assert head.headers == {"content-type": "application/json", "content-length": "2"}
    assert (head.length, head.length_is_plain, head.fault()) == (2, True, "")


@pytest.mark.parametrize(
    ("line", "method", "target", "version"),
    [
        ("post /d2/x?y=1 HTTP/1.0", "POST", "/d2/x?y=1", (1, 0)),
        ("POST * HTTP/2.0", "POST", "*", (2, 0)),
        ("POST  HTTP/0.9", "POST", "", (0, 9)),
        ("POST \xe9 HTTP/.1", "POST", "\xe9", (0, 1)),
        ("GET / HTTP/" + "9" * 5000 + ".1", "GET", "/", (999999999, 1)),
    ],
)
def test_request_lines_that_kea_takes(line: str, method: str, target: str, version: tuple[int, int]) -> None:
    head = read(line.encode("latin-1") + b"\r\n\r\n")
    assert head.state is HeadState.COMPLETE
    assert (head.method, head.target, head.version) == (method, target, version)


@pytest.mark.parametrize(
    ("data", "version"),
    [
        (b"\r", (0, 0)),
        (b"\x16", (0, 0)),
        (b" ", (0, 0)),
        (b"PO(", (0, 0)),
        (b"POST\t", (0, 0)),
        (b"POST /\r", (0, 0)),
        (b"POST / F", (0, 0)),
        (b"POST / HTTP/x", (0, 0)),
        (b"POST / HTTP/1.x", (1, 0)),
        (b"POST / HTTP/1.\r", (1, 0)),
        (b"POST / HTTP/1.1\n", (1, 1)),
        (b"POST / HTTP/1.1\rX", (1, 1)),
        (b"POST / HTTP/1.1\r\n ", (1, 1)),
        (b"POST / HTTP/1.1\r\n:", (1, 1)),
        (b"POST / HTTP/1.1\r\na ", (1, 1)),
        (b"POST / HTTP/1.1\r\na\xff", (1, 1)),
        (b"POST / HTTP/1.1\r\na:\t", (1, 1)),
        (b"POST / HTTP/1.1\r\na: b\t", (1, 1)),
        (b"POST / HTTP/1.1\r\na: b\n", (1, 1)),
        (b"POST / HTTP/1.1\r\na: b\rc", (1, 1)),
        (b"POST / HTTP/1.1\r\n\rx", (1, 1)),
    ],
)
def test_a_fault_is_found_at_once(data: bytes, version: tuple[int, int]) -> None:
    """With its first byte, so that the client is answered without waiting for more."""
    assert read(data[:-1]).state is HeadState.NEEDS_DATA
    head = read(data)
    assert head.state is HeadState.FAILED
    assert head.version == version


def test_folded_lines_are_joined_without_a_blank() -> None:
    head = read(b"POST / HTTP/1.1\r\nX: a\r\n  b\r\n\tc\r\nY:\r\n\r\n")
    assert head.state is HeadState.COMPLETE
    assert head.headers == {"x": "abc", "y": ""}


def test_of_equal_headers_the_last_one_counts() -> None:
    head = read(b"POST / HTTP/1.1\r\nX: a\r\nx: b\r\n\r\n")
    assert head.headers == {"x": "b"}
    assert head.raw_headers == [(b"X", b"a"), (b"x", b"b")]


@pytest.mark.parametrize(
    ("start", "fault"),
    [
        (b"GET / HTTP/1.1\r\n", "use of HTTP GET not allowed"),
        (b"options / HTTP/1.1\r\n", "use of HTTP OPTIONS not allowed"),
        (b"foo / HTTP/1.1\r\n", "unknown HTTP method FOO"),
        (b"POST / HTTP/1.1\r\n", "required header content-length not found in the HTTP request"),
        (
            b"POST / HTTP/1.1\r\nContent-Length: 1\r\n",
            "required header content-type not found in the HTTP request",
        ),
        (
            b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Type: text/plain\r\n",
            "required header's content-type value is application/json, but text/plain was found",
        ),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Type: Application/JSON\r\n", ""),
    ],
)
def test_what_kea_requires(start: bytes, fault: str) -> None:
    assert read(start + b"\r\n").fault() == fault


@pytest.mark.parametrize(
    ("text", "length", "plain"),
    [
        ("0", 0, True),
        ("29", 29, True),
        ("007", 7, True),
        ("+5", 5, False),
        ("x", 0, False),
        ("", 0, False),
        ("29 ", 0, False),
        ("5, 5", 0, False),
        ("-1", (1 << 64) - 1, False),
        ("1" * 30, 0, True),
        ("\xb2", 0, False),
    ],
)
def test_the_length_of_the_body(text: str, length: int, plain: bool) -> None:
    head = read(f"POST / HTTP/1.1\r\nContent-Length: {text}\r\n\r\n".encode("latin-1"))
    assert (head.length, head.length_is_plain) == (length, plain)


@pytest.mark.parametrize(
    ("version", "wish", "keeps"),
    [
        ("1.1", "", True),
        ("1.1", "close", False),
        ("1.1", "CLOSE", False),
        ("1.1", "keep-alive", True),
        ("1.1", "close, x", True),
        ("1.0", "", False),
        ("1.0", "Keep-Alive", True),
        ("2.0", "", True),
        ("0.9", "keep-alive", False),
    ],
)
def test_whether_the_connection_is_kept(version: str, wish: str, keeps: bool) -> None:
    header = f"Connection: {wish}\r\n" if wish else ""
    assert read(f"POST / HTTP/{version}\r\n{header}\r\n".encode()).keeps is keeps


@pytest.mark.parametrize("start", [b"", b"POST /", b"POST / HTTP/1.1\r\nX", b"POST / HTTP/1.1\r\nX: "])
def test_a_head_without_end_is_too_long(start: bytes) -> None:
    head = read(start)
    for _ in range(MAX_HEAD - len(start)):
        head.feed(b"a")
    states = [head.state]
    head.feed(b"a")
    assert [*states, head.state] == [HeadState.NEEDS_DATA, HeadState.TOO_LONG]


def test_very_many_headers_are_too_many() -> None:
    head = Head()
    head.feed(b"POST / HTTP/1.1\r\n" + b"a:\r\n" * MAX_HEADERS)
    states = [head.state]
    head.feed(b"a")
    assert [*states, head.state] == [HeadState.NEEDS_DATA, HeadState.TOO_LONG]


HEADS = st.lists(
    st.sampled_from(
        [
            b"POST",
            b"get",
            b" ",
            b"/",
            b"HTTP/1.1",
            b"HTTP/1.0",
            b"\r\n",
            b"\r",
            b"\n",
            b"\t",
            b":",
            b"a",
            b"\xff",
            b"Content-Type: application/json\r\n",
            b"Content-Length: 3\r\n",
            b"Connection: close\r\n",
            b"\x00",
            b"\r\n\r\n",
            b"POST / HTTP/1.1\r\n",
            b"X: y\r\n z\r\n",
        ]
    ),
    max_size=12,
).map(b"".join)


@given(HEADS, st.lists(st.integers(0, 200)))
def test_it_does_not_matter_how_a_head_is_cut(data: bytes, cuts: list[int]) -> None:
    whole, pieces = Head(), Head()
    end = whole.feed(data)
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    at = 0
    for begin, until in itertools.pairwise(places):
        at = begin + pieces.feed(data[begin:until])
        if pieces.state is not HeadState.NEEDS_DATA:
            break
    assert at == end
    assert pieces.state is whole.state
    assert (pieces.method, pieces.target, pieces.version, pieces.headers, pieces.raw_headers) == (
        whole.method,
        whole.target,
        whole.version,
        whole.headers,
        whole.raw_headers,
    )
