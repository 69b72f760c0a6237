"""The parser of NATS's protocol: however the octets come, the events are the same; what is wrong is said."""

from __future__ import annotations

import contextlib
import re
from itertools import pairwise

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyd2.queue.nats.commands import write_header
from pyd2.queue.nats.errors import ProtocolError
from pyd2.queue.nats.parser import (
    MAX_LINE,
    MAX_MESSAGE,
    Event,
    Header,
    Info,
    Message,
    Parser,
    Refusal,
    Signal,
    read_header,
)

SUBJECTS = st.text("abcXYZ019._-$>*ä", min_size=1, max_size=20)
NAMES = st.text("abcXYZ-", min_size=1, max_size=10)
VALUES = st.text("abc 019:.,", max_size=20).map(str.strip)
HEADERS = st.just(b"") | st.dictionaries(NAMES, VALUES).map(write_header)
MESSAGES = st.builds(Message, SUBJECTS, st.integers(0, 10**9), st.just("") | SUBJECTS, HEADERS,
                     st.binary(max_size=200) | st.just(b"\r\nMSG a 1 2\r\n"))
INFOS = st.dictionaries(st.text(max_size=8), st.none() | st.integers(0, 2**40) | st.text(max_size=9))
EVENTS = st.one_of(
    MESSAGES, st.sampled_from(Signal), st.builds(Info, INFOS),
    st.text("abcZ \"$.>", max_size=30).map(lambda text: Refusal(text.strip())),
)  # fmt: skip


def written(event: Event) -> bytes:
    """Return what a server sends."""
    if isinstance(event, Signal):
        return b"+OK\r\n" if event is Signal.OK else event.name.encode() + b"\r\n"
    if isinstance(event, Info):
        return b"INFO " + orjson.dumps(event.fields) + b" \r\n"
    if isinstance(event, Refusal):
        return b"-ERR '" + event.text.encode() + b"'\r\n"
    words = ["HMSG" if event.header else "MSG", event.subject, str(event.sid)]
    words += [event.reply] if event.reply else []
    words += [str(len(event.header))] if event.header else []
    words.append(str(len(event.header) + len(event.payload)))
    return " ".join(words).encode() + b"\r\n" + event.header + event.payload + b"\r\n"


