"""What is written down about a measurement."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from benchmarks.machine import commit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RESULTS = "benchmarks/results/results.json"
README = "benchmarks/README.md"


@pytest.fixture
def git(tmp_path: Path) -> Callable[..., str]:
    """Git in a repository with one commit."""
    def run(*arguments: str) -> str:
        identity = ("-c", "user.name=n", "-c", "user.email=e@example.com")
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    for name in ("pyd2.py", "benchmarks/cases.py", RESULTS, README):
        write(tmp_path, name, "first")
    run("init", "--quiet")
    run("add", ".")
    run("commit", "--quiet", "--message", "first")
    return run


def write(repository: Path, name: str, text: str) -> None:
    (repository / name).parent.mkdir(parents=True, exist_ok=True)
    (repository / name).write_text(text)


@pytest.mark.parametrize("name", ["pyd2.py", "benchmarks/cases.py"])
def test_a_changed_source_makes_the_commit_dirty(git: Callable[..., str], tmp_path: Path, name: str) -> None:
    assert commit(tmp_path) == git("rev-parse", "--short", "HEAD")
    write(tmp_path, name, "second")
    assert commit(tmp_path) == git("rev-parse", "--short", "HEAD") + "-dirty"
    git("commit", "--quiet", "--all", "--message", "second")
    assert commit(tmp_path) == git("rev-parse", "--short", "HEAD")


@pytest.mark.parametrize("name", [RESULTS, "benchmarks/results/new.svg", README])
def test_published_results_are_no_change(git: Callable[..., str], tmp_path: Path, name: str) -> None:
    """Else the results of a second part would not be of the same commit as those of the first."""
    before = commit(tmp_path)
    write(tmp_path, name, "second")
    git("add", ".")
    assert commit(tmp_path) == before
    git("commit", "--quiet", "--message", "results")
    assert commit(tmp_path) == before
    write(tmp_path, name, "third")
    assert commit(tmp_path) == before


def test_without_git_there_is_no_commit(tmp_path: Path) -> None:
    assert commit(tmp_path / "nowhere") == ""
