"""What Kea's code and compiled libraries log, written by the server's own log (cbridge/kea/logging.h).

Messages of the catalogue are taken apart into ID and arguments and emitted like the server's own; those that
speak of a slot are first put into the words of the chain without Kea. Others go to the logger of their name.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pyd2.messages import Log, Message, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyd2.hooks.kea_bridge import Shim


class NamedLogger(Protocol):
    """A logger whose messages are not in the catalogue."""

    def message(self, severity: Severity, debuglevel: int, message_id: str, text: str) -> None:
        """Write a message, if such messages are written."""


class ServerLog(Log, Protocol):
    """What the bridge asks of the server's log beyond ``Log``."""

    messages: Mapping[str, Message]
    """The catalogue, by ID."""
    followers: list[Callable[[], None]]
    """Called after each change of the levels."""

    def levels(self) -> Mapping[str, tuple[Severity, int]]:
        """Return what each logger lets pass, by full name: severity and debug level; the root always."""

    def logger(self, name: str) -> NamedLogger:
        """Return the logger of a full name."""


class Line(NamedTuple):
    """A message of the catalogue, taken apart."""

    message_id: str
    arguments: tuple[str, ...]


def parse(messages: Mapping[str, Message], severity: int, logger: str, text: str) -> Line | None:
    """Take a message apart; None when it is not of the catalogue.

    A library may log under an ID of the catalogue, with a logger, a severity or a text of its own.
    """
    message_id, _, rest = text.partition(" ")
    message = messages.get(message_id)
    if message is None or message.logger != logger or message.severity != severity:
        return None
    found = _pattern(message.text).fullmatch(rest)
    if found is None:
        return None
    named = found.groupdict()
    return Line(message_id, tuple(named[name] for name in sorted(named)))


@cache
def _pattern(text: str) -> re.Pattern[str]:
    pattern = re.sub(r"%(\d)", r"(?P<a\1>.*)", re.escape(text))
    return re.compile(pattern, re.DOTALL)


def write(log: ServerLog, severity: int, logger: str, text: str) -> None:
    """Write a message that is not of the catalogue."""
    message_id, _, rest = text.partition(" ")
    log.logger(logger).message(Severity(severity), 0, message_id, rest)


def write_any(log: ServerLog, severity: int, logger: str, text: str) -> None:
    """Write a message of Kea's, of the catalogue or not."""
    line = parse(log.messages, severity, logger, text)
    if line is None:
        write(log, severity, logger, text)
    else:
        log.emit(line.message_id, *line.arguments)


def follow_levels(shim: Shim, log: ServerLog) -> None:
    """Give Kea's loggers the levels of the server's. Raises BridgeError."""
    levels = log.levels()
    given = shim.ffi.new("kb_level[]", len(levels))
    names = [shim.ffi.new("char[]", shim.bytes(name)) for name in levels]
    for level, name, (severity, debuglevel) in zip(given, names, levels.values(), strict=True):
        level.logger, level.severity, level.debug_level = name, int(severity), debuglevel
    shim.check(shim.lib.kb_log_levels(given, len(levels)))
