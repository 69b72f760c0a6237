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
_LOADER_CACHE: Final = Path("/etc/ld.so.cache")
_MOST_LIBRARIES: Final = 64
"""Libraries of Kea that are read for one hook library."""


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
    other = None if library is None else _foreign(library, [Path(each) for each in kea])
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


def _foreign(library: SharedObject, kea: list[Path]) -> Foreign | None:
    loaded = {found[1]: found[2] for path in kea if (found := _KEA_LIBRARY.fullmatch(path.name))}
    folders = dict.fromkeys(path.parent for path in kea)
    waiting = [name for name in library.needed if _KEA_LIBRARY.fullmatch(name)]
    seen: set[str] = set()
    while waiting and len(seen) < _MOST_LIBRARIES:
        name = waiting.pop(0)
        found = _KEA_LIBRARY.fullmatch(name)
        if found is None or name in seen:
            continue
        seen.add(name)
        stem, number = found.groups()
        ours = loaded.get(stem)
        if ours is None:  # one that the bridge does not need itself: it leads to others
            waiting += _needed_by(name, folders)
        elif ours != number:
            return Foreign(name, f"{stem}.so.{ours}", library.version, _is_found(name, library, folders))
    return None


def _needed_by(name: str, folders: Iterable[Path]) -> tuple[str, ...]:
    """Return what a library of Kea beside the loaded ones needs; nothing when it is not there."""
    for folder in folders:
        try:
            there = _read(str(folder / name))
        except ElfError:
            continue
        if there is not None:
            return there.needed
    return ()


def _is_found(name: str, library: SharedObject, folders: Iterable[Path]) -> bool:
    """Say whether the system's loader would find a library that another one needs."""
    places = [*os.environ.get("LD_LIBRARY_PATH", "").split(":"), *library.search, *map(str, folders)]
    if any(place and Path(place, name).exists() for place in places):
        return True
    try:
        return b"\0" + name.encode() + b"\0" in _LOADER_CACHE.read_bytes()
    except OSError:
        return False
