"""The tokens of Kea's configuration dialect (contract, section 2.1).

A token's kind is the name under which Bison's messages print it. Which strings are keywords depends on the
map that is being read, so the reader passes the keywords with each request for a token.

Columns count bytes from 1: the text is kept with one byte in each character; the values of strings are UTF-8
with ``surrogateescape``. Places are Kea's: a token begins where the last blank, line end or token ended, so a
comment directly before it belongs to its place.
"""

from __future__ import annotations

import math
import re
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn, cast

from pyd2.data.element import Position
from pyd2.data.secrets import HIDDEN, holds_secret
from pyd2.errors import ConfigSyntaxError
from pyd2.regular import UnfitFileError, read_any, read_regular

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

END: Final = "end of file"
COMMA: Final = '","'
NULL: Final = "null"
STRING: Final = "constant string"
INTEGER: Final = "integer"
FLOAT: Final = "floating point"
BOOLEAN: Final = "boolean"

MAX_INCLUDES: Final = 10
MAX_FILE_SIZE: Final = 1 << 26
"""Bytes of one file. Kea has no such limit; ours keeps an endless file from filling the memory."""

_PUNCTUATION: Final = {",": COMMA, ":": ":", "[": "[", "]": "]", "{": "{", "}": "}"}
_INT64: Final = range(-(1 << 63), 1 << 63)

_SPACE: Final = re.compile(r"[ \t\r\n]*")
# What nearly all tokens are, with the space before them: a mark, a string without escapes or a short integer.
_COMMON: Final = re.compile(
    r"""(?:[ \t\r]*+(\n[ \t\r\n]*+))?+[ \t\r]*+"""
    r"""(?:([,:\[\]{}])|"([^\x00-\x1f"\\]*+)"|(-?[0-9]{1,18}+)(?![0-9.eE]))"""
)
_SCAN: Final = re.compile(
    r"""
      (?P<remark>  \#[^\n]* | //[^\n]*)
    | (?P<comment> /\*)
    | (?P<include> <\?)
    | (?P<word>    [tT][rR][uU][eE] | [fF][aA][lL][sS][eE] | [nN][uU][lL][lL])
    | (?P<number>  (?=[-+.0-9eE]) [-+]?[0-9]*\.?[0-9]* (?:[eE][-+]?[0-9]+)?)
    """,
    re.VERBOSE,
)
# A single blank in a comment is an ordinary character there: only several at once move a token's beginning.
_MOVES_IN_COMMENT: Final = re.compile(r"\n+|[ \t\r]{2,}")
_FILE_NAME: Final = re.compile(r'"[^"\n]+"')
_INT: Final = re.compile(r"-?[0-9]+")

# A string as far as it is good, and what may follow when its closing quote does not.
_STRING: Final = re.compile(r'"[^\x00-\x1f"\\]*+(?:\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4})[^\x00-\x1f"\\]*+)*+')
_CONTROL_TAIL: Final = re.compile(r'[\x00-\x1f](?:[^"\\]++|\\["\\/bfnrtu])*+"')
_ESCAPE_TAIL: Final = re.compile(r'\\(?:[^"\\/bfnrtu]|u[0-9A-Fa-f]{0,3}[^0-9A-Fa-f"])[^"]*+"')
_UNICODE_TAIL: Final = re.compile(r'\\u[0-9A-Fa-f]{0,3}"')
_ESCAPE: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))")
_CONTROL: Final = re.compile(r"[\x00-\x1f]")
_SIMPLE_ESCAPES: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class Token(NamedTuple):
    """A token; its place is complete with the file that the lexer reads."""

    kind: str
    value: bool | int | float | str | None
    """The value of a string, number or boolean; the spelling of a keyword."""
    line: int
    column: int
    end: int
    """The column behind the last byte."""


_new_token = cast("Callable[[tuple[str, bool | int | float | str | None, int, int, int]], Token]",
                  partial(tuple.__new__, Token))  # a third of the time of Token(...)


