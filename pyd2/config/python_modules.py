"""Which Python modules ``hooks-libraries`` may name. They are found without importing anything.

A module below the directory of the hook libraries is allowed, as a file in it is. Any other must be declared
by an installed package, in its entry points of the group ``pyd2.hooks``: so a configuration, in a file or in
a command, cannot run an arbitrary module of Python's path.
"""

from __future__ import annotations

import os
import re
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec

GROUP: Final = "pyd2.hooks"
"""The group of entry points in which a package declares its hook libraries; the value is the module."""

_MODULE: Final = re.compile(r"\s*([\w.]+)\s*(?::|\[|$)")
_SOURCE: Final = ".py"


class Found(NamedTuple):
    """Where a module is."""

    path: str
    """Its source; of a package the ``__init__.py``."""
    is_package: bool
    declared: bool
    """Whether an installed package declares it; else it lies below the hooks directory."""


def find_module(module: str, directory: str) -> Found:
    """Return the place of a module that may be a hook library.

    Raises LookupError when it may not be one, with what to do, or when its source cannot be found.
    """
    parts = module.split(".")
    if all(part.isidentifier() for part in parts):
        below = _below(directory, parts)
        if below is not None:
            return below
        if module in _declared():
            return _installed(parts)
    raise LookupError(
        f"module '{module}' is neither below '{directory}' nor declared by an installed package: "
        f"put it there, or declare it in the package's entry points, group {GROUP}"
    )


def _below(directory: str, parts: Sequence[str]) -> Found | None:
    place = Path(directory, *parts)
    for path, is_package in ((place / "__init__.py", True), (place.with_name(parts[-1] + _SOURCE), False)):
        if directory and os.path.isfile(path):  # noqa: PTH113  that of Path raises for too long a name
            return Found(str(path), is_package, declared=False)
    return None


def _declared() -> set[str]:
    try:
        entries = entry_points(group=GROUP)
    except Exception as error:  # what a package has installed there may be anything
        raise LookupError(f"the entry points of the installed packages cannot be read: {error}") from error
    return {found.group(1) for entry in entries if (found := _MODULE.match(entry.value))}


def _installed(parts: Sequence[str]) -> Found:
    """Find a module on Python's path as an import would, from the top down, and import nothing."""
    path: Sequence[str] | None = None
    spec = None
    for end in range(1, len(parts) + 1):
        name = ".".join(parts[:end])
        if end > 1 and not path:
            raise LookupError(f"No module named '{name}'; '{'.'.join(parts[: end - 1])}' is not a package")
        spec = _spec(name, path)
        if spec is not None and spec.origin is not None:
            path = spec.submodule_search_locations
        else:
            # A folder without __init__.py; Python's own list of its places needs the package above imported.
            places = [Path(one, parts[end - 1]) for one in (sys.path if path is None else path)]
            path = [str(place) for place in places if place.is_dir()]
            if not path:
                raise LookupError(f"No module named '{name}'")
    if spec is None or spec.origin is None or not spec.origin.endswith(_SOURCE):
        raise LookupError(f"module '{'.'.join(parts)}' has no Python source")
    return Found(spec.origin, spec.submodule_search_locations is not None, declared=True)


def _spec(name: str, path: Sequence[str] | None) -> ModuleSpec | None:
    try:
        found = (finder.find_spec(name, path) for finder in sys.meta_path)
        return next((spec for spec in found if spec is not None), None)
    except KeyError:  # a folder without __init__.py, in a package that is not imported
        return None
    except Exception as error:
        raise LookupError(f"module '{name}' cannot be looked for: {error}") from error
