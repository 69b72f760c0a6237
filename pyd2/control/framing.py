"""Finds the end of a command in a stream of bytes (contract, section 8, "Framing").

A command is the first map or list in the stream. Comments (``#``, ``//``, ``/* */``) are taken out before and
inside it; the newlines of those inside are kept, so that the lines of positions stay right. Brackets are
counted without telling the kinds apart: whether it is JSON is for the reader to say.
"""

from __future__ import annotations

import re
from enum import Enum, auto

MAX_REQUEST = 16 * 1024 * 1024
"""The longest request, in bytes as received.

Kea has no limit. This one leaves room for a config-set with 50,000 zones, and keeps a client that sends
without end from taking all memory. It guards against accidents: who may connect may also stop the server.
"""

_WHITESPACE = b"\t\n\r "


class FeedState(Enum):
    """What the bytes so far amount to."""

    NEEDS_DATA = auto()
    COMPLETE = auto()
    FAILED = auto()
    TOO_LONG = auto()


class _Step(Enum):
    """Where in the text the feed stands."""

    FIRST = auto()
    """Before the very first byte."""
    BEFORE = auto()
    """Before the command."""
    INSIDE = auto()
    STRING = auto()
    ESCAPE = auto()
    """After a backslash in a string."""
    SLASH = auto()
    """After a slash, which must begin a comment."""
    LINE_COMMENT = auto()
    BLOCK_COMMENT = auto()
    STAR = auto()
    """After an asterisk, which may end a block comment."""


# The next byte that means something; in the steps not named, any byte does.
_ANY = re.compile(rb".", re.DOTALL)
_STOPS = {
    _Step.INSIDE: re.compile(rb"[{}\[\]\"#/]"),
    _Step.STRING: re.compile(rb"[\"\\]"),
    _Step.LINE_COMMENT: re.compile(rb"\n"),
    _Step.BLOCK_COMMENT: re.compile(rb"[*\n]"),
}


class CommandFeed:
    """Takes a request in pieces of any size until its command is complete.

    Bytes after the end of the command are ignored.
    """

    __slots__ = ("_depth", "_received", "_step", "_text", "error", "state")

    def __init__(self) -> None:
        self.state = FeedState.NEEDS_DATA
        self.error = ""
        """Why the feed failed."""
        self._text = bytearray()
        self._step = _Step.FIRST
        self._depth = 0
        self._received = 0

    @property
    def text(self) -> bytes:
        """The command as far as it was read, without comments."""
        return bytes(self._text)

    @property
    def size(self) -> int:
        """The length of ``text`` in bytes."""
        return len(self._text)

    def feed(self, data: bytes) -> FeedState:
        """Take the next bytes of the request and return the new state."""
        at = 0
        while at < len(data) and self.state is FeedState.NEEDS_DATA:
            stop = _STOPS.get(self._step, _ANY).search(data, at)
            end = stop.start() if stop else len(data)
            if self._step in {_Step.INSIDE, _Step.STRING}:
                self._text += data[at:end]
            at = end
            if stop:
                at += 1
                self._take(stop.group())
        self._received += at
        if self._received > MAX_REQUEST:
            self._text.clear()
            self.state = FeedState.TOO_LONG
            self.error = f"request is longer than {MAX_REQUEST} bytes"
        return self.state

    def _take(self, byte: bytes) -> None:
        """Act on a byte that means something in the present step."""
        match self._step:
            case _Step.FIRST | _Step.BEFORE:
                self._before(byte)
            case _Step.INSIDE:
                self._inside(byte)
            case _Step.STRING:
                self._text += byte
                self._step = _Step.INSIDE if byte == b'"' else _Step.ESCAPE
            case _Step.ESCAPE:
                self._text += byte
                self._step = _Step.STRING
            case _Step.SLASH:
                if byte == b"/":
                    self._step = _Step.LINE_COMMENT
                elif byte == b"*":
                    self._step = _Step.BLOCK_COMMENT
                else:
                    self._fail("invalid characters /", byte)
            case _Step.LINE_COMMENT:
                self._newline()
                self._leave_comment()
            case _Step.BLOCK_COMMENT | _Step.STAR:
                if byte == b"/" and self._step is _Step.STAR:
                    self._leave_comment()
                    return
                self._step = _Step.STAR if byte == b"*" else _Step.BLOCK_COMMENT
                if byte == b"\n":
                    self._newline()

    def _before(self, byte: bytes) -> None:
        if byte in _WHITESPACE:
            self._step = _Step.BEFORE
        elif byte in b"{[":
            self._text += byte
            self._depth = 1
            self._step = _Step.INSIDE
        elif not self._enter_comment(byte):
            first = "first " if self._step is _Step.FIRST else ""
            self._fail(f"invalid {first}character ", byte)

    def _inside(self, byte: bytes) -> None:
        if self._enter_comment(byte):
            return
        self._text += byte
        if byte == b'"':
            self._step = _Step.STRING
        elif byte in b"{[":
            self._depth += 1
        else:
            self._depth -= 1
            if self._depth == 0:
                self.state = FeedState.COMPLETE

    def _enter_comment(self, byte: bytes) -> bool:
        """Go into a comment if the byte begins one."""
        if byte == b"#":
            self._step = _Step.LINE_COMMENT
        elif byte == b"/":
            self._step = _Step.SLASH
        else:
            return False
        return True

    def _leave_comment(self) -> None:
        self._step = _Step.INSIDE if self._depth else _Step.BEFORE

    def _newline(self) -> None:
        """Keep a comment's newline."""
        if self._depth:
            self._text += b"\n"

    def _fail(self, text: str, byte: bytes) -> None:
        self.state = FeedState.FAILED
        # A NUL ends the texts of Kea's exceptions.
        self.error = text + byte.rstrip(b"\0").decode("utf-8", "surrogateescape")
