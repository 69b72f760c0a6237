"""The head of an HTTP request, read by Kea's grammar: the request line and the headers.

Kea's grammar is neither RFC 9112's nor that of h11. It takes a request without Host, of any version and with
any path, and folded lines; it refuses a line that ends with a bare newline, and tabs. It judges each byte as
it comes, so that a client which speaks something else gets its answer at once.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from pyd2.control.framing import end_of

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_HEAD: Final = 32 * 1024
"""The longest head in bytes. Kea has no limit."""

MAX_HEADERS: Final = 256
"""The most headers: an empty one is four bytes of the head, and a hundred times as much in memory."""

# Each pattern consumes as much as it can, and matches everywhere.
_TOKEN: Final = re.compile(rb'[^\x00-\x20\x7f-\xff()<>@,;:\\"/\[\]?={}]*+')
_TARGET: Final = re.compile(rb"[^\x00-\x20\x7f]*+")
_DIGITS: Final = re.compile(rb"[0-9]*+")
_VALUE: Final = re.compile(rb"[^\x00-\x1f\x7f]*+")
_BLANKS: Final = re.compile(rb" *+")
_FOLD: Final = re.compile(rb"[ \t]*+")

_METHODS: Final = frozenset({"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT"})
_PREFIX: Final = b"HTTP/"
_UINT64: Final = 1 << 64
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,20}", re.ASCII)


class HeadState(Enum):
    """The state of a head after the bytes so far."""

    NEEDS_DATA = auto()
    COMPLETE = auto()
    FAILED = auto()
    TOO_LONG = auto()


class Head:
    """Reads a head in pieces of any size, until it is complete or breaks the grammar.

    What was read before a fault counts: Kea takes a request whose fault comes behind the headers that it
    needs for one with an empty body.
    """

    # The methods named _in_... are the states. Each reads data[at:] for as long as the state lasts, sets the
    # next one in _step, and returns the place behind what it has read.

    __slots__ = (
        "_headers",
        "_major",
        "_matched",
        "_method",
        "_minor",
        "_size",
        "_step",
        "_target",
        "headers",
        "state",
    )

    def __init__(self) -> None:
        self.state = HeadState.NEEDS_DATA
        self.headers: dict[str, str] = {}
        """The values by names in lower case, when the state is no longer NEEDS_DATA; of equal names the last
        counts. A byte is one character (latin-1)."""
        self._size = 0
        self._method = bytearray()
        self._target = bytearray()
        self._matched = 0
        """How many octets of ``HTTP/`` have come."""
        self._major = bytearray()
        self._minor = bytearray()
        self._headers: list[tuple[bytearray, bytearray]] = []
        self._step: Callable[[Head, bytes, int], int] = Head._in_method

    @property
    def method(self) -> str:
        """The method in capitals, as far as it was read."""
        return self._method.decode("latin-1").upper()

    @property
    def target(self) -> str:
        """What follows the method, usually a path; it may be empty."""
        return self._target.decode("latin-1")

    @property
    def version(self) -> tuple[int, int]:
        """Major and minor version; (0, 0) when there is none yet."""
        return _number(self._major), _number(self._minor)

    @property
    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """Names and values as they came, folded lines joined."""
        return [(bytes(name), bytes(value)) for name, value in self._headers]

    @property
    def begun(self) -> bool:
        """Whether anything has come."""
        return self._size > 0

    @property
    def keeps(self) -> bool:
        """Whether the client wants to keep the connection after the answer."""
        wish = self.headers.get("connection", "").lower()
        return wish == "keep-alive" if self.version == (1, 0) else self.version > (1, 0) and wish != "close"

    @property
    def length(self) -> int:
        """The length of the body in bytes; 0 also when Content-Length is no number, as with Kea."""
        found = _NUMBER.fullmatch(self.headers.get("content-length", ""))
        number = int(found[0]) if found else 0
        return number % _UINT64 if abs(number) < _UINT64 else 0

    @property
    def length_is_plain(self) -> bool:
        """Whether Content-Length is what RFC 9110 allows: digits."""
        text = self.headers.get("content-length", "")
        return text.isascii() and text.isdigit()

    def fault(self) -> str:
        """Return why Kea refuses a request with this head; empty when it does not."""
        if self.method not in _METHODS:
            return f"unknown HTTP method {self.method}"
        if self.method != "POST":
            return f"use of HTTP {self.method} not allowed"
        for name in ("content-length", "content-type"):
            if name not in self.headers:
                return f"required header {name} not found in the HTTP request"
        found = self.headers["content-type"]
        if found.lower() != "application/json":
            return f"required header's content-type value is application/json, but {found} was found"
        return ""

    def feed(self, data: bytes, at: int = 0) -> int:
        """Read ``data`` from a place on; return the place behind what belongs to the head."""
        start, most = at, at + MAX_HEAD - self._size
        part = data if len(data) <= most else data[:most]
        while at < len(part) and self.state is HeadState.NEEDS_DATA:
            at = self._step(self, part, at)
        self._size += at - start
        if at == most < len(data) and self.state is HeadState.NEEDS_DATA:
            self.state = HeadState.TOO_LONG
        if self.state is not HeadState.NEEDS_DATA:
            self.headers = {_text(name).lower(): _text(value) for name, value in self._headers}
        return at

    def _in_method(self, data: bytes, at: int) -> int:
        end = end_of(_TOKEN, data, at)
        self._method += data[at:end]
        return self._expect(data, end, b" ", Head._in_target) if self._method else self._fail(end)

    def _in_target(self, data: bytes, at: int) -> int:
        end = end_of(_TARGET, data, at)
        self._target += data[at:end]
        return self._expect(data, end, b" ", Head._in_prefix)

    def _in_prefix(self, data: bytes, at: int) -> int:
        step = Head._in_prefix if self._matched < len(_PREFIX) - 1 else Head._in_major
        end = self._expect(data, at, _PREFIX[self._matched : self._matched + 1], step)
        self._matched += end - at
        return end

    def _in_major(self, data: bytes, at: int) -> int:
        end = end_of(_DIGITS, data, at)
        self._major += data[at:end]
        return self._expect(data, end, b".", Head._in_minor)

    def _in_minor(self, data: bytes, at: int) -> int:
        end = end_of(_DIGITS, data, at)
        self._minor += data[at:end]
        if not self._minor:
            return self._fail(at)
        return self._expect_line_end(data, end)

    def _in_line_end(self, data: bytes, at: int) -> int:
        return self._expect(data, at, b"\n", Head._in_line_start)

    def _in_line_start(self, data: bytes, at: int) -> int:
        byte = data[at : at + 1]
        if byte == b"\r":
            self._step = Head._in_last_line_end
            return at + 1
        if byte in b" \t" and self._headers:
            self._step = Head._in_fold
            return at
        if len(self._headers) == MAX_HEADERS:
            self.state = HeadState.TOO_LONG
            return at
        self._headers.append((bytearray(), bytearray()))
        end = self._in_name(data, at)
        if not self._headers[-1][0]:
            self._headers.pop()
            return self._fail(at)
        return end

    def _in_name(self, data: bytes, at: int) -> int:
        self._step = Head._in_name
        end = end_of(_TOKEN, data, at)
        self._headers[-1][0].extend(data[at:end])
        return self._expect(data, end, b":", Head._in_blanks)

    def _in_blanks(self, data: bytes, at: int) -> int:
        end = end_of(_BLANKS, data, at)
        if end < len(data):
            self._step = Head._in_value
        return end

    def _in_value(self, data: bytes, at: int) -> int:
        end = end_of(_VALUE, data, at)
        self._headers[-1][1].extend(data[at:end])
        return self._expect_line_end(data, end)

    def _in_fold(self, data: bytes, at: int) -> int:
        """In the blanks that begin a line which continues the value before; they do not count."""
        end = end_of(_FOLD, data, at)
        if end < len(data):
            self._step = Head._in_value
        return end

    def _in_last_line_end(self, data: bytes, at: int) -> int:
        if data[at : at + 1] != b"\n":
            return self._fail(at)
        self.state = HeadState.COMPLETE
        return at + 1

    def _expect_line_end(self, data: bytes, at: int) -> int:
        return self._expect(data, at, b"\r", Head._in_line_end)

    def _expect(self, data: bytes, at: int, byte: bytes, step: Callable[[Head, bytes, int], int]) -> int:
        """Move to a step behind a certain byte; the state is as before when no byte has come yet."""
        if at == len(data):
            return at
        if data[at : at + 1] != byte:
            return self._fail(at)
        self._step = step
        return at + 1

    def _fail(self, at: int) -> int:
        self.state = HeadState.FAILED
        return at


def _text(octets: bytearray) -> str:
    return octets.decode("latin-1")


def _number(digits: bytes | bytearray) -> int:
    """Return a part of a version; of very many digits the last ones count."""
    return int(digits[-9:] or b"0")
