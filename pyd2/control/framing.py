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


_BRACKET_OR_MORE = re.compile(rb"[{}\[\]\"#/]")
_QUOTE_OR_ESCAPE = re.compile(rb"[\"\\]")
_STAR_OR_NEWLINE = re.compile(rb"[*\n]")


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
        byte = data[at : at + 1]
        if byte in b"{[":
            self._step = CommandFeed._in_command
            return at  # it counts the bracket
        if byte in b"\t\n\r ":
            self._step = CommandFeed._in_space
        elif byte == b"#":
            self._step = CommandFeed._in_line_comment
        elif byte == b"/":
            self._step = CommandFeed._in_slash
        else:
            self._fail(fault, byte)
        return at + 1

    def _in_command(self, data: bytes, at: int) -> int:
        start = at
        while found := _BRACKET_OR_MORE.search(data, at):
            at = found.end()
            byte = found.group()
            if byte == b'"':
                self._step = CommandFeed._in_string
            elif byte in b"{[":
                self._depth += 1
                continue
            elif byte in b"]}":
                self._depth -= 1
                if self._depth:
                    continue
                self.state = FeedState.COMPLETE
            else:
                self._text += data[start : at - 1]
                self._step = CommandFeed._in_line_comment if byte == b"#" else CommandFeed._in_slash
                return at
            break
        else:
            at = len(data)
        self._text += data[start:at]
        return at

    def _in_string(self, data: bytes, at: int) -> int:
        found = _QUOTE_OR_ESCAPE.search(data, at)
        end = found.end() if found else len(data)
        self._text += data[at:end]
        if found:
            self._step = CommandFeed._in_command if found.group() == b'"' else CommandFeed._in_escape
        return end

    def _in_escape(self, data: bytes, at: int) -> int:
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
        self._keep_newline()
        self._leave_comment()
        return end + 1

    def _in_block_comment(self, data: bytes, at: int) -> int:
        while found := _STAR_OR_NEWLINE.search(data, at):
            at = found.end()
            if found.group() == b"*":
                self._step = CommandFeed._in_star
                return at
            self._keep_newline()
        return len(data)

    def _in_star(self, data: bytes, at: int) -> int:
        """After an asterisk in a block comment."""
        byte = data[at : at + 1]
        if byte == b"/":
            self._leave_comment()
        elif byte != b"*":
            self._step = CommandFeed._in_block_comment
            return at
        return at + 1

    def _leave_comment(self) -> None:
        self._step = CommandFeed._in_command if self._depth else CommandFeed._in_space

    def _keep_newline(self) -> None:
        if self._depth:
            self._text += b"\n"

    def _fail(self, text: str, byte: bytes) -> None:
        self.state = FeedState.FAILED
        # A NUL ends the texts of Kea's exceptions.
        self.error = text + byte.rstrip(b"\0").decode("utf-8", "surrogateescape")
