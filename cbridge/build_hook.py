"""Builds ``pyd2.hooks.c_abi``, which runs hook libraries written in C (cbridge/include/pyd2_hook.h)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cffi import FFI

if TYPE_CHECKING:
    from setuptools import Extension

WITHOUT = "hook libraries in C will not load"
"""What an installation lacks without this module."""

MODULE = "pyd2.hooks.c_abi"
HERE = Path(__file__).resolve().parent
GLUE = HERE / "hook"
INCLUDE = HERE / "include"

# Of pyd2_hook.h Python sees what it reads and writes; the C compiler fills in the rest.
_TYPES = """
    #define PYD2_HOOK_VERSION ...
    enum {
        PYD2_HOOK_OK, PYD2_HOOK_E_INVALID, PYD2_HOOK_E_HANDLE, PYD2_HOOK_E_THREAD, PYD2_HOOK_E_NOT_FOUND,
        PYD2_HOOK_E_TYPE, PYD2_HOOK_E_STATE, PYD2_HOOK_E_INTERNAL, ...
    };
    enum { PYD2_HOOK_DEBUG, PYD2_HOOK_INFO, PYD2_HOOK_WARN, PYD2_HOOK_ERROR, ... };
    enum {
        PYD2_HOOK_JSON_NULL, PYD2_HOOK_JSON_BOOLEAN, PYD2_HOOK_JSON_INTEGER, PYD2_HOOK_JSON_REAL,
        PYD2_HOOK_JSON_TEXT, PYD2_HOOK_JSON_LIST, PYD2_HOOK_JSON_MAP, ...
    };
    typedef struct pyd2_hook_text { const char *data; size_t length; } pyd2_hook_text;
    typedef struct { uint32_t version; uint32_t api_size; } pyd2_hook_requirement;
    typedef struct { size_t mac_size; ...; } pyd2_hook_signer;
    typedef struct { uint32_t version; uint32_t size; ...; } pyd2_hook_api;
"""


def _declarations(header: Path) -> str:
    """Return the declarations of a header: the part after its marker and before the end of its guard."""
    return header.read_text().split("to its last line. */")[1].rpartition("#endif")[0]


def make(include: Path = INCLUDE, **options: Any) -> FFI:  # noqa: ANN401  options of setuptools's
    """Return the module's description for cffi; ``options`` go to the compiler.

    ``include`` is the directory of the ``pyd2_hook.h`` that it is made for.
    """
    ffi = FFI()
    ffi.cdef(_TYPES + _declarations(GLUE / "glue.h"))
    ffi.cdef('extern "Python+C" {' + _declarations(GLUE / "upward.h") + "}")
    options = {"extra_compile_args": ["-std=gnu11", "-O2"], **options}
    ffi.set_source(
        MODULE,
        '#include "glue.h"\n#include "upward.h"\n',
        sources=[str(source) for source in sorted(GLUE.glob("*.c"))],
        include_dirs=[str(include), str(GLUE)],
        depends=[str(header) for header in (*sorted(GLUE.glob("*.h")), include / "pyd2_hook.h")],
        **options,
    )
    return ffi


def extensions() -> list[Extension]:
    """Return what setuptools is to build."""
    extension: Any = make().distutils_extension("build")
    return [extension]
