"""The thread that writes the durable queue: what the loop hands over goes to the disk in group commits."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, Protocol

from pyd2.journal.entry import Entries, StoreError
from pyd2.journal.letters import MOST_DEAD
from pyd2.journal.lock import DirectoryLock, InUseError
from pyd2.journal.salvage import salvage, set_aside
from pyd2.journal.store import Store

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pyd2.journal.entry import DeadLetter, Entry

GROUP: Final = 256
"""So many requests go together at once: to wait for more of them would cost time and save nothing."""

GROUP_SECONDS: Final = 0.01
"""Fewer wait so long since the commit before, for others to share theirs; a lone request goes at once.

A commit of 256 requests costs some 0.9 ms of this thread's CPU time (measured).
"""

REMOVE_SECONDS: Final = 0.02
"""How long removals wait for a commit to share. What is done and not removed is done again after a kill."""

HOUSE_SECONDS: Final = 1.0
"""How often, while requests come, unused pages are given back and the file is looked for in its place."""


class Listener(Protocol):
    """Who is told of what the thread has done; in the loop's thread, in order."""

    def opened(self, writer: Writer, entries: list[Entry], fault: StoreError | None) -> None:
        """The file was read; these are its entries. ``fault``: it cannot be written, and the thread ends."""

    def restored(self, writer: Writer) -> None:
        """The file holds what ``replace`` or ``reconcile`` was given."""

    def safe(self, writer: Writer, number: int) -> None:
        """The entries up to this number are on the disk."""

    def failed(self, writer: Writer, fault: StoreError) -> None:
        """Something went wrong; the thread ends."""

    def set_aside(self, writer: Writer, reason: str, aside: Path, count: int) -> None:
        """A file that was damaged, or not read in time, was renamed; ``count`` of its entries were read."""


