"""Elements: accessors with Kea's texts, conversion from and to plain values."""

from __future__ import annotations

import weakref
from typing import Any

import pytest

from pyd2.data.element import (
    LARGE,
    BigInteger,
    Element,
    Plain,
    Position,
    add_parts,
    from_plain,
    let_go,
    sorted_items,
)
from pyd2.errors import ElementTypeError

PLACE = Position("f", 3, 7)
ACCESSORS = {
    "int_value": "intValue() called on non-integer",
    "bool_value": "boolValue() called on non-Bool",
    "string_value": "stringValue() called on non-string",
    "list_value": "listValue() called on non-list",
    "map_value": "mapValue() called on non-map",
}
VALUES: list[tuple[Any, str, str | None]] = [
    (None, "null", None),
    (True, "boolean", "bool_value"),
    (5, "integer", "int_value"),
    (BigInteger(5), "bigint", None),
    (0.5, "real", None),
    ("x", "string", "string_value"),
    ([], "list", "list_value"),
    ({}, "map", "map_value"),
]


@pytest.mark.parametrize(("value", "type_name", "own"), VALUES)
@pytest.mark.parametrize("accessor", ACCESSORS)
def test_accessors(value: Any, type_name: str, own: str | None, accessor: str) -> None:
    element = Element(value, PLACE)
    assert element.type_name == type_name
    if accessor == own:
        assert getattr(element, accessor)() is value
    else:
        with pytest.raises(ElementTypeError) as caught:
            getattr(element, accessor)()
        assert str(caught.value) == f"{ACCESSORS[accessor]} Element in (f:3:7)"


def test_get() -> None:
    one = Element(1)
    assert Element({"a": one}).get("a") is one
    assert Element({"a": one}).get("b") is None
    with pytest.raises(ElementTypeError) as caught:
        Element([one], PLACE).get("a")
    assert str(caught.value) == "get(string) called on a non-map Element in (f:3:7)"


def test_plain_values_there_and_back() -> None:
    value: Plain = {"a": [1, 2.5, None], "b": {"c": True}}
    element = from_plain(value, PLACE)
    assert element.plain() == value
    inner = element.get("b")
    assert inner is not None
    assert inner.position == PLACE


def test_members_come_in_byte_order() -> None:
    # In UTF-8 the raw byte E9 stands between U+0041 and U+FFFD; its surrogate escape does not.
    keys = ["b", "\ufffd", "\udce9", "A", "é", "", "ab", "a"]
    members = {key: Element(key) for key in keys}
    assert [key for key, _ in sorted_items(members)] == ["", "A", "a", "ab", "b", "é", "\udce9", "\ufffd"]


class Freed(str):
    """A text whose end can be seen."""

    __slots__ = ("__weakref__",)


@pytest.mark.parametrize("kind", ["list", "values", "keys"])
def test_a_large_value_is_freed_member_by_member(kind: str) -> None:
    count = 3 * LARGE
    texts = [Freed(f"{number:03}") for number in range(count)]
    left: list[int] = []
    """How many parts there were when a text ended."""
    for text in texts:
        weakref.finalize(text, lambda: left.append(len(elements)))
    if kind == "list":
        elements: list[Any] = [Element([Element(text) for text in texts])]
    elif kind == "values":
        elements = [Element({str(text): Element(text) for text in texts})]
    else:
        elements = [Element({text: Element(1) for text in texts})]
    del text, texts
    let_go(elements)
    assert not elements
    assert len(left) == count
    assert len(set(left)) == count


def test_what_a_caller_has_kept_is_not_changed() -> None:
    many: list[Plain] = list(range(2 * LARGE))
    plain: Plain = {"a": [1, {"b": many}], "c": {str(number): number for number in many}}
    whole = from_plain(plain)
    let_go([whole])
    assert whole.plain() == plain


def test_scalars_are_parts_of_their_own_only_in_what_is_large() -> None:
    few, many = from_plain([1] * LARGE), from_plain([1] * (LARGE + 1))
    parts = [Element({"few": few, "many": many, "one": Element(1)})]
    add_parts(parts)
    assert [id(part) for part in parts[1:]] == list(map(id, [few, many, *many.list_value()]))
