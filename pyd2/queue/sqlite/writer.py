"""The queue thread: it locks, opens, reads and writes the file, which no other thread touches.

It lives from the claim of a directory until it is closed. Each ``read`` lets it serve the file until a fault;
what it is handed goes to the disk in group commits.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from pyd2.queue.interface import Entries, Entry, Held, InUseError, StoreError, UnwritableError
from pyd2.queue.sqlite import folder
from pyd2.queue.sqlite.database import map_mark, os_fault
from pyd2.queue.sqlite.dead_letters import MOST_DEAD
from pyd2.queue.sqlite.lock import DirectoryLock
from pyd2.queue.sqlite.opening import Opening, report_aside

if TYPE_CHECKING:
    import asyncio
    import mmap
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pyd2.counters import Histogram
    from pyd2.queue.interface import DeadLetter, Identity, StoreListener
    from pyd2.queue.sqlite.opening import Report
    from pyd2.queue.sqlite.store import Store

GROUP: Final = 256
"""So many requests are committed at once: to wait for more of them would cost time and save nothing."""

GROUP_SECONDS: Final = 0.01
"""Fewer wait so long since the commit before, for others to share theirs; a lone request goes at once.

A commit of 256 requests costs some 0.9 ms of this thread's CPU time (measured).
"""

REMOVE_SECONDS: Final = 0.02
"""How long removals wait for a commit to share. What is done and not removed is done again after a kill."""

HOUSE_SECONDS: Final = 1.0
"""How often unused pages are given back, and the files are looked for in their place."""

PIECE: Final = 256
"""Requests of a file that the listener gets at a time."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True)
class _Changes:
    """What was handed over and is to be committed."""

    more: Entries = field(default_factory=lambda: Entries([], [], []))
    amended: list[Entry] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    raised: list[int] = field(default_factory=list)
    """The numbers of dead letters that are removed."""

    def __bool__(self) -> bool:
        return bool(self.more or self.amended or self.gone or self.dead or self.raised)


