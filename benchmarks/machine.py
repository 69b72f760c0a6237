"""What figures depend on: the commit, the machine, the versions."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.build import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.daemon import Subject

_MEASURED: Final = (".", ":!benchmarks/results", ":!benchmarks/README.md")
"""What git is to look at: all but the places where results are published, which change nothing."""


def about(subjects: Sequence[Subject]) -> dict[str, Any]:
    """Return it all, as JSON takes it."""
    return {
        "commit": commit(ROOT),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": f"{os.cpu_count()} x {_cpu()}",
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "system": f"{platform.system()} {platform.release()}, {_distribution()}",
        "python": platform.python_version(),
        "compiler": _first_line("cc", "--version"),
        "openssl": _first_line("openssl", "version").partition(" (")[0],
        "root": os.geteuid() == 0,
        "rmem_max": int(Path("/proc/sys/net/core/rmem_max").read_text()),
        "load_before": os.getloadavg()[0],
        "versions": {subject.name: _version(subject) for subject in subjects},
    }


def commit(repository: Path) -> str:
    """Return the commit that last changed what is measured, with ``-dirty`` if more has changed since.

    Empty where there is no git. Published results count for neither, so that those of a second part find
    those of the first to be of the same commit.
    """
    git = ("git", "-C", str(repository))
    last = _first_line(*git, "log", "-1", "--format=%h", "--", *_MEASURED)
    changed = _first_line(*git, "diff", "--name-only", "HEAD", "--", *_MEASURED)
    return f"{last}-dirty" if changed else last


def _version(subject: Subject) -> str:
    return _first_line(subject.command[0], "-V")


def _first_line(*command: str) -> str:
    """Return the first line of what a command says; empty when it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout.splitlines() or [""])[0].strip()


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
                platform.machine())


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return "no distribution"
