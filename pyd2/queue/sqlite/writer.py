"""The thread of the durable queue: it locks, opens, reads and writes the file, and nobody else touches that.

It lives from the claim of a directory until it is told to close. Each time it is told to ``open`` it serves
the file until a fault; what the loop hands over goes to the disk in group commits.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from pyd2.queue.interface import Changes, Entries, Entry, StoreError, UnwritableError, os_fault
from pyd2.queue.sqlite.dead_letters import MOST_DEAD
from pyd2.queue.sqlite.elsewhere import tell_of_named
from pyd2.queue.sqlite.lock import DirectoryLock, InUseError
from pyd2.queue.sqlite.mark import map_mark, note_size
from pyd2.queue.sqlite.opening import open_file, tell_of_aside

if TYPE_CHECKING:
    import asyncio
    import mmap
    from collections.abc import Callable, Sequence

    from pyd2.queue.interface import DeadLetter, Identity
    from pyd2.queue.lifecycle import Lifecycle
    from pyd2.queue.pending import Held
    from pyd2.queue.sqlite.store import Store

GROUP: Final = 256
"""So many requests go together at once: to wait for more of them would cost time and save nothing."""

GROUP_SECONDS: Final = 0.01
"""Fewer wait so long since the commit before, for others to share theirs; a lone request goes at once.

