"""The folder of the durable queue's file, and how another one takes its place: in two renames, each complete.

``pyd2-queue`` holds the database and its WAL, which so move together. What replaces it is made as
``pyd2-queue.new``, complete and on the disk; then the present one becomes ``pyd2-queue.aside-N``, and the new
one takes its place. A kill leaves at any moment either the old folder in its place, or a complete new one
that ``settle`` puts there at the next start. All functions raise StoreError, and need the directory's lock.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.queue.interface import StoreError
from pyd2.queue.sqlite import DATABASE, FOLDER
from pyd2.queue.sqlite.database import failing
from pyd2.queue.sqlite.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyd2.queue.interface import DeadLetter, Entries, Identity

NEW: Final = f"{FOLDER}.new"
_NEW_DATABASE: Final = f"{NEW}/{Path(DATABASE).name}"
_ASIDE: Final = re.compile(rf"{FOLDER}\.aside-[0-9]+")


def settle(directory: str) -> bool:
    """Finish or undo what a kill has interrupted; return whether a new folder has taken its place."""
    place, new = Path(directory, FOLDER), Path(directory, NEW)
    with failing():
        if not os.path.lexists(new):
            return False
        if os.path.lexists(place) or not _is_complete(directory):
            remove_new(directory)
            return False
        new.rename(place)
        sync(directory)
        return True


class Replaced(NamedTuple):
    """What has become of the place."""

    identity: Identity
    """What the new file is: only that may be opened as the one with these requests."""
    aside: Path | None
    """What the old folder, if there was one, is called now."""


def replace(directory: str, entries: Entries, dead: Sequence[DeadLetter]) -> Replaced:
    """Put a folder with these requests in the place."""
    place, new = Path(directory, FOLDER), Path(directory, NEW)
    with failing():
        remove_new(directory)
    with Store(directory, _NEW_DATABASE) as store:
        store.replace(entries, dead)
        identity = store.identity()
    with failing():
        give_to_owner(directory, new)
        sync(new)
        aside = None
        if os.path.lexists(place):
            names = (Path(directory, f"{FOLDER}.aside-{number}") for number in count(1))
            aside = next(name for name in names if not os.path.lexists(name))
            place.rename(aside)
            sync(directory)
        try:
            new.rename(place)
        except OSError:  # the new one was made in a directory that was moved away meanwhile
            if aside is not None:
                aside.rename(place)
            raise
        sync(directory)
        return Replaced(identity, aside)


def remove_new(directory: str) -> None:
    """Remove what was to take the place: all that is in it are copies."""
    new = Path(directory, NEW)
    if new.is_dir() and not new.is_symlink():
        shutil.rmtree(new)
    else:
        new.unlink(missing_ok=True)


def others(directory: str) -> list[Path]:
    """Return the databases of folders that were set aside."""
    with failing():
        names = sorted(path.name for path in Path(directory).iterdir() if _ASIDE.fullmatch(path.name))
        return [Path(directory, name, Path(DATABASE).name) for name in names]


def _is_complete(directory: str) -> bool:
    try:
        with Store(directory, _NEW_DATABASE, create=False, read_only=True) as store:
            return store.complete
    except StoreError:
        return False


def give_to_owner(directory: str, made: Path) -> None:
    """Give what root has made to the directory's owner: the daemon must be able to use it."""
    if os.geteuid() != 0:
        return
    owner = Path(directory).stat()
    # By descriptors: that user may put links in the place of what was made.
    place = os.open(made, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        names = os.listdir(place) if stat.S_ISDIR(os.fstat(place).st_mode) else []  # noqa: PTH208
        for name in names:
            if os.stat(name, dir_fd=place, follow_symlinks=False).st_nlink == 1:
                os.chown(name, owner.st_uid, owner.st_gid, dir_fd=place, follow_symlinks=False)
        os.fchown(place, owner.st_uid, owner.st_gid)
    finally:
        os.close(place)


def sync(directory: str | Path) -> None:
    """Have the names in a directory on the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
