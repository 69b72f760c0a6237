"""What can be read of a file that cannot be used as it is."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.queue.interface import DeadLetter, Entry, Identity, StoreError
from pyd2.queue.sqlite import DATABASE, folder, wal
from pyd2.queue.sqlite.database import failing, open_plain
from pyd2.queue.sqlite.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MOST_COUNTED: Final = 64 * 1024 * 1024
"""Octets of a damaged file whose requests are counted, at most."""
_PIECE: Final = 1024 * 1024


class Found(NamedTuple):
    """What could be read."""

    entries: list[Entry]
    dead: list[DeadLetter]
    identity: Identity | None
    """What the file is; None when that cannot be read."""


def salvage(
    directory: str | Path, name: str = DATABASE, *, locked: bool = False,
    step: Callable[[], None] = lambda: None,
) -> Found:
    """Return what can be read of a file that is damaged or cannot be written.

    It is read from a copy, for SQLite writes where it reads. ``locked``: the copy may be in the directory,
    where a start removes it after a kill. Raises StoreError when the file cannot be read, or is not pyd2's.
    """
    path = Path(directory, name)
    dead: list[DeadLetter] = []
    identity = None
    with _scratch(str(directory) if locked else None) as scratch:
        copy = Path(scratch, path.name)
        with failing():
            for suffix in ("", "-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    _copy(Path(f"{path}{suffix}"), Path(f"{copy}{suffix}"), step)
            if not copy.exists():
                return Found([], [], None)
            wal.mend(Path(f"{copy}-wal"))
            place = path.stat()
        try:
            with Store(scratch, copy.name, read_only=True, create=False, step=step) as store:
                entries = store.readable()
                with contextlib.suppress(StoreError):
                    identity = Identity(place.st_dev, place.st_ino, store.identity().generation)
                    dead = store.read_dead(sound=True)
        except StoreError as error:
            if error.foreign:
                raise
            return Found([], [], None)
        return Found(entries, dead, identity)


def count(path: Path, step: Callable[[], None] = lambda: None) -> int | None:
    """Return how many requests a file holds; None when that is unknown, or would take long."""
    try:
        with Store(path.parent, path.name, read_only=True, create=False, step=step) as store:
            return store.count()
    except StoreError as error:
        with contextlib.suppress(StoreError, OSError):
            if error.damaged and path.stat().st_size <= _MOST_COUNTED:
                return len(salvage(path.parent, path.name, step=step).entries) or None
    return None


def _copy(source: Path, target: Path, step: Callable[[], None]) -> None:
    with open_plain(source) as read, target.open("wb") as written:
        while piece := read.read(_PIECE):
            written.write(piece)
            step()


@contextlib.contextmanager
def _scratch(directory: str | None) -> Iterator[str]:
    """Make a directory for a copy."""
    new = None
    if directory is not None:
        with contextlib.suppress(OSError):  # it cannot be written
            folder.remove_new(directory)
            Path(directory, folder.NEW).mkdir(0o750)
            new = Path(directory, folder.NEW)
    with failing():
        place = tempfile.TemporaryDirectory(prefix=f"{folder.NEW}-", dir=new)
    with place:
        yield place.name
