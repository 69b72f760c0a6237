"""Reads NATS's protocol for clients: octets in, events out (docs.nats.io, "Client Protocol").

There is no IO, as in h11: ``feed`` takes what has come, and ``next_event`` returns what of it is whole. How
the octets were cut makes no difference. After an error nothing more is read, as it is not known where the
next event would begin.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Any, Final, NamedTuple, TypeAlias

import orjson

from pyd2.queue.nats.errors import ProtocolError

MAX_LINE: Final = 64 * 1024
"""Octets of a line; INFO, which names the servers of a cluster, is the longest."""
MAX_MESSAGE: Final = 1024 * 1024
"""Octets of a message with its headers: NATS's own limit, unless it is raised."""

_CRLF: Final = b"\r\n"
_VERSION: Final = "NATS/1.0"


class Info(NamedTuple):
    """What the server says of itself: first, and again when that changes."""

    fields: dict[str, Any]


class Message(NamedTuple):
    """A message for a subscription."""

    subject: str
    sid: int
    """The subscription's number."""
    reply: str
    """Where an answer is to go; empty: nowhere."""
    header: bytes
    """For ``read_header``; empty: none."""
    payload: bytes


class Refusal(NamedTuple):
    """The server could not do something, or closes the connection; it says why."""

    text: str


class Signal(Enum):
    """An event that says no more than its name."""

    PING = auto()
    PONG = auto()
    OK = auto()


Event: TypeAlias = Info | Message | Refusal | Signal

_SIGNALS: Final = {b"PING": Signal.PING, b"PONG": Signal.PONG, b"+OK": Signal.OK}


class _Head(NamedTuple):
    """The line before a message."""

    subject: str
    sid: int
    reply: str
    header: int
    """Octets."""
    whole: int
    """Octets of header and payload."""


class Parser:
    """Reads what one server sends."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0
        """Where in the buffer the next event begins, or the rest of it."""
        self._head: _Head | None = None
        """That of a message whose other octets have not been read."""
        self._fault = ""

    def feed(self, data: bytes) -> None:
        """Take octets that have come."""
        if not self._fault:
            del self._buffer[: self._at]
            self._at = 0
            self._buffer += data

    def next_event(self) -> Event | None:
        """Return the next event, or None until more has come. Raises ProtocolError, from then on always."""
        if not self._fault:
            try:
                return self._next_event()
            except ProtocolError as error:
                self._fault = str(error)
                self._buffer.clear()
        raise ProtocolError(self._fault)

    def _next_event(self) -> Event | None:
        if self._head is None:
            line = self._next_line()
            if line is None:
                return None
            event = self._read_line(line)
            if not isinstance(event, _Head):
                return event
            self._head = event
        return self._read_message(self._head)

    def _next_line(self) -> bytes | None:
        limit = self._at + MAX_LINE + len(_CRLF)
        end = self._buffer.find(_CRLF, self._at, limit)
        if end < 0:
            if len(self._buffer) >= limit:
                raise ProtocolError(f"a line is longer than {MAX_LINE} octets")
            return None
        line = bytes(self._buffer[self._at : end])
        self._at = end + len(_CRLF)
        return line

    def _read_line(self, line: bytes) -> Event | _Head:
        verb, _, rest = line.partition(b" ")
        if verb == b"MSG":
            return _read_head(line, with_header=False)
        if verb == b"HMSG":
            return _read_head(line, with_header=True)
        if verb == b"INFO":
            return Info(_read_info(rest))
        if verb == b"-ERR":
            return Refusal(rest.decode("utf-8", "backslashreplace").strip(" '"))
        signal = _SIGNALS.get(line.rstrip())
        if signal is None:
            raise ProtocolError(f"this is no line of NATS's protocol: {line[:60]!r}")
        return signal

    def _read_message(self, head: _Head) -> Message | None:
        begin, middle = self._at, self._at + head.header
        end = begin + head.whole
        if len(self._buffer) < end + len(_CRLF):
            return None
        if self._buffer[end : end + len(_CRLF)] != _CRLF:
            raise ProtocolError(f"a message on {head.subject} does not end after its {head.whole} octets")
        with memoryview(self._buffer) as octets:  # a slice of the buffer would be one more copy
            header, payload = octets[begin:middle].tobytes(), octets[middle:end].tobytes()
        self._head = None
        self._at = end + len(_CRLF)
        return Message(head.subject, head.sid, head.reply, header, payload)


def _read_head(line: bytes, *, with_header: bool) -> _Head:
    """Read ``MSG subject sid [reply] size`` or ``HMSG subject sid [reply] header-size size``."""
    try:
        words = line.decode().split(" ")
    except UnicodeDecodeError:
        raise ProtocolError(f"a subject is not UTF-8: {line[:60]!r}") from None
    sizes = 2 if with_header else 1
    reply = len(words) == 4 + sizes
    if not (reply or len(words) == 3 + sizes) or not all(words):
        raise ProtocolError(f"a message has a wrong number of fields: {line[:60]!r}")
    numbers = [_read_number(word) for word in (words[2], *words[-sizes:])]
    sid, header, whole = numbers if with_header else (numbers[0], 0, numbers[1])
    if whole > MAX_MESSAGE:
        raise ProtocolError(f"a message on {words[1]} has {whole} octets; {MAX_MESSAGE} are the most")
    if header > whole:
        raise ProtocolError(f"a message on {words[1]} has a header that is longer than itself")
    return _Head(words[1], sid, words[3] if reply else "", header, whole)


def _read_number(word: str) -> int:
    if not (word.isascii() and word.isdigit() and len(word) < 16):
        raise ProtocolError(f"{word[:60]!r} is where a number is to be")
    return int(word)


def _read_info(text: bytes) -> dict[str, Any]:
    try:
        fields = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ProtocolError(f"INFO is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise ProtocolError("INFO is no JSON object")
    return fields


class Header(NamedTuple):
    """The header of a message."""

    status: int
    """What the server says in place of a message, such as 503; 0: nothing."""
    text: str
    """Its words for that."""
    fields: dict[str, str]
    """As their writer spelt them; of two with one name the last."""


def read_header(header: bytes) -> Header:
    """Read the header of a message; an empty one has no fields. Raises ProtocolError."""
    if not header:
        return Header(0, "", {})
    if not header.endswith(_CRLF + _CRLF):
        raise ProtocolError("a header does not end with an empty line")
    try:
        first, *lines = header[: -2 * len(_CRLF)].decode().split("\r\n")
    except UnicodeDecodeError:
        raise ProtocolError("a header is not UTF-8") from None
    version, _, status = first.partition(" ")
    if version != _VERSION:
        raise ProtocolError(f"a header begins with {first[:60]!r}")
    fields = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name:
            raise ProtocolError(f"a header has the line {line[:60]!r}")
        fields[name] = value.strip()
    number, _, text = status.partition(" ")
    return Header(_read_number(number) if number else 0, text.strip(), fields)
