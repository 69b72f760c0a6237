"""Layout patterns of log lines, as log4cplus 2 reads them (contract, section 10).

A pattern is compiled once. The parts that depend only on the logger and the severity are made once for each
pair of them, those that depend only on the second once a second. A line then costs one formatting.
"""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from pyd2.messages import Severity

if TYPE_CHECKING:
    from collections.abc import Callable

LineWriter: TypeAlias = "Callable[[str, float], str]"
"""Makes a line of a message's text and the time in seconds since the epoch."""

DEFAULT_PATTERN: Final = "%D{%Y-%m-%d %H:%M:%S.%q} %-5p [%c/%i.%t] %m\n"
"""The default pattern of consoles and files."""
DEFAULT_SYSLOG_PATTERN: Final = "%-5p [%c.%t] %m\n"

_DEFAULT_DATE: Final = "%Y-%m-%d %H:%M:%S"

# In Kea one function writes every message, so its place in the source is nearly constant. So is the thread:
# Kea's D2 has only one.
_SOURCE_FUNCTION: Final = (
    "void isc::log::LoggerImpl::outputRaw(const isc::log::Severity&, const std::string&)"
)
_SOURCE_STEPS: Final = {
    Severity.DEBUG: 0, Severity.INFO: 4, Severity.WARN: 8, Severity.ERROR: 12, Severity.FATAL: 16,
}  # fmt: skip


class Source(NamedTuple):
    """The place in Kea's source that writes messages; the build of Debian knows its file by a name."""

    file: str
    line: int
    """Of messages at DEBUG; those of other severities follow."""


SOURCE: Final = Source("logger_impl.cc", 169)
"""That of Kea 2.6.3."""


class _Field(NamedTuple):
    """A conversion: its specifier character, its option in braces, and the width of its text."""

    specifier: str = ""
    option: str = ""
    minimum: int = 0
    maximum: int | None = None
    left: bool = False
    """Pad at the right end."""
    keep_head: bool = False
    """Cut off the end of a text that is too long, not its head."""

    def fit(self, text: str) -> str:
        """Pad or cut a text to its width in bytes. A text that was cut is not padded."""
        if not text.isascii():
            units = text.encode("utf-8", "surrogateescape").decode("latin-1")
            return self._fit_units(units).encode("latin-1").decode("utf-8", "surrogateescape")
        return self._fit_units(text)

    def _fit_units(self, text: str) -> str:
        if self.maximum is not None and len(text) > self.maximum:
            return text[: self.maximum] if self.keep_head else text[len(text) - self.maximum :]
        return text.ljust(self.minimum) if self.left else text.rjust(self.minimum)


_CONVERSION: Final = re.compile(
    r"%(?P<flags>-*+)(?P<minimum>\d*+)(?:\.(?P<head>-*+)(?P<maximum>\d++))?(?P<specifier>.)",
    re.ASCII | re.DOTALL,
)
_AFTER_DOT: Final = re.compile(r"-*+.?", re.DOTALL)
_SPECIFIERS: Final = "bcdDEFhHilLmMnprtTxX"
_WITH_OPTION: Final = "cdDEX"


def _parse(pattern: str) -> list[str | _Field]:
    """Split a pattern into literal texts and conversions."""
    parts: list[str | _Field] = []
    at = 0
    while at < len(pattern):
        match = _CONVERSION.match(pattern, at)
        if match is None:  # no "%" here, or one at the very end, which is literal
            end = pattern.find("%", at + 1)
            end = end if end != -1 else len(pattern)
            parts.append(pattern[at:end])
            at = end
            continue
        at = match.end()
        specifier = match["specifier"]
        if match[0] == "%%":
            parts.append("%")
        elif specifier == ".":  # without digits after it a dot makes all this literal
            after = _AFTER_DOT.match(pattern, at)
            at = after.end() if after else at
            parts.append(pattern[match.start() : at])
        elif specifier not in _SPECIFIERS:
            parts.append(match[0])
        else:
            option = ""
            if specifier in _WITH_OPTION and pattern.startswith("{", at):
                end = pattern.find("}", at)
                # Without its closing brace the option swallows the rest of the pattern, and counts as none.
                option, at = (pattern[at + 1 : end], end + 1) if end != -1 else ("", len(pattern))
            parts.append(_Field(
                specifier, option, _width(match["minimum"]) or 0, _width(match["maximum"]),
                bool(match["flags"]), bool(match["head"]),
            ))  # fmt: skip
    return parts


def _width(digits: str | None) -> int | None:
    # A huge width is a typing mistake, and must not use up the memory.
    return None if not digits else int(digits) if len(digits) < 6 else 99999


