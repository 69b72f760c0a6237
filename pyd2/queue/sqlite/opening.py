"""The opening of the durable queue's file: whether it is the one that was read, and whole."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyd2.queue.interface import DeadLetter, Entries, Held, OtherFileError, StoreError, UnwritableError
from pyd2.queue.sqlite import DATABASE, UNKNOWN, folder, wal
from pyd2.queue.sqlite.database import failing, read_mark
from pyd2.queue.sqlite.salvage import Found, count, salvage
from pyd2.queue.sqlite.store import Store

if TYPE_CHECKING:
    from pyd2.queue.interface import Identity

Report = Callable[..., None]
"""Logs a message, by its ID, with its arguments."""

MOST_DEATHS: Final = 2
"""A request on which a hook library worked so often when the process ended is a dead letter."""

_NOTHING: Final = Held(Entries([], [], []), [], complete=True)


class Opening:
    """Opens the file of a directory that is locked, or makes it.

    ``known``: the file that was read. It is made to hold what ``ask`` returns; if another file is in its
    place, that is set aside, and a new one is made so. ``step`` is called now and then while much is read.
    """

    def __init__(
        self, directory: str, known: Identity | None, ask: Callable[[], Held], report: Report,
        step: Callable[[], None],
    ) -> None:
        self._directory = directory
        self._path = Path(directory, DATABASE)
        self._known = known
        self._ask = ask
        self._report = report
        self._step = step

    def open(self) -> tuple[Store, Entries | None]:
        """Return the file, and its requests if it was unread. Raises StoreError."""
        if folder.settle(self._directory):
            self._report("PYD2_QUEUE_FINISHED", self._path)
        if not os.path.lexists(self._path.parent):
            held = self._ask() if self._known is not None else _NOTHING
            made = folder.replace(self._directory, held.entries, held.dead)
            if made.aside is not None:
                number = count(made.aside / Path(DATABASE).name, self._step) or UNKNOWN
                reason = "it came while pyd2 made a new one"
                self._report("PYD2_QUEUE_SET_ASIDE", self._path, reason, made.aside, number)
            return self._open_only(made.identity), _NOTHING.entries if self._known is None else None
        store = None
        try:
            store, number = self._open_present()
            if self._known is not None:
                held = self._ask()
                store.reconcile(held.entries, held.dead)
                return store, None
            entries = Entries.of(store.read())
            store.read_dead()  # so that damage is found now, and not when an operator asks for them
            return store, self._without_killer(store, entries, number)
        except StoreError as error:
            if store is not None:
                with contextlib.suppress(StoreError):
                    # The opening has given it a new one.
                    error.identity = store.identity() if self._known is not None else None
                store.close()
            if error.damaged or isinstance(error, OtherFileError):
                return self._replaced(error)
            found = None
            if self._known is None and not error.foreign:
                # It cannot be written, but its requests are processed all the same.
                with contextlib.suppress(StoreError):
                    found = salvage(self._directory, step=self._step)
            if found is None or found.identity is None:
                raise
            raise UnwritableError(str(error), Entries.of(found.entries), found.identity) from error

    def _open_only(self, identity: Identity | None) -> Store:
        return Store(self._directory, create=False, only=identity, own=True, step=self._step)

    def _open_present(self) -> tuple[Store, int]:
        """Return the file in the place, and the request on which a library worked when the process ended."""
        if not os.path.lexists(self._path):
            raise OtherFileError(f"{self._path}: it is not there any more")
        number = read_mark(self._path)
        with failing():
            torn = wal.examine(self._path.with_name(f"{self._path.name}-wal"), self._step)
        store = self._open_only(self._known)
        if torn:
            self._report("PYD2_QUEUE_TORN", torn)
        return store, number

    def _replaced(self, reason: StoreError) -> tuple[Store, Entries | None]:
        """Set the file aside, and put one in its place with what was read of it, or what the queue holds."""
        try:
            found = salvage(self._directory, locked=True, step=self._step)
        except StoreError:
            if self._known is None:
                raise
            found = Found([], [], None)  # the queue holds all that is to be processed
        entries, dead = Entries.of(found.entries), found.dead
        if self._known is not None:
            held = self._ask()
            entries, dead = held.entries, [*(dead if reason.damaged else ()), *held.dead]
        made = folder.replace(self._directory, entries, dead)
        self._report("PYD2_QUEUE_SET_ASIDE", self._path, reason, made.aside, len(found.entries))
        return self._open_only(made.identity), entries if self._known is None else None

    def _without_killer(self, store: Store, entries: Entries, number: int) -> Entries:
        """Return the requests without the one on which a hook library has ended the process too often."""
        if number not in entries.numbers:
            return entries
        deaths = store.count_death(number)
        if deaths < MOST_DEATHS:
            return entries
        entry = entries[entries.numbers.index(number)]
        reason = f"the process ended {deaths} times while a hook library handled it"
        store.write((), [number], [DeadLetter(0, entry.taken, time.time(), reason, entry.datagram)])
        self._report("PYD2_QUEUE_KILLER", number, store.path, deaths)
        return Entries.of([other for other in entries if other.number != number])


def report_aside(paths: Iterable[Path], report: Report, step: Callable[[], None]) -> None:
    """Log each file that was set aside and holds requests."""
    for path in paths:
        number = count(path, step)
        if number != 0:
            report("PYD2_QUEUE_ASIDE", path.parent, number or UNKNOWN)