class Writer:
    """One thread with one open file, from the opening to a fault or the closing."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listener: Listener,
        directory: str,
        lock: DirectoryLock | None,
        after: Sequence[Writer],
    ) -> None:
        """Make the thread; one of the ``start`` methods sets it going.

        It waits for the ends of the threads of ``after``; without a lock it takes one itself.
        """
        self.directory: Final = directory
        self.lock = lock
        self._loop = loop
        self._listener = listener
        self._after = after
        self._changed = threading.Condition()
        self._entries = Entries([], [], [])
        self._removed: list[int] = []
        self._amended: list[Entry] = []
        self._dead: list[DeadLetter] = []
        self.dead_count = 0
        """Dead letters in the file, about: those that are forgotten for their number still count."""
        self.unread = False
        """Whether what the file holds is known to nobody yet; the listener says when it has taken it over."""
        self.given_up = False
        """Whether another one works with the directory: what becomes of this one is of no interest."""
        self._replacement: Sequence[Entry] | None = None
        self._grouping = False
        """Whether the thread waits for more requests, and need not hear of each."""
        self._closing = False
        self._over = False
        self._thread = threading.Thread(target=self._run, name="pyd2-queue", daemon=True)
        self._begin: Callable[[], Store]

    # Called by the loop.

    @property
    def over(self) -> bool:
        """Whether the thread has ended, and given up the lock if it was told to."""
        return self._over

    def start(self) -> None:
        """Open the file and tell what it holds."""
        self.unread = True
        self._begin = self._open
        self._thread.start()

    def start_again(self, entries: Sequence[Entry], *, unread: bool, add: bool) -> None:
        """Open the file after a fault and make it hold these entries; see ``Store.reconcile`` for ``add``.

        ``unread``: what it holds has never been read. That is older than what was done meanwhile, so it must
        not be done now: the file is set aside.
        """
        self.unread = unread
        self._begin = lambda: self._reopen(entries, add=add)
        self._thread.start()

    def write(self, entries: Entries) -> None:
        """Hand entries over."""
        with self._changed:
            self._entries.extend(entries)
            if not self._grouping or len(self._entries) >= GROUP:
                self._changed.notify()

    def amend(self, entries: Sequence[Entry]) -> None:
        """Hand over entries in their present form."""
        with self._changed:
            self._amended += entries

    def remove(self, numbers: Sequence[int], dead: Sequence[DeadLetter] = ()) -> None:
        """Hand over the numbers of entries that are done, and as dead letters those that failed for good."""
        with self._changed:
            if not self._removed and not self._grouping:
                self._changed.notify()
            self._removed += numbers
            self._dead += dead

    def replace(self, entries: Sequence[Entry]) -> None:
        """Let the file hold these entries instead of what it holds and what was handed over."""
        with self._changed:
            self._entries, self._removed, self._amended = Entries([], [], []), [], []
            self._replacement = entries
            self._changed.notify()

    def close(self, timeout: float | None) -> bool:
        """Write what was handed over, close the file and give up the lock.

        Waits for that up to ``timeout`` seconds (None: not at all); returns whether the thread has ended.
        """
        with self._changed:
            self._closing = True
            self._changed.notify()
            if self._over and self.lock is not None:
                self.lock.release()
        if timeout is not None:
            self._thread.join(timeout)
        return self._over

    # The thread.

    def wait(self) -> None:
        """Wait for the end of the thread; not for the loop."""
        self._thread.join()

    def _run(self) -> None:
        store = None
        try:
            store = self._begin()
            self.dead_count = store.count_dead()
            self._work(store)
        except StoreError as fault:
            self._tell(self._listener.failed, fault)
        except Exception as error:  # whatever it is, the daemon goes on without the file
            self._tell(self._listener.failed, StoreError(f"{self.directory}: {error!r}"))
        finally:
            if store is not None:
                store.close()
            with self._changed:
                # Else the lock is for the thread that tries again.
                if self._closing and self.lock is not None:
                    self.lock.release()
                self._over = True

    def _tell(self, method: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(method, self, *arguments)
        except RuntimeError:
            if not self._closing:  # else the loop is closed, and nobody is there to be told
                raise

    def _take_lock(self) -> None:
        for other in self._after:
            other.wait()
        self._after = ()
        if self.lock is not None and not self.lock.in_place:
            self.lock.release()
            self.lock = None
        if self.lock is None:
            try:
                self.lock = DirectoryLock(self.directory)
            except InUseError as error:
                raise StoreError(str(error), foreign=True) from error
            except OSError as error:
                raise StoreError(f"{error.filename}: {error.strerror}") from error

    def _open(self) -> Store:
        self._take_lock()
        store = None
        try:
            store = Store(self.directory)
            entries = store.read()
        except StoreError as error:
            if store is not None:
                store.close()
            if error.foreign:
                raise
            entries = salvage(self.directory)
            if not error.damaged:
                self._tell(self._listener.opened, entries, error)
                raise
            store = self._begin_anew(str(error), entries)
        self._tell(self._listener.opened, entries, None)
        return store

    def _reopen(self, entries: Sequence[Entry], *, add: bool) -> Store:
        self._take_lock()
        store = None
        try:
            store = Store(self.directory)
            count = len(store.read()) if self.unread else 0
            if not count:
                store.reconcile(entries, add=add)
        except StoreError as error:
            if store is not None:
                store.close()
            if not error.damaged:
                raise
            store = self._begin_anew(str(error), entries)
        else:
            if count:
                store.close()
                store = self._begin_anew("it was not read at the start", entries, count)
        self.unread = False
        if add:
            self._tell(self._listener.restored)
        return store

    def _begin_anew(self, reason: str, entries: Sequence[Entry], count: int | None = None) -> Store:
        """Return a new file that holds these entries; the old one is set aside."""
        aside = set_aside(self.directory)
        store = Store(self.directory)
        store.write(entries)
        self._tell(self._listener.set_aside, reason, aside, len(entries) if count is None else count)
        return store

    def _work(self, store: Store) -> None:
        """Commit until told to close."""
        house_at = time.monotonic() + HOUSE_SECONDS
        while True:
            with self._changed:
                self._wait()
                entries, self._entries = self._entries, Entries([], [], [])
                removed, self._removed = self._removed, []
                dead, self._dead = self._dead, []
                amended, self._amended = self._amended, []
                replacement, self._replacement = self._replacement, None
                closing = self._closing
            now = time.monotonic()
            if replacement is not None:
                store.replace(replacement)
                self._tell(self._listener.restored)
            if entries or removed or amended or dead:
                self._commit(store, entries, removed, dead, amended)
            if closing:
                return
            if now >= house_at:
                store.check_place()
                store.compact()
                house_at = now + HOUSE_SECONDS
            if entries:
                self._wait_for_more(now + GROUP_SECONDS)

    def _wait(self) -> None:
        """Wait for something to commit; removals wait a while for something else."""

        def urgent() -> bool:
            return bool(self._entries or self._replacement is not None or self._closing)

        self._changed.wait_for(lambda: urgent() or self._removed or self._dead)
        self._changed.wait_for(urgent, REMOVE_SECONDS)

    def _wait_for_more(self, end: float) -> None:
        """Let requests come that share the next commit; ``end`` is monotonic seconds."""
        with self._changed:
            self._grouping = True
            self._changed.wait_for(
                lambda: len(self._entries) >= GROUP or self._closing or self._replacement is not None,
                max(0.0, end - time.monotonic()),
            )
            self._grouping = False

    def _commit(
        self, store: Store, entries: Sequence[Entry], removed: Sequence[int], dead: Sequence[DeadLetter],
        amended: Sequence[Entry],
    ) -> None:
        if amended:
            # Before what they make room for is noted as done.
            store.amend(amended)
        try:
            store.write(entries, removed, dead)
        except StoreError:
            # A full disk may still have room for this, and what was done must not be done again.
            if (entries or dead) and removed:
                store.write((), removed)
            raise
        self.dead_count = min(MOST_DEAD, self.dead_count + len(dead))
        if entries:
            self._tell(self._listener.safe, entries[-1].number)
