"""``python:`` libraries: which modules they may be, that a check runs none, and how they run."""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING

import pytest

from pyd2.config.hooks_libraries import parse_hooks_libraries
from pyd2.config.model import HookLibrary
from pyd2.config.paths import Directories
from pyd2.data.element import Element, Position, from_plain
from pyd2.errors import ConfigError, HookError
from pyd2.hooks.choice import check_libraries, load_chain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import Load, RecordingLog

GOOD = "def version(): return 20603\ndef select_key(handle): pass\n"


@pytest.fixture(autouse=True)
def nothing_stays_in_sys_modules() -> Iterator[None]:
    before = set(sys.modules)
    yield
    assert {name for name in set(sys.modules) - before if "pyd2_hook_" in name or "acme" in name} == set()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed package that declares its libraries, taken out of sys.modules in the end."""
    site = tmp_path / "site"
    path = site / "acme_hooks"
    path.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(site))
    (path / "__init__.py").write_text(GOOD)
    declare(site, "keys = acme_hooks.keys", "whole = acme_hooks:ignored [extra]")
    yield path
    for name in [name for name in sys.modules if name.split(".")[0] == "acme_hooks"]:
        del sys.modules[name]


@pytest.fixture
def hooks(tmp_path: Path) -> Path:
    """The directory of the hook libraries."""
    path = tmp_path / "hooks"
    path.mkdir()
    return path


def declare(site: Path, *entries: str) -> None:
    """Make a package declare libraries, as pip installs it."""
    metadata = site / "acme_hooks-1.0.dist-info"
    metadata.mkdir(exist_ok=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-hooks\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("\n".join(["[pyd2.hooks]", *entries, ""]))
    importlib.invalidate_caches()


def parsed(name: str, directory: Path) -> HookLibrary:
    """The entry of a library as the configuration has it. Raises ConfigError."""
    position = Position("d2.json", 7, 21)
    entry = Element({"library": Element(name, position)}, position)
    (library,) = parse_hooks_libraries(Element([entry], position), Directories(str(directory), "", ""))
    return library


def refused(name: str, directory: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        parsed(name, directory)
    return str(caught.value)


# Which modules.

@pytest.mark.parametrize("module", [
    "pyd2.__main__", "this", "json", "os", "acme_hooks.other", "", ".x", "x.", "../x", "a-b",
    "acme_hooks..keys", "a" * 300, "a." * 3000 + "b",
])
def test_a_module_that_is_not_declared_is_refused(package: Path, hooks: Path, module: str) -> None:
    """Whatever Python could import: a configuration cannot have it run."""
    (package / "other.py").write_text(GOOD)
    assert refused(f"python:{module}", hooks) == (
        f"hooks library configuration error: module '{module}' is neither below '{hooks}' nor declared by an "
        "installed package: put it there, or declare it in the package's entry points, group pyd2.hooks "
        "(d2.json:7:21)"
    )


def test_entry_points_that_cannot_be_read(package: Path, hooks: Path) -> None:
    """Those of any installed package, which pyd2 has to read with all others."""
    declare(package.parent, "it = acme_hooks.keys")
    (found,) = package.parent.glob("*.dist-info")
    (found / "entry_points.txt").write_bytes(b"[pyd2.hooks]\n\xff = x\n")
    assert refused("python:acme_hooks.keys", hooks) == (
        "hooks library configuration error: the entry points of the installed packages cannot be read: "
        "'utf-8' codec can't decode byte 0xff in position 13: invalid start byte (d2.json:7:21)"
    )


@pytest.mark.parametrize(("module", "reason"), [
    ("acme_hooks.keys", "No module named 'acme_hooks.keys'"),
    ("no_such_package_at_all.x", "No module named 'no_such_package_at_all'"),
    ("acme_hooks.broken.x", "No module named 'acme_hooks.broken.x'; 'acme_hooks.broken' is not a package"),
    ("math", "module 'math' has no Python source"),
    ("sys", "module 'sys' has no Python source"),
    ("acme_hooks.empty", "module 'acme_hooks.empty' has no Python source"),
])
def test_a_declared_module_that_is_not_there(
    package: Path, hooks: Path, log: RecordingLog, module: str, reason: str,
) -> None:
    (package / "broken.py").write_text("raise ValueError('broken')\n")
    (package / "empty").mkdir()
    declare(package.parent, f"it = {module}")
    assert refused(f"python:{module}", hooks) == (
        f"hooks library configuration error: {reason} (d2.json:7:21)"
    )
    name = f"python:{module}"
    assert check_libraries([HookLibrary(name, None, directory=str(hooks))], log) == [name]
    assert log.lines() == [f"HOOKS_OPEN_ERROR failed to open hook library {name}: {reason}"]


def test_a_module_that_vanished_after_the_check(package: Path, hooks: Path, log: RecordingLog) -> None:
    entry = parsed("python:acme_hooks", hooks)
    declare(package.parent)
    with pytest.raises(HookError):
        load_chain([entry], log)
    assert "nor declared by an installed package" in log.lines()[0]


def test_a_check_runs_no_source(
    package: Path, hooks: Path, log: RecordingLog, tmp_path: Path,
) -> None:
    """Neither the module's nor that of the packages it lies in."""
    mark = tmp_path / "it ran"
    text = f"open({str(mark)!r}, 'w')\nraise SystemExit(1)\n"
    for path in (package / "__init__.py", package / "keys.py", hooks / "own.py"):
        path.write_text(text)
    (hooks / "team").mkdir()
    (hooks / "team" / "__init__.py").write_text(text)
    (hooks / "team" / "site.py").write_text(text)
    names = ["acme_hooks", "acme_hooks.keys", "own", "team", "team.site"]
    entries = [parsed(f"python:{name}", hooks) for name in names]
    assert check_libraries(entries, log) == []
    assert not mark.exists()
    assert "acme_hooks" not in sys.modules
    (hooks / "own.py").write_text("x = = 1\n")
    assert check_libraries(entries, log) == ["python:own"]
    assert log.lines()[0].endswith(f"SyntaxError: invalid syntax ({hooks}/own.py:1)")


