"""Secrets: their files, and base64 as Kea reads it, against Python's. Kea checks the keys themselves."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyd2.config.tsig_keys import decode_base64, parse_tsig_keys, read_secret_file
from pyd2.data.element import from_plain
from pyd2.errors import ConfigError

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from pyd2.data.element import Plain


@settings(deadline=None)
@given(st.binary(), st.randoms(use_true_random=False))
def test_what_was_encoded_comes_back(data: bytes, rng: random.Random) -> None:
    text = base64.b64encode(data).decode()
    at = rng.randint(0, len(text))
    assert decode_base64(text) == data
    assert decode_base64(f" {text[:at]}\n\t {text[at:]} ") == data


@settings(deadline=None)
@given(st.text(alphabet="AQRZaz09+/=", max_size=12))
def test_what_is_taken_is_what_strict_decoders_take(text: str) -> None:
    try:
        ours: bytes | None = decode_base64(text)
    except ConfigError:
        ours = None
    try:
        theirs: bytes | None = base64.b64decode(text, validate=True)
    except binascii.Error:
        theirs = None
    if theirs is not None and base64.b64encode(theirs).decode() == text:
        assert ours == theirs
    elif ours is not None:
        # Padding for which there is no need.
        assert ours == base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Q!==", "attempt to decode a value not in base64 char set: character 2 of 4 is '!'"),
        ("QUJD:", "attempt to decode a value not in base64 char set: character 5 of 5 is ':'"),
        (" Q\x1b", "attempt to decode a value not in base64 char set: character 3 of 3 is U+001B"),
        ("QQ=Q", "pad mixed with digits in base64: character 4 of 4 comes after a '='"),
        ("QR==", "non-zero bits left over: 4 characters, and the last one is wrong or others are missing"),
        ("Q", "non-zero bits left over: 1 character, and the last one is wrong or others are missing"),
        ("A===", "too many pad characters for base64: 3 of 4 characters are '='"),
        ("QUI", "Incomplete input for base64: 3 characters, which is no multiple of 4"),
    ],
)
def test_faults(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        decode_base64(text)
    assert str(caught.value) == message


def test_an_algorithm_whose_capitals_are_those_of_a_known_one() -> None:
    """U+017F is no s, though its capital is S."""
    key: Plain = {"name": "k", "algorithm": "hmac-\u017fha1", "digest-bits": 0, "secret": "QUJD"}
    with pytest.raises(ConfigError, match="Unknown TSIG Key algorithm: hmac-\u017fha1 "):
        parse_tsig_keys(from_plain([key]), read_secret_file)


@pytest.mark.parametrize("content", [b"QUJD", b"QUJD\n", b" \n\tQUJD more\n", b"QUJD\0".removesuffix(b"\0")])
def test_the_first_word_counts(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "k"
    path.write_bytes(content)
    assert read_secret_file(str(path)) == "QUJD"
    assert read_secret_file(f"{path}\0x") == "QUJD"


def test_any_bytes_survive(tmp_path: Path) -> None:
    (tmp_path / "k").write_bytes(b"\xff\xc3\xa9")
    assert read_secret_file(str(tmp_path / "k")) == "\udcff\u00e9"


def test_files_that_hold_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").write_text(" \n")
    assert read_secret_file("empty") == ""
    for path, text in [
        ("nothere", "Expected a file at path 'nothere'"),
        ("", "Expected a file at path ''"),
        (".", "Expected '.' to be a regular file"),
    ]:
        with pytest.raises(ConfigError) as caught:
            read_secret_file(path)
        assert str(caught.value) == text


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "k"
    path.write_text("QUJD")

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("os.open", refuse)
    with pytest.raises(ConfigError, match=r"^Cannot open '.*/k$"):
        read_secret_file(str(path))
