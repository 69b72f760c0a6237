"""Builds ``pyd2.hooks.kea_shim_VERSION``: the bridge to one Kea, for hook libraries compiled against it.

It fits one build of Kea only, so it is compiled with the headers of that Kea and never shipped compiled. Its
name ends with the hooks version (20603 is Kea 2.6.3), so those for several releases are installed beside each
other. Without it pyd2 works, but libraries compiled for Kea do not load.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from cffi import FFI

if TYPE_CHECKING:
    from collections.abc import Sequence

    from setuptools import Extension

WITHOUT = "compiled Kea hook libraries will not load"
"""What an installation lacks without this module."""

MODULE = "pyd2.hooks.kea_shim_"
"""The module's name, without the hooks version at its end."""

SOURCES = Path(__file__).resolve().parent / "kea"

HEADERS = ("error", "elements", "keys", "configuration", "slots", "hooks", "commands", "io", "logging",
           "stats", "http")
"""The headers with the C interface, each after those that it needs."""

LIBRARIES = ("hooks", "d2srv", "process", "cfgclient", "cc", "asiolink", "dns++", "cryptolink", "log", "util",
             "exceptions", "stats", "dhcp_ddns")
"""Kea's libraries as Kea 2.6 names them, without the prefix ``kea-``."""

IN_KEA_3 = {"cfgclient": ("config", "http"), "dns++": ("dns",), "process": ("process", "cfgrpt")}
"""The libraries of Kea 3.0 in place of some of them."""

FLAGS = ["-std=c++17", "-O2", "-fvisibility=hidden"]
# All of Kea's libraries are loaded from the start, for hook libraries that were linked without them.
LINK_FLAGS = ["-Wl,-z,now", "-Wl,--no-as-needed"]

USUAL = (Path("/usr/include"), Path("/usr/local/include"))
"""Where the compiler looks by itself."""

OPT = Path("/opt")
"""Kea that was built from its sources is often below it, as kea or kea-VERSION."""

_CALLBACKS = ("version", "load", "unload", "callout", "released", "signing_begin", "signing_length",
              "signing_sign", "signing_verify", "command", "log")


class Kea(NamedTuple):
    """Where the headers and the libraries of a Kea are."""

    include: Path
    libraries: Path | None = None
    """None: where the linker looks by itself."""
    run_time: bool = False
    """Whether the bridge has to find the libraries there at run time, too."""
    wanted: str = ""
    """What was asked for, for messages."""

    def version(self) -> int:
        """Return the hooks version, such as 30003 of Kea 3.0.3; 0 when the headers are not there."""
        try:
            text = (self.include / "hooks/hooks.h").read_text()
        except OSError:
            return 0
        found = re.search(r"KEA_HOOKS_VERSION\s*=\s*(\d+)", text)
        return int(found.group(1)) if found else 0

    def module(self) -> str:
        """Return the name of the module for it."""
        return f"{MODULE}{self.version()}"

    def names(self) -> list[str]:
        """Return its libraries as the linker names them."""
        changed = IN_KEA_3 if (self.include / "process/cfgrpt/config_report.h").is_file() else {}
        return [f"kea-{name}" for old in LIBRARIES for name in changed.get(old, (old,))]


def release_of(version: int) -> str:
    """Return the release of a hooks version: ``2.6.3`` of 20603."""
    return f"{version // 10000}.{version // 100 % 100}.{version % 100}"


