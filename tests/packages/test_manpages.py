"""The man pages render, and say what the programs have."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from devtools import manpages
from pyd2 import __version__
from pyd2.profiles.release import DEFAULT, NEWEST
from pyd2.tools import cli
from tests.kit.process import find_program

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("pyd2.8", "pyd2ctl.1", "pyd2_hook.h.3")


def rendered(name: str) -> str:
    """Return a page as man shows it; what groff complains about is a failure."""
    groff = find_program("groff", "groff-base")
    done = subprocess.run([groff, "-man", "-Tascii", "-ww", "-P-c", "-P-b", "-P-o", "-P-u", "-rLL=200n"],
                          input=manpages.pages()[name], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.peers
@pytest.mark.parametrize("name", NAMES)
def test_a_page_renders_without_a_complaint(name: str) -> None:
    text = rendered(name)
    assert f"pyd2 {__version__}" in text
    assert text.index("NAME") < text.index("SYNOPSIS") < text.index("SEE ALSO")


@pytest.mark.peers
def test_every_option_of_the_daemon_is_described() -> None:
    text = rendered("pyd2.8")
    usages = "".join(release.usage for release in NEWEST)
    options = set(re.findall(r"^  (-\w)", usages, re.MULTILINE))
    assert set(re.findall(r"^ {7}(-\w)\b", text, re.MULTILINE)) == options
    assert f"or {DEFAULT.version} if there is none" in " ".join(text.split())


@pytest.mark.peers
def test_every_command_of_the_tool_is_described() -> None:
    text = rendered("pyd2ctl.1")
    for name, about in cli._COMMANDS.items():
        assert f"\n   {name}\n" in text
        assert " ".join(about.split()).lower() in " ".join(text.split()).lower()
    assert "--daemon PROGRAM" in text
    assert "\n   queue requeue\n" in text


@pytest.mark.peers
def test_every_function_of_the_header_is_described() -> None:
    text = " ".join(rendered("pyd2_hook.h.3").split())
    header = manpages.HEADER.read_text()
    table = header.partition("typedef struct pyd2_hook_api {")[2].partition("} pyd2_hook_api;")[0]
    functions = re.findall(r"\(\*(\w+)\)\(", table)
    assert len(functions) > 30
    assert [name for name in functions if f" {name}(" not in text and f"*{name}(" not in text] == []
    assert "/*" not in text


def test_the_command_writes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["manpages", str(tmp_path / "man")])
    assert manpages.main() == 0
    assert {path.name for path in (tmp_path / "man").iterdir()} == set(NAMES)
