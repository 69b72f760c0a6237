"""Answers and their result codes."""

from __future__ import annotations

import pytest

from pyd2.control.answer import answer, error, success
from pyd2.data.element import from_plain
from pyd2.data.text import to_text
from pyd2.errors import CommandError


def test_members_that_say_nothing_are_left_out() -> None:
    assert to_text(success()) == '{ "result": 0 }'
    assert to_text(success("t")) == '{ "result": 0, "text": "t" }'
    assert to_text(success("t", from_plain({}))) == '{ "arguments": {  }, "result": 0, "text": "t" }'
    assert to_text(error("t")) == '{ "result": 1, "text": "t" }'


def test_a_failure_needs_a_text() -> None:
    with pytest.raises(CommandError, match=r"^Text has to be provided for status_code != 0$"):
        answer(1)