class Writer:
    """See QueueStore. ``listener`` is called in the loop's thread; ``report`` logs from this one."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, listener: StoreListener, report: Report, directory: str,
        after: Writer | None = None, commit_seconds: Histogram | None = None,
    ) -> None:
        """Start the thread, which locks the directory when that of ``after`` has ended.

        ``commit_seconds`` counts how long commits take.
        """
        self._commit_seconds = commit_seconds
        self.directory = directory
        self.closing = False
        self.over = False
        """Whether the thread has ended."""
        self.fault: StoreError | None = None
        """Why the file could not be used at last."""
        self.steps = 0
        self.dead_count = 0
        """Dead letters in the file; those that were removed for their number still count."""
        self.mark: mmap.mmap | None = None
        self._loop = loop
        self._listener = listener
        self._report = report
        self._after = after
        self._lock: DirectoryLock | None = None
        self._lock_fault: Exception | None = None
        self._lock_known = threading.Event()
        self._aside: list[Path] | None = None
        """Files that were set aside and are still to be reported; None: it is not known which there are."""
        self._changed = threading.Condition()
        self._open = False
        """Whether the file is to be opened."""
        self._known: Identity | None = None
        """The file that was read, as it is known to this thread last."""
        self._mirror: Callable[[Store, Held], None] | None = None
        """How to make the file hold what the listener says; None: it does."""
        self._held: Held | None = None
        """What the file is to hold when it is closed; None: what was handed over."""
        self._behind: list[bytes] = []
        """Requests without numbers that go behind those of the file."""
        self._changes = _Changes()
        self._committing = False
        """Whether what was handed over is being written."""
        self._hurried = False
        """Whether it is to be written at once."""
        self._grouping = False
        """Whether the thread waits for more requests, and need not be notified of each."""
        self._thread = threading.Thread(target=self._run, name="pyd2-queue", daemon=True)
        self._thread.start()

    # Called in the update thread, or by the main thread when it claims a directory.

    def wait_for_lock(self, timeout: float) -> None:
        """See QueueStore."""
        if self._lock_known.wait(timeout) and isinstance(self._lock_fault, InUseError):
            raise self._lock_fault

    @property
    def written(self) -> bool:
        """See QueueStore."""
        with self._changed:
            return not (self._committing or self._changes)

    def read(self, known: Identity | None) -> None:
        """See QueueStore."""
        with self._changed:
            self._forget()
            self._known, self._open = known, True
            self._changed.notify()

    def append(self, entries: Entries) -> None:
        """See QueueStore."""
        with self._changed:
            self._changes.more.extend(entries)
            if not self._grouping or len(self._changes.more) >= GROUP:
                self._changed.notify()

    def replace(self, entries: Sequence[Entry]) -> None:
        """See QueueStore."""
        with self._changed:
            more = self._changes.more
            for entry in entries:
                place = bisect_left(more.numbers, entry.number)
                if place < len(more) and more.numbers[place] == entry.number:
                    more.datagrams[place] = entry.datagram
                else:
                    self._changes.amended.append(entry)

    def drop(self, numbers: Sequence[int], dead: Sequence[DeadLetter] = ()) -> None:
        """See QueueStore."""
        with self._changed:
            if not self._changes.gone and not self._grouping:
                self._changed.notify()
            self._changes.gone += numbers
            self._changes.dead += dead

    def hurry(self) -> None:
        """See QueueStore."""
        with self._changed:
            self._hurried = True
            self._changed.notify()

    def remove_dead(self, numbers: Sequence[int]) -> None:
        """See QueueStore."""
        with self._changed:
            self._changes.raised += numbers
            self._changed.notify()

    def mirror(self, *, renumbered: bool) -> None:
        """See QueueStore."""
        with self._changed:
            self._forget()
            self._mirror = _replace if renumbered else _reconcile
            self._changed.notify()

    def close(
        self, timeout: float | None, held: tuple[Identity, Held] | None = None, behind: Sequence[bytes] = ()
    ) -> bool:
        """See QueueStore."""
        with self._changed:
            self.closing = True
            self._behind += behind
            if held is not None:
                known, self._held = held
                self._known, self._open = self._known or known, True
                self._mirror = self._mirror or _reconcile
                # All of that is held: twice the same number would be refused.
                self._changes = _Changes(raised=self._changes.raised)
            self._changed.notify()
        if timeout is not None:
            self._thread.join(timeout)
        return self.over and self.fault is None

    # The thread.

    def join(self) -> None:
        """Wait for its end; not in the update thread."""
        self._thread.join()

    def _run(self) -> None:
        try:
            if self._after is not None:
                self._after.join()
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
            self._tell(self._listener.ended)

    def _is_to_open(self) -> bool:
        """Wait for the order to open the file; return whether that is not to close."""
        with self._changed:
            self._changed.wait_for(lambda: self._open or self.closing)
            wanted = self._open and (not self.closing or self._held is not None or bool(self._behind))
            self._open, self._mirror = False, None
        return wanted

    def _take_lock(self) -> None:
        if self._lock is not None and not self._lock.is_of(self.directory):
            self._lock.release()
            self._lock = None
        if self._lock is None:
            self._lock = DirectoryLock(self.directory)

    def _serve(self) -> None:
        """Open the file and write it, until it fails or is to be closed."""
        store = None
        fault: StoreError | None = None
        self.fault = None
        try:
            self._take_lock()
            if self._aside is None:
                self._aside = folder.others(self.directory)
            store, entries = Opening(
                self.directory, self._known, self._ask_for_held, self._report, self._step
            ).open()
            self._take_lock()  # another directory may have come into its place meanwhile
            identity = self._known = store.identity()
            self.dead_count = store.count_dead()
            self.mark = map_mark(store.path)
            if entries is None:
                self._tell(self._listener.restored, identity)
            else:
                self._tell_found(entries)
                self._tell(self._listener.opened, identity)
            self._report_aside()
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
        except Exception as error:  # whatever it is, the daemon continues without the file
            fault = StoreError(f"{self.directory}: {error!r}")
        self.mark, self.fault = None, fault
        if store is not None:
            store.close()
        if fault is not None:
            with self._changed:
                self._forget()
                self._known = fault.identity or self._known
            self._tell(self._listener.failed, fault)
            self._report_aside()

    def _report_aside(self) -> None:
        """Log what was set aside, once; when the file is open, since to count its requests may take long."""
        if self._aside:
            paths, self._aside = self._aside, []
            report_aside(paths, self._report, self._step)

    def _tell(self, method: Callable[..., None], *arguments: object) -> None:
        """Have a method of the listener called in its thread, if this is still its store."""
        self._post(lambda: method(*arguments))

    def _ask(self, method: Callable[[T], R], argument: T) -> R | None:
        """Do the same, and return what the method returns; None when this is to close."""
        answers: list[R] = []

        def ask() -> None:
            answer = method(argument)
            with self._changed:
                answers.append(answer)
                self._changed.notify()

        self._post(ask)
        with self._changed:
            self._changed.wait_for(lambda: answers or self.closing)
        return answers[0] if answers else None

    def _post(self, call: Callable[[], None]) -> None:
        def post() -> None:
            if self._listener.store is self:
                call()

        try:
            self._loop.call_soon_threadsafe(post)
        except RuntimeError:
            if not self.closing:  # else the loop is closed: the listener has ended
                raise

    def _tell_found(self, entries: Entries) -> None:
        """Report requests of the file, some at a time: the listener does other work between."""
        for at in range(0, len(entries), PIECE):
            self._ask(self._listener.found, entries[at : at + PIECE])
            self._step()

    def _ask_for_held(self) -> Held:
        """Return what the file is to hold. Raises StoreError when the listener does not say it any more."""
        whole = Entries([], [], [])
        while True:
            held = self._ask(self._listener.ready, whole.numbers[-1] if whole else 0)
            with self._changed:
                # What was answered before the order to close came is older than what came with that.
                if self._held is not None:
                    held, whole = self._held, Entries([], [], [])
                if held is None:
                    raise StoreError(f"{self.directory}: it was to be closed")
                whole.extend(held.entries)
                if held.complete:
                    self._mirror = None
                    return held._replace(entries=whole)
            self._step()

    def _forget(self) -> None:
        """Forget what was handed over; under the condition."""
        self._changes = _Changes()
        self._mirror = None

    def _step(self) -> None:
        self.steps += 1

    # Writing.

    def _work(self, store: Store, identity: Identity) -> None:
        """Commit until it is to close."""
        house_at = time.monotonic() + HOUSE_SECONDS
        while True:
            with self._changed:
                self._wait()
                changes, self._changes = self._changes, _Changes()
                self._committing, self._hurried = bool(changes), False
                behind = list(self._behind)
                mirror, self._mirror = self._mirror, None
                closing = self.closing
            now = time.monotonic()
            if mirror is not None:
                mirror(store, self._ask_for_held())
                self._tell(self._listener.restored, identity)
            if behind:
                numbers = list(range(first := store.last_number() + 1, first + len(behind)))
                changes.more = Entries(numbers, [time.time()] * len(behind), behind)
            if changes:
                self._commit(store, changes)
            if behind:
                del self._behind[: len(behind)]  # not before: what fails at a stop is tried once more
            self._committing = False
            if changes.dead:
                self._tell(self._listener.buried, len(changes.dead))
            if changes.more:
                self._tell(self._listener.safe, changes.more.numbers[-1])
            if closing:
                store.check_place()  # what is kept in a file that was removed is lost
                self._open = False
                return
            if now >= house_at:
                store.check_place()
                store.compact()
                house_at = now + HOUSE_SECONDS
            if changes.more:
                self._wait_for_more(now + GROUP_SECONDS)

    def _wait(self) -> None:
        """Wait for something to commit; removals wait a while for something else."""

        def urgent() -> bool:
            return bool(self._changes.more or self._mirror is not None or self.closing or self._hurried)

        self._changed.wait_for(lambda: urgent() or bool(self._changes), HOUSE_SECONDS)
        if self._changes:
            self._changed.wait_for(urgent, REMOVE_SECONDS)

    def _wait_for_more(self, end: float) -> None:
        """Let requests come that share the next commit; ``end`` is monotonic seconds."""

        def enough() -> bool:
            most = len(self._changes.more) >= GROUP
            return most or self.closing or self._mirror is not None or self._hurried

        with self._changed:
            self._grouping = True
            self._changed.wait_for(enough, max(0.0, end - time.monotonic()))
            self._grouping = False

    def _commit(self, store: Store, changes: _Changes) -> None:
        begun = time.monotonic()
        self._write(store, changes)
        if self._commit_seconds is not None:
            self._commit_seconds.add(time.monotonic() - begun)

    def _write(self, store: Store, changes: _Changes) -> None:
        if changes.amended:
            # Before the requests are noted as done that this makes superfluous.
            store.amend(changes.amended)
        try:
            store.write(changes.more, changes.gone, changes.dead, changes.raised)
        except StoreError:
            # A full disk may still have space for this, and what was done must not be done again.
            dead_letters = {dead_letter.number for dead_letter in changes.dead}
            rest = [number for number in changes.gone if number not in dead_letters]
            if (changes.more or changes.dead) and rest:
                store.write((), rest)
            raise
        count = self.dead_count + len(changes.dead) - len(changes.raised)
        self.dead_count = max(0, min(MOST_DEAD, count))


def _reconcile(store: Store, held: Held) -> None:
    store.reconcile(held.entries, held.dead)


def _replace(store: Store, held: Held) -> None:
    store.replace(held.entries, held.dead)
