"""Compiles what the benchmarks need, once for each state of its sources."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.errors import BenchmarkError

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parent
SOURCES: Final = HERE / "load"
PLACE: Final = HERE / "build"
"""Nothing in it is kept by git."""

WARNINGS: Final = ("-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror")
C_OPTIONS: Final = ("-std=c11", "-O2", "-D_GNU_SOURCE", *WARNINGS)


def load_program() -> Path:
    """Return the load generator with its DNS sink. Raises BenchmarkError."""
    sources = [source for source in sorted(SOURCES.glob("*.c")) if source.name != "reflector.c"]
    return compiled("load", sources, [*C_OPTIONS, "-lcrypto", "-ldl", "-lm"], sorted(SOURCES.glob("*.h")))


def reflector_program() -> Path:
    """Return the D2 that only moves datagrams. Raises BenchmarkError."""
    sources = [SOURCES / f"{name}.c" for name in ("reflector", "hosts", "names", "options", "sockets")]
    return compiled("reflector", sources, [*C_OPTIONS, "-lm"], sorted(SOURCES.glob("*.h")))


def hook_library(source: Path) -> Path:
    """Return a hook library in C or C++ as an operator compiles it. Raises BenchmarkError."""
    options = ["-O2", "-fPIC", "-shared"]
    if source.suffix == ".c":
        return compiled(f"{source.stem}_c.so", [source], [*options, f"-I{ROOT / 'cbridge' / 'include'}"])
    return compiled(f"{source.stem}_cc.so", [source], ["-std=c++17", *options, "-I/usr/include/kea"])


def compiled(name: str, sources: Sequence[Path], options: Sequence[str],
             also: Sequence[Path] = ()) -> Path:
    """Return a program or library made of these sources; it is made afresh when any of this has changed.

    ``also`` are files that the sources include. Raises BenchmarkError with what the compiler says.
    """
    compiler = "c++" if sources[0].suffix == ".cc" else "cc"
    digest = hashlib.sha256("\0".join([compiler, *map(str, sources), *options]).encode())
    for path in (*sources, *also):
        digest.update(path.read_bytes())
    directory = PLACE / f"{name}.{digest.hexdigest()[:12]}"
    target = directory / name
    if target.exists():
        return target
    if shutil.which(compiler) is None:
        raise BenchmarkError(f"{name} is compiled here, and there is no {compiler} (Debian: gcc, g++)")
    libraries = [option for option in options if option.startswith("-l")]
    flags = [option for option in options if not option.startswith("-l")]
    directory.mkdir(parents=True, exist_ok=True)
    fresh = target.with_suffix(f".{os.getpid()}")  # another process may make the same
    command = [compiler, *flags, *map(str, sources), "-o", str(fresh), *libraries]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchmarkError(f"failed: {' '.join(command)}\n{done.stderr}")
    fresh.replace(target)
    return target
