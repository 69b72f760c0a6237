"""Kea's plain JSON reader: what NameChangeRequests and commands are read with (contract, sections 3 and 8).

It is no strict JSON: it accepts some numbers that RFC 8259 forbids (``+1``, ``.5``, ``007``), a comma at the
end of a list and raw control characters in strings, and of equal keys the last wins. Error texts and
positions are part of Kea's answers, so they are Kea's, odd ones included. Configuration files have a grammar
of their own.

A text of megabytes is read where it is: other threads wait while it is copied, while one pattern matches very
much of it, and while a tree of values is freed at once.
"""

from __future__ import annotations

import math
import re
import sys
from json import JSONDecoder

from pyd2.data.element import BigInteger, Element, ElementValue, Position, let_go
from pyd2.data.secrets import HIDDEN, holds_secret
from pyd2.errors import JsonError, TooManyValuesError

MAX_NESTING = 100
"""How deep elements may be nested; the outermost one counts as 1."""

AT_ONCE = 0x8000
"""The most octets that one pattern matches where values are read: tens of microseconds."""

_BLANKS = rb" \x08\f\n\r\t"
_WHITESPACE = re.compile(rb"[%b]{0,%d}+" % (_BLANKS, AT_ONCE))
_SIGN = re.compile(rb"[%b]{0,64}+([^%b]|\Z)[%b]{0,64}+(?![%b])" % ((_BLANKS,) * 4))
_PLAIN_STRING = re.compile(rb'"([^"\\]{0,%d}+)"' % AT_ONCE)
# Matches most values, and the beginnings of lists and maps. ``read_uncommon`` reads the others, and finds the
# faults.
_COMMON = re.compile(
    rb'"([^"\\]{0,%d}+)"|([+-]?[0-9]{1,18}+)(?![0-9+\-.eE])|(true|false|null)(?![A-Za-z])|(\[)|(\{)' % AT_ONCE
)
_STRING_FOUND, _INTEGER_FOUND, _WORD_FOUND, _LIST_FOUND, _MAP_FOUND = range(1, 6)
_AFTER_KEY, _AFTER_ITEM, _AFTER_MEMBER = frozenset((b":",)), frozenset((b",", b"]")), frozenset((b",", b"}"))
_WORDS = {b"true": True, b"false": False, b"null": None}
_WORD = re.compile(rb"[A-Za-z]*")
_NUMBER = re.compile(rb"[0-9+\-.eE]*")
_DOUBLE = re.compile(r"[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?", re.ASCII)
_UNESCAPED = re.compile(rb'[^"\\]{0,%d}+' % AT_ONCE)
_ESCAPED = re.compile(rb'(?:\\(?:["/\\bfnrt]|u00[0-9a-fA-F]{2})[^"\\]{0,64}+){0,%d}+' % (AT_ONCE // 64))
_unescape = JSONDecoder(strict=False).raw_decode  # 30 times as fast as a loop in Python

_BAD_CAST = "bad lexical cast: source type value could not be interpreted as target"


def too_many_values(most: int) -> str:
    """Return the fault of a text that holds more values than are allowed."""
    return f"request holds more than {most} values"


def from_json(
    text: bytes | str, file: str = "<string>", *, first: int = 1, max_values: int = sys.maxsize
) -> Element:
    """Return the value that the text spells, with the positions of all its parts.

    ``first`` is the number that the first line and the first column have. Columns count bytes. A map or a
    list has the position after its bracket, all else the one it begins at.

    Raises JsonError with Kea's text, which ends with ``in file:line:column`` where Kea's does; and
    TooManyValuesError when the text holds more than ``max_values`` values, each map and list counted as one.
    """
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
    reader = _Reader(data, file, first, max_values)
    reader.skip_whitespace()
    value = reader.read(MAX_NESTING)
    try:
        reader.end()
    except JsonError:
        read = [value]
        del value
        let_go(read)
        raise
    return value


def from_wire(text: bytes | str, *, max_values: int = sys.maxsize) -> Element:
    """Return the value of a command that came over the control channel; see from_json."""
    return from_json(text, "<wire>", first=0, max_values=max_values)


def _to_str(raw: bytes) -> str:
    """Return a byte string in the form of the strings of elements."""
    return raw.decode("utf-8", "surrogateescape")


class _Reader:
    """One pass over a text.

    The column of the byte at ``at`` is ``at - base``: ``base`` moves with each line.
    """

    __slots__ = ("at", "base", "file", "left", "line", "max_values", "text")

    def __init__(self, text: bytes, file: str, first: int, max_values: int) -> None:
        self.text = text
        self.file = file
        self.at = 0
        self.line = first
        self.base = -first
        self.max_values = max_values
        self.left = max_values

    def place(self, at: int) -> Position:
        return Position(self.file, self.line, at - self.base)

    def fail(self, text: str, at: int) -> JsonError:
        """Return the error; its text ends before a NUL, as that of Kea's exceptions does."""
        return JsonError(f"{text} in {self.place(at)}".partition("\0")[0])

    def shown(self, raw: bytes) -> str:
        """Return the faulty token that was read last, or asterisks if it may be a secret."""
        token = _to_str(raw)
        return HIDDEN if holds_secret(token, self.text[: self.at - len(raw)].decode("latin-1")) else token

    def peek(self) -> bytes:
        """Return the next byte; empty at the end."""
        return self.text[self.at : self.at + 1]

    def skip_whitespace(self) -> None:
        while (end := self.end_of(_WHITESPACE)) > self.at:
            self.skip_to(end)

    def skip_to(self, end: int) -> None:
        newlines = self.text.count(b"\n", self.at, end)
        if newlines:
            self.line += newlines
            self.base = self.text.rindex(b"\n", self.at, end)
        self.at = end

    def end_of(self, pattern: re.Pattern[bytes]) -> int:
        """Return where the match of a pattern that always matches here ends."""
        found = pattern.match(self.text, self.at)
        assert found is not None
        return found.end()

    def match(self, pattern: re.Pattern[bytes]) -> bytes:
        start, self.at = self.at, self.end_of(pattern)
        return self.text[start : self.at]

    def end(self) -> None:
        self.skip_whitespace()
        if self.at < len(self.text):
            raise self.fail("Extra data", self.at)

    def read(self, levels: int) -> Element:
        """Read one value that begins here; ``levels`` is how deep it may be nested."""
        if levels == 0:
            raise JsonError("fromJSON elements nested too deeply")
        self.left -= 1
        if self.left < 0:
            raise TooManyValuesError(too_many_values(self.max_values))
        start = self.at
        value: ElementValue
        found = _COMMON.match(self.text, start)
        if found is None:
            value = self.read_uncommon(self.peek())
        else:
            self.at = found.end()
            kind = found.lastindex
            if kind == _STRING_FOUND:
                raw = found[1]
                value = raw.decode() if raw.isascii() else _to_str(raw)
            elif kind == _INTEGER_FOUND:
                value = int(found[2])
            elif kind == _WORD_FOUND:
                value = _WORDS[found[3]]
            else:
                return self.read_list(levels) if kind == _LIST_FOUND else self.read_map(levels)
        return Element(value, Position(self.file, self.line, start - self.base))

    def read_uncommon(self, char: bytes) -> ElementValue:
        """Read a value that is no map or list and begins with the byte."""
        start = self.at
        if char == b'"':
            return self.read_string()
        if char in (b"t", b"f"):
            raise self.fail(f"Bad boolean value: {self.shown(self.match(_WORD))}", start)
        if char == b"n":
            raise self.fail(f"Bad null value: {self.shown(self.match(_WORD))}", start)
        if char == b"":
            raise JsonError("nothing read")
        if char not in b"0123456789+-.":
            raise self.fail(f"error: unexpected character {_to_str(char)}", start + 1)
        number = self.match(_NUMBER)
        try:
            return _number(_to_str(number))
        except OverflowError as error:
            text = str(error).replace(f"'{_to_str(number)}'", f"'{self.shown(number)}'")
            raise self.fail(text, start) from None

    def read_map(self, levels: int) -> Element:
        place = self.place(self.at)
        members: dict[str, Element] = {}
        self.skip_whitespace()
        if self.at == len(self.text):
            raise self.fail("Unterminated map, <string> or } expected", self.at)
        if self.peek() == b"}":
            self.at += 1
            self.base += 1  # Kea does not count the bracket that closes an empty map
            return Element(members, place)
        try:
            while True:
                key = self.read_string()
                self.expect(_AFTER_KEY)
                members[key] = self.read(levels - 1)
                if self.expect(_AFTER_MEMBER) == b"}":
                    return Element(members, place)
        except JsonError:
            read = [Element(members)]
            members = {}
            let_go(read)
            raise

    def read_list(self, levels: int) -> Element:
        place = self.place(self.at)
        items: list[Element] = []
        self.skip_whitespace()
        try:
            while self.peek() != b"]":
                items.append(self.read(levels - 1))
                if self.expect(_AFTER_ITEM) == b"]":
                    return Element(items, place)
        except JsonError:
            read = [Element(items)]
            items = []
            let_go(read)
            raise
        self.at += 1
        return Element(items, place)

    def expect(self, wanted: frozenset[bytes]) -> bytes:
        """Read one of the wanted bytes and the whitespace around it; return the byte."""
        found = _SIGN.match(self.text, self.at)
        if found is None:  # there is much whitespace
            self.skip_whitespace()
            char, start, end = self.peek(), self.at, self.at + 1
        else:
            char, start, end = found[1], self.at, found.end()
        if char not in wanted:
            self.skip_whitespace()
            read = f"'{_to_str(char)}' read" if char else "EOF read"
            raise self.fail(f'{read}, one of "{_to_str(b"".join(sorted(wanted)))}" expected', self.at + 1)
        if end == start + 1:
            self.at = end
        else:
            self.skip_to(end)
        if found is None:
            self.skip_whitespace()
        return char

    def read_string(self) -> str:
        found = _PLAIN_STRING.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
            raw = found[1]
            return raw.decode() if raw.isascii() else _to_str(raw)
        if self.peek() != b'"':
            raise self.fail("String expected", self.at + 1)
        start = self.at
        self.at += 1
        read = -1
        while read < self.at:
            read = self.at
            self.at = self.end_of(_UNESCAPED)
            self.at = self.end_of(_ESCAPED)
        char = self.peek()
        if char == b"\\":
            raise self.bad_escape(self.at + 1)
        self.at += 1
        if char == b"":
            raise self.fail("Unterminated string", self.at)
        text: str = _unescape(self.text[start : self.at].decode("latin-1"))[0]
        return _to_str(text.encode("latin-1"))

    def bad_escape(self, start: int) -> JsonError:
        """Return the error of the escape whose backslash is right before ``start``."""
        if self.text[start : start + 1] != b"u":
            return self.fail("Bad escape", start)
        if self.text[start + 1 : start + 2] != b"0":
            return self.fail("Unsupported unicode escape", start + 1)
        if self.text[start + 2 : start + 3] != b"0":
            return self.fail("Unsupported unicode escape", start)
        return self.fail("Not hexadecimal in unicode escape", start)


def _number(text: str) -> int | float:
    """Return the value of a number; raise OverflowError with the text that a position is to follow."""
    if "." in text or "e" in text or "E" in text:
        if _DOUBLE.fullmatch(text):
            value = float(text)
            if math.isfinite(value):
                return value
        raise OverflowError(f"Number overflow while trying to cast '{text}' to double: {_BAD_CAST}")
    digits = text[1:] if text[0] in "+-" else text
    if digits.isdigit():
        significant = digits.lstrip("0") or "0"
        if len(significant) <= 19:
            value = -int(significant) if text[0] == "-" else int(significant)
            if -(2**63) <= value < 2**63:
                return value
    return _big_integer(text)


def _big_integer(text: str) -> BigInteger:
    """Read what is no 64-bit integer as Kea's 128-bit type does.

    A leading zero means octal there, and ``-`` alone is zero.
    """
    digits = text.removeprefix("-")
    radix, valid = (8, "01234567") if digits.startswith("0") else (10, "0123456789")
    value = 0
    for digit in digits.lstrip("0"):
        if digit not in valid:
            raise JsonError("Unexpected content found while parsing character string.")
        shifted = value * radix
        value = shifted + int(digit)
        if value >= 2**128:
            step = "multiplication" if shifted >= 2**128 else "addition"
            raise OverflowError(
                f"Number overflow while trying to cast '{text}' to int64 and subsequently to int128: "
                f"{_BAD_CAST}, overflow in {step}"
            )
    return BigInteger(-value if text.startswith("-") else value)
