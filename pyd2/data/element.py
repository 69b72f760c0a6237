"""JSON values with their positions in the text.

Kea's byte strings are Python strings, decoded as UTF-8 with ``surrogateescape``:
``text.encode("utf-8", "surrogateescape")`` returns the bytes, valid UTF-8 or not.
"""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn, TypeAlias, Union

from pyd2.errors import ElementTypeError

ElementValue: TypeAlias = Union[bool, int, float, str, list["Element"], dict[str, "Element"], None]  # noqa: UP007  X | Y takes no string
"""The value of an element; maps and lists contain elements."""

Plain: TypeAlias = Union[bool, int, float, str, list["Plain"], dict[str, "Plain"], None]  # noqa: UP007  X | Y takes no string
"""A JSON value without positions."""


class Position(NamedTuple):
    """A place in a file or in a request, printed as Kea does: ``file:line:column``."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


NOWHERE = Position("<string>", 0, 0)
"""The position of values that come from no text."""


class BigInteger(int):
    """A number that Kea keeps as a 128-bit integer: readers that ask for an integer refuse it."""

    __slots__ = ()


_TYPE_NAMES: dict[type, str] = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    BigInteger: "bigint",
    float: "real",
    str: "string",
    list: "list",
    dict: "map",
}


def sorted_items(members: dict[str, Element]) -> list[tuple[str, Element]]:
    """Return the members of a map by key in byte order, the order of every map that Kea prints or walks."""
    return sorted(members.items(), key=lambda item: item[0].encode("utf-8", "surrogateescape"))


LARGE = 64
"""From so many members on, each member of a map or list is a part of its own."""
_INNER = frozenset((dict, list))


def add_parts(parts: list[Any]) -> None:
    """Add the elements in those of a list to it, outer ones first.

    Scalars are left out, for they are freed with their map or list, unless that is large.
    """
    for part in parts:  # the list grows meanwhile
        inner = part.value if isinstance(part, Element) else None
        if isinstance(inner, dict) and len(inner) > LARGE:
            parts.extend(key for key in inner)
            parts.extend(item for item in inner.values())
        elif isinstance(inner, dict):
            parts.extend([item for item in inner.values() if type(item.value) in _INNER])
        elif isinstance(inner, list) and len(inner) > LARGE:
            parts.extend(item for item in inner)  # other threads may run between two of them
        elif isinstance(inner, list):
            parts.extend([item for item in inner if type(item.value) in _INNER])


def let_go(elements: list[Any]) -> None:
    """Empty a list of elements; free its parts one by one if nothing else refers to them, and change nothing.

    No other thread runs while Python frees a tree of values at once: of 400,000 values for 50 ms.
    """
    add_parts(elements)
    elements.reverse()  # outer ones are freed first, so that each part is freed alone
    while elements:
        elements.pop()


class Element:
    """A JSON value and its position."""

    __slots__ = ("position", "value")

    def __init__(self, value: ElementValue, position: Position = NOWHERE) -> None:
        self.value = value
        self.position = position

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Element):
            return NotImplemented
        return self.value == other.value and self.position == other.position

    # It can be changed.
    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Element({self.value!r}, {self.position!r})"

    @property
    def type_name(self) -> str:
        """Kea's name of the value's type: null, boolean, integer, bigint, real, string, list or map."""
        return _TYPE_NAMES[type(self.value)]

    # Each accessor returns the value if it has the type asked for; else it raises ElementTypeError with the
    # text of Kea's accessor of that name.

    def int_value(self) -> int:
        """Return the integer, which fits in 64 bits with sign when it was parsed."""
        return self.value if type(self.value) is int else self._wrong("intValue() called on non-integer")

    def bool_value(self) -> bool:
        """Return the boolean."""
        return self.value if type(self.value) is bool else self._wrong("boolValue() called on non-Bool")

    def string_value(self) -> str:
        """Return the string."""
        return self.value if type(self.value) is str else self._wrong("stringValue() called on non-string")

    def list_value(self) -> list[Element]:
        """Return the list itself, not a copy."""
        return self.value if type(self.value) is list else self._wrong("listValue() called on non-list")

    def map_value(self) -> dict[str, Element]:
        """Return the map itself, not a copy."""
        return self.value if type(self.value) is dict else self._wrong("mapValue() called on non-map")

    def get(self, key: str) -> Element | None:
        """Return a member of this map, None when it has none of that name."""
        if type(self.value) is not dict:
            self._wrong("get(string) called on a non-map")
        return self.value.get(key)

    def _wrong(self, text: str) -> NoReturn:
        raise ElementTypeError(f"{text} Element in ({self.position})")

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
