"""Finds the sources of the bridge to Kea, and what is missing to build it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import ModuleType

PACKAGE: Final = Path(__file__).parents[2]
_NOT_BUILT: Final = "a compiled Kea hook library needs the bridge to Kea, which is not built"
BUILD: Final = "pyd2ctl bridge build"


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


def missing() -> str:
    """Return what is missing here to build the bridge: one line, with Debian's packages; empty: nothing."""
    try:
        lacking: str = builder().missing()
    except OSError as error:
        return f"the bridge's sources ({error})"
    return lacking


def absent() -> str:
    """Return why a compiled library is refused where the bridge is not built, and what to do."""
    lacking = missing()
    what_to_do = f"missing {lacking}; install that, then run {BUILD}" if lacking else f"run {BUILD}"
    return f"{_NOT_BUILT}: {what_to_do}"
