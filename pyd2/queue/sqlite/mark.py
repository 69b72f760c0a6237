"""The mark beside the durable queue's file, while it is open: what a process that is killed leaves behind.

It is mapped into memory, and what is stored there outlives the process: the number of the request for which a
hook library is at work, and the length of the WAL, 8 octets each.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from typing import TYPE_CHECKING, Final

from pyd2.queue.sqlite.database import open_plain

if TYPE_CHECKING:
    from pathlib import Path

_MARK: Final = "at-work"
_SIZE: Final = 16


def map_mark(database: Path) -> mmap.mmap | None:
    """Make a new mark beside a database; None if that cannot be."""
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(database.with_name(_MARK), flags, 0o640)
    except OSError:
        return None
    try:
        os.ftruncate(file, _SIZE)
        mark = mmap.mmap(file, _SIZE)
        mark[:] = bytes(_SIZE)
    except OSError:
        return None
    else:
        return mark
    finally:
        os.close(file)


def note_size(mark: mmap.mmap, octets: int) -> None:
    """Note how long the WAL is: after a kill it must not be shorter."""
    mark[8:] = octets.to_bytes(8, "little")


def read_mark(database: Path) -> tuple[int, int]:
    """Return what a killed process has left: the number of the request, and the WAL's length; else zeros."""
    with contextlib.suppress(OSError), open_plain(database.with_name(_MARK)) as mark:
        return int.from_bytes(mark.read(8), "little"), int.from_bytes(mark.read(8), "little")
    return 0, 0


def remove_mark(database: Path) -> None:
    """Take the mark away before the WAL goes."""
    with contextlib.suppress(OSError):
        database.with_name(_MARK).unlink()
