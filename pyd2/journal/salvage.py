"""What is left of a file that cannot be used as it is."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pyd2.journal.entry import DATABASE, StoreError
from pyd2.journal.store import Store

if TYPE_CHECKING:
    from pyd2.journal.entry import Entry


def _files(directory: str, name: str) -> list[Path]:
    """Return the database and what SQLite may keep beside it."""
    return [Path(directory, name + suffix) for suffix in ("", "-wal", "-shm")]


def _scratch(directory: str) -> tempfile.TemporaryDirectory[str]:
    """Return a directory for a copy: in the queue's own, where the daemon may write if it may anywhere."""
    prefix = "pyd2-queue-"
    try:
        return tempfile.TemporaryDirectory(prefix=prefix, dir=directory)
    except OSError:
        pass
    try:
        return tempfile.TemporaryDirectory(prefix=prefix)
    except OSError as error:
        raise StoreError(f"{error.filename}: {error.strerror}") from error


def salvage(directory: str, name: str = DATABASE) -> list[Entry]:
    """Return the entries that can be read of a file that is damaged or cannot be written.

    It is read from a copy, for SQLite writes where it reads. Raises StoreError when the file cannot be read
    at all, or is none of ours.
    """
    with _scratch(directory) as copy:
        try:
            for file in _files(directory, name)[:2]:
                with contextlib.suppress(FileNotFoundError):
                    shutil.copyfile(file, Path(copy, file.name))
        except OSError as error:
            raise StoreError(f"{error.filename}: {error.strerror}") from error
        try:
            store = Store(copy, name, read_only=True)
        except StoreError as error:
            if error.foreign:
                raise
            return []
        try:
            return store.readable()
        finally:
            store.close()


def set_aside(directory: str) -> Path:
    """Rename the file, so that a new one can be made in its place; return its new name. Raises StoreError."""
    database, *others = _files(directory, DATABASE)
    number = 1
    while (aside := Path(directory, f"{DATABASE}.aside-{number}")).exists():
        number += 1
    try:
        for other in others:
            if other.exists():
                other.rename(Path(directory, aside.name + other.name.removeprefix(DATABASE)))
        database.rename(aside)
    except OSError as error:
        raise StoreError(f"{error.filename}: {error.strerror}") from error
    return aside
