"""Finds out, without opening it, whether a compiled library belongs to another Kea than the loaded one.

Kea's releases have libraries of different names, so several are installed beside each other, and a library
that is opened brings those that it was linked with. Two Keas in one process end it: Kea's own server, too.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.errors import HookError
from pyd2.hooks.kea.building import release_of
from pyd2.hooks.kea.elf import ElfError, read
from pyd2.regular import open_regular

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyd2.hooks.kea.elf import SharedObject

_KEA_LIBRARY: Final = re.compile(r"(libkea-[\w+-]+)\.so\.([\w.]+)")
_ORIGIN: Final = re.compile(r"\$(?:ORIGIN\b|\{ORIGIN\})")
"""The folder of the library itself, in the list of directories that it has for the loader."""
_LOADER_CACHE: Final = Path("/etc/ld.so.cache")
_MOST_LIBRARIES: Final = 256
"""That are looked at for one hook library."""


class Foreign(NamedTuple):
    """A library of another Kea."""

    needed: str
    """The library of that Kea that it needs."""
    ours: str
    """The one of that name that is loaded; empty when that Kea has another set of names."""
    version: int | None
    """The hooks version for which it was compiled, if its code shows it."""
    found: bool
    """Whether the system's loader would find what it needs."""

    def what_to_do(self, loaded: int) -> str:
        """Return what is wrong and what to do; ``loaded`` is the hooks version of the loaded Kea."""
        compiled = f"Kea {release_of(self.version)}" if self.version else "another Kea"
        instead = f", and {self.ours} is loaded" if self.ours else ""
        return (f"it was compiled for {compiled} (it needs {self.needed}{instead}), and two Keas in one "
                f"process would end it: compile it for Kea {release_of(loaded)}")


def foreign(path: str, kea: Iterable[str]) -> Foreign | None:
    """Return what of another Kea a library needs; None if there is nothing.

    ``kea`` are the paths of the loaded Kea's libraries. Raises HookError with the reason of HOOKS_OPEN_ERROR
    for a file that the system's loader must not open: it is malformed, as one that was copied in part is.
    """
    try:
        return _found(path, kea)
    except ElfError as error:
        raise HookError(f"{path}: {error}") from error


def _found(path: str, kea: Iterable[str]) -> Foreign | None:
    library = _read(path)
    other = None if library is None else _foreign(path, library, [Path(each) for each in kea])
    if other is None:
        return None
    found = _read(path, with_version=True)
    return other if found is None else other._replace(version=found.version)


def _read(path: str, *, with_version: bool = False) -> SharedObject | None:
    try:
        fd = open_regular(path)
    except (OSError, ValueError):
        return None  # the loader says why
    try:
        return read(fd, with_version=with_version)
    finally:
        os.close(fd)


def _foreign(path: str, library: SharedObject, kea: list[Path]) -> Foreign | None:
    """Follow what a library needs, and what that needs, to a library of another Kea."""
    loaded = {found[1]: found[2] for each in kea if (found := _KEA_LIBRARY.fullmatch(each.name))}
    folders = [*os.environ.get("LD_LIBRARY_PATH", "").split(":"),
               *dict.fromkeys(str(each.parent) for each in kea)]
    waiting = [(Path(path), library)]
    seen: set[str] = set()
    while waiting and len(seen) < _MOST_LIBRARIES:
        here, needing = waiting.pop(0)
        origin = str(here.parent).replace("\\", r"\\")
        places = [*(_ORIGIN.sub(origin, place) for place in needing.search), *folders]
        for name in needing.needed:
            if name in seen:
                continue
            seen.add(name)
            found = _KEA_LIBRARY.fullmatch(name)
            ours = None if found is None else loaded.get(found[1])
            if found is not None and ours == found[2]:
                continue
            there = _find(name, places)
            if found is not None and ours is not None:
                return Foreign(name, f"{found[1]}.so.{ours}", library.version, there is not None)
            # One of Kea's that the bridge does not need itself, or another one: it may lead to others.
            needed = None if there is None else _read_any(there)
            if there is not None and needed is not None:
                waiting.append((there, needed))
    return None


def _read_any(path: Path) -> SharedObject | None:
    """Read a library that a hook library needs; None where that is not possible."""
    try:
        return _read(str(path))
    except ElfError:
        return None


def _find(name: str, places: Iterable[str]) -> Path | None:
    """Return where the system's loader would find a library: in one of the places, or as its cache says."""
    for place in places:
        path = Path(place, name)
        if place and os.access(path, os.R_OK):
            return path
    try:
        cache = _LOADER_CACHE.read_bytes()
    except OSError:
        return None
    # The cache shares the ends of its texts: a name alone is the end of its path.
    found = re.search(rb"/[^\0]*/" + re.escape(os.fsencode(name)) + rb"\0", cache)
    return None if found is None else Path(os.fsdecode(found[0][:-1]))
