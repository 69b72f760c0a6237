"""Makes control characters visible: foreign text must not control a terminal or forge a log line."""

from __future__ import annotations

import re
from typing import Final

# C0 without the tab, DEL, and C1; that as characters and as the bytes of a text that is not UTF-8.
_CONTROL: Final = re.compile("[\x00-\x08\n-\x1f\x7f-\x9f\udc80-\udc9f]")
_CONTROL_IN_LINES: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\udc80-\udc9f]")


def escaped(text: str) -> str:
    r"""Return the text as one line without control characters: a newline becomes ``\x0a``. Tabs are kept."""
    return text if text.isprintable() else _CONTROL.sub(_shown, text)


def escaped_lines(text: str) -> str:
    """Do the same and keep newlines, for a text of several lines."""
    return text if text.isprintable() else _CONTROL_IN_LINES.sub(_shown, text)


def indented_lines(text: str) -> str:
    """Do the same and indent all lines but the first, so that none of them looks like a new log line."""
    return escaped_lines(text.removesuffix("\n")).replace("\n", "\n    ")


def _shown(found: re.Match[str]) -> str:
    return f"\\x{ord(found.group()) & 0xFF:02x}"