A commit of 256 requests costs some 0.9 ms of this thread's CPU time (measured).
"""

REMOVE_SECONDS: Final = 0.02
"""How long removals wait for a commit to share. What is done and not removed is done again after a kill."""

HOUSE_SECONDS: Final = 1.0
"""How often unused pages are given back, and the files are looked for in their place."""

PIECE: Final = 256
"""Requests of a file that the loop gets at a time."""


class Writer:
    """One thread with the lock on a directory, and with its file as often as it can be used."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, file: Lifecycle, directory: str, after: Writer | None = None
    ) -> None:
        """Start the thread, which takes the lock when that of ``after`` has ended."""
        self.directory: Final = directory
        self.closing = False
        self.over = False
        """Whether the thread has ended."""
        self.fault: StoreError | None = None
        """Why the file could not be used at last."""
        self.steps = 0
        """Goes up while much is read: the disk answers."""
        self.dead_count = 0
        """Dead letters in the file, about: those that are forgotten for their number still count."""
        self.mark: mmap.mmap | None = None
        """Where to store the number of a request while a hook library is at work for it."""
        self._loop = loop
        self._file = file
        self._after = after
        self._lock: DirectoryLock | None = None
        self._lock_fault: Exception | None = None
        self._lock_known = threading.Event()
        self._told_others = False
        self._changed = threading.Condition()
        self._open = False
        """Whether the file is to be opened."""
        self._known: Identity | None = None
        """The file that was read."""
        self._ask = False
        """Whether to ask for what the file is to hold."""
        self._taken = False
        self._held: Held | None = None
        self._behind: list[bytes] = []
        """Requests without numbers that go behind those of the file."""
        self._changes = Changes()
        """What was handed over."""
        self._grouping = False
        """Whether the thread waits for more requests, and need not hear of each."""
        self._thread = threading.Thread(target=self._run, name="pyd2-queue", daemon=True)
        self._thread.start()

    # Called by the loop, or by the thread that claims a directory.

    def wait_for_lock(self, timeout: float) -> None:
        """Wait ``timeout`` seconds for the lock. Raises InUseError; other faults are told at the opening."""
        if self._lock_known.wait(timeout) and isinstance(self._lock_fault, InUseError):
            raise self._lock_fault

    def open(self, known: Identity | None) -> None:
        """Open the file. ``known``: the one that was read; any other one in its place is unread."""
        with self._changed:
            self._forget()
            self._known, self._open = known, True
            self._changed.notify()

    def taken(self) -> None:
        """Go on to tell of requests; the answer to ``found``."""
        with self._changed:
            self._taken = True
            self._changed.notify()

    def hold(self, held: Held) -> None:
        """Let the file hold this, and only this; the answer to ``ready`` and ``opened``."""
        with self._changed:
            self._held = held
            self._changed.notify()

    def drop(self) -> None:
        """Forget what was handed over, and ask what the file is to hold when the disk answers."""
        with self._changed:
            self._forget()
            self._ask = True
            self._changed.notify()

    def write(self, entries: Entries) -> None:
        """Hand entries over."""
        with self._changed:
            self._changes.more.extend(entries)
            if not self._grouping or len(self._changes.more) >= GROUP:
                self._changed.notify()

    def amend(self, entries: Sequence[Entry]) -> None:
        """Hand over entries in their present form."""
        with self._changed:
            self._changes.amended += entries

    def remove(self, numbers: Sequence[int], dead: Sequence[DeadLetter] = ()) -> None:
        """Hand over the numbers of entries that are done, and as dead letters those that failed for good."""
        with self._changed:
            if not self._changes.gone and not self._grouping:
                self._changed.notify()
            self._changes.gone += numbers
            self._changes.dead += dead

    def close(
        self, timeout: float | None, held: tuple[Identity, Held] | None = None, behind: Sequence[bytes] = ()
    ) -> bool:
        """Write what was handed over, close the file and give up the lock.

        ``held``: the file, and what it is to hold, when it cannot be used now; one more try is made.
        ``behind``: requests that are to go behind those of a file that is being opened. Waits ``timeout``
        seconds (None: not at all); returns whether all was written.
        """
        with self._changed:
            self.closing = True
            self._behind += behind
            if held is not None:
                (self._known, self._held), self._open = held, True
            self._changed.notify()
        if timeout is not None:
            self._thread.join(timeout)
        return self.over and self.fault is None

    # The thread.

    def wait(self) -> None:
        """Wait for the end of the thread; not for the loop."""
        self._thread.join()

    def _run(self) -> None:
        try:
            if self._after is not None:
                self._after.wait()
                self._after = None
            try:
                self._take_lock()
            except (InUseError, OSError) as error:
                self._lock_fault = error
            self._lock_known.set()
            while self._is_to_open():
                self._serve()
        finally:
            if self._lock is not None:
                self._lock.release()
            self.over = True
            self._tell(self._file.ended)

    def _is_to_open(self) -> bool:
        """Wait for the order to open the file; return whether that is not to close."""
        with self._changed:
            self._changed.wait_for(lambda: self._open or self.closing)
            wanted = self._open and (not self.closing or self._held is not None or bool(self._behind))
            self._open = False
        return wanted

    def _serve(self) -> None:
        """Open the file and write it, until it fails or is to be closed."""
        store = None
        fault: StoreError | None = None
        self.fault = None
        try:
            self._take_lock()
            if not self._told_others:
                tell_of_aside(self.directory, self._say, self._step)
                tell_of_named(self.directory, self._say)
                self._told_others = True
            store, entries = open_file(
                self.directory, self._known, self._ask_for_held, self._say, self._step
            )
            identity = store.identity()
            self.dead_count = store.count_dead()
            self.mark = map_mark(store.path)
            if entries is None:
                self._tell(self._file.restored, identity)
            else:
                self._tell_found(entries)
                self._tell(self._file.opened, identity)
            self._work(store, identity)
        except UnwritableError as error:
            self._tell_found(error.entries)
            fault = error
        except StoreError as error:
            fault = error
        except InUseError as error:
            fault = StoreError(str(error), foreign=True)
        except OSError as error:
            fault = os_fault(error)
        except Exception as error:  # whatever it is, the daemon goes on without the file
            fault = StoreError(f"{self.directory}: {error!r}")
        self.mark = None
        if store is not None:
            store.close()
        if fault is not None:
            with self._changed:
                self._forget()
            self.fault = fault
            self._tell(self._file.failed, fault)

    def _tell_found(self, entries: Entries) -> None:
        """Tell of requests, some at a time: the loop does other things between."""
        for at in range(0, len(entries), PIECE):
            self._taken = False
            self._tell(self._file.found, entries[at : at + PIECE])
            with self._changed:
                self._changed.wait_for(lambda: self._taken or self.closing)
            self._step()

    def _ask_for_held(self) -> Held:
        """Return what the file is to hold. Raises StoreError when the loop is not there to tell."""
        self._tell(self._file.ready)
        with self._changed:
            self._changed.wait_for(lambda: self._held is not None or self.closing)
            held, self._held = self._held, None
        if held is None:
            raise StoreError(f"{self.directory}: it was to be closed")
        return held

    def _forget(self) -> None:
        """Forget what was handed over; under the condition."""
        self._changes = Changes()
        self._ask, self._held = False, None

    def _tell(self, method: Callable[..., None], *arguments: object) -> None:
        """Have a method of the file called in the loop, if this is still its thread."""
        self._post(self._hand_on, method, *arguments)

    def _hand_on(self, method: Callable[..., None], *arguments: object) -> None:
        if self._file.writer is self:
            method(*arguments)

    def _post(self, method: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(method, *arguments)
        except RuntimeError:
            if not self.closing:  # else the loop is closed, and nobody is there to be told
                raise

    def _say(self, message_id: str, *arguments: object) -> None:
        self._post(self._file.log.emit, message_id, *arguments)

    def _step(self) -> None:
        self.steps += 1

    def _take_lock(self) -> None:
        if self._lock is not None and not self._lock.is_of(self.directory):
            self._lock.release()
            self._lock = None
        if self._lock is None:
            self._lock = DirectoryLock(self.directory)

    # Writing.

    def _work(self, store: Store, identity: Identity) -> None:
        """Commit until told to close."""
        house_at = time.monotonic() + HOUSE_SECONDS
        while True:
            with self._changed:
                self._wait(store)
                changes, self._changes = self._changes, Changes()
                behind, self._behind = self._behind, []
                held, self._held = self._held, None
                ask, self._ask = self._ask, False
                closing = self.closing
            now = time.monotonic()
            if ask and held is None:
                held = self._ask_for_held()
                store.reconcile(held.entries, held.dead)
                self._tell(self._file.restored, identity)
            elif held is not None:
                store.replace(held.entries, held.dead)
                self._tell(self._file.restored, identity)
            if self.mark is not None:
                note_size(self.mark, store.wal_size)
            if behind:
                first = store.last_number() + 1
                numbered = enumerate(behind, first)
                changes.more = Entries.of([Entry(n, time.time(), some) for n, some in numbered])
            if changes:
                self._commit(store, changes)
            if closing:
                return
            if now >= house_at:
                store.check_place()
                store.compact()
                house_at = now + HOUSE_SECONDS
            if changes.more:
                self._wait_for_more(now + GROUP_SECONDS)

    def _wait(self, store: Store) -> None:
        """Wait for something to commit; removals wait a while for something else."""

        def urgent() -> bool:
            return bool(self._changes.more or self._held is not None or self._ask or self.closing)

        # While there are requests in the file somebody must look whether it is still there.
        self._changed.wait_for(lambda: urgent() or bool(self._changes),
                               None if store.empty else HOUSE_SECONDS)
        if self._changes:
            self._changed.wait_for(urgent, REMOVE_SECONDS)

    def _wait_for_more(self, end: float) -> None:
        """Let requests come that share the next commit; ``end`` is monotonic seconds."""
        with self._changed:
            self._grouping = True
            self._changed.wait_for(
                lambda: (len(self._changes.more) >= GROUP
                         or self.closing or self._held is not None or self._ask),
                max(0.0, end - time.monotonic()),
            )
            self._grouping = False

    def _commit(self, store: Store, changes: Changes) -> None:
        if changes.amended:
            # Before what they make room for is noted as done.
            store.amend(changes.amended)
        try:
            store.write(changes.more, changes.gone, changes.dead)
        except StoreError:
            # A full disk may still have room for this, and what was done must not be done again.
            letters = {letter.number for letter in changes.dead}
            rest = [number for number in changes.gone if number not in letters]
            if (changes.more or changes.dead) and rest:
                store.write((), rest)
            raise
        self.dead_count = min(MOST_DEAD, self.dead_count + len(changes.dead))
        if self.mark is not None:
            note_size(self.mark, store.wal_size)
        if changes.dead:
            self._tell(self._file.buried, len(changes.dead))
        if changes.more:
            self._tell(self._file.safe, changes.more.numbers[-1])
