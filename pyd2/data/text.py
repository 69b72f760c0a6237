"""Kea's printed form of JSON values, for answers, debug messages and the hash of a configuration.

Contract, section 8. The text is not always JSON again: keys are printed raw, as Kea does.
"""

from __future__ import annotations

from json.encoder import encode_basestring_ascii  # in C: an answer may echo megabytes
from typing import Final

from pyd2.data.element import Element, sorted_items

JOINED_AT_ONCE: Final = 4096
"""Parts of a text: a fraction of a millisecond."""


def to_text(element: Element) -> str:
    """Return the value on one line: ``{ "a": 1, "b": [ true ] }``, keys in byte order."""
    parts = _Parts()
    _print(element, parts)
    return parts.text()


def scalar_text(element: Element) -> str:
    """Return the text of a value that is neither a map nor a list."""
    value = element.value
    if isinstance(value, str):
        return string_text(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        text = f"{value:.6g}"
        return text if "." in text else text + ".0"
    return str(value)


def string_text(value: str) -> str:
    """Return a string in quotes; what is no printable ASCII is written byte by byte as an escape."""
    raw = value if value.isascii() else value.encode("utf-8", "surrogateescape").decode("latin-1")
    return encode_basestring_ascii(raw)


class _Parts(list[str]):
    """The parts of a text, joined and freed again and again: megabytes at once would hold the interpreter."""

    __slots__ = ("_joined",)

    def __init__(self) -> None:
        self._joined: list[str] = []

    def join(self) -> None:
        self._joined.append("".join(self))
        self.clear()

    def text(self) -> str:
        self.join()
        return "".join(self._joined)


def _print(element: Element, parts: _Parts) -> None:
    value = element.value
    if len(parts) > JOINED_AT_ONCE:
        parts.join()
    if isinstance(value, dict):
        separator = "{ "
        for key, item in sorted_items(value):
            parts.append(f'{separator}"{key}": ')
            _print(item, parts)
            separator = ", "
        parts.append(" }" if value else "{  }")
    elif isinstance(value, list):
        separator = "[ "
        for item in value:
            if type(item.value) is str:
                parts.append(separator + string_text(item.value))
            elif type(item.value) is int:
                parts.append(f"{separator}{item.value}")
            else:
                parts.append(separator)
                _print(item, parts)
            separator = ", "
        parts.append(" ]" if value else "[  ]")
    else:
        parts.append(scalar_text(element))