class _Date:
    """The ``%D`` (local) and ``%d`` (UTC) conversions; strftime runs once a second."""

    def __init__(self, date_format: str, *, utc: bool) -> None:
        self._utc = utc
        # Texts for strftime and, at the odd places, %q (milliseconds) and %Q (with their fraction).
        self._pieces = [""]
        for token in re.findall(r"%.|[^%]+|%", date_format or _DEFAULT_DATE, re.DOTALL):
            if token in {"%q", "%Q"}:
                self._pieces += [token, ""]
            else:
                self._pieces[-1] += token
        self._per_second = 1000000 if "%Q" in self._pieces else 1000 if "%q" in self._pieces else 1
        self._tick = self._second = -1
        self._texts: list[str] = []
        self._text = ""

    def __call__(self, _message: str, now: float) -> str:
        tick = int(now * self._per_second)
        if tick != self._tick:
            self._tick = tick
            self._text = self._at(int(now), tick % self._per_second * (1000000 // self._per_second))
        return self._text

    def _at(self, second: int, microsecond: int) -> str:
        if second != self._second:
            self._second = second
            self._texts = [self._strftime(piece, second) for piece in self._pieces]
        texts = self._texts.copy()
        for at in range(1, len(texts), 2):
            millisecond = f"{microsecond // 1000:03d}"
            texts[at] = millisecond if texts[at] == "%q" else f"{millisecond}.{microsecond % 1000:03d}"
        return "".join(texts)

    def _strftime(self, piece: str, second: int) -> str:
        if piece in {"%q", "%Q"}:
            return piece
        piece = re.sub(r"%(.)", lambda m: str(second) if m[1] == "s" else m[0], piece, flags=re.DOTALL)
        if self._utc:
            # The C library calls the zone of gmtime() GMT; Python's says UTC.
            moment = time.struct_time(time.gmtime(second)[:9], {"tm_zone": "GMT", "tm_gmtoff": 0})
        else:
            moment = time.localtime(second)
        return time.strftime(piece, moment)


def _tail(logger: str, option: str) -> str:
    """Return the last components of a logger's name, as many as ``%c{n}`` asks for."""
    number = re.match(r"\s*\+?(\d+)", option)
    count = int(number[1]) if number else 0
    return ".".join(logger.split(".")[-count:]) if count else logger


def _host_name(*, full: bool) -> str:
    name = socket.gethostname()
    if full:
        try:
            found = socket.getaddrinfo(name, None, flags=socket.AI_CANONNAME)
        except OSError:
            return name
        return next((entry[3] for entry in found if entry[3]), name)
    return name


class Layout:
    """A compiled pattern. ``started`` is the start of the program (seconds since the epoch), for ``%r``."""

    def __init__(self, pattern: str, started: float, source: Source = SOURCE) -> None:
        self._started = started
        self._source = source
        parts = _parse(pattern)
        self._parts = [part if isinstance(part, str) else self._convert(part) for part in parts]
        """Texts, functions that make texts, and what depends on the logger or the severity."""
        messages = [part for part in parts if isinstance(part, _Field) and part.specifier == "m"]
        self.framed = messages == [_Field("m")]
        """Whether a line holds its message once and unchanged, so that the rest does not depend on it."""

    def writer(self, logger: str, severity: Severity) -> LineWriter:
        """Return the function that makes the lines of a logger (full name) at a severity."""
        template = ""
        moving: list[LineWriter] = []
        for part in self._parts:
            text = self._of(part, logger, severity) if isinstance(part, _Field) else part
            if isinstance(text, str):
                template += text.replace("%", "%%")
            else:
                template += "%s"
                moving.append(text)

        def line(message: str, now: float) -> str:
            return template % tuple([convert(message, now) for convert in moving])

        return line

    def _of(self, field: _Field, logger: str, severity: Severity) -> str:
        """Return the text of a conversion that depends on the logger or the severity."""
        return field.fit(_of_logger(field, logger, severity, self._source))

    def _convert(self, field: _Field) -> str | LineWriter | _Field:
        """Return the text of a conversion, or the function that makes it if it changes with each line.

        What depends on the logger or the severity is returned as it is.
        """
        moving: LineWriter
        match field.specifier:
            case "d" | "D":
                moving = _Date(field.option, utc=field.specifier == "d")
            case "m":
                moving = _message
            case "r":
                moving = self._since_start
            case "c" | "p" | "L" | "l":
                return field
            case _:
                return field.fit(_fixed(field, self._source))
        if field._replace(specifier="", option="") == _Field():
            return moving
        return lambda message, now: field.fit(moving(message, now))

    def _since_start(self, _message: str, now: float) -> str:
        return str(int((now - self._started) * 1000))


def _message(message: str, _now: float) -> str:
    return message


def _of_logger(field: _Field, logger: str, severity: Severity, source: Source) -> str:
    match field.specifier:
        case "c":
            return _tail(logger, field.option)
        case "p":
            return severity.name
        case "L":
            return str(source.line + _SOURCE_STEPS[severity])
        case _:
            return f"{source.file}:{source.line + _SOURCE_STEPS[severity]}"


def _fixed(field: _Field, source: Source) -> str:
    match field.specifier:
        case "i":
            return str(os.getpid())
        case "t":
            return str(threading.main_thread().ident)
        case "T":
            return str(threading.main_thread().native_id)
        case "n":
            return "\n"
        case "h" | "H":
            return _host_name(full=field.specifier == "H")
        case "E":
            return os.environ.get(field.option, "")
        case "F":
            return source.file
        case "b":
            return source.file.rpartition("/")[2]
        case "M":
            return _SOURCE_FUNCTION
        case _:
            return ""  # %x and %X: Kea keeps no diagnostic context
