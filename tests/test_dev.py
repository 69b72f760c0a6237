"""The developers' script: what it leaves out, what it puts back, what it finds."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
import tomllib
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[1]


@pytest.fixture
def dev(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader = SourceFileLoader("dev", str(ROOT / "dev"))
    spec = importlib.util.spec_from_loader("dev", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture
def started(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that dev would have run; each ends with status 5."""
    commands: list[list[str]] = []

    def run(*command: object, env: object = None) -> int:
        commands.append([str(part) for part in command])
        return 5

    monkeypatch.setattr(dev, "run", run)
    monkeypatch.setattr(dev, "run_in_parts", lambda command: run(*command))
    monkeypatch.setattr(dev, "environment", lambda *_: None)
    monkeypatch.setattr(dev, "bring_kea", lambda: None)
    monkeypatch.setattr(dev, "bring_axe", lambda: None)
    return commands


def lack(dev: Any, monkeypatch: pytest.MonkeyPatch, *, root: bool, in_ci: bool) -> list[list[str]]:
    """Pretend that a server is not installed; return what apt-get is asked for. It installs nothing."""
    installed: list[list[str]] = []
    monkeypatch.setattr(dev, "missing_peers", lambda: ["knot"])
    monkeypatch.setattr(dev, "can_install", lambda: root)
    monkeypatch.setattr(dev, "apt_install", installed.append)
    monkeypatch.setattr(dev, "IN_CI", in_ci)
    return installed


def test_alone_it_lists_its_commands(tmp_path: Path) -> None:
    done = subprocess.run([ROOT / "dev"], cwd=tmp_path, capture_output=True, text=True, check=True)
    listed = [line.split()[0] for line in done.stdout.splitlines()[2:]]
    assert listed == ["demo", "test", "kea", "lint", "bench", "gate", "docs", "fresh", "package"]


