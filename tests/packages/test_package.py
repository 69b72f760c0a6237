"""./dev package, without the building of Debian packages: its options, and what the distributions hold."""

from __future__ import annotations

import email
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from devtools import package, package_check
from pyd2 import __version__

ROOT = Path(__file__).parents[2]
HOOK = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"


def test_a_check_tries_all_systems_or_one() -> None:
    scenarios = package_check.SCENARIOS
    assert package.plan([], scenarios) == (False, scenarios, None)
    assert package.plan(["--check"], scenarios) == (True, ("none", "2.6", "3.0"), None)
    assert package.plan(["--check", "--with", "3.0", "--mirror", "http://mirror.example"], scenarios) == (
        True, ("3.0",), "http://mirror.example")


@pytest.mark.parametrize("line", ["--with 3.0", "--check --with 3.2", "debian"])
def test_other_words_are_refused(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        package.plan(line.split(), package_check.SCENARIOS)
    assert ended.value.code == 2
    assert "usage: ./dev package" in capsys.readouterr().err


@pytest.mark.parametrize(("complaint", "names"), [
    ("", []),
    ("dpkg-checkbuilddeps: error: unmet build dependencies: dh-apparmor python3-cffi (>= 1.16) a | b (= 1)\n",
     ["dh-apparmor", "python3-cffi", "a"]),
])
def test_missing_packages_are_named(complaint: str, names: list[str]) -> None:
    assert package.named(complaint) == names


def test_files_that_git_does_not_know_are_left_out(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "folder").mkdir(parents=True)
    (tree / "folder" / "known").write_text("text")
    (tree / "folder" / "gone").write_text("text")
    subprocess.run(["git", "init", "-q", tree], check=True)
    subprocess.run(["git", "-C", tree, "add", "."], check=True)
    (tree / "folder" / "unknown").write_text("text")
    (tree / "folder" / "gone").unlink()
    package.export(tree, tmp_path / "copy")
    assert [path.name for path in (tmp_path / "copy").rglob("*") if path.is_file()] == ["known"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, which the building may change."""
    copy = tmp_path_factory.mktemp("tree")
    package.export(ROOT, copy)
    return copy


def hook(tree: Path, name: str, target: Path) -> Path:
    """Run a hook of the build backend; return what it has made."""
    command = [sys.executable, "-c", HOOK, name, str(target)]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target / done.stdout.splitlines()[-1]


def test_the_metadata_of_a_wheel(tree: Path, tmp_path: Path) -> None:
    made = hook(tree, "prepare_metadata_for_build_wheel", tmp_path)
    assert made.name == f"pyd2-{__version__}.dist-info"
    metadata = email.message_from_string((made / "METADATA").read_text())
    assert (metadata["Name"], metadata["Version"]) == ("pyd2", __version__)
    assert (metadata["Requires-Python"], metadata["License-Expression"]) == (">=3.11", "MPL-2.0")
    assert "pyd2 = pyd2.cli:main\npyd2ctl = pyd2.tools.cli:main\n" in (made / "entry_points.txt").read_text()


def test_the_source_distribution_has_what_building_needs(tree: Path, tmp_path: Path) -> None:
    with tarfile.open(hook(tree, "build_sdist", tmp_path)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    known = {str(path.relative_to(tree)) for folder in ("cbridge", "contrib", "pyd2") for path in
             (tree / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert known - names == set()
    assert {"setup.py", "pyproject.toml", "LICENSE", "NOTICE", "README.md", "CHANGELOG.md"} <= names
    assert not any(name.startswith(("tests/", "benchmarks/", "debian/")) for name in names)
