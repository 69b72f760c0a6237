"""Build the compiled parts of pyd2. Without one of them pyd2 works, and lacks what its builder says.

The metadata is in pyproject.toml.
"""

import os
import sys
from importlib import import_module
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
CBRIDGE = ROOT / "cbridge"
sys.path.insert(0, str(CBRIDGE))

# The modules in cbridge/. Each offers extensions(), and WITHOUT: what an installation without them lacks.
BUILDERS = [import_module(name) for name in ("build_hook", "build_kea", "build_wire")]
EXTENSIONS = [(extension, builder.WITHOUT) for builder in BUILDERS for extension in builder.extensions()]
WITHOUT = {extension.name: without for extension, without in EXTENSIONS}

BRIDGE = import_module("build_kea")
REQUIRED = BRIDGE.find().module() if os.environ.get("PYD2_REQUIRE_BRIDGE") else ""
"""What must be built: pip shows nothing of a build unless it fails."""

# What an installation needs later: pyd2ctl bridge finds it in the package, or, in a checkout, beside it.
FOR_PYD2CTL = [CBRIDGE / "build_kea.py", CBRIDGE / "include" / "pyd2_hook.h", *sorted(CBRIDGE.glob("kea/*"))]


class BuildWhatCanBe(build_ext):
    """Names what cannot be built here, for want of a compiler as a rule; setuptools goes on without it."""

    def run(self) -> None:
        """Build what can be, then say which part is missing: at the end, behind all that compilers print."""
        lacking = BRIDGE.missing()
        without = f"pyd2: {BRIDGE.WITHOUT}: missing {lacking}; install that, then run pyd2ctl bridge build\n"
        if lacking and REQUIRED:
            raise SystemExit(without)
        super().run()
        if lacking:
            sys.stderr.write(without)

    def build_extension(self, ext: Extension) -> None:
        """Build one extension, or say in one line what will be missing."""
        try:
            super().build_extension(ext)
        except Exception:
            sys.stderr.write(f"pyd2: {ext.name} cannot be built here: {WITHOUT[ext.name]}\n")
            raise


class BuildWithSources(build_py):
    """Puts into the package what pyd2ctl bridge builds from, and the header for hook libraries."""

    def run(self) -> None:
        """Copy the package, then these files."""
        super().run()
        if not self.editable_mode:
            for source in FOR_PYD2CTL:
                target = Path(self.build_lib, "pyd2", source.relative_to(ROOT))
                self.mkpath(str(target.parent))
                self.copy_file(str(source), str(target))


for extension, _ in EXTENSIONS:
    extension.optional = extension.name != REQUIRED
    extension.sources = [os.path.relpath(source) for source in extension.sources]  # setuptools refuses others

setup(
    ext_modules=[extension for extension, _ in EXTENSIONS],
    cmdclass={"build_ext": BuildWhatCanBe, "build_py": BuildWithSources},
)
