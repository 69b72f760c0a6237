"""Writes the messages of Kea's code and of compiled libraries to the server's log (cbridge/kea/logging.h).

A message of the catalogue is split into ID and arguments and logged like the server's own; the chain first
replaces what Kea says of a slot. Other messages go to the logger of their name.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pyd2.messages import Log, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyd2.hooks.kea.bridge import Shim
    from pyd2.messages import Message


class NamedLogger(Protocol):
    """A logger of messages that are not in the catalogue."""

    def message(self, severity: Severity, debuglevel: int, message_id: str, text: str) -> None:
        """Write a message, if such messages are written."""


class ServerLog(Log, Protocol):
    """The members of the server's log that the bridge needs, besides ``Log``."""

    messages: Mapping[str, Message]
    """The catalogue, by ID."""
    followers: list[Callable[[], None]]
    """Called after each change of the levels."""

    def levels(self) -> Mapping[str, tuple[Severity, int]]:
        """Return the severity and debug level of loggers, by full name; the root is among them."""

    def logger(self, name: str) -> NamedLogger:
        """Return the logger of a full name."""


class Parsed(NamedTuple):
    """A message of the catalogue."""

    message_id: str
    arguments: tuple[str, ...]


def parse(messages: Mapping[str, Message], severity: int, logger: str, text: str) -> Parsed | None:
    """Split a message into ID and arguments; None when it is not of the catalogue.

    A library may log under an ID of the catalogue, with a logger, a severity or a text of its own.
    """
    message_id, _, rest = text.partition(" ")
    known = messages.get(message_id)
    if known is None or known.logger != logger or known.severity != severity:
        return None
    found = _pattern(known.text).fullmatch(rest)
    if found is None:
        return None
    named = found.groupdict()
    return Parsed(message_id, tuple(named[name] for name in sorted(named)))


@cache
def _pattern(text: str) -> re.Pattern[str]:
    pattern = re.sub(r"%(\d)", r"(?P<a\1>.*)", re.escape(text))
    return re.compile(pattern, re.DOTALL)


def write(log: ServerLog, severity: int, logger: str, text: str) -> None:
    """Write a message that is not of the catalogue."""
    message_id, _, rest = text.partition(" ")
    log.logger(logger).message(Severity(severity), 0, message_id, rest)


def write_any(log: ServerLog, severity: int, logger: str, text: str) -> None:
    """Write a message of Kea, of the catalogue or not."""
    message = parse(log.messages, severity, logger, text)
    if message is None:
        write(log, severity, logger, text)
    else:
        log.emit(message.message_id, *message.arguments)


def follow_levels(shim: Shim, log: ServerLog) -> None:
    """Give Kea's loggers the levels of the server's. Raises BridgeError."""
    levels = log.levels()
    given = shim.ffi.new("kb_level[]", len(levels))
    names = [shim.ffi.new("char[]", shim.bytes(name)) for name in levels]
    for level, name, (severity, debuglevel) in zip(given, names, levels.values(), strict=True):
        level.logger, level.severity, level.debug_level = name, int(severity), debuglevel
    shim.check(shim.lib.kb_log_levels(given, len(levels)))
