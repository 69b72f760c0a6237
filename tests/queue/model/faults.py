"""The layer of faults.c from outside: it is compiled, and a control page says what is to go wrong."""

from __future__ import annotations

import enum
import mmap
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.kit.c_libraries import compile_library

if TYPE_CHECKING:
    from collections.abc import Sequence

SOURCE: Final = Path(__file__).with_name("faults.c")

_PATH: Final = 256
_ROOTS: Final = 4
_RECORDS: Final = 16384
_HEAD: Final = struct.Struct("<QQIIIIII")
_SIZE: Final = _HEAD.size + (_ROOTS + 1 + _RECORDS) * _PATH

KINDS: Final = ("create", "open-truncate", "write", "ftruncate", "rename", "unlink", "link", "mkdir", "rmdir",
                "fsync", "fchown", "fchmod", "flock", "allocate", "msync", "copy", "read", "open")
"""System calls; the order is that of faults.c."""


class Act(enum.IntEnum):
    """What happens at the chosen operation; the order is that of faults.c."""

    NOTHING = 0
    KILL_BEFORE = 1
    KILL_AFTER = 2
    KILL_TORN = 3
    """A part of it is written; what is no write does not happen."""
    FAIL = 4
    SHORT = 5


class Operation(NamedTuple):
    """A system call that changed a file."""

    kind: str
    path: str
    size: int


class Page:
    """The control page of one process. Operations count from 1."""

    def __init__(self, path: Path, roots: Sequence[Path], *, trace: Path | None = None) -> None:
        """Make the page; the process watches what is below ``roots``, and writes changes to ``trace``."""
        self.path: Final = path
        with path.open("wb") as file:
            file.truncate(_SIZE)
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _SIZE)
        names = [*map(str, roots), *[""] * (_ROOTS - len(roots)), "" if trace is None else str(trace)]
        for number, name in enumerate(names):
            octets = name.encode()
            assert len(octets) < _PATH
            at = _HEAD.size + number * _PATH
            self._memory[at : at + len(octets)] = octets
        if trace is not None:
            struct.pack_into("<I", self._memory, 36, 1)

    @property
    def count(self) -> int:
        """Operations so far."""
        number: int = struct.unpack_from("<Q", self._memory, 0)[0]
        return number

    def act(self, at: int, act: Act, error: int = 0) -> None:
        """Let something happen at an operation."""
        struct.pack_into("<Q", self._memory, 8, 0)
        struct.pack_into("<II", self._memory, 16, act, error)
        struct.pack_into("<Q", self._memory, 8, at)

    def state(self, error: int) -> None:
        """Let the disk fail with an error from now on; 0: it works."""
        struct.pack_into("<I", self._memory, 24, error)

    def hang(self, on: bool) -> None:
        """Let all operations wait, or no longer."""
        struct.pack_into("<I", self._memory, 28, on)

    @property
    def hung(self) -> int:
        """Operations that wait."""
        number: int = struct.unpack_from("<I", self._memory, 32)[0]
        return number

    def operations(self) -> list[Operation]:
        """Return what was done; of very many the first."""
        found = []
        for number in range(min(self.count, _RECORDS)):
            at = _HEAD.size + (_ROOTS + 1 + number) * _PATH
            kind, size = struct.unpack_from("<II", self._memory, at)
            name = self._memory[at + 8 : at + _PATH].split(b"\0", 1)[0].decode()
            found.append(Operation(KINDS[kind - 1] if kind else "?", name, size))
        return found

    def close(self) -> None:
        """Let the page go; a process that uses it keeps it."""
        self._memory.close()
        self.path.unlink(missing_ok=True)


def compiled(directory: Path) -> Path:
    """Compile the layer into a directory."""
    return compile_library(SOURCE, directory / "faults.so", "-O1")
