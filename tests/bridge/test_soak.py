"""The command that soaks hook libraries, in small: python -m tests.soak."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.soak import KINDS, ROOT


def soak(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.soak", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_callouts_and_reloads_of_each_kind_leave_nothing() -> None:
    done = soak("--callouts", "4000", "--reloads", "40")
    assert done.returncode == 0, done.stdout + done.stderr
    kinds = [line.split()[0] for line in done.stdout.splitlines()]
    assert kinds == [kind for kind in KINDS if kind != "faulty"]


def test_growth_is_told() -> None:
    done = soak("--callouts", "40", "--reloads", "1", "--kind", "python", "--limit", "-1")
    assert (done.returncode, done.stderr) == (1, "")
    assert re.match(r"python +40 callouts +\d+ KiB", done.stdout)


@pytest.mark.timeout(900)  # everything takes thirty times as long
def test_memcheck_finds_nothing() -> None:
    """A thousand callouts of a mixed list, twenty reloads and the end: no invalid access, no leak."""
    done = soak("--valgrind")
    assert done.returncode == 0, done.stdout[-8000:]
    assert "definitely lost: 0 bytes" in done.stdout


@pytest.mark.timeout(900)
def test_memcheck_would_tell() -> None:
    done = soak("--valgrind", "--kind", "faulty", "--callouts", "1", "--reloads", "1")
    assert done.returncode == 1
    assert "Invalid write of size 1" in done.stdout
