"""The printed forms: one line for answers, many lines for config-write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyd2.data.element import BigInteger, Element, Plain, from_plain
from pyd2.data.json import from_json
from pyd2.data.pretty import to_pretty
from pyd2.data.text import JOINED_AT_ONCE, to_text

COMMANDS = Path(__file__).parent.parent / "conformance" / "data" / "commands"

# Keys are printed raw, so only such keys give JSON again. Floats keep six digits, and one whose text has an
# exponent but no point (1e+10.0) is no longer a number; both are Kea's ways.
KEYS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters='"\\'), max_size=6)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.sampled_from([0.0, 0.5, -1.25, 1.5e10, 2.5e-7, 123456.0])
    | st.binary(max_size=8).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
)
VALUES = st.recursive(
    SCALARS, lambda part: st.lists(part, max_size=4) | st.dictionaries(KEYS, part, max_size=4), max_leaves=20
)


@given(VALUES)
def test_both_forms_read_back_as_the_same_value(value: Any) -> None:
    element = from_plain(value)
    assert from_json(to_text(element)).plain() == value
    assert from_json(to_pretty(element)).plain() == value
    assert to_text(element).isascii()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({}, "{  }"),
        ([], "[  ]"),
        ({"b": [1, "x"], "a": {"c": None}}, '{ "a": { "c": null }, "b": [ 1, "x" ] }'),
        ("/ \" \\ \b \f \n \r \t \x01 \x7f", r'"/ \" \\ \b \f \n \r \t \u0001 \u007f"'),
        ("é\udcff", r'"\u00c3\u00a9\u00ff"'),
        ({'k"\né': 1}, '{ "k"\né": 1 }'),
        (0.1, "0.1"),
        (3.0, "3.0"),
        (1 / 3, "0.333333"),
        (1234567.0, "1.23457e+06"),
        (1e10, "1e+10.0"),
        (-0.0, "-0.0"),
        (2**63 - 1, "9223372036854775807"),
        (True, "true"),
    ],
)
def test_text(value: Any, text: str) -> None:
    assert to_text(from_plain(value)) == text


def test_big_integers_print_as_numbers() -> None:
    assert to_text(Element(BigInteger(2**100))) == str(2**100)


def test_pretty() -> None:
    value: Plain = {
        "i": [3, {"j": 4}],
        "b": [1, "x"],
        "a": {"c": [[], {}], "d": {}, "e": []},
        "f": [{"g": 1}, {"h": [[2]]}],
    }
    assert to_pretty(from_plain(value)) == (
        "{\n"
        '  "a": {\n'
        '    "c": [\n'
        "      [ ],\n"
        "      { }\n"
        "    ],\n"
        '    "d": { },\n'
        '    "e": [ ]\n'
        "  },\n"
        '  "b": [ 1, "x" ],\n'
        '  "f": [\n'
        "    {\n"
        '      "g": 1\n'
        "    },\n"
        "    {\n"
        '      "h": [\n'
        "        [ 2 ]\n"
        "      ]\n"
        "    }\n"
        "  ],\n"
        '  "i": [ 3, {\n'
        '      "j": 4\n'
        "    } ]\n"
        "}"
    )


def recorded_answers() -> list[str]:
    """List every answer that the real server gave, except those in which a value is masked as @NAME@."""
    cases = [json.loads(path.read_text()) for path in sorted(COMMANDS.glob("*.json"))]
    answers = [step.get("response_text") for case in cases for step in case["steps"]]
    return [answer for answer in answers if answer and "@" not in answer]


def test_recorded_answers_print_as_they_were() -> None:
    answers = recorded_answers()
    assert len(answers) > 50
    for answer in answers:
        assert to_text(from_json(answer)) == answer


def test_a_long_text_is_made_of_parts() -> None:
    """Its parts are joined now and then, not all in one go."""
    plain: Plain = {"list": [{"number": number} for number in range(JOINED_AT_ONCE)], "map": {"last": 1}}
    assert json.loads(to_text(from_plain(plain))) == plain
