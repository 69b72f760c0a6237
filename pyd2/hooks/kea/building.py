"""Finds the sources of the bridge to Kea, and what is missing to build it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import ModuleType

PACKAGE: Final = Path(__file__).parents[2]
BUILD: Final = "pyd2ctl bridge build"


def release_of(hooks_version: int) -> str:
    """Return the Kea release of a hooks version: ``2.6.3`` of 20603."""
    return f"{hooks_version // 10000}.{hooks_version // 100 % 100}.{hooks_version % 100}"


def build_command(release: str) -> str:
    """Return the command that builds the bridge to a release of Kea."""
    return f"{BUILD} --kea {release}"


def sources() -> Path:
    """Return the folder cbridge: in an installation it is in the package, in a checkout beside it."""
    inside = PACKAGE / "cbridge"
    return inside if inside.is_dir() else PACKAGE.parent / "cbridge"


def builder() -> ModuleType:
    """Return the module that builds the bridge. Raises OSError when it is not there."""
    spec = importlib.util.spec_from_file_location("build_kea", sources() / "build_kea.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def missing(kea: str = "") -> str:
    """Return what is missing here to build the bridge: one line, with Debian's packages; empty: nothing.

    ``kea`` is a directory or a release; without it the bridge is for the Kea whose headers are here.
    """
    try:
        lacking: str = builder().missing(kea)
    except OSError as error:
        return f"the bridge's sources ({error})"
    return lacking


def absent(hooks_version: int) -> str:
    """Return why a compiled library is refused where the bridge is not built, and what to do."""
    release = release_of(hooks_version)
    lacking = missing(release)
    command = build_command(release)
    what_to_do = f"missing {lacking}; install that, then run {command}" if lacking else f"run {command}"
    return f"a compiled Kea hook library needs the bridge to Kea {release}, which is not built: {what_to_do}"
