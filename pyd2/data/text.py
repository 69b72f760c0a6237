"""Kea's printed form of JSON values: answers, debug messages and what the configuration's hash is taken over.

Contract, section 8. The text is not always JSON again: keys are printed raw, as Kea does.
"""

from __future__ import annotations

import re

from pyd2.data.element import Element, sorted_items

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ESCAPED = re.compile(r'["\\\x00-\x1f\x7f-\U0010ffff]')


def to_text(element: Element) -> str:
    """Return the value on one line: ``{ "a": 1, "b": [ true ] }``, keys in byte order."""
    parts: list[str] = []
    _print(element, parts)
    return "".join(parts)


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
    return f'"{_ESCAPED.sub(_escape, value)}"'


def _escape(found: re.Match[str]) -> str:
    char = found.group()
    known = _ESCAPES.get(char)
    if known is not None:
        return known
    return "".join(f"\\u{byte:04x}" for byte in char.encode("utf-8", "surrogateescape"))


def _print(element: Element, parts: list[str]) -> None:
    value = element.value
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
            parts.append(separator)
            _print(item, parts)
            separator = ", "
        parts.append(" ]" if value else "[  ]")
    else:
        parts.append(scalar_text(element))
