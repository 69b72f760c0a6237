"""What may be a secret is not shown."""

from __future__ import annotations

import pytest

from pyd2.data.secrets import holds_secret


@pytest.mark.parametrize(("before", "hidden"), [
    ('{ "secret": ', True),
    ('{ "secret": "a" }, { "name": ', False),
    ('{ "secret": "}{", ', True),
    ('{ "secret": "a\\"}", ', True),
    # A quote without its end counts up to the end of its line.
    ('# it is 5" long\n{ "secret": ', True),
    ('{ "secret": "\n', True),
    ('{ "secret": "a\\"}\n', True),
    ('{ "secret": "a" "}\n{ "name": ', False),
])
def test_a_secret_is_what_follows_the_word_in_the_same_map(before: str, hidden: bool) -> None:
    assert holds_secret("token", before) is hidden
    assert holds_secret("token", "no brace here", before) is hidden