class _Source:
    """A file being read, and where."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self.at = 0
        self.line = 1
        self.line_start = 0
        self.begin = 1
        """The column where the token under way begins."""

    def column(self) -> int:
        return self.at - self.line_start + 1

    def skip_space(self) -> None:
        """Pass over blanks and line ends: the next token begins behind them."""
        found = _SPACE.match(self.text, self.at)
        if found is not None and found.end() > self.at:
            self.move(found.end())
            self.begin = self.column()

    def move(self, end: int) -> None:
        """Move to a place behind, which may be on a later line."""
        if lines := self.text.count("\n", self.at, end):
            self.line += lines
            self.line_start = self.text.rindex("\n", self.at, end) + 1
        self.at = end


def read_config_file(path: str) -> bytes:
    """Return the octets of a file, one more than MAX_FILE_SIZE at most.

    Only a regular file is read: a running daemon must not wait for the writer of a pipe. Raises OSError, and
    ValueError for a NUL in the path.
    """
    return read_regular(path, MAX_FILE_SIZE + 1)


def read_first_config_file(path: str) -> bytes:
    """Do the same at the start of a program, where a pipe may be read, too, as in ``-t <(program)``."""
    return read_any(path, MAX_FILE_SIZE + 1)


def to_str(raw: str) -> str:
    """Return the string of bytes that are held one in a character."""
    return raw if raw.isascii() else raw.encode("latin-1").decode("utf-8", "surrogateescape")


class Lexer:
    """The tokens of a file and of those it includes.

    ``read`` gives at most MAX_FILE_SIZE + 1 bytes of a file and raises OSError; the path is as typed.
    """

    def __init__(self, path: str, read: Callable[[str], bytes]) -> None:
        """Open the file; raises ConfigSyntaxError."""
        self._read = read
        self._including: list[_Source] = []
        self._source = self._open(path, f"Unable to open file {path}")

    def position(self, token: Token) -> Position:
        """Return where the token begins, for the elements."""
        return Position(self._source.name, token.line, token.column)

    def place(self, token: Token) -> str:
        """Return the token's place as grammar errors print it: ``file:line.column-column``."""
        return self._place(token.line, token.column, token.end)

    def next(self, keywords: Mapping[str, str]) -> Token:
        """Return the next token; at the end of the outermost file END, again and again.

        ``keywords`` gives the kinds of the strings that are keywords here; one in capitals matches any case.
        Raises ConfigSyntaxError.
        """
        source = self._source
        found = _COMMON.match(source.text, source.at)
        if found is None:
            return self._uncommon(keywords)
        newlines, mark, string, integer = found.groups()
        if newlines:
            source.move(found.end(1))
        begin = source.at = found.end()
        value: int | str | None
        if mark is not None:
            kind, value = _PUNCTUATION[mark], None
            begin -= 1
        elif string is not None:
            known = keywords.get(string) or keywords.get(string.upper())
            kind, value = (known, string) if known is not None else (STRING, to_str(string))
            begin -= len(string) + 2
        else:
            kind, value = INTEGER, int(integer)
            begin -= len(integer)
        first = source.line_start - 1
        return _new_token((kind, value, source.line, begin - first, source.at - first))

    def _uncommon(self, keywords: Mapping[str, str]) -> Token:
        source = self._source
        source.begin = source.column()
        while True:
            source.skip_space()
            if source.at == len(source.text):
                if not self._including:
                    return self._token(END, None)
                source = self._source = self._including.pop()
                self._close_directive()
                continue
            char = source.text[source.at]
            if (mark := _PUNCTUATION.get(char)) is not None:
                source.at += 1
                return self._token(mark, None)
            if char == '"':
                return self._string(source.at, keywords)
            found = _SCAN.match(source.text, source.at)
            if found is None or found.end() == source.at:
                self._fail_at_character()
            source.at = found.end()
            kind = found.lastgroup
            if kind == "number":
                return self._number(found.group())
            if kind == "word":
                return self._word(found.group())
            if kind == "comment":
                self._comment()
            elif kind == "include":
                self._include()
                source = self._source

    # -- values

    def _string(self, start: int, keywords: Mapping[str, str]) -> Token:
        source = self._source
        good = _STRING.match(source.text, start)
        assert good is not None
        if not source.text.startswith('"', good.end()):
            self._fail_at_string(start, good.end())
        source.at = good.end() + 1
        raw = good.group()[1:]
        kind = keywords.get(raw) or keywords.get(raw.upper())
        if kind is not None:
            return self._token(kind, raw)
        if "\\" in raw:
            raw = _ESCAPE.sub(lambda escape: self._unescape(escape, raw), raw)
        return self._token(STRING, to_str(raw))

    def _unescape(self, escape: re.Match[str], raw: str) -> str:
        code, char = escape.groups()
        if code is None:
            return _SIMPLE_ESCAPES.get(char, char)
        if not code.startswith("00"):
            start = self._source.at - len(raw) - 2
            whole = self._shown(f'"{raw}"', start)
            self._fail(f"Unsupported unicode escape in {whole}", escape.start() + 3)
        return chr(int(code, 16))

    def _number(self, text: str) -> Token:
        if _INT.fullmatch(text):
            sign = "-" if text.startswith("-") else ""
            digits = text.removeprefix("-").lstrip("0") or "0"
            # The length first: int() takes long for many digits, and refuses thousands of them.
            if len(digits) > len(str(_INT64.stop)) or (value := int(sign + digits)) not in _INT64:
                self._fail(f"Failed to convert {self._shown(text)} to an integer.")
            return self._token(INTEGER, value)
        try:
            number = float(text)
        except ValueError:
            number = math.inf
        if math.isinf(number):
            self._fail(f"Failed to convert {self._shown(text)} to a floating point.")
        return self._token(FLOAT, number)

    def _word(self, text: str) -> Token:
        if text == "null":
            return self._token(NULL, None)
        if text in {"true", "false"}:
            return self._token(BOOLEAN, text == "true")
        return self._fail(f"JSON {text.lower()} reserved keyword is lower case only")

    # -- comments and included files

    def _comment(self) -> None:
        source = self._source
        end = source.text.find("*/", source.at)
        if end < 0:
            raise ConfigSyntaxError(f"Comment not closed. (/* in line {source.line}")
        for space in _MOVES_IN_COMMENT.finditer(source.text, source.at, end):
            source.move(space.end())
            source.begin = source.column()
        source.at = end + len("*/")

    def _include(self) -> None:
        self._skip_in_directive()
        source = self._source
        if not source.text.startswith("include", source.at):
            self._fail_at_character()
        source.at += len("include")
        self._skip_in_directive()
        found = _FILE_NAME.match(source.text, source.at)
        if found is None:
            self._fail_at_character()
        source.at = found.end()
        if len(self._including) > MAX_INCLUDES:
            raise ConfigSyntaxError("Too many nested include.")
        path = to_str(found.group()[1:-1])
        self._including.append(source)
        self._source = self._open(path, f"Can't open include file {path}")

    def _close_directive(self) -> None:
        """Read the ``?>`` behind the name of a file that has been read."""
        self._skip_in_directive()
        source = self._source
        if not source.text.startswith("?>", source.at):
            self._fail_at_character()
        source.at += len("?>")

    def _skip_in_directive(self) -> None:
        source = self._source
        source.skip_space()
        if source.at == len(source.text):
            raise ConfigSyntaxError("Directive not closed.")

    def _open(self, path: str, fault: str) -> _Source:
        try:
            data = self._read(path)
        except IsADirectoryError:
            raise ConfigSyntaxError("input in flex scanner failed") from None
        except UnfitFileError as error:
            raise ConfigSyntaxError(f"{fault}: {error.strerror}") from None
        except (OSError, ValueError):
            raise ConfigSyntaxError(fault) from None
        if len(data) > MAX_FILE_SIZE:
            raise ConfigSyntaxError(f"{path} has more than {MAX_FILE_SIZE} bytes")
        return _Source(path, data.decode("latin-1"))

    # -- faults

    def _token(self, kind: str, value: float | str | None) -> Token:
        source = self._source
        return Token(kind, value, source.line, source.begin, source.column())

    def _place(self, line: int, column: int, end: int) -> str:
        last = f"-{end - 1}" if column < end - 1 else ""
        return f"{self._source.name}:{line}.{column}{last}"

    def _fail(self, text: str, near: int = 0) -> NoReturn:
        """Raise the error for what was read up to here; ``near`` is the place in it, counted from 1."""
        source = self._source
        place = self._place(source.line, source.begin, source.column())
        hint = f" (near {near})" if near else ""
        raise ConfigSyntaxError(f"{place}{hint}: {to_str(text)}".partition("\0")[0])

    def _shown(self, text: str, start: int | None = None) -> str:
        """Return the text of a faulty token, or asterisks if it may be a secret.

        The token begins at ``start``, or ends here.
        """
        source = self._source
        before = source.text[: source.at - len(text) if start is None else start]
        outer = (including.text[: including.at] for including in reversed(self._including))
        if not holds_secret(text, before, *outer):
            return text
        return f'"{HIDDEN}"' if text.startswith('"') else HIDDEN

    def _fail_at_character(self) -> NoReturn:
        source = self._source
        char = source.text[source.at]
        source.at += 1
        self._fail(f"Invalid character: {char}")

    def _fail_at_string(self, start: int, good: int) -> NoReturn:
        """Raise the error for a string that is good only from ``start`` to ``good``.

        Of the ways in which it can be read on, the longest decides, as in any lexer. Kea's texts and its
        count of the place end at a NUL.
        """
        text = self._source.text
        if tail := _CONTROL_TAIL.match(text, good):
            whole = self._take(start, tail.end())
            control = _CONTROL.search(whole)
            near = control.start() if control else max(len(whole) - 1, 1)
            self._fail(f"Invalid control in {self._shown(whole, start)}", near)
        if tail := _ESCAPE_TAIL.match(text, good):
            whole = self._take(start, tail.end())
            more = "..." if whole[-2:-1] == "\\" else ""
            shown = self._shown(whole, start)
            self._fail(f"Bad escape in {shown}{more}", min(good - start + 1, len(whole) - 2))
        if tail := _UNICODE_TAIL.match(text, good):
            whole = self._take(start, tail.end())
            self._fail(f"Overflow unicode escape in {self._shown(whole, start)}", whole.rindex("u"))
        if (escape := text.rfind('\\"', start, good)) >= 0:
            whole = self._take(start, escape + 2)
            self._fail(f"Overflow escape in {self._shown(whole, start)}", len(whole))
        self._source.at = start
        self._fail_at_character()

    def _take(self, start: int, end: int) -> str:
        """Pass over a bad string and return it up to its first NUL."""
        self._source.at = end
        return self._source.text[start:end].partition("\0")[0]
