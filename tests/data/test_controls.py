"""Control characters are made visible, and nothing else is touched."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyd2.data.controls import escaped, escaped_lines, indented_lines

TEXTS = st.text(st.characters(exclude_categories=[]))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb", "a\\x0ab"),
        ("\x1b[2J\x00\x7f", "\\x1b[2J\\x00\\x7f"),
        ("\x9b1m \udc9b1m", "\\x9b1m \\x9b1m"),
        ("a\tb\u00e9\u20ac \udcff\\", "a\tb\u00e9\u20ac \udcff\\"),
    ],
)
def test_escapes(text: str, shown: str) -> None:
    assert escaped(text) == shown


@given(TEXTS)
def test_no_control_is_left_and_the_rest_stays(text: str) -> None:
    shown = escaped(text)
    assert not [char for char in shown if unicodedata.category(char) == "Cc" and char != "\t"]
    assert not [char for char in shown if "\udc80" <= char <= "\udc9f"]
    kept = [char for char in text if unicodedata.category(char) != "Cc" and not "\udc80" <= char <= "\udc9f"]
    if len(kept) == len(text):
        assert shown == text


@given(TEXTS)
def test_lines(text: str) -> None:
    assert escaped_lines(text).split("\n") == [escaped(line) for line in text.split("\n")]
    first, *rest = indented_lines(text).split("\n")
    assert first == escaped(text.split("\n", maxsplit=1)[0])
    assert all(line.startswith("    ") for line in rest)
