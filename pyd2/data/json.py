"""Kea's plain JSON reader: what NameChangeRequests and commands are read with (contract, sections 3 and 8).

It is no strict JSON: it accepts some numbers that RFC 8259 forbids (``+1``, ``.5``, ``007``), a comma at the
end of a list and raw control characters in strings, and of equal keys the last wins. Error texts and
positions are part of Kea's answers, so they are Kea's, odd ones included. Configuration files have a grammar
of their own.
"""

from __future__ import annotations

import math
import re
import sys
from json import JSONDecoder

from pyd2.data.element import BigInteger, Element, ElementValue, Position
from pyd2.data.secrets import HIDDEN, holds_secret
from pyd2.errors import JsonError, TooManyValuesError

MAX_NESTING = 100
"""How deep elements may be nested; the outermost one counts as 1."""

_SPACE = r"[ \b\f\n\r\t]*+"
_WHITESPACE = re.compile(_SPACE)
_SIGN = re.compile(rf"{_SPACE}(.?){_SPACE}", re.DOTALL)
_PLAIN_STRING = re.compile(r'"([^"\\]*+)"')
# Matches most values. ``read_uncommon`` reads the others, and finds the faults.
_COMMON = re.compile(r'"([^"\\]*+)"|([+-]?[0-9]{1,18}+)(?![0-9+\-.eE])|(true|false|null)(?![A-Za-z])')
_WORDS = {"true": True, "false": False, "null": None}
_WORD = re.compile(r"[A-Za-z]*")
_NUMBER = re.compile(r"[0-9+\-.eE]*")
_DOUBLE = re.compile(r"[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?", re.ASCII)
_IN_STRING = re.compile(r'[^"\\]*+(?:\\(?:["/\\bfnrt]|u00[0-9a-fA-F]{2})[^"\\]*+)*+')
_unescape = JSONDecoder(strict=False).raw_decode  # 30 times as fast as a loop in Python

_BAD_CAST = "bad lexical cast: source type value could not be interpreted as target"


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
    reader = _Reader(data.decode("latin-1"), file, first, max_values)
    reader.skip_whitespace()
    value = reader.read(MAX_NESTING)
    reader.end()
    return value


def from_wire(text: bytes | str, *, max_values: int = sys.maxsize) -> Element:
    """Return the value of a command that came over the control channel; see from_json."""
    return from_json(text, "<wire>", first=0, max_values=max_values)


def _to_str(raw: str) -> str:
    """Return a byte string, given as one character a byte, in the form of the strings of elements."""
    return raw if raw.isascii() else raw.encode("latin-1").decode("utf-8", "surrogateescape")


class _Reader:
    """One pass over a text that has one byte in each character.

    The column of the character at ``at`` is ``at - base``: ``base`` moves with each line.
    """

    __slots__ = ("at", "base", "file", "left", "line", "max_values", "text")

    def __init__(self, text: str, file: str, first: int, max_values: int) -> None:
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
        return JsonError(f"{_to_str(text)} in {self.place(at)}".partition("\0")[0])

    def shown(self, token: str) -> str:
        """Return the faulty token that was read last, or asterisks if it may be a secret."""
        return HIDDEN if holds_secret(token, self.text[: self.at - len(token)]) else token

    def peek(self) -> str:
        """Return the next character; empty at the end."""
        return self.text[self.at : self.at + 1]

    def skip_whitespace(self) -> None:
        found = _WHITESPACE.match(self.text, self.at)
        assert found is not None
        self.skip_to(found.end())

    def skip_to(self, end: int) -> None:
        newlines = self.text.count("\n", self.at, end)
        if newlines:
            self.line += newlines
            self.base = self.text.rindex("\n", self.at, end)
        self.at = end

    def match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.at)
        assert found is not None
        self.at = found.end()
        return found.group()

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
            raise TooManyValuesError(f"request holds more than {self.max_values} values")
        start = self.at
        char = self.text[start : start + 1]
        if char == "[":
            self.at = start + 1
            return self.read_list(levels)
        if char == "{":
            self.at = start + 1
            return self.read_map(levels)
        value: ElementValue
        found = _COMMON.match(self.text, start)
        if found is None:
            value = self.read_uncommon(char)
        else:
            self.at = found.end()
            string, integer, word = found.groups()
            if string is not None:
                value = _to_str(string)
            elif integer is not None:
                value = int(integer)
            else:
                value = _WORDS[word]
        return Element(value, Position(self.file, self.line, start - self.base))

    def read_uncommon(self, char: str) -> ElementValue:
        """Read a value that is no map or list and begins with the character."""
        start = self.at
        if char == '"':
            return self.read_string()
        if char in ("t", "f"):
            raise self.fail(f"Bad boolean value: {self.shown(self.match(_WORD))}", start)
        if char == "n":
            raise self.fail(f"Bad null value: {self.shown(self.match(_WORD))}", start)
        if char == "":
            raise JsonError("nothing read")
        if char not in "0123456789+-.":
            raise self.fail(f"error: unexpected character {char}", start + 1)
        try:
            return _number(self.match(_NUMBER))
        except OverflowError as error:
            number = self.text[start : self.at]
            raise self.fail(str(error).replace(f"'{number}'", f"'{self.shown(number)}'"), start) from None

    def read_map(self, levels: int) -> Element:
        place = self.place(self.at)
        members: dict[str, Element] = {}
        self.skip_whitespace()
        if self.at == len(self.text):
            raise self.fail("Unterminated map, <string> or } expected", self.at)
        if self.peek() == "}":
            self.at += 1
            self.base += 1  # Kea does not count the bracket that closes an empty map
            return Element(members, place)
        while True:
            key = self.read_string()
            self.expect(":")
            members[key] = self.read(levels - 1)
            if self.expect(",}") == "}":
                return Element(members, place)

    def read_list(self, levels: int) -> Element:
        place = self.place(self.at)
        items: list[Element] = []
        self.skip_whitespace()
        while self.peek() != "]":
            items.append(self.read(levels - 1))
            if self.expect(",]") == "]":
                return Element(items, place)
        self.at += 1
        return Element(items, place)

    def expect(self, wanted: str) -> str:
        """Read one of the wanted characters and the whitespace around it; return the character."""
        found = _SIGN.match(self.text, self.at)
        assert found is not None
        char = found[1]
        if char == "" or char not in wanted:
            self.skip_whitespace()
            read = f"'{char}' read" if char else "EOF read"
            raise self.fail(f'{read}, one of "{wanted}" expected', self.at + 1)
        end = found.end()
        if end == self.at + 1:
            self.at = end
        else:
            self.skip_to(end)
        return char

    def read_string(self) -> str:
        found = _PLAIN_STRING.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
            return _to_str(found[1])
        if self.peek() != '"':
            raise self.fail("String expected", self.at + 1)
        start = self.at
        self.at += 1
        self.match(_IN_STRING)
        char = self.peek()
        if char == "\\":
            raise self.bad_escape(self.at + 1)
        self.at += 1
        if char == "":
            raise self.fail("Unterminated string", self.at)
        return _to_str(_unescape(self.text, start)[0])

    def bad_escape(self, start: int) -> JsonError:
        """Return the error of the escape whose backslash is right before ``start``."""
        if self.text[start : start + 1] != "u":
            return self.fail("Bad escape", start)
        if self.text[start + 1 : start + 2] != "0":
            return self.fail("Unsupported unicode escape", start + 1)
        if self.text[start + 2 : start + 3] != "0":
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
