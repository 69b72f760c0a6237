"""Builds the native back end in two modules.

``pyd2.packets.wire`` is the codec and the tries; it finds libcrypto, which makes the HMACs, at run time.
``pyd2.net.wire_io`` makes the system calls.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cffi import FFI

if TYPE_CHECKING:
    from setuptools import Extension

WITHOUT = "pyd2 works with its packet layer in Python, which needs more CPU time"
"""What an installation lacks in which this could not be built."""

MODULE = "pyd2.packets.wire"
IO_MODULE = "pyd2.net.wire_io"
SOURCES = Path(__file__).resolve().parent / "wire"
IO_SOURCES = SOURCES.parent / "wire_io"

INTERFACE = (
    "error", "batch", "libcrypto", "name", "request", "update", "tsig", "contexts", "reply", "answer",
    "packed", "shown", "window", "quarantine", "observed", "outbox", "tries", "update_batch", "joined",
)
"""The headers of the codec that Python sees, each after those that it needs."""
IO_INTERFACE = ("datagrams",)

FLAGS = ["-std=c11", "-O2", "-fvisibility=hidden"]


def _declare(ffi: FFI, sources: Path, headers: tuple[str, ...]) -> None:
    """Add what headers declare, without their preprocessor lines."""
    texts = [(sources / f"{header}.h").read_text() for header in headers]
    ffi.cdef("\n".join(re.sub(r"(?m)^#.*\n", "", text) for text in texts))


def _set_source(
    ffi: FFI, module: str, sources: Path, headers: tuple[str, ...], options: dict[str, Any]
) -> None:
    folders = dict.fromkeys((sources, SOURCES))
    ffi.set_source(
        module,
        "".join(f'#include "{header}.h"\n' for header in headers),
        sources=[str(path) for path in sorted(sources.glob("*.c"))],
        include_dirs=[str(folder) for folder in folders],
        depends=[str(path) for folder in folders for path in sorted(folder.glob("*.h"))],
        **{"extra_compile_args": FLAGS, **options},
    )


def make(**options: Any) -> FFI:  # noqa: ANN401  options of the compiler, as setuptools has them
    """Return the codec's description for cffi; ``options`` go to the compiler."""
    ffi = FFI()
    _declare(ffi, SOURCES, INTERFACE)
    _set_source(ffi, MODULE, SOURCES, INTERFACE, {"libraries": ["dl"], **options})
    return ffi


def make_io(**options: Any) -> FFI:  # noqa: ANN401  options of the compiler, as setuptools has them
    """Return the description of the system calls, which share the codec's types."""
    ffi = FFI()
    ffi.include(make())
    _declare(ffi, IO_SOURCES, IO_INTERFACE)
    _set_source(ffi, IO_MODULE, IO_SOURCES, (*INTERFACE, *IO_INTERFACE), options)
    return ffi


def extensions() -> list[Extension]:
    """Return what setuptools is to build."""
    return [made.distutils_extension("build") for made in (make(), make_io())]
