"""Builds ``pyd2.packets.wire``: the compiled packet layer, with libcrypto for its HMACs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cffi import FFI

if TYPE_CHECKING:
    from setuptools import Extension

WITHOUT = "pyd2 works with its packet layer in Python, which needs more CPU time (libssl-dev is needed)"
"""What an installation lacks in which this could not be built."""

MODULE = "pyd2.packets.wire"
SOURCES = Path(__file__).resolve().parent / "wire"

INTERFACE = (
    "error", "name", "request", "update", "tsig", "reply", "datagrams", "packed", "shown", "window",
    "quarantine", "outbox", "tries",
)
"""The headers that Python sees, each after those that it needs."""

FLAGS = ["-std=c11", "-O2", "-fvisibility=hidden"]


def _declarations(header: str) -> str:
    """Return what a header declares, without its preprocessor lines."""
    return re.sub(r"(?m)^#.*\n", "", (SOURCES / f"{header}.h").read_text())


def make(**options: Any) -> FFI:  # noqa: ANN401  options of the compiler, as setuptools has them
    """Return the module's description for cffi; ``options`` go to the compiler."""
    ffi = FFI()
    ffi.cdef("\n".join(map(_declarations, INTERFACE)))
    options = {"extra_compile_args": FLAGS, "libraries": ["crypto"], **options}
    ffi.set_source(
        MODULE,
        "".join(f'#include "{header}.h"\n' for header in INTERFACE),
        sources=[str(path) for path in sorted(SOURCES.glob("*.c"))],
        include_dirs=[str(SOURCES)],
        depends=[str(path) for path in sorted(SOURCES.glob("*.h"))],
        **options,
    )
    return ffi


def extensions() -> list[Extension]:
    """Return what setuptools is to build."""
    return [make().distutils_extension("build")]
