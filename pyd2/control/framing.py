"""The framing of the UNIX control socket: finds the end of a command in a stream of bytes.

A command is the first map or list in the stream (contract, section 8, "Framing"). Comments (``#``, ``//``,
``/* */``) before and inside it are removed; the newlines of those inside are kept, so that the lines of
positions stay right. Brackets are only counted, square and curly ones alike: the JSON reader checks the rest.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_REQUEST = 16 * 1024 * 1024
"""The longest request, in bytes as received.

Kea has no limit. This one admits a config-set with 50,000 zones, and keeps a client that sends without end
from using up the memory. It guards against accidents: a client that may connect may also stop the server.
"""


class FramingState(Enum):
    """The state of the request after the bytes so far."""

    NEEDS_DATA = auto()
    COMPLETE = auto()
    FAILED = auto()
    TOO_LONG = auto()


# Each pattern consumes as much as it can: one step in Python for each of millions of bytes blocks the loop.
_LINE_COMMENTS = re.compile(rb"(?:(?:#|//)[^\n]*+\n)++")
_BLANKS = re.compile(rb"(?:[\t\n\r ]++|(?:#|//)[^\n]*+\n)++")
_FLAT = re.compile(rb'(?:[^{}\[\]"#/]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
_OPENING = re.compile(rb"[{\[]++")
_CLOSING = re.compile(rb"[}\]]++")
_IN_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_IN_BLOCK_COMMENT = re.compile(rb"[^*]*+(?:\*++[^*/][^*]*+)*+")
_STARS = re.compile(rb"\**+")
_HASH = ord("#")


def end_of(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    """Return where the match of a pattern that always matches here ends."""
    found = pattern.match(data, at)
    assert found is not None
    return found.end()


class JsonFraming:
    """Reads a request in pieces of any size until its command is complete.

    Bytes after the end of the command are ignored.
    """

    # The methods named _in_... are the states. Each reads data[at:] for as long as the state lasts, sets the
    # next one in _step, and returns the place behind what it has read.

    __slots__ = ("_depth", "_received", "_step", "_text", "error", "state")

    def __init__(self) -> None:
        self.state = FramingState.NEEDS_DATA
        self.error = ""
        """Why the state is FAILED or TOO_LONG."""
        self._text = bytearray()
        self._step: Callable[[JsonFraming, bytes, int], int] = JsonFraming._in_start
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

    def feed(self, data: bytes) -> FramingState:
        """Read the next bytes of the request and return the new state."""
        at = 0
        while at < len(data) and self.state is FramingState.NEEDS_DATA:
            at = self._step(self, data, at)
        self._received += at
        if self._received > MAX_REQUEST:
            self._text.clear()
            self.state = FramingState.TOO_LONG
            self.error = f"request is longer than {MAX_REQUEST} bytes"
        return self.state

    def _in_start(self, data: bytes, at: int) -> int:
        """Before the very first byte; it differs from ``_in_space`` only in Kea's error text."""
        return self._before(data, at, "invalid first character ")

    def _in_space(self, data: bytes, at: int) -> int:
        return self._before(data, at, "invalid character ")

    def _before(self, data: bytes, at: int, fault: str) -> int:
        if blanks := _BLANKS.match(data, at):
            self._step = JsonFraming._in_space
            return blanks.end()
        byte = data[at : at + 1]
        if byte in b"{[":
            self._step = JsonFraming._in_command
            return at  # it counts the bracket
        if byte == b"#":
            self._step = JsonFraming._in_line_comment
        elif byte == b"/":
            self._step = JsonFraming._in_slash
        else:
            self._fail(fault, byte)
        return at + 1

    def _in_command(self, data: bytes, at: int) -> int:
        start = at
        while (at := end_of(_FLAT, data, at)) < len(data):
            byte = data[at : at + 1]
            if byte in b"{[":
                end = end_of(_OPENING, data, at)
                self._depth += end - at
                at = end
            elif byte in b"]}":
                end = min(end_of(_CLOSING, data, at), at + self._depth)
                self._depth -= end - at
                at = end
                if not self._depth:
                    self.state = FramingState.COMPLETE
                    break
            elif byte == b'"':  # its end is not in the data yet
                self._step = JsonFraming._in_string
                at += 1
                break
            else:
                self._text += data[start:at]
                return self._comment_in_command(data, at)
        self._text += data[start:at]
        return at

    def _comment_in_command(self, data: bytes, at: int) -> int:
        """Leave out the complete comments that begin here; the next states read one that is not complete."""
        if comments := _LINE_COMMENTS.match(data, at):
            self._keep_newlines(comments.group().count(b"\n"))
            return comments.end()
        self._step = JsonFraming._in_line_comment if data[at] == _HASH else JsonFraming._in_slash
        return at + 1

    def _in_string(self, data: bytes, at: int) -> int:
        end = end_of(_IN_STRING, data, at)
        mark = data[end : end + 1]
        end += len(mark)
        self._text += data[at:end]
        if mark:
            self._step = JsonFraming._in_command if mark == b'"' else JsonFraming._in_escape
        return end

    def _in_escape(self, data: bytes, at: int) -> int:
        """After a backslash at the end of the previous data."""
        self._text += data[at : at + 1]
        self._step = JsonFraming._in_string
        return at + 1

    def _in_slash(self, data: bytes, at: int) -> int:
        """After a slash, which must begin a comment."""
        byte = data[at : at + 1]
        if byte == b"/":
            self._step = JsonFraming._in_line_comment
        elif byte == b"*":
            self._step = JsonFraming._in_block_comment
        else:
            self._fail("invalid characters /", byte)
        return at + 1

    def _in_line_comment(self, data: bytes, at: int) -> int:
        end = data.find(b"\n", at)
        if end < 0:
            return len(data)
        self._keep_newlines(1)
        self._leave_comment()
        return end + 1

    def _in_block_comment(self, data: bytes, at: int) -> int:
        end = end_of(_IN_BLOCK_COMMENT, data, at)
        self._keep_newlines(data.count(b"\n", at, end))
        if end < len(data):
            self._step = JsonFraming._in_stars
        return end

    def _in_stars(self, data: bytes, at: int) -> int:
        """At or after an asterisk in a block comment, which may be its end."""
        at = end_of(_STARS, data, at)
        byte = data[at : at + 1]
        if byte == b"/":
            self._leave_comment()
        elif byte:
            self._step = JsonFraming._in_block_comment
            return at
        return at + len(byte)

    def _leave_comment(self) -> None:
        self._step = JsonFraming._in_command if self._depth else JsonFraming._in_space

    def _keep_newlines(self, count: int) -> None:
        if self._depth:
            self._text += b"\n" * count

    def _fail(self, text: str, byte: bytes) -> None:
        self.state = FramingState.FAILED
        # A NUL ends the texts of Kea's exceptions.
        self.error = text + byte.rstrip(b"\0").decode("utf-8", "surrogateescape")
