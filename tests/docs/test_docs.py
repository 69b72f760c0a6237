"""The documentation builds, its examples work, and the names in it exist."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyd2.config import grammar
from pyd2.config.switches import known_parameters
from pyd2.counters import Counters
from pyd2.daemon import PACKET_LAYER
from pyd2.dns.tsig import ALGORITHMS
from pyd2.profiles.kea_3_0 import KEA_3_0
from pyd2.tools import cli
from tests.kit.profile import MESSAGES, PROFILE

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
# The contract tells of the real server, its faults included; its examples are not for pyd2.
PAGES = sorted(page for page in [*DOCS.glob("*.md"), ROOT / "README.md"]
               if not page.name.startswith("contract"))
FUZZER = ROOT / "tests" / "fuzz" / "test_fuzz.py"
HEADER = ROOT / "cbridge" / "include" / "pyd2_hook.h"
SETUP = ROOT / "setup.py"
EXAMPLES = ROOT / "examples" / "hooks"
BLOCK = re.compile(r"^(<!-- run -->\n)?```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+?)(?:#[^)]*)?\)")


def blocks(language: str, *, marked: bool = False) -> list[object]:
    """Return the code blocks of a language as parameters; with ``marked``, those under ``<!-- run -->``."""
    return [pytest.param(text, id=f"{page.name}:{number}", marks=_needs(text))
            for page in PAGES
            for number, (mark, of, text) in enumerate(BLOCK.findall(page.read_text()), start=1)
            if of == language and bool(mark) >= marked]


def _needs(text: str) -> tuple[pytest.MarkDecorator, ...]:
    return (pytest.mark.peers,) if "/usr/include/kea" in text else ()


def generator() -> ModuleType:
    """Import docs/generate.py, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment whose files all lie in the temporary directory, with pyd2's programs in the path.

    The hooks directory is there too, with the examples.
    """
    tmp_path.chmod(0o750)
    for example in EXAMPLES.iterdir():
        shutil.copy(example, tmp_path)
    folders = dict.fromkeys(("KEA_CONTROL_SOCKET_DIR", "KEA_LOG_FILE_DIR", "KEA_PIDFILE_DIR",
                             "KEA_LOCKFILE_DIR", "KEA_HOOKS_PATH"), str(tmp_path))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return os.environ | folders | {"PATH": path}


def test_it_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    command += [str(DOCS), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "index.html").is_file()


@pytest.mark.parametrize("name", [
    "transactions.md", "messages.md", "retry.md", "metrics.md", "reasons.md", "policies.md",
])
def test_generated_pages_are_current(name: str) -> None:
    assert (DOCS / name).read_text() == generator().pages()[name], "run: python docs/generate.py"


@pytest.mark.parametrize("text", blocks("json"))
def test_configurations_pass_the_check(text: str, tmp_path: Path, environment: dict[str, str]) -> None:
    """A block is a whole file, or some members of ``DhcpDdns``."""
    whole = text if text.lstrip().startswith("{") else f'{{ "DhcpDdns": {{\n{text}\n}} }}'
    (tmp_path / "d2.json").write_text(whole)
    done = subprocess.run([sys.executable, "-m", "pyd2", "-t", "d2.json"], cwd=tmp_path, env=environment,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("text", blocks("console", marked=True))
def test_commands_do_what_is_shown(text: str, tmp_path: Path, environment: dict[str, str]) -> None:
    """Each ``$`` line is run in the shell; what it prints follows it, ``...`` stands for any text."""
    (tmp_path / "kea-dhcp-ddns.conf").write_text(whole_example())
    (tmp_path / "kea-dhcp-ddns.conf").chmod(0o640)
    for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
        done = subprocess.run(["/bin/sh", "-c", command], cwd=tmp_path, env=environment, capture_output=True,
                              text=True, check=False)
        pattern = re.escape(expected).replace(re.escape("..."), "(?s:.*)")
        assert re.fullmatch(pattern, done.stdout), f"{command}\n{done.stdout}{done.stderr}"
        assert done.stderr == ""


def whole_example() -> str:
    """Return the first configuration of the configuration page."""
    found: list[tuple[str, str, str]] = BLOCK.findall((DOCS / "configuration.md").read_text())
    return next(text for _, language, text in found if language == "json")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_exist(page: Path) -> None:
    text = page.read_text()
    ids = {found.rstrip("_") for found in re.findall(r"\b(?:PYD2|DCTL|DHCP_DDNS|HOOKS)_[A-Z_0-9]+", text)}
    others = "".join(file.read_text() for file in (FUZZER, HEADER, SETUP))
    names = (*MESSAGES, *KEA_3_0.messages, PACKET_LAYER, *re.findall(r"PYD2_\w+", others))
    assert {found for found in ids if not any(known.startswith(found) for known in names)} == set()
    for link in LINK.findall(text):
        assert "://" in link or (page.parent / link).exists(), link


def test_every_statistic_is_described() -> None:
    counters = vars(Counters())
    names = {counter.name for counter in counters.values() if hasattr(counter, "name")}
    assert {name for name in names if f"`{name}`" not in (DOCS / "observing.md").read_text()} == set()


def keys_of(value: grammar.Value) -> set[str]:
    """Return the keys of a map and of all maps in it."""
    if isinstance(value, grammar.List):
        return keys_of(value.entry)
    if isinstance(value, grammar.Map):
        return set(value.keys).union(*map(keys_of, value.keys.values()))
    return set()


def test_every_key_is_described() -> None:
    pages = ("configuration.md", "observing.md", "control.md")
    described = "".join((DOCS / page).read_text() for page in pages)
    keys = keys_of(PROFILE.config.grammar) | keys_of(KEA_3_0.config.grammar)
    assert {key for key in keys if f"`{key}`" not in described} == set()


def test_every_switch_is_described() -> None:
    """As ``block.name`` in the table of switches; those of TLS have a table of their own."""
    text = (DOCS / "configuration.md").read_text()
    described = set(re.findall(r"`([a-z0-9.-]+)`", "".join(re.findall(r"^\| (`.*?) \|", text, re.MULTILINE))))
    blocks = {name: set(known_parameters(f"pyd2.{name}")) for name in known_parameters("pyd2")}
    switches = {f"{block}.{name}" for block, names in blocks.items() for name in names}
    switches |= {name for name, names in blocks.items() if not names}
    assert len(switches) > 15
    short = {name: name.removeprefix("lanes.") for name in switches if name.startswith("lanes.tls-")}
    assert {name for name in switches if short.get(name, name) not in described} == set()


def test_every_control_command_is_described() -> None:
    (listed,) = re.findall(r"List of commands, exact: `(.*?)`", (DOCS / "contract.md").read_text())
    described = (DOCS / "control.md").read_text()
    names = {*json.loads(listed)["arguments"], *PROFILE.commands.names}
    assert {name for name in names if f"`{name}`" not in described} == set()


def test_every_algorithm_is_described() -> None:
    described = (DOCS / "configuration.md").read_text()
    assert {name for name in ALGORITHMS if f"`{name.upper()}`" not in described} == set()


def test_every_command_of_pyd2ctl_is_described() -> None:
    headings = re.findall(r"^## (.*)$", (DOCS / "pyd2ctl.md").read_text(), re.MULTILINE)
    assert set(headings) == set(cli._COMMANDS)


def test_every_dependency_has_its_reason() -> None:
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[^\w-]", requirement)[0] for requirement in metadata["dependencies"]}
    assert {name for name in names if name not in (DOCS / "dependencies.md").read_text()} == set()


def test_every_decision_has_its_paragraph() -> None:
    """The numbers are those of the contract's list of weaknesses."""
    text = (DOCS / "differences.md").read_text()
    numbers = {int(number) for group in re.findall(r"\*\*([\d, ]+)\.", text) for number in group.split(",")}
    weaknesses = (DOCS / "contract.md").read_text().partition("\n## 12.")[2].partition("\n## ")[0]
    assert numbers == {int(number) for number in re.findall(r"^(\d+)\. ", weaknesses, re.MULTILINE)}
