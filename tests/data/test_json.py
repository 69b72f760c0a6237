"""The plain JSON reader: values, positions and error texts.

The texts were read off kea-dhcp-ddns 2.6.3; tests/control/test_against_kea.py compares more of them with it.
"""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyd2.data.element import BigInteger, Element
from pyd2.data.json import AT_ONCE, MAX_NESTING, from_json, from_wire
from pyd2.errors import JsonError

# What both Kea and RFC 8259 can hold.
TEXTS = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x7E) | st.sampled_from("\b\f\n\r\té€😀"), max_size=8
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
VALUES = st.recursive(
    SCALARS, lambda part: st.lists(part, max_size=4) | st.dictionaries(TEXTS, part, max_size=4), max_leaves=20
)
JSON_PARTS = [*'{}[]":,0123456789+-.eE \n', "true", "false", "null", '"a"']
JSON_LIKE = st.lists(st.sampled_from(JSON_PARTS)).map("".join)


def places(element: Element) -> list[str]:
    """List the positions of an element and its parts, outermost first."""
    value = element.value
    inner = value if isinstance(value, list) else value.values() if isinstance(value, dict) else ()
    return [str(element.position), *(place for item in inner for place in places(item))]


def finite(value: Any) -> bool:
    """Tell if no number of a plain value overflows Kea's types."""
    if isinstance(value, dict):
        return all(map(finite, value.values()))
    if isinstance(value, list):
        return all(map(finite, value))
    return not isinstance(value, (int, float)) or (math.isfinite(value) and abs(value) < 2**128)


@given(VALUES, st.sampled_from([None, 0, 3]))
def test_reads_what_the_json_module_writes(value: Any, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    assert from_json(text).plain() == value
    assert json.dumps(from_json(text.encode()).plain()) == json.dumps(value)  # 1, 1.0 and True are not one


@given(JSON_LIKE)
@example("-0")
@example('[1E5, {"": -1.50e-01}]')
def test_reads_what_the_json_module_reads(text: str) -> None:
    try:
        expected = json.loads(text)
    except ValueError:
        return
    if finite(expected):
        assert from_json(text).plain() == expected


@given(st.binary(max_size=40) | JSON_LIKE.map(str.encode))
@example(b"[" * 5000)
@example(b'{"a":' * 5000)
@example(b'"\\')
@example(b'"\\u')
@example(b'"\\u0')
def test_any_bytes_give_a_value_or_a_json_error(data: bytes) -> None:
    outcomes = []
    for text in data, data.decode("utf-8", "surrogateescape"):
        try:
            outcomes.append(repr(from_json(text)))
        except JsonError as error:
            assert str(error)  # noqa: PT017  both outcomes are right, an empty text is not
            outcomes.append(str(error))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[1,]", [1]),
        ("[ ]", []),
        ("+5", 5),
        ("007", 7),
        (".5", 0.5),
        ("5.", 5.0),
        ("-.5e1", -5.0),
        ("1e-400", 0.0),
        ('{"a":1,"a":2}', {"a": 2}),
        ('"a\nb\x01"', "a\nb\x01"),
        (r'"\/\"\\\b\f\n\r\t\u0041\u000a"', '/"\\\b\f\n\r\tA\n'),
        (r'"\u00e9"', "\udce9"),
        (b'"\xc3\xa9\xff"', "é\udcff"),
        ("\b\f\r\n\t 1", 1),
    ],
)
def test_odd_but_accepted(text: bytes | str, value: Any) -> None:
    assert from_json(text).plain() == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("9223372036854775808", 2**63),
        ("-9223372036854775809", -(2**63) - 1),
        (str(2**128 - 1), 2**128 - 1),
        ("-", 0),
        ("0000000000000000000000000000000000001", None),
        ("00777777777777777777777", 2**63 - 1),  # octal: as a decimal number it would need 128 bits
    ],
)
def test_big_integers(text: str, value: int | None) -> None:
    found = from_json(text)
    if value is None:
        assert found.int_value() == 1
    else:
        assert found.value == value
        assert type(found.value) is BigInteger
        assert found.type_name == "bigint"


