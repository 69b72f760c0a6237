"""The database without its daemon: read beside one, or changed while none uses it. See OfflineStores."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from pyd2.queue.interface import Entries, StoreError
from pyd2.queue.sqlite import DATABASE, FOLDER, folder, wal
from pyd2.queue.sqlite.lock import DirectoryLock
from pyd2.queue.sqlite.salvage import salvage
from pyd2.queue.sqlite.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyd2.queue.interface import DeadLetter, Entry


def read(path: str, *, dead: bool) -> tuple[Sequence[Entry | DeadLetter], StoreError | None]:
    """Return the requests of a directory, or of a folder or file in it, and why some may be missing."""
    place = Path(path)
    if not place.is_file():
        place /= Path(DATABASE).name if (place / Path(DATABASE).name).is_file() else DATABASE
    _must_exist(place)
    directory, name = str(place.parent), place.name
    try:
        if place.parent.name != FOLDER:  # nothing writes it: it was set aside
            wal.examine(place.with_name(f"{name}-wal"), lambda: None)
        with Store(directory, name, read_only=True) as store:
            return store.read_dead() if dead else store.read(), None
    except StoreError as error:
        if error.foreign:
            raise
        found = salvage(directory, name)
        return found.dead if dead else found.entries, error


@contextlib.contextmanager
def change(directory: str) -> Iterator[Store]:
    """Open the store of a directory, and close it at the end."""
    if not Path(directory, folder.NEW).is_dir():  # which a kill may have left before it took the place
        _must_exist(Path(directory, DATABASE))
    with _locked(directory):
        folder.settle(directory)
        _must_exist(Path(directory, DATABASE))
        with _opened(directory) as store:
            yield store


def move(directory: str, to: str) -> tuple[int, int]:
    """Move all that a store holds; return how many requests, and dead letters.

    The target notes which file it took over, so that a kill before the removal does not double requests.
    """
    is_new = not Path(to).exists()
    with change(directory) as source, _locked(to):
        if is_new:
            folder.give_to_owner(directory, Path(to))
        folder.settle(to)
        if not Path(to, DATABASE).exists():
            folder.replace(to, Entries([], [], []), [])
        with _opened(to) as target:
            entries, dead = source.read(), source.read_dead()
            generation = source.identity().generation
            if not target.has_moved(generation):
                first = target.last_number() + 1
                moved = [entry._replace(number=number) for number, entry in enumerate(entries, first)]
                target.replace([*target.read(), *moved], dead, moved=generation)
        source.give_away()
    return len(entries), len(dead)


def _opened(directory: str) -> Store:
    """Open the store of a directory that is locked.

    Raises StoreError if SQLite would leave out what a killed daemon has written, and remove it.
    """
    try:
        wal.examine(Path(directory, f"{DATABASE}-wal"), lambda: None)
    except StoreError as error:
        mend = "Start the daemon, which sets the file aside and processes all that can be read of it"
        raise StoreError(f"{error}. {mend}") from error
    return Store(directory, create=False)


@contextlib.contextmanager
def _locked(directory: str) -> Iterator[None]:
    lock = DirectoryLock(directory)
    try:
        yield
    finally:
        lock.release()


def _must_exist(database: Path) -> None:
    if not database.is_file():
        text = f"there is no durable queue {database}"
        new = database.parent.with_name(folder.NEW)
        if not database.parent.exists() and new.is_dir():
            text += (f"; a kill has come while it was replaced, and {new} may hold its requests: "
                     "start the daemon, or use 'pyd2ctl queue move', which finish that")
        raise StoreError(text)
