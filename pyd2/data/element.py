"""JSON values that remember where they stood in the text.

Strings hold Kea's byte strings in Python's usual way: UTF-8 with ``surrogateescape``, so that
``text.encode("utf-8", "surrogateescape")`` gives the bytes back, whatever they were.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, Union

ElementValue: TypeAlias = Union[None, bool, int, float, str, list["Element"], dict[str, "Element"]]
"""What an element can hold; maps and lists hold elements again."""

Plain: TypeAlias = Union[None, bool, int, float, str, list["Plain"], dict[str, "Plain"]]
"""A JSON value without positions."""


class Position(NamedTuple):
    """A place in a file or in a request, printed as Kea does: ``file:line:column``."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


NOWHERE = Position("<string>", 0, 0)
"""The position of values that no text gave."""


@dataclass(slots=True)
class Element:
    """A JSON value and its position."""

    value: ElementValue
    position: Position = NOWHERE

    def plain(self) -> Plain:
        """Return the value without positions, as ``json.loads`` would give it."""
        if isinstance(self.value, dict):
            return {key: item.plain() for key, item in self.value.items()}
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        return self.value


def from_plain(value: Plain, position: Position = NOWHERE) -> Element:
    """Return the element of a plain value; all its parts get the same position."""
    if isinstance(value, dict):
        return Element({key: from_plain(item, position) for key, item in value.items()}, position)
    if isinstance(value, list):
        return Element([from_plain(item, position) for item in value], position)
    return Element(value, position)
