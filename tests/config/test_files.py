"""Reading TSIG secrets from files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyd2.config.files import read_secret_file
from pyd2.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("content", [b"QUJD", b"QUJD\n", b" \n\tQUJD more\n", b"QUJD\0".removesuffix(b"\0")])
def test_the_first_word_counts(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "k"
    path.write_bytes(content)
    assert read_secret_file(str(path)) == "QUJD"
    assert read_secret_file(f"{path}\0x") == "QUJD"


def test_any_bytes_survive(tmp_path: Path) -> None:
    (tmp_path / "k").write_bytes(b"\xff\xc3\xa9")
    assert read_secret_file(str(tmp_path / "k")) == "\udcff\u00e9"


def test_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").write_text(" \n")
    for path, text in [
        ("nothere", "Expected a file at path 'nothere'"),
        ("", "Expected a file at path ''"),
        (".", "Expected '.' to be a regular file"),
        ("empty", "Expected 'empty' to not be empty"),
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