def find(wanted: str = "") -> Kea:
    """Return a Kea: that in a directory, or one of a release (``3.0`` or ``3.0.3``).

    Without either it is the one that ``KEA_INCLUDE_DIR`` and ``KEA_LIB_DIR`` of the environment name, else
    that in the usual places. Whether its headers are there, ``missing`` says.
    """
    if "/" in wanted or wanted in {".", ".."}:
        return _in_directory(Path(wanted).absolute())
    usual = [Kea(place / "kea", wanted=wanted) for place in USUAL]
    known = [*usual, *(_in_directory(place) for place in sorted(OPT.glob("kea*"), reverse=True))]
    if wanted:
        fit = (kea for kea in known if f"{release_of(kea.version())}.".startswith(f"{wanted}."))
        return next(fit, Kea(Path(), wanted=wanted))
    if given := os.environ.get("KEA_INCLUDE_DIR"):
        directory = os.environ.get("KEA_LIB_DIR")
        return Kea(Path(given), Path(directory) if directory else None)
    return next((kea for kea in known if kea.version()), known[0])


def _in_directory(root: Path) -> Kea:
    """Return the Kea in a directory: where it was installed to, or where packages were unpacked."""
    for prefix in (root, root / "usr"):
        if (prefix / "include/kea/hooks/hooks.h").is_file():
            own = prefix / "include" not in USUAL
            found = sorted(prefix.glob("lib*/libkea-hooks.so")) + sorted(prefix.glob("lib/*/libkea-hooks.so"))
            return Kea(prefix / "include/kea", found[0].parent if own and found else None, own, str(root))
    return Kea(root / "include/kea", wanted=str(root))


def missing(wanted: str = "") -> str:
    """Return what is missing here to build it, in one line with the packages of Debian; empty: nothing."""
    compiler = os.environ.get("CXX", "c++").split()[0]
    headers = {
        Path("boost/asio.hpp"): "Boost (Debian: libboost-dev)",
        Path("log4cplus/logger.h"): "log4cplus (Debian: liblog4cplus-dev)",
        Path(sysconfig.get_path("include"), "Python.h"): "Python (Debian: python3-dev)",
    }
    lacking = [] if shutil.which(compiler) else [f"a C++ compiler ({compiler}; Debian: g++)"]
    kea = find(wanted)
    if not kea.version():
        named = f" in {kea.wanted}" if "/" in kea.wanted else f" {kea.wanted}" if kea.wanted else ""
        lacking.append(f"the headers of Kea{named} (Debian: kea-dev)")
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


def make(kea: Kea | None = None, *, flags: Sequence[str] = (), link_flags: Sequence[str] = (),
         module: str = "") -> FFI:
    """Return the module's description for cffi; more flags go to the compiler and the linker."""
    kea = kea or find()
    ffi = FFI()
    declarations = _declarations()
    ffi.cdef(declarations + _callback_declarations(declarations))
    ffi.set_source(
        module or kea.module(),
        # One translation unit: Kea's headers are most of the compiler's work, and are read once so.
        "".join(f'#include "{name}"\n'
                for name in ("kea_abi.h", *(path.name for path in sorted(SOURCES.glob("*.cc"))))),
        source_extension=".cpp",
        include_dirs=[str(SOURCES)],
        depends=[str(path) for path in sorted(SOURCES.iterdir())],
        library_dirs=[str(kea.libraries)] if kea.libraries else [],
        libraries=[*kea.names(), "log4cplus"],
        # As system headers, because Kea's are not free of warnings.
        extra_compile_args=[*FLAGS, "-isystem", str(kea.include), *flags],
        extra_link_args=[*LINK_FLAGS, *_link_flags(kea), *link_flags],
    )
    return ffi


def _link_flags(kea: Kea) -> list[str]:
    """Return what the linker has to know of the place of Kea's libraries."""
    if kea.libraries is None:
        return []
    places = [f"-Wl,-rpath-link,{kea.libraries}"]
    # DT_RPATH, and not its successor, also holds for the hook libraries that the bridge loads.
    return [*places, "-Wl,--disable-new-dtags", f"-Wl,-rpath,{kea.libraries}"] if kea.run_time else places


def extensions() -> list[Extension]:
    """Return what setuptools is to build: nothing if prerequisites are ``missing``."""
    return [] if missing() else [cast("Extension", make().distutils_extension("build"))]
