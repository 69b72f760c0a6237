"""What libraries hand to the server as JSON."""

from __future__ import annotations

import enum
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyd2.data.element import NOWHERE, BigInteger, Element
from pyd2.errors import HookError
from pyd2.hooks.values import DEEPEST, to_element

BYTES = st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF)
TEXT = st.text(st.characters(exclude_categories=["Cs"]) | BYTES)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20)


@given(VALUES)
def test_plain_values_come_back(value: Any) -> None:
    assert to_element(value).plain() == value


@given(VALUES)
def test_elements_hold_exactly_the_types_that_readers_ask_for(value: Any) -> None:
    def check(element: Element) -> None:
        assert element.type_name
        assert element.position == NOWHERE
        if isinstance(element.value, dict):
            for item in element.value.values():
                check(item)
        elif isinstance(element.value, list):
            for item in element.value:
                check(item)

    check(to_element(value))


def test_subclasses_become_the_plain_type() -> None:
    class Text(str):
        __slots__ = ()

    class Real(float):
        pass

    class Number(enum.IntEnum):
        ONE = 1

    types = [type(to_element(value).value) for value in (Text("a"), Number.ONE, Real(1), (1,), True)]
    assert types == [str, int, float, list, bool]
    made = to_element({Text("a"): 1}).value
    assert isinstance(made, dict)
    assert type(next(iter(made))) is str


@pytest.mark.parametrize(("number", "kind"), [
    (2**63 - 1, int), (2**63, BigInteger), (-2**63, int), (-2**63 - 1, BigInteger),
])
def test_integers_beyond_64_bits_are_kept_apart(number: int, kind: type) -> None:
    assert type(to_element(number).value) is kind
    assert to_element(number).plain() == number


@pytest.mark.parametrize(("value", "reason"), [
    (b"x", "bytes is no JSON type"), (object(), "object is no JSON type"), ({1, 2}, "set is no JSON type"),
    (math.nan, "nan is no JSON number"), (-math.inf, "-inf is no JSON number"),
    ({1: 2}, "the keys of a JSON map must be str, not int"), ({None: 1}, "must be str, not NoneType"),
    ("\ud800", "'\\ud800' cannot be written as UTF-8"), ({"\udfff": 1}, "cannot be written as UTF-8"),
    ({"a": [1, {"b": ...}]}, "ellipsis is no JSON type"),
])
def test_what_json_cannot_hold(value: object, reason: str) -> None:
    with pytest.raises(HookError) as caught:
        to_element(value)
    assert reason in str(caught.value)


def test_nesting_has_a_limit() -> None:
    """Cycles end there, too."""
    value: list[Any] = []
    for _ in range(DEEPEST - 1):
        value = [value]
    assert to_element(value).plain() == value
    cycle: list[Any] = []
    cycle.append(cycle)
    for deep in ([[value]], cycle):
        with pytest.raises(HookError, match="nested more than 100 levels"):
            to_element(deep)
