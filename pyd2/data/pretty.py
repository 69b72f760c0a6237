"""The form in which config-write saves a configuration (contract, section 8)."""

from __future__ import annotations

from pyd2.data.element import Element, sorted_items
from pyd2.data.text import scalar_text

_STEP = "  "


def to_pretty(element: Element, indent: str = "") -> str:
    """Return the value on many lines, two blanks a level, keys in byte order, without a newline at the end.

    A list is spread over lines when its first item is a map or a list. ``indent`` is that of the line the
    text begins on.
    """
    inner = indent + _STEP
    value = element.value
    if isinstance(value, dict):
        if not value:
            return "{ }"
        members = (f'{inner}"{key}": {to_pretty(item, inner)}' for key, item in sorted_items(value))
        return "{\n" + ",\n".join(members) + f"\n{indent}}}"
    if isinstance(value, list):
        if not value:
            return "[ ]"
        items = [to_pretty(item, inner) for item in value]
        if isinstance(value[0].value, (dict, list)):
            return "[\n" + ",\n".join(inner + item for item in items) + f"\n{indent}]"
        return "[ " + ", ".join(items) + " ]"
    return scalar_text(element)
