"""The errors of pyd2, by the part at fault.

The text of each is what an operator sees. Where Kea has a text for the same fault, it is Kea's.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

_SECRET: Final = re.compile(
    r"(?<![A-Za-z0-9+/])(?:[A-Za-z0-9+/]{14,}={1,2}|"
    r"(?=[a-z0-9+/]*[A-Z])(?=[A-Z0-9+/]*[a-z])[A-Za-z0-9+/]{64})(?![A-Za-z0-9+/=])"
)
"""A TSIG secret: base64 with padding, or the base64 of 48 octets (HMAC-SHA384), which has none."""


def without_secrets(text: str) -> str:
    """Return the text with ``*****`` in place of everything that can only be a TSIG secret."""
    return _SECRET.sub("*****", text)


class Pyd2Error(Exception):
    """The root of all errors that pyd2 raises on purpose."""


class ConfigError(Pyd2Error):
    """The configuration is wrong.

    The text holds the place (``file:line:column`` or Kea's grammar form ``file:line.column``). A secret in
    the place of another text is hidden.
    """

    def __init__(self, text: str) -> None:
        super().__init__(without_secrets(text))


class ConfigSyntaxError(ConfigError):
    """The configuration file breaks the grammar (contract, section 2.1)."""


class ConfigParserError(ConfigError):
    """A fault that Kea logs as DCTL_PARSER_FAIL: in the loggers, where defaults go, in the control socket."""


class SocketError(ConfigParserError):
    """A control socket cannot be opened; Kea has parsed the configuration by then."""


class JsonError(Pyd2Error):
    """A JSON text of a request is malformed; the text ends with its place."""


class TooManyValuesError(JsonError):
    """A JSON text holds more values than its reader allows; the text names the limit."""


class ElementTypeError(Pyd2Error):
    """A JSON value has the wrong type."""


class NcrError(Pyd2Error):
    """A NameChangeRequest is invalid (contract, section 3)."""


class DomainNameError(Pyd2Error):
    """A text is no domain name; the text is Kea's reason, such as ``duplicate period in a..b``."""


class BadReply(StrEnum):
    """What is wrong with a reply that does not count."""

    FORMAT = "format"
    """It is no well-formed reply to an update."""
    UNSIGNED = "unsigned"
    """It has no TSIG record, or one without a signature: the server could not or would not sign."""
    BADKEY = "badkey"
    """It is signed with another key or algorithm, or the server says that it does not know the key."""
    BADSIG = "badsig"
    """Its signature is wrong, or the server says that the update's is."""
    BADTIME = "badtime"
    """The clocks differ by more than 300 seconds."""
    ECHO = "echo"
    """Its signature is the update's own."""


class ReplyError(Pyd2Error):
    """A DNS server's reply is malformed or fails its TSIG verification (contract, section 6)."""

    def __init__(self, text: str, reason: BadReply = BadReply.FORMAT) -> None:
        super().__init__(text)
        self.reason: Final = reason


class HookError(Pyd2Error):
    """A hook library cannot be loaded or misbehaves (contract, section 7)."""


class BridgeError(Pyd2Error):
    """The C side of a hook library or of the bridge reports a fault."""


class GssCallError(Pyd2Error):
    """A call of GSS-API in C has failed."""

    def __init__(self, major: int, minor: int) -> None:
        super().__init__(f"GSS-API returns {major}, {minor}")
        self.major: Final = major
        """The status of GSS-API (RFC 2744, section 3.9.1)."""
        self.minor: Final = minor
        """The status of the mechanism."""


class CommandError(Pyd2Error):
    """A command on the control channel cannot be carried out; the text becomes the answer's."""
