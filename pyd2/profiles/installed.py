"""Which Kea release pyd2 behaves like on this machine. It is looked up once, at the start.

The line in ``/etc/pyd2/kea-version`` says it. Without that file it is the Kea whose libraries are installed,
the newest if there are several; without any, ``DEFAULT``. No environment variable counts: tools that start
the program to read its version (Stork, for example) do so in an environment of their own.

Nothing of Kea is loaded or run: the version stands as a text in one of its libraries.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.profiles.release import DEFAULT, NEWEST, UnknownReleaseError, known_series, nearest, release_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyd2.profiles.release import Release

VERSION_FILE: Final = "/etc/pyd2/kea-version"

_LIBRARY: Final = "libkea-process.so."
"""The library that prints the version at the start of each daemon of Kea."""
_MOST_LIBRARY: Final = 1 << 22
"""Octets that are read of it; it has 350,000 in Kea 2.6.3."""
_MOST_FILE: Final = 4096
_LONGEST_VERSION: Final = 12


class VersionFileError(Exception):
    """The file that names the release is of no use; the text says where, why, and what to do."""


class Installed(NamedTuple):
    """The release that pyd2 behaves like."""

    release: Release
    remark: str = ""
    """What an operator should know of the choice; empty: nothing."""


def library_directories() -> tuple[str, ...]:
    """Return where the distributions install libraries on this kind of machine, and what is built there."""
    machine = os.uname().machine
    triplet = getattr(sys.implementation, "_multiarch", "") or f"{machine}-linux-gnu"
    return tuple(f"{prefix}/{name}" for prefix in ("/usr", "/usr/local")
                 for name in (f"lib/{triplet}", "lib64", "lib"))


def installed(version_file: str = VERSION_FILE, directories: Sequence[str] | None = None) -> Installed:
    """Return the release that pyd2 behaves like on this machine. Raises VersionFileError."""
    written = _written(version_file)
    if written is not None:
        return Installed(written)
    faults: list[str] = []
    found = _newest(library_directories() if directories is None else directories, faults)
    if found is None:
        reasons = "; ".join(faults)
        return Installed(DEFAULT, reasons and (
            f"cannot look for an installed Kea ({reasons}): pyd2 behaves like Kea {DEFAULT.version}. "
            f"To choose a release, write its version into {version_file}"
        ))
    try:
        return Installed(release_of(found))
    except UnknownReleaseError:
        release = nearest(found)
        return Installed(release, (
            f"Kea {found} is installed, but pyd2 knows Kea {known_series()}: it behaves like Kea "
            f"{release.version}. To choose a release, write its version into {version_file}"
        ))


def _written(path: str) -> Release | None:
    """Return the release that the file names, None without a file."""
    try:
        with open(path, "rb", buffering=0, opener=_open_without_waiting) as file:
            text = file.read(_MOST_FILE) or b""
    except FileNotFoundError:
        return None
    except OSError as error:
        raise VersionFileError(
            f"{path}: {error.strerror}; make it readable for all users, or remove it"
        ) from error
    line = text.decode("latin-1").split("\n")[0].strip()
    try:
        return release_of(line)
    except UnknownReleaseError as error:
        shown = line[:40].encode("unicode_escape").decode("ascii")
        example = next((release for release in NEWEST if line.startswith(release.series)), DEFAULT)
        raise VersionFileError(
            f"{path}:1: '{shown}' is no release that pyd2 knows (Kea {known_series()}); write one such as "
            f"{example.version} in the first line, or remove the file"
        ) from error


def _open_without_waiting(path: str, flags: int) -> int:
    """Open a file that may be a FIFO without a writer."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _newest(directories: Sequence[str], faults: list[str]) -> str | None:
    """Return the version of the newest Kea in these directories, None if there is none.

    What cannot be read is added to ``faults``.
    """
    paths = _libraries(directories, faults)
    versions = [version for path in paths if (version := library_version(path, faults))]
    return max(versions, key=lambda version: tuple(map(int, version.split("."))), default=None)


def _libraries(directories: Sequence[str], faults: list[str]) -> Iterator[str]:
    """Yield the libraries of all Keas; a link and what it leads to count once."""
    seen = set()
    for directory in directories:
        try:
            names = os.listdir(directory)  # noqa: PTH208  pathlib takes longer to import than all of this
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            faults.append(f"{directory}: {error.strerror}")
            continue
        for name in names:
            if name.startswith(_LIBRARY):
                path = os.path.realpath(f"{directory}/{name}")
                if path not in seen:
                    seen.add(path)
                    yield path


def library_version(path: str, faults: list[str]) -> str | None:
    """Return the version of Kea that its process library has in its constants; None if it has none.

    It is a text of three numbers with dots between them, with a NUL before and after it. What cannot be read
    is added to ``faults``.
    """
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            data = file.read(_MOST_LIBRARY)
    except FileNotFoundError:  # a link that leads nowhere
        return None
    except OSError as error:
        faults.append(f"{path}: {error.strerror}")
        return None
    for major in (3, 2, 4, 5, 6, 7, 8, 9, 1):  # the likely ones first
        begin = b"\0%d." % major
        start = data.find(begin)
        while start >= 0:
            end = data.find(b"\0", start + 1, start + _LONGEST_VERSION)
            parts = data[start + 1 : max(end, 0)].split(b".")
            if len(parts) == 3 and all(part.isdigit() for part in parts):
                return ".".join(str(int(part)) for part in parts)
            start = data.find(begin, start + 1)
    return None
