"""What ``-V``, ``-W`` and the commands ``version-get`` and ``build-report`` say (contract, section 1).

Wherever tools read a number it is that of the Kea that pyd2 stands in for.
"""

from __future__ import annotations

import importlib.machinery
import importlib.metadata
import platform
import re
import ssl
import sys
from functools import cache
from pathlib import Path

from pyd2 import KEA_VERSION, __version__


def extended_version() -> str:
    """Return the version with pyd2's own beside it: ``2.6.3 (pyd2 0.1.0)``."""
    return f"{KEA_VERSION} (pyd2 {__version__})"


@cache  # it is read off files, and does not change while this process runs
def version_report() -> str:
    """Return the text of ``-V``, without a newline at the end; also the ``extended`` of ``version-get``."""
    lines = [extended_version(), "premium: no", "linked with:"]
    lines += [f"- {name} {version}" for name, version in _libraries()]
    return "\n".join(lines)


@cache
def build_report() -> str:
    """Return the text of ``-W``, without a newline at the end; also that of the command ``build-report``."""
    sections = {
        "Package": [
            ("Name", "pyd2"),
            ("Version", KEA_VERSION),
            ("Extended version", extended_version()),
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
        # What tools that read Kea's report look for, and what is true of pyd2.
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
    """Return what pyd2 runs with: Python, the packages it requires, OpenSSL."""
    found = [("Python", platform.python_version())]
    try:
        requirements = importlib.metadata.requires("pyd2") or []
    except importlib.metadata.PackageNotFoundError:  # run from a source tree
        requirements = []
    for requirement in requirements:
        if ";" not in requirement:  # the others belong to extras
            name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
            found.append((name, importlib.metadata.version(name)))
    return [*found, ("OpenSSL", ssl.OPENSSL_VERSION.removeprefix("OpenSSL "))]


def _compiled_parts() -> list[str]:
    suffixes = tuple(importlib.machinery.EXTENSION_SUFFIXES)
    names = (path.name for path in Path(__file__).parent.rglob("*"))
    return sorted({name.split(".")[0].lstrip("_") for name in names if name.endswith(suffixes)})
