"""Reading keytabs."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyd2.hooks.gss.keytab import principals

_NAMES = st.lists(st.text(st.characters(codec="ascii", exclude_characters="/@"), min_size=1), min_size=1,
                  max_size=3)


def entry(realm: str, names: list[str]) -> bytes:
    """Return an entry with a key behind the principal."""
    parts = [struct.pack("!H", len(text)) + text.encode() for text in (realm, *names)]
    body = struct.pack("!H", len(names)) + b"".join(parts) + bytes(30)
    return struct.pack("!i", len(body)) + body


@given(st.lists(st.tuples(st.text(st.characters(codec="ascii")), _NAMES)))
def test_the_principals_are_found(entries: list[tuple[str, list[str]]]) -> None:
    hole = struct.pack("!i", -7) + bytes(7)
    octets = b"\5\2" + b"".join(entry(*one) + hole for one in entries) + bytes(10)
    assert principals(octets) == {f"{'/'.join(names)}@{realm}" for realm, names in entries}


@given(st.binary())
def test_other_octets_are_refused_or_read(octets: bytes) -> None:
    try:
        principals(octets)
        principals(b"\5\2" + octets)
    except ValueError:
        return


def test_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="no keytab"):
        principals(b"\5\1")
    with pytest.raises(ValueError, match="cut short"):
        principals(b"\5\2\0\0\0\1x")