def test_an_unknown_command_is_refused() -> None:
    done = subprocess.run([ROOT / "dev", "tset"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Usage: ./dev" in done.stdout


def test_test_returns_what_pytest_returns(dev: ModuleType, started: list[list[str]],
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev, "missing_peers", list)
    assert dev.test(["-k", "x"]) == 5
    assert started == [[str(dev.PYTHON), "-m", "pytest", "-k", "x"]]


@pytest.mark.parametrize(("fails", "status"), [("none", 0), ("--ignore=tests/net", 3), ("tests/net", 3)])
def test_all_tests_run_in_two_parts(dev: ModuleType, capfd: pytest.CaptureFixture[str], fails: str,
                                    status: int) -> None:
    """What one part has, the other one leaves out; a failure of either counts."""
    assert [name for name in dev.TEST_APART if not (ROOT / "tests" / name).exists()] == []
    script = f"import sys; print(sys.argv[1:]); sys.exit(3 * ({fails!r} in sys.argv))"
    assert dev.run_in_parts((sys.executable, "-c", script)) == status
    present, _, apart = capfd.readouterr().out.splitlines()
    assert [part.removeprefix("--ignore=") for part in ast.literal_eval(present)] == ast.literal_eval(apart)


def test_without_root_it_says_what_it_leaves_out(dev: ModuleType, started: list[list[str]],
                                                 monkeypatch: pytest.MonkeyPatch,
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    installed = lack(dev, monkeypatch, root=False, in_ci=False)
    dev.test([])
    assert started[0][-2:] == ["-m", "not peers"]
    assert installed == []
    out = capsys.readouterr().out
    assert "NOT RUN" in out
    assert "knot" in out


@pytest.mark.parametrize("root", [False, True])
def test_in_ci_nothing_may_be_left_out(dev: ModuleType, started: list[list[str]], root: bool,
                                       monkeypatch: pytest.MonkeyPatch) -> None:
    installed = lack(dev, monkeypatch, root=root, in_ci=True)
    with pytest.raises(dev.DevError, match="knot"):
        dev.test([])
    assert installed == ([["knot"]] if root else [])
    assert started == []


@pytest.mark.parametrize(("bring", "marker", "which"), [
    ("bring_kea", "kea30", "beside Kea 3.0"), ("bring_axe", "axe", "of accessibility"),
])  # fmt: skip
def test_without_what_it_brings_it_says_what_it_leaves_out(
    dev: ModuleType, started: list[list[str]], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], bring: str, marker: str, which: str,
) -> None:
    def fail() -> None:
        raise dev.DevError("the suite cannot be reached")

    monkeypatch.setattr(dev, "missing_peers", list)
    monkeypatch.setattr(dev, bring, fail)
    monkeypatch.setattr(dev, "IN_CI", False)
    dev.test(["-x"])
    assert started[0][-3:] == ["-m", f"not {marker}", "-x"]
    (line,) = capsys.readouterr().out.splitlines()
    assert line == f"dev: NOT RUN: the tests {which} (marker '{marker}'): the suite cannot be reached"
    monkeypatch.setattr(dev, "IN_CI", True)
    with pytest.raises(dev.DevError, match="cannot be reached"):
        dev.test([])
    assert len(started) == 1


def test_missing_programs_are_noticed(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev, "PEERS", {"sh": "dash", "no-such-program": "some-package"})
    monkeypatch.setattr(dev, "PEER_FILES", {"/no/such/*.so": "some-library", "/proc/self/stat*": "procps"})
    assert dev.missing_peers() == ["some-library", "some-package"]


@pytest.mark.parametrize("before", [None, "the operator's own"])
def test_the_policy_is_put_back(dev: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                before: str | None) -> None:
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(dev, "POLICY", policy)
    if before is not None:
        policy.write_text(before)

    def install_and_fail() -> None:
        with dev.services_stay_off():
            assert subprocess.run([policy], check=False).returncode == 101
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        install_and_fail()
    assert [file.name for file in tmp_path.iterdir()] == ([] if before is None else ["policy-rc.d"])
    assert before is None or policy.read_text() == before


def test_private_paths_are_found(dev: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                 capsys: pytest.CaptureFixture[str]) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    monkeypatch.setattr(dev, "ROOT", tmp_path)
    (tmp_path / "good").write_text("https://example.com/home/page ${X}/work/a framework/x /homes/a\n")
    subprocess.run(["git", "-C", tmp_path, "add", "good"], check=True)
    assert dev.private_paths() == 0
    (tmp_path / "bad").write_text(f"first\nsee {'/'.join(['', 'home', 'me', 'notes'])}\n")
    assert dev.private_paths() == 0, "files that git does not know are ignored"
    subprocess.run(["git", "-C", tmp_path, "add", "bad"], check=True)
    assert dev.private_paths() == 1
    assert capsys.readouterr().out == f"bad:2: names {'/'.join(['', 'home', 'me'])}\n"


def interpreter(folder: Path, name: str, version: str) -> Path:
    """Make what answers as an interpreter of a version; without a version it fails, as pyenv's may."""
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\necho {version}\n" if version else "#!/bin/sh\necho 3.99\nexit 127\n")
    file.chmod(0o755)
    return file


def test_the_python_that_runs_it_is_taken(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    assert dev.find_python() == Path(sys.executable)


def test_else_the_newest_in_the_path_is_taken(dev: ModuleType, tmp_path: Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2, "final", 0))
    monkeypatch.setattr(dev, "VENV", tmp_path / ".venv")
    interpreter(tmp_path / ".venv", "python3.98", "3.98")
    interpreter(tmp_path / "a", "python3", "3.9")
    interpreter(tmp_path / "a", "python3.99", "")
    interpreter(tmp_path / "a", "python3-config", "3.99")
    newest = interpreter(tmp_path / "b", "python3.97", "3.97")
    interpreter(tmp_path / "b", "python3.96", "3.96")
    folders = [tmp_path / "none", tmp_path / ".venv", tmp_path / "a", tmp_path / "b"]
    monkeypatch.setenv("PATH", ":".join(str(folder) for folder in folders))
    assert dev.find_python() == newest


def test_without_a_python_it_says_which_it_needs(dev: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2, "final", 0))
    monkeypatch.setattr(dev, "version_of", lambda python: (3, 10))
    with pytest.raises(dev.DevError, match=r"needs Python 3\.11 or later; none was found"):
        dev.find_python()


def test_no_python_from_3_11_is_refused(dev: ModuleType) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == f">={dev.text_of(dev.OLDEST)}"
    assert "Programming Language :: Python :: 3.14" in project["classifiers"]
