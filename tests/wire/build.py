"""Builds the harnesses with the sanitizers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES = HERE.parents[1] / "cbridge" / "wire"
IO_SOURCES = SOURCES.parent / "wire_io"
STRICT = ("-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror")
SANITIZERS = ("-g", "-O1", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all")


def sources() -> list[Path]:
    """Return the C files of the packet layer."""
    return sorted(SOURCES.glob("*.c"))


def all_sources() -> list[Path]:
    """Return these and the C files of the system calls."""
    return [*sources(), *sorted(IO_SOURCES.glob("*.c"))]


def compile_c(compiler: str, *arguments: str | Path) -> None:
    """Run a C compiler; raises AssertionError with what it says."""
    command = [compiler, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"


def build_replay(name: str, directory: Path) -> Path:
    """Build a harness with the system's compiler, to be fed through its standard input."""
    program = directory / f"replay_{name}"
    compile_c(
        "cc", *STRICT, *SANITIZERS, "-fsanitize=address,undefined", "-I", SOURCES, "-I", HERE,
        *sources(), HERE / f"fuzz_{name}.c", HERE / "replay.c", "-o", program,
    )
    return program


def find_clang() -> str | None:
    """Return a clang, if there is one."""
    names = ("clang", *(f"clang-{version}" for version in range(22, 13, -1)))
    return next(filter(shutil.which, names), None)


def build_fuzzer(clang: str, name: str, directory: Path) -> Path:
    """Build a harness with libFuzzer."""
    program = directory / f"fuzz_{name}"
    compile_c(
        clang, *STRICT, *SANITIZERS, "-fsanitize=fuzzer,address,undefined", "-I", SOURCES, "-I", HERE,
        *sources(), HERE / f"fuzz_{name}.c", "-o", program,
    )
    return program