def read(*pieces: bytes) -> tuple[list[Event], str]:
    """Return the events of some octets, and the fault that ended them; empty: none."""
    parser = Parser()
    events: list[Event] = []
    for piece in pieces:
        parser.feed(piece)
        try:
            while (event := parser.next_event()) is not None:
                events.append(event)
        except ProtocolError as error:
            with pytest.raises(ProtocolError, match=re.escape(str(error))):
                parser.next_event()
            return events, str(error)
    return events, ""


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """Return the octets, cut at these places."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[begin:end] for begin, end in pairwise(places)]


CUTS = st.lists(st.integers(0, 10**6), max_size=12)


@given(st.lists(EVENTS, max_size=8), CUTS)
def test_all_events_come_in_order_however_they_are_cut(events: list[Event], cuts: list[int]) -> None:
    data = b"".join(map(written, events))
    assert read(*pieces(data, cuts)) == (events, "")
    assert read(*(data[at : at + 1] for at in range(len(data)))) == (events, "")


@given(st.lists(EVENTS, max_size=4), st.binary(max_size=60), st.lists(EVENTS, max_size=2), CUTS)
@example([Signal.PING], b"MSG a 1 3\r\nabcde\r\n", [Signal.PONG], [])
@example([Signal.PING], b"HTTP/1.1 400 Bad Request\r\n", [], [])
def test_garbage_is_refused_at_the_same_place_however_it_is_cut(
    before: list[Event], garbage: bytes, behind: list[Event], cuts: list[int]
) -> None:
    """What came before it counts, and nothing else than ProtocolError is raised."""
    data = b"".join([*map(written, before), garbage, *map(written, behind)])
    whole = read(data)
    assert whole[0][: len(before)] == before
    assert read(*pieces(data, cuts)) == whole


@given(st.lists(EVENTS, min_size=1, max_size=4), st.data())
def test_a_damaged_octet_does_no_harm(events: list[Event], data: st.DataObject) -> None:
    octets = bytearray(b"".join(map(written, events)))
    octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    whole = read(bytes(octets))
    assert read(*(bytes(octets[at : at + 1]) for at in range(len(octets)))) == whole


@pytest.mark.parametrize(("line", "fault"), [
    (b"\r\n", "no line of NATS's protocol: b''"),
    (b"GET / HTTP/1.1\r\n", "no line of NATS's protocol"),
    (b"msg a 1 0\r\n\r\n", "no line of NATS's protocol"),
    (b"INFO {\r\n", "INFO is not JSON"),
    (b"INFO []\r\n", "INFO is no JSON object"),
    (b"MSG a 1\r\n", "wrong number of fields"),
    (b"MSG a 1 b c 5\r\n", "wrong number of fields"),
    (b"MSG a  1 5\r\n", "wrong number of fields"),
    (b"HMSG a 1 5\r\n", "wrong number of fields"),
    (b"MSG \xff 1 5\r\n", "not UTF-8"),
    (b"MSG a x 5\r\n", "'x' is where a number is to be"),
    (b"MSG a 1 -5\r\n", "'-5' is where a number is to be"),
    (b"MSG a 1 1_0\r\n", "'1_0' is where a number is to be"),
    (b"MSG a 1 " + b"9" * 5000 + b"\r\n", "is where a number is to be"),
    (b"MSG a 1 %d\r\n" % (MAX_MESSAGE + 1), f"{MAX_MESSAGE} are the most"),
    (b"HMSG a 1 6 5\r\n", "a header that is longer than itself"),
    (b"MSG a 1 3\r\nabcd\r\n", "does not end after its 3 octets"),
    (b"+OK" + b"x" * MAX_LINE, f"longer than {MAX_LINE} octets"),
])
def test_what_is_wrong_is_said(line: bytes, fault: str) -> None:
    events, said = read(b"PING\r\n" + line)
    assert events == [Signal.PING]
    assert fault in said
    assert len(said) < 200


def test_the_longest_line_and_message_are_read() -> None:
    line = b"-ERR '" + b"x" * (MAX_LINE - 7) + b"'\r\n"
    events, fault = read(line, b"MSG a 1 %d\r\n" % MAX_MESSAGE, bytes(MAX_MESSAGE), b"\r\n")
    assert fault == ""
    assert isinstance(events[0], Refusal)
    assert isinstance(events[1], Message)
    assert len(events[1].payload) == MAX_MESSAGE


@given(st.dictionaries(NAMES, VALUES))
def test_a_header_comes_back(fields: dict[str, str]) -> None:
    assert read_header(write_header(fields)) == Header(0, "", fields)


@pytest.mark.parametrize(("header", "expected"), [
    (b"", Header(0, "", {})),
    (b"NATS/1.0 503\r\n\r\n", Header(503, "", {})),
    (b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 3\r\n\r\n",
     Header(408, "Request Timeout", {"Nats-Pending-Messages": "3"})),
    (b"NATS/1.0\r\nA:b\r\nA: c \r\n\r\n", Header(0, "", {"A": "c"})),
])
def test_headers(header: bytes, expected: Header) -> None:
    assert read_header(header) == expected


@pytest.mark.parametrize(("header", "fault"), [
    (b"NATS/1.0\r\n", "does not end with an empty line"),
    (b"HTTP/1.1 200\r\n\r\n", "begins with 'HTTP/1.1 200'"),
    (b"NATS/1.0 x\r\n\r\n", "'x' is where a number is to be"),
    (b"NATS/1.0\r\nA\r\n\r\n", "has the line 'A'"),
    (b"NATS/1.0\r\n: b\r\n\r\n", "has the line ': b'"),
    (b"NATS/1.0\r\nA: \xff\r\n\r\n", "not UTF-8"),
])
def test_a_broken_header_is_refused(header: bytes, fault: str) -> None:
    with pytest.raises(ProtocolError, match=fault):
        read_header(header)


@given(st.binary(max_size=80))
def test_no_header_raises_anything_else(header: bytes) -> None:
    for octets in (header, b"NATS/1.0" + header + b"\r\n\r\n"):
        with contextlib.suppress(ProtocolError):
            read_header(octets)
