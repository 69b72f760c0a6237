"""Builds ``pyd2.hooks.kea_shim``: the bridge to the installed Kea, for hook libraries compiled against it.

It fits one build of Kea only, so it is compiled with the headers of the installed Kea and never shipped
compiled. Without it pyd2 works, but libraries compiled for Kea do not load.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, cast

from cffi import FFI

if TYPE_CHECKING:
    from collections.abc import Sequence

    from setuptools import Extension

WITHOUT = "compiled Kea hook libraries will not load"
"""What an installation lacks without this module."""

MODULE = "pyd2.hooks.kea_shim"
SOURCES = Path(__file__).resolve().parent / "kea"

HEADERS = ("error", "elements", "keys", "configuration", "slots", "hooks", "commands", "io", "logging",
           "stats")
"""The headers with the C interface, each after those that it needs."""

LIBRARIES = ("hooks", "d2srv", "process", "cfgclient", "cc", "asiolink", "dns++", "cryptolink", "log", "util",
             "exceptions", "stats", "dhcp_ddns")
"""Kea's libraries as Kea 2.6 names them, without the prefix ``kea-``."""

IN_KEA_3 = {"cfgclient": ("config",), "dns++": ("dns",), "process": ("process", "cfgrpt")}
"""The libraries of Kea 3.0 in place of some of them."""

FLAGS = ["-std=c++17", "-O2", "-fvisibility=hidden"]
# All of Kea's libraries are loaded from the start, for hook libraries that were linked without them.
LINK_FLAGS = ["-Wl,-z,now", "-Wl,--no-as-needed"]

USUAL = (Path("/usr/include"), Path("/usr/local/include"))
"""Where the compiler looks by itself."""

_CALLBACKS = ("version", "load", "unload", "callout", "released", "signing_begin", "signing_length",
              "signing_sign", "signing_verify", "command", "log")


def include_directory() -> Path:
    """Return where Kea's headers are: ``KEA_INCLUDE_DIR`` of the environment, else the usual places."""
    given = os.environ.get("KEA_INCLUDE_DIR")
    places = (Path(given),) if given else (*(place / "kea" for place in USUAL), Path("/opt/kea/include/kea"))
    return next((place for place in places if (place / "hooks/hooks.h").is_file()), places[0])


def libraries() -> list[str]:
    """Return Kea's libraries as the linker names them: those of the Kea whose headers are here."""
    changed = IN_KEA_3 if (include_directory() / "process/cfgrpt/config_report.h").is_file() else {}
    return [f"kea-{name}" for old in LIBRARIES for name in changed.get(old, (old,))]


def missing() -> str:
    """Return what is missing here to build it, in one line with the packages of Debian; empty: nothing."""
    compiler = os.environ.get("CXX", "c++").split()[0]
    headers = {
        include_directory() / "hooks/hooks.h": "Kea (Debian: kea-dev)",
        Path("boost/asio.hpp"): "Boost (Debian: libboost-dev)",
        Path("log4cplus/logger.h"): "log4cplus (Debian: liblog4cplus-dev)",
        Path(sysconfig.get_path("include"), "Python.h"): "Python (Debian: python3-dev)",
    }
    lacking = [] if shutil.which(compiler) else [f"a C++ compiler ({compiler}; Debian: g++)"]
    lacking += [f"the headers of {what}" for header, what in headers.items()
                if not any((place / header).is_file() for place in USUAL)]
    if importlib.util.find_spec("setuptools") is None:  # cffi calls the compiler through it
        lacking.append(f"setuptools ({sys.executable} -m pip install setuptools)")
    return ", ".join(lacking)


def _declarations() -> str:
    """Return the declarations of the C interface, without comments, as cffi reads them."""
    parts = []
    for name in HEADERS:
        text = (SOURCES / f"{name}.h").read_text()
        part = text.partition("/* C interface */")[2].partition("/* end of the C interface */")[0]
        parts.append(re.sub(r"/\*.*?\*/", "", part, flags=re.DOTALL))
    return "\n".join(parts)


def _callback_declarations(declarations: str) -> str:
    """Return the callbacks of kb_callbacks as functions written in Python, ``kb_py_NAME``."""
    body = declarations.partition("typedef struct kb_callbacks {")[2].partition("}")[0]
    declared = re.findall(r"(\w+) \(\*(\w+)\)(\([^)]*\));", body)
    assert [name for _, name, _ in declared] == list(_CALLBACKS)
    return "".join(f'extern "Python" {kind} kb_py_{name}{arguments};\n' for kind, name, arguments in declared)


def make(*, flags: Sequence[str] = (), link_flags: Sequence[str] = (), module: str = MODULE) -> FFI:
    """Return the module's description for cffi; more flags go to the compiler and the linker."""
    include = include_directory()
    ffi = FFI()
    declarations = _declarations()
    ffi.cdef(declarations + _callback_declarations(declarations))
    ffi.set_source(
        module,
        # One translation unit: Kea's headers are most of the compiler's work, and are read once so.
        "".join(f'#include "{name}"\n'
                for name in ("kea_abi.h", *(path.name for path in sorted(SOURCES.glob("*.cc"))))),
        source_extension=".cpp",
        include_dirs=[str(SOURCES)],
        depends=[str(path) for path in sorted(SOURCES.iterdir())],
        library_dirs=[directory] if (directory := os.environ.get("KEA_LIB_DIR", "")) else [],
        libraries=[*libraries(), "log4cplus"],
        # As system headers, because Kea's are not free of warnings.
        extra_compile_args=[*FLAGS, "-isystem", str(include), *flags],
        extra_link_args=[*LINK_FLAGS, *link_flags],
    )
    return ffi


def extensions() -> list[Extension]:
    """Return what setuptools is to build: nothing if prerequisites are ``missing``."""
    return [] if missing() else [cast("Extension", make().distutils_extension("build"))]
