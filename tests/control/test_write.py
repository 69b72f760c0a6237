"""config-write: where files may go, and what is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyd2.control.write import allowed_path, write_config
from pyd2.data.element import from_plain
from pyd2.errors import CommandError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "config_file", "path"),
    [
        ("saved.json", "d2.json", "saved.json"),
        ("saved", "d2.json", "saved"),
        ("saved.json", "/etc/kea/d2.json", "/etc/kea/saved.json"),
        ("/etc/kea/saved.json", "/etc/kea/d2.json", "/etc/kea/saved.json"),
        ("/a", "/d2.json", "/a"),
        ("a", "/d2.json", "/a"),
        ("..", "etc/d2.json", "etc/.."),
        ("a.b/", "d2.json", None),
        ("/", "/d2.json", None),
        (".json", "d2.json", None),
        ("/etc/.json", "/etc/d2.json", None),
    ],
)
def test_allowed_path(name: str, config_file: str, path: str | None) -> None:
    if path is not None:
        assert allowed_path(name, config_file) == path
        return
    with pytest.raises(CommandError) as caught:
        allowed_path(name, config_file)
    assert str(caught.value) == f"config file:{name} is missing file name"


@pytest.mark.parametrize(
    ("name", "config_file"),
    [
        ("/x/y", "d2.json"),
        ("./y", "d2.json"),
        ("/etc//kea/y", "/etc/kea/d2.json"),
        ("/etc/kea/../kea/y", "/etc/kea/d2.json"),
        ("/etc/kea/sub/y", "/etc/kea/d2.json"),
    ],
)
def test_other_directories_are_refused(name: str, config_file: str) -> None:
    with pytest.raises(CommandError) as caught:
        allowed_path(name, config_file)
    assert (
        str(caught.value)
        == f"file {name} must be in the same directory as the config file ({config_file})"
    )


CONFIG = from_plain({"DhcpDdns": {"port": 1, "user-context": {"name": "\udce9"}}})
TEXT = b'{\n  "DhcpDdns": {\n    "port": 1,\n    "user-context": {\n      "name": "\\u00e9"\n    }\n  }\n}'


@pytest.mark.parametrize("name", ["", "saved.json"])
def test_writes(tmp_path: Path, name: str) -> None:
    path = tmp_path / (name or "d2.json")
    path.write_bytes(b"x" * 1000)
    answer = write_config(name, f"{tmp_path}/d2.json", CONFIG)
    assert path.read_bytes() == TEXT
    assert answer.plain() == {
        "arguments": {"filename": str(path), "size": len(TEXT)},
        "result": 0,
        "text": f"Configuration written to {path} successful",
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("/", "not allowed to write config into /: config file:/ is missing file name"),
        ("sub", "Error during write-config:Unable to open file @/sub for writing"),
        ("a\0b", "Error during write-config:Unable to open file @/a\0b for writing"),
    ],
)
def test_failures(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "sub").mkdir()
    answer = write_config(name, f"{tmp_path}/d2.json", CONFIG)
    assert answer.plain() == {"result": 1, "text": text.replace("@", str(tmp_path))}


def test_a_full_disk_is_no_success() -> None:
    answer = write_config("", "/dev/full", CONFIG)
    assert answer.plain() == {
        "result": 1,
        "text": "Error during write-config:Unable to write file /dev/full: No space left on device",
    }
