"""What is left of a file that cannot be used as it is."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.queue.interface import DATABASE, DeadLetter, Entry, Identity, StoreError, os_fault
from pyd2.queue.sqlite import folder, wal
from pyd2.queue.sqlite.database import open_plain
from pyd2.queue.sqlite.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MOST_COUNTED: Final = 64 * 1024 * 1024
"""Octets of a file whose requests are counted, at most."""
_PIECE: Final = 1024 * 1024


class Found(NamedTuple):
    """What could be read."""

    entries: list[Entry]
    dead: list[DeadLetter]
    identity: Identity | None
    """What the file is; None when that cannot be read."""


def examine(directory: str, step: Callable[[], None]) -> str:
    """Look at the WAL before SQLite opens the file; return what is to be told of it.

    Raises StoreError when SQLite would leave out what was committed.
    """
    path = Path(directory, DATABASE + "-wal")
    try:
        verdict = wal.examine(path, step)
    except OSError as error:
        raise os_fault(error) from error
    if verdict is None:
        return ""
    text = (f"{path}: frame {verdict.frame} is damaged, and SQLite would leave out "
            f"{verdict.commits} commits from there on")  # fmt: skip
    if verdict.lost:
        raise StoreError(text, damaged=True)
    return text


def salvage(directory: str | Path, name: str = DATABASE) -> list[Entry]:
    """Return the requests that can be read of a file; see ``read_copy``."""
    return read_copy(directory, name).entries


def read_copy(
    directory: str | Path, name: str = DATABASE, *, locked: bool = False,
    step: Callable[[], None] = lambda: None,
) -> Found:
    """Return what can be read of a file that is damaged or cannot be written.

    It is read from a copy, for SQLite writes where it reads. ``locked``: the copy may be in the directory,
    where a start removes it after a kill. Raises StoreError when the file cannot be read, or is none of ours.
    """
    path = Path(directory, name)
    with _scratch(str(directory) if locked else None) as scratch:
        copy = Path(scratch, path.name)
        try:
            for suffix in ("", "-wal"):
                with contextlib.suppress(FileNotFoundError):
                    _copy(Path(f"{path}{suffix}"), Path(f"{copy}{suffix}"), step)
            wal.mend(Path(f"{copy}-wal"))
            found = path.stat()
        except FileNotFoundError:
            return Found([], [], None)
        except OSError as error:
            raise os_fault(error) from error
        try:
            store = Store(scratch, copy.name, read_only=True, create=False, step=step)
        except StoreError as error:
            if error.foreign:
                raise
            return Found([], [], None)
        try:
            entries = store.readable()
            dead: list[DeadLetter] = []
            identity = None
            with contextlib.suppress(StoreError):
                identity = Identity(found.st_dev, found.st_ino, store.identity().generation)
                dead = store.read_dead(sound=True)
            return Found(entries, dead, identity)
        finally:
            store.close()


def count(path: Path, step: Callable[[], None]) -> int | None:
    """Return how many requests a file holds; None when that cannot be told, or would take long."""
    try:
        store = Store(path.parent, path.name, read_only=True, create=False, step=step)
        try:
            return store.count()
        finally:
            store.close()
    except StoreError as error:
        with contextlib.suppress(StoreError, OSError):
            if error.damaged and path.stat().st_size <= _MOST_COUNTED:
                return len(read_copy(path.parent, path.name, step=step).entries) or None
    return None


def _copy(source: Path, target: Path, step: Callable[[], None]) -> None:
    with open_plain(source) as read, target.open("wb") as written:
        while piece := read.read(_PIECE):
            written.write(piece)
            step()


@contextlib.contextmanager
def _scratch(directory: str | None) -> Iterator[str]:
    """Make a directory for a copy."""
    new = Path(directory, folder.NEW) if directory is not None else None
    if new is not None:
        try:
            folder.remove_new(str(directory))
            new.mkdir(0o750)
        except OSError:
            new = None  # it cannot be written
    try:
        place = tempfile.TemporaryDirectory(prefix=f"{folder.NEW}-", dir=new)
    except OSError as error:
        raise os_fault(error) from error
    with place:
        yield place.name