BAD_CAST = "bad lexical cast: source type value could not be interpreted as target"
TOO_BIG = f"to int64 and subsequently to int128: {BAD_CAST}, overflow in"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "nothing read"),
        ("[", "nothing read"),
        ("{", "Unterminated map, <string> or } expected in <string>:1:2"),
        ('{"a"', 'EOF read, one of ":" expected in <string>:1:6'),
        ('{"a":1 ', 'EOF read, one of ",}" expected in <string>:1:9'),
        ("[1", 'EOF read, one of ",]" expected in <string>:1:4'),
        ('"a', "Unterminated string in <string>:1:4"),
        ("{} x", "Extra data in <string>:1:3"),
        ("{a}", "String expected in <string>:1:3"),
        ('{"a":1,}', "String expected in <string>:1:9"),
        ("[1 2]", '\'2\' read, one of ",]" expected in <string>:1:5'),
        ("[\n1\n,\n,]", "error: unexpected character , in <string>:4:2"),
        ('{\n"a\nb": x}', "error: unexpected character x in <string>:2:9"),
        ("True", "error: unexpected character T in <string>:1:2"),
        ("tru", "Bad boolean value: tru in <string>:1:1"),
        ("fals1", "Bad boolean value: fals in <string>:1:1"),
        ("nil", "Bad null value: nil in <string>:1:1"),
        (r'"\x"', "Bad escape in <string>:1:3"),
        (r'"\u1000"', "Unsupported unicode escape in <string>:1:4"),
        (r'"\u0100"', "Unsupported unicode escape in <string>:1:3"),
        (r'"\u00g0"', "Not hexadecimal in unicode escape in <string>:1:3"),
        (r'"\u00"', "Not hexadecimal in unicode escape in <string>:1:3"),
        ("[\x00]", "error: unexpected character "),
        (b"\xff", "error: unexpected character \udcff in <string>:1:2"),
        ("1e400", f"Number overflow while trying to cast '1e400' to double: {BAD_CAST} in <string>:1:1"),
        (" .", f"Number overflow while trying to cast '.' to double: {BAD_CAST} in <string>:1:2"),
        ("+", "Unexpected content found while parsing character string."),
        ("1-2", "Unexpected content found while parsing character string."),
        ("009999999999999999999", "Unexpected content found while parsing character string."),
        (
            str(2**128),
            f"Number overflow while trying to cast '{2**128}' {TOO_BIG} addition in <string>:1:1",
        ),
        (
            "9" * 50,
            f"Number overflow while trying to cast '{'9' * 50}' {TOO_BIG} multiplication in <string>:1:1",
        ),
    ],
)
def test_error_texts(text: bytes | str, error: str) -> None:
    with pytest.raises(JsonError) as caught:
        from_json(text)
    assert str(caught.value) == error


def test_positions() -> None:
    text = '{ "a": 1,\n  "b": [ true, {} , "x" ],\n"c":null }'
    assert places(from_json(text, "f")) == ["f:1:2", "f:1:8", "f:2:9", "f:2:10", "f:2:17", "f:2:20", "f:3:5"]
    assert places(from_wire(text)) == [
        "<wire>:0:1", "<wire>:0:7", "<wire>:1:9", "<wire>:1:10", "<wire>:1:17", "<wire>:1:20", "<wire>:2:5",
    ]  # fmt: skip


def test_the_bracket_that_closes_an_empty_map_is_not_counted() -> None:
    assert places(from_json("[{},{},1]"))[1:] == ["<string>:1:3", "<string>:1:5", "<string>:1:6"]


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_nesting(opening: str, closing: str) -> None:
    deepest = opening * (MAX_NESTING - 1) + "1" + closing * (MAX_NESTING - 1)
    assert places(from_json(deepest))
    with pytest.raises(JsonError, match=r"^fromJSON elements nested too deeply$"):
        from_json(opening + deepest + closing)
    with pytest.raises(JsonError, match=r"^fromJSON elements nested too deeply$"):
        from_json(opening * 1_000_000)


def test_a_number_of_a_million_digits_is_refused_at_once() -> None:
    with pytest.raises(JsonError, match="overflow in multiplication"):
        from_json("7" * 1_000_000)
    assert from_json("0" * 1_000_000 + "7").value == 7


@pytest.mark.parametrize("count", [1, 64, 65, 128, 129, AT_ONCE - 1, AT_ONCE, AT_ONCE + 1, 5 * AT_ONCE])
@pytest.mark.parametrize("blank", [" ", "\n"])
def test_whitespace_of_any_length_may_stand_between_parts(count: int, blank: str) -> None:
    gap = blank * count
    parts = ["", "{", '"a"', ":", "[", "1", ",", "2", "]", "}", ""]
    assert from_json(gap.join(parts)).plain() == {"a": [1, 2]}
    place = f"<string>:1:{count + 2}" if blank == " " else f"<string>:{count + 1}:1"
    assert places(from_json(f"[{gap}1]"))[1] == place
    with pytest.raises(JsonError) as caught:
        from_json(f"[{gap}1{gap}x")
    place = f"1:{2 * count + 4}" if blank == " " else f"{2 * count + 1}:2"
    assert str(caught.value) == f"'x' read, one of \",]\" expected in <string>:{place}"
    with pytest.raises(JsonError, match="EOF read"):
        from_json(f"[1{gap}")


@pytest.mark.parametrize("count", [AT_ONCE - 1, AT_ONCE, AT_ONCE + 1, 3 * AT_ONCE])
@pytest.mark.parametrize(
    ("part", "meant"), [("x", "x"), ("ä", "ä"), (r"\n", "\n"), (r"\u00c3\u00a4" + 65 * "y", "ä" + 65 * "y")]
)
def test_strings_may_have_any_length(count: int, part: str, meant: str) -> None:
    string = f'"{part * count}'
    assert from_json(f'[{string}", 1]').plain() == [meant * count, 1]
    place = f"in <string>:1:{len(string.encode()) + 2}$"
    with pytest.raises(JsonError, match=f"^Unterminated string {place}"):
        from_json(string)
    with pytest.raises(JsonError, match=f"^Bad escape {place}"):
        from_json(string + r'\x"')


def test_the_values_before_a_fault_are_freed_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    freed: list[Any] = []

    def let_go(elements: list[Element]) -> None:
        freed.extend(element.plain() for element in elements)
        elements.clear()

    monkeypatch.setattr("pyd2.data.json.let_go", let_go)
    with pytest.raises(JsonError):
        from_json('[1, {"a": [2, 3], "b": [4, x]}]')
    assert freed == [[4], {"a": [2, 3]}, [1]]
    with pytest.raises(JsonError):
        from_json("[5] 6")
    assert freed[3:] == [[5]]
