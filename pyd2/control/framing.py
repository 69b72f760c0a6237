"""Finds the end of a command in a stream of bytes (contract, section 8, "Framing").

A command is the first map or list in the stream. Comments (``#``, ``//``, ``/* */``) are taken out before and
inside it; the newlines of those inside are kept, so that the lines of positions stay right. Brackets are
counted without telling the kinds apart: whether it is JSON is for the reader to say.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_REQUEST = 16 * 1024 * 1024
"""The longest request, in bytes as received.

Kea has no limit. This one leaves room for a config-set with 50,000 zones, and keeps a client that sends
without end from taking all memory. It guards against accidents: who may connect may also stop the server.
"""

MAX_VALUES = 400_000
"""The most values in a request, each map and list counted as one: a config-set with 50,000 zones has 350,000.

A request is read in one go, and nothing else runs meanwhile. On a busy core 400,000 values took 1.3 s as a
list of integers, 2.7 s as a map and 4 s with an escape in each key and string, up to 250 bytes a value.
"""


class FeedState(Enum):
    """What the bytes so far amount to."""

    NEEDS_DATA = auto()
    COMPLETE = auto()
    FAILED = auto()
    TOO_LONG = auto()


# Whatever can be taken in one go is: a step in Python for each of millions of bytes would hold up the loop.
_LINE_COMMENTS = re.compile(rb"(?:(?:#|//)[^\n]*+\n)++")
_BLANKS = re.compile(rb"(?:[\t\n\r ]++|(?:#|//)[^\n]*+\n)++")
_FLAT = re.compile(rb'(?:[^{}\[\]"#/]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
_OPENING = re.compile(rb"[{\[]++")
_CLOSING = re.compile(rb"[}\]]++")
_IN_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_IN_BLOCK_COMMENT = re.compile(rb"[^*]*+(?:\*++[^*/][^*]*+)*+")
_STARS = re.compile(rb"\**+")
_HASH = ord("#")


def _end(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    """Return where the match of a pattern that always matches here ends."""
    found = pattern.match(data, at)
    assert found is not None
    return found.end()


class CommandFeed:
    """Takes a request in pieces of any size until its command is complete.

    Bytes after the end of the command are ignored.
    """

    # The methods named _in_... are the states. Each reads data[at:] for as long as the state lasts, sets the
    # next one in _step, and returns where it goes on.

    __slots__ = ("_depth", "_received", "_step", "_text", "error", "state")

    def __init__(self) -> None:
        self.state = FeedState.NEEDS_DATA
        self.error = ""
        """Why the feed failed."""
        self._text = bytearray()
        self._step: Callable[[CommandFeed, bytes, int], int] = CommandFeed._in_start
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
            at = self._step(self, data, at)
        self._received += at
        if self._received > MAX_REQUEST:
            self._text.clear()
            self.state = FeedState.TOO_LONG
            self.error = f"request is longer than {MAX_REQUEST} bytes"
        return self.state

    def _in_start(self, data: bytes, at: int) -> int:
        """Before the very first byte; only Kea's error text knows the difference to ``_in_space``."""
        return self._before(data, at, "invalid first character ")

    def _in_space(self, data: bytes, at: int) -> int:
        return self._before(data, at, "invalid character ")

    def _before(self, data: bytes, at: int, fault: str) -> int:
        if blanks := _BLANKS.match(data, at):
            self._step = CommandFeed._in_space
            return blanks.end()
        byte = data[at : at + 1]
        if byte in b"{[":
            self._step = CommandFeed._in_command
            return at  # it counts the bracket
        if byte == b"#":
            self._step = CommandFeed._in_line_comment
        elif byte == b"/":
            self._step = CommandFeed._in_slash
        else:
            self._fail(fault, byte)
        return at + 1

    def _in_command(self, data: bytes, at: int) -> int:
        start = at
        while (at := _end(_FLAT, data, at)) < len(data):
            byte = data[at : at + 1]
            if byte in b"{[":
                end = _end(_OPENING, data, at)
                self._depth += end - at
                at = end
            elif byte in b"]}":
                end = min(_end(_CLOSING, data, at), at + self._depth)
                self._depth -= end - at
                at = end
                if not self._depth:
                    self.state = FeedState.COMPLETE
                    break
            elif byte == b'"':  # its end has not come yet
                self._step = CommandFeed._in_string
                at += 1
                break
            else:
                self._text += data[start:at]
                return self._comment_in_command(data, at)
        self._text += data[start:at]
        return at

    def _comment_in_command(self, data: bytes, at: int) -> int:
        """Leave out the comments that begin here; those that have not all come are for the next states."""
        if comments := _LINE_COMMENTS.match(data, at):
            self._keep_newlines(comments.group().count(b"\n"))
            return comments.end()
        self._step = CommandFeed._in_line_comment if data[at] == _HASH else CommandFeed._in_slash
        return at + 1

    def _in_string(self, data: bytes, at: int) -> int:
        end = _end(_IN_STRING, data, at)
        mark = data[end : end + 1]
        end += len(mark)
        self._text += data[at:end]
        if mark:
            self._step = CommandFeed._in_command if mark == b'"' else CommandFeed._in_escape
        return end

    def _in_escape(self, data: bytes, at: int) -> int:
        """After a backslash that was the last byte to come."""
        self._text += data[at : at + 1]
        self._step = CommandFeed._in_string
        return at + 1

    def _in_slash(self, data: bytes, at: int) -> int:
        """After a slash, which must begin a comment."""
        byte = data[at : at + 1]
        if byte == b"/":
            self._step = CommandFeed._in_line_comment
        elif byte == b"*":
            self._step = CommandFeed._in_block_comment
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
        end = _end(_IN_BLOCK_COMMENT, data, at)
        self._keep_newlines(data.count(b"\n", at, end))
        if end < len(data):
            self._step = CommandFeed._in_stars
        return end

    def _in_stars(self, data: bytes, at: int) -> int:
        """At or after an asterisk in a block comment, which may be its end."""
        at = _end(_STARS, data, at)
        byte = data[at : at + 1]
        if byte == b"/":
            self._leave_comment()
        elif byte:
            self._step = CommandFeed._in_block_comment
            return at
        return at + len(byte)

    def _leave_comment(self) -> None:
        self._step = CommandFeed._in_command if self._depth else CommandFeed._in_space

    def _keep_newlines(self, count: int) -> None:
        if self._depth:
            self._text += b"\n" * count

    def _fail(self, text: str, byte: bytes) -> None:
        self.state = FeedState.FAILED
        # A NUL ends the texts of Kea's exceptions.
        self.error = text + byte.rstrip(b"\0").decode("utf-8", "surrogateescape")
