"""The command that soaks hook libraries, in small: python -m tests.soak."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.kit import kea
from tests.soak import KINDS, ROOT, WRONG


def soak(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.soak", f"--kea={kea.chosen().release}", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.timeout(900)
def test_callouts_and_reloads_of_each_kind_leave_nothing() -> None:
    done = soak("--callouts", "4000", "--reloads", "40")
    assert done.returncode == 0, done.stdout + done.stderr
    kinds = [line.split()[0] for line in done.stdout.splitlines()]
    assert kinds == [kind for kind in KINDS if kind not in WRONG]


def test_growth_is_reported() -> None:
    done = soak("--callouts", "40", "--reloads", "1", "--kind", "python", "--limit", "-1")
    assert (done.returncode, done.stderr) == (1, "")
    assert re.match(r"python +40 callouts +\d+ KiB", done.stdout)


@pytest.mark.timeout(1800)  # everything takes thirty times as long
def test_memcheck_finds_nothing() -> None:
    """A thousand callouts of a mixed list, twenty reloads and the end: no wrong access, no leak of ours."""
    done = soak("--valgrind")
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    summary = r"^mixed +0 wrong accesses +0 leaks +\d+ leaks of the interpreter's own"
    assert re.search(summary, done.stdout, re.MULTILINE)


@pytest.mark.timeout(1800)
def test_memcheck_would_tell() -> None:
    done = soak("--valgrind", "--kind", "faulty", "--callouts", "1", "--reloads", "1")
    assert done.returncode == 1
    assert "Invalid write of size 1" in done.stdout


@pytest.mark.timeout(1800)
def test_memcheck_would_tell_of_leaks() -> None:
    """Of a library in C, of one in C++, and of the bridge itself; each block is lost more than once."""
    done = soak("--valgrind", "--kind", "leaky", "--callouts", "5", "--reloads", "5")
    assert done.returncode == 1, done.stderr
    for place in (r"select_key \(.*/library0\.so\)", r"select_key \(.*/library1\.so\)",
                  r"kb_module_path \(.*/kea_shim_\d+\..*so\)"):
        leak = rf"^Leak_DefinitelyLost: [\d,]+ bytes .*(\n    .*)*\n    {place}"
        assert re.search(leak, done.stdout, re.MULTILINE), place
