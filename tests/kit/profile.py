"""The profile that the tests use, its messages, and the configuration's reader bound to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pyd2.config import parse
from pyd2.messages import OWN_MESSAGES
from pyd2.observe.log import MessageLog
from tests.kit import kea

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyd2.config.model import Config
    from pyd2.config.paths import Directories
    from pyd2.config.values import Notify
    from pyd2.data.element import Element
    from pyd2.messages import Message

__all__ = ["MESSAGES", "PROFILE", "RULES", "message_log", "parse_element", "parse_file", "read_file"]

PROFILE: Final = kea.chosen().profile()
"""That of the Kea of this run: 2.6.3, unless --kea says otherwise."""
MESSAGES: Final[Mapping[str, Message]] = {**PROFILE.messages, **OWN_MESSAGES}
RULES: Final = PROFILE.config


def message_log(environ: Mapping[str, str], **keywords: Any) -> MessageLog:
    """Return a log with the messages of the profile."""
    return MessageLog(PROFILE.messages, PROFILE.log, environ, **keywords)


def read_file(path: str, **keywords: Any) -> Element:
    """Return the DhcpDdns map of a configuration file."""
    return parse.read_file(path, RULES, **keywords)


def parse_file(
    path: str, directories: Directories, notify: Notify = lambda *_: None, **keywords: Any
) -> Config:
    """Return the configuration of a file."""
    return parse_element(read_file(path, notify=notify), directories, notify=notify, **keywords)


def parse_element(dhcp_ddns: Element, directories: Directories, **keywords: Any) -> Config:
    """Return the configuration of a DhcpDdns map."""
    return parse.parse_element(dhcp_ddns, RULES, directories, **keywords)