def test_a_fifo_is_no_module(hooks: Path) -> None:
    os.mkfifo(hooks / "pipe.py")
    assert "neither below" in refused("python:pipe", hooks)


# How they run.

def test_a_module_of_a_package(load: Load, package: Path, hooks: Path, log: RecordingLog) -> None:
    """Its own modules are found, and it is fresh in each opening; what it imports is shared as ever."""
    (package / "helper.py").write_text("value = 'help'\n")
    (package / "keys.py").write_text(
        "from . import helper\nfrom acme_hooks.helper import value\nloads = []\n"
        f"{GOOD}"
        "def load(handle):\n    loads.append(1)\n"
        "    handle.log.info(f'{helper.value} {value} {len(loads)} {__package__}')\n",
    )
    entry = parsed("python:acme_hooks.keys", hooks)
    chain = load(entry, entry)
    assert log.said() == ["help help 1 acme_hooks"] * 2
    chain.unload()
    assert {name for name in sys.modules if "acme_hooks" in name} == {"acme_hooks", "acme_hooks.helper"}


def test_a_package_is_a_library_with_its_modules(
    load: Load, package: Path, hooks: Path, log: RecordingLog,
) -> None:
    (package / "part.py").write_text("value = 'part'\n")
    (package / "__init__.py").write_text(
        f"{GOOD}def load(handle):\n    from . import part\n    handle.log.info(part.value)\n",
    )
    entry = parsed("python:acme_hooks", hooks)
    chain = load(entry)
    assert log.said() == ["part"]
    (package / "part.py").write_text("value = 'changed'\n")
    chain.unload()
    load(entry)
    assert log.said() == ["changed"]


@pytest.mark.parametrize("init", [True, False])
def test_modules_below_the_hooks_directory(load: Load, hooks: Path, log: RecordingLog, init: bool) -> None:
    """Packages there are the library's own: another entry has others, and none stays."""
    team = hooks / "team" / "sub"
    team.mkdir(parents=True)
    if init:
        (hooks / "team" / "__init__.py").write_text("value = 'above'\n")
    (team / "__init__.py").write_text(GOOD)
    (team / "helper.py").write_text("loads = []\n")
    (team / "site.py").write_text(
        f"{GOOD}def load(handle):\n    from . import helper\n    helper.loads.append(1)\n"
        "    from .. import __name__ as above\n    handle.log.info(f'{len(helper.loads)} {above[-4:]}')\n",
    )
    (hooks / "own.py").write_text(f"{GOOD}def load(handle): handle.log.info(handle.library)\n")
    names = ("team.sub.site", "team.sub.site", "team.sub", "own")
    entries = [parsed(f"python:{name}", hooks) for name in names]
    load(*entries).unload()
    assert log.said() == ["1 team", "1 team", "python:own"]
    assert not any("team" in name for name in sys.modules)


def test_a_package_above_that_fails(hooks: Path, log: RecordingLog) -> None:
    (hooks / "team").mkdir()
    (hooks / "team" / "__init__.py").write_text("raise ValueError('broken')\n")
    (hooks / "team" / "site.py").write_text(GOOD)
    with pytest.raises(HookError):
        load_chain([parsed("python:team.site", hooks)], log)
    assert log.lines() == [
        ("HOOKS_OPEN_ERROR failed to open hook library python:team.site: ValueError: broken "
         f"({hooks}/team/__init__.py:1)"),
    ]


def test_an_installed_package_above_that_fails(package: Path, hooks: Path, log: RecordingLog) -> None:
    (package / "__init__.py").write_text("raise SystemExit(1)\n")
    (package / "keys.py").write_text(GOOD)
    with pytest.raises(HookError):
        load_chain([parsed("python:acme_hooks.keys", hooks)], log)
    assert "SystemExit: 1" in log.lines()[0]


def test_parameters_and_directory_are_kept(hooks: Path) -> None:
    (hooks / "own.py").write_text(GOOD)
    text = from_plain([{"library": "python:own", "parameters": {"a": 1}}])
    (library,) = parse_hooks_libraries(text, Directories(str(hooks), "", ""))
    assert (library.library, library.directory) == ("python:own", str(hooks))
    assert library.parameters == from_plain({"a": 1})
