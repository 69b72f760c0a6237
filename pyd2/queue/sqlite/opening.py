"""The opening of the durable queue's file: whether it is the one that was read, and whole."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyd2.queue.interface import (
    DATABASE,
    DeadLetter,
    Entries,
    OtherFileError,
    StoreError,
    UnwritableError,
)
from pyd2.queue.pending import Held
from pyd2.queue.sqlite import folder
from pyd2.queue.sqlite.elsewhere import UNKNOWN
from pyd2.queue.sqlite.mark import read_mark
from pyd2.queue.sqlite.salvage import Found, count, examine, read_copy
from pyd2.queue.sqlite.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.queue.interface import Identity

    Say = Callable[..., None]
    """Logs a message, by its name, with its arguments."""

MOST_OTHERS: Final = 16
"""Files that were set aside of which a start tells one by one."""

MOST_DEATHS: Final = 2
"""A request for which a hook library was at work so often when the process ended is a dead letter."""

_NOTHING: Final = Entries([], [], [])


def open_file(
    directory: str, known: Identity | None, ask: Callable[[], Held], say: Say, step: Callable[[], None]
) -> tuple[Store, Entries | None]:
    """Open the file of a directory that is locked, or make it; return it, and its requests if it was unread.

    ``known``: the file that was read; it is made to hold what ``ask`` returns, and so is a new one if another
    file is in its place, which is set aside. ``step`` is called now and then while much is read. Raises
    StoreError.
    """
    path = Path(directory, DATABASE)
    if folder.settle(directory):
        say("PYD2_QUEUE_FINISHED", path)
    if not os.path.lexists(path.parent):
        held = ask() if known is not None else Held({}, [])
        made = folder.replace(directory, held.entries, held.dead)
        new = Store(directory, create=False, only=made.identity, own=True)
        return new, _NOTHING if known is None else None
    store = None
    try:
        if not os.path.lexists(path):
            raise OtherFileError(f"{path}: it is not there any more")
        number, size = read_mark(path)
        torn = examine(directory, step)
        wal = path.with_name(f"{path.name}-wal")
        left = wal.stat().st_size if wal.exists() else 0
        store = Store(directory, create=False, only=known, own=True, step=step)
        if left < size:
            say("PYD2_QUEUE_CUT", wal, left, size)
        if torn:
            say("PYD2_QUEUE_TORN", torn)
        if known is not None:
            held = ask()
            store.reconcile(held.entries, held.dead)
            return store, None
        entries = Entries.of(store.read())
        store.read_dead()  # so that damage is told now, and not when somebody asks for them
        return store, _without_killer(store, entries, number, say)
    except StoreError as error:
        if store is not None:
            with contextlib.suppress(StoreError):
                error.identity = store.identity() if known is not None else None  # a new one, by the opening
            store.close()
        if error.damaged or isinstance(error, OtherFileError):
            return _replaced(directory, known, ask, say, step, error)
        found = None
        if known is None and not error.foreign:
            # It cannot be written, but its requests are carried out all the same.
            with contextlib.suppress(StoreError):
                found = read_copy(directory, step=step)
        if found is None or found.identity is None:
            raise
        raise UnwritableError(str(error), Entries.of(found.entries), found.identity) from error


def _replaced(
    directory: str, known: Identity | None, ask: Callable[[], Held], say: Say, step: Callable[[], None],
    reason: StoreError,
) -> tuple[Store, Entries | None]:
    """Set the file aside, and put one in its place that holds what was read of it, or what the loop holds."""
    try:
        found = read_copy(directory, locked=True, step=step)
    except StoreError:
        if known is None:
            raise
        found = Found([], [], None)  # the loop holds all that is to go on
    entries, dead = Entries.of(found.entries), found.dead
    if known is not None:
        held = ask()
        entries, dead = held.entries, [*(dead if reason.damaged else ()), *held.dead]
    made = folder.replace(directory, entries, dead)
    say("PYD2_QUEUE_SET_ASIDE", Path(directory, DATABASE), reason, made.aside, len(found.entries))
    store = Store(directory, create=False, only=made.identity, own=True)
    return store, entries if known is None else None


def tell_of_aside(directory: str, say: Say, step: Callable[[], None]) -> None:
    """Tell of each file in a directory that was set aside and holds requests."""
    others = folder.others(directory)
    for path in others[:MOST_OTHERS]:
        number = count(path, step)
        if number != 0:
            shown = path.parent if path.name == Path(DATABASE).name else path
            say("PYD2_QUEUE_ASIDE", shown, number or UNKNOWN)
    if len(others) > MOST_OTHERS:
        more = f"each of {len(others) - MOST_OTHERS} more like {others[-1]}"
        say("PYD2_QUEUE_ASIDE", more, UNKNOWN)


def _without_killer(store: Store, entries: Entries, number: int, say: Say) -> Entries:
    """Return the requests without the one at which a hook library has ended the process too often."""
    if number not in entries.numbers:
        return entries
    deaths = store.count_death(number)
    if deaths < MOST_DEATHS:
        return entries
    entry = entries[entries.numbers.index(number)]
    reason = f"the process ended {deaths} times while a hook library was at work for it"
    store.write((), [number], [DeadLetter(0, entry.taken, time.time(), reason, entry.datagram)])
    say("PYD2_QUEUE_KILLER", number, store.path, deaths)
    return Entries.of([other for other in entries if other.number != number])
