"""The texts of ``-V``, ``-W`` and of the commands ``version-get`` and ``build-report`` (contract, section 1).

Wherever tools read a version it is that of the Kea release that pyd2 behaves like.
"""

from __future__ import annotations

import importlib.machinery
import importlib.metadata
import platform
import re
import ssl
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pyd2 import __version__

if TYPE_CHECKING:
    from pyd2.profiles.release import Release


def extended_version(release: Release) -> str:
    """Return the version with pyd2's own beside it: ``2.6.3 (pyd2 0.2.0)``."""
    return f"{release.version} (pyd2 {__version__})"


@cache  # it comes from files, and does not change while this process runs
def version_report(release: Release) -> str:
    """Return the text of ``-V``, without a newline at the end; also the ``extended`` of ``version-get``."""
    lines = [extended_version(release), "premium: no", "linked with:"]
    lines += [f"- {name} {version}" for name, version in _libraries()]
    return "\n".join(lines)


@cache
def build_report(release: Release) -> str:
    """Return the text of ``-W``, without a newline at the end; also that of the command ``build-report``."""
    sections = {
        "Package": [
            ("Name", "pyd2"),
            ("Version", release.version),
            ("Extended version", extended_version(release)),
            ("OS Family", platform.system()),
            ("Machine", platform.machine()),
            ("Premium hooks", "no"),
            ("Included Hooks", "none"),
        ],
        "Python": [
            ("Implementation", platform.python_implementation()),
            ("Version", platform.python_version()),
            ("Executable", sys.executable),
        ],
        "Compiled parts": [(name, "yes") for name in _compiled_parts()] or [("none", "plain Python is used")],
        # Lines that tools look for in the report of Kea, with what is true of pyd2.
        "C++ Compiler": [("CXX_VERSION", "none; of the bridge to Kea: pyd2ctl bridge status")],
        "MySQL": [("MYSQL_VERSION", "none")],
        "Developer": [("Valgrind", "no")],
        "Libraries": [(name, version) for name, version in _libraries() if name != "Python"],
    }
    lines = ["", "       Kea source configure results:", "    -=-=-=-=-=-=-=-=-=-=-=-=-=-=-=-=-=-"]
    for title, entries in sections.items():
        lines += ["", f"{title}:"]
        lines += [f"  {name + ':':<18} {value}" for name, value in entries]
    return "\n".join(f" {line}" for line in [*lines, ""])


def _libraries() -> list[tuple[str, str]]:
    """Return the versions of Python, of the packages that pyd2 requires, and of OpenSSL."""
    found = [("Python", platform.python_version())]
    try:
        requirements = importlib.metadata.requires("pyd2") or []
    except importlib.metadata.PackageNotFoundError:  # run from a source tree
        requirements = []
    for requirement in requirements:
        if ";" not in requirement:  # the others belong to extras
            name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
            with suppress(importlib.metadata.PackageNotFoundError):  # Debian has the part of cffi that runs
                found.append((name, importlib.metadata.version(name)))
    return [*found, ("OpenSSL", ssl.OPENSSL_VERSION.removeprefix("OpenSSL "))]


def _compiled_parts() -> list[str]:
    suffixes = tuple(importlib.machinery.EXTENSION_SUFFIXES)
    names = (path.name for path in Path(__file__).parent.rglob("*"))
    return sorted({name.split(".")[0].lstrip("_") for name in names if name.endswith(suffixes)})
