"""Compiles hook libraries in C and C++ for tests, with every warning an error."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")
INCLUDES = (f"-I{ROOT / 'cbridge' / 'include'}", f"-I{Path(__file__).parent}")

PRELUDE = '#include "c_prelude.h"\n'
"""What a library written in a test begins with: ``api``, ``self`` and ``say``; its ``start`` runs in load."""

_compiled: dict[tuple[object, ...], bytes] = {}
"""Shared objects by command and source: tests compile the same for each chain, and for each parameter."""


def other_compilers() -> list[str]:
    """Return the C compilers that are installed besides the system's, GCC and Clang."""
    names = [f"{kind}-{version}" for kind in ("gcc", "clang") for version in range(12, 24)]
    found = {name: path for name in names if (path := shutil.which(name))}
    usual = os.path.realpath(shutil.which("cc") or "")
    return [name for name, path in found.items() if os.path.realpath(path) != usual]


def compile_library(source: Path, target: Path, *options: str) -> Path:
    """Compile one file to a shared object. HOOK_TEST_FLAGS of the environment holds more options."""
    compiler = ("gcc", "-std=c11") if source.suffix == ".c" else ("g++", "-std=c++17")
    more = shlex.split(os.environ.get("HOOK_TEST_FLAGS", ""))
    command = [*compiler, *WARNINGS, "-g", "-fPIC", "-shared", *INCLUDES, *options, *more]
    key = (*command, source.read_bytes())
    if key in _compiled:
        target.unlink(missing_ok=True)  # the file that is there may be mapped
        target.write_bytes(_compiled[key])
        target.chmod(0o755)
        return target
    command += [str(source), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    _compiled[key] = target.read_bytes()
    return target


def compile_text(text: str, target: Path, *options: str) -> Path:
    """Compile the text of a library in C; its source is beside the target."""
    source = target.with_suffix(".c")
    source.write_text(text)
    return compile_library(source, target, *options)
