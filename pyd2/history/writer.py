"""The history thread ``pyd2-history``: takes what has ended from the update thread, and writes it.

The update thread puts a few facts of each request into a list, which costs it little; all else is done
here. So that a flood of requests keeps its speed, this thread works a tenth of the time at most: what comes
faster waits, and what does not fit into the list any more is dropped, requests that are done before those
that failed. The history is a memory aid and promises nothing at a crash; the durable queue is the promise.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import OrderedDict, deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pyd2.history.rows import FACTS, Batch, facts_of_done, row_of_done, row_of_end

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyd2.config.switches import HistorySwitches
    from pyd2.history.store import Store
    from pyd2.messages import Log
    from pyd2.update.model.transaction import Transaction
    from pyd2.update.observing.requests import End

MOST_WAITING: Final = 65536
"""Requests that may wait to be written: 64 MiB, with all that a transaction holds."""
FOR_FAILURES: Final = 8192
"""Of these, places that are left to requests that were not done."""
CHUNK: Final = 128
"""Requests that are written before other threads have their turn."""
DUTY: Final = 9.0
"""How many times as long as it has worked the thread rests, while much is waiting."""
COMMIT_SECONDS: Final = 0.5
"""How long rows wait for a commit to share."""
TRY_AGAIN_SECONDS: Final = 30.0
"""After a fault the file is opened again so much later."""
HOUSE_SECONDS: Final = 3600.0
"""How often what is too old is removed."""
MOST_FAILED: Final = 10_000
"""Hosts that have failed and are remembered, where only failures are kept."""
CLOSE_SECONDS: Final = 3.0
"""How long the end of the daemon waits for what is still to be written."""


class HistoryWriter:
    """The history of one configuration after another; the thread runs from the first to ``close``.

    ``add`` is for the update thread, all else for the main thread.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._changed = threading.Condition()
        self._waiting: deque[Batch] = deque()
        self._count = 0
        """Requests in ``_waiting``, and those that are being written."""
        self.lost = 0
        """Requests that were not written."""
        self._switches: HistorySwitches | None = None
        self._closing = False
        self._failures_only = False
        self._failed: OrderedDict[bytes, None] = OrderedDict()
        """Names on the wire whose last request was not done, where only failures are kept."""
        self.fault = ""
        """Why the file cannot be written, since that was logged; empty: it can."""
        self._thread = threading.Thread(target=self._run, name="pyd2-history", daemon=True)

    def configure(self, switches: HistorySwitches) -> None:
        """Write the history that a configuration asks for, if it does."""
        with self._changed:
            self._switches = switches if switches.enabled else None
            self._failures_only = switches.what == "failures"
            self._changed.notify()
        if switches.enabled and not self._thread.is_alive():
            self._thread.start()

    def add(self, wall: float, now: float, done: Sequence[Transaction], ends: Sequence[End]) -> None:
        """Take what has ended in a turn of the engine; see ``Batch``."""
        if self._count + len(done) > MOST_WAITING - FOR_FAILURES:
            self.lost += len(done)
            done = ()
        if self._count + len(ends) > MOST_WAITING:
            self.lost += len(ends)
            ends = ()
        if done or ends:
            batch = Batch(wall, now, facts_of_done(done), ends)
            with self._changed:
                self._waiting.append(batch)
                self._count += batch.size

    def close(self) -> None:
        """Write what waits, and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(CLOSE_SECONDS)

    # The thread.

    def _run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        works = True
        while works or not self._closing:
            switches = self._wait_for_switches()
            if switches is None or (self._closing and not self._waiting):
                return
            works = self._serve(switches)

    def _wait_for_switches(self) -> HistorySwitches | None:
        with self._changed:
            self._changed.wait_for(lambda: self._switches is not None or self._closing)
            return self._switches

    def _serve(self, switches: HistorySwitches) -> bool:
        """Write under one configuration, until there is another one or the file fails; return which."""
        import sqlite3

        from pyd2.history.store import set_aside

        store = None
        try:
            store = self._open(switches)
            self._write(store, switches)
        except sqlite3.DatabaseError as error:
            aside = ""
            if not isinstance(error, sqlite3.OperationalError):  # it is damaged, or no database at all
                with suppress(OSError):
                    aside = set_aside(switches.directory)
                    self._log.emit("PYD2_HISTORY_SET_ASIDE", switches.directory, error, aside)
            if not aside:
                self._fail(switches, str(error))
        except Exception as error:  # whatever it is, the daemon continues without the history
            self._fail(switches, str(error) if isinstance(error, OSError) else repr(error))
        else:
            return True
        finally:
            if store is not None:
                store.close()
        self._rest_after_fault(switches)
        return False

    def _open(self, switches: HistorySwitches) -> Store:
        from pyd2.history.store import Limits, Store

        limits = Limits(switches.max_entries, switches.max_bytes, switches.keep_days)
        return Store(switches.directory, limits)

    def _fail(self, switches: HistorySwitches, text: str) -> None:
        """Log a fault of the file, once until it works again."""
        if not self.fault:
            self.fault = text
            self._log.emit("PYD2_HISTORY_FAILED", switches.directory, text)

    def _rest_after_fault(self, switches: HistorySwitches) -> None:
        """Wait before the file is tried again; what comes meanwhile waits, if it can."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._switches is not switches, TRY_AGAIN_SECONDS)

    def _write(self, store: Store, switches: HistorySwitches) -> None:
        store.begin()
        store.trim()
        store.commit()
        house_at = 0.0
        while True:
            now = time.monotonic()
            if now >= house_at:
                store.begin()
                store.forget_old(time.time())
                store.commit()
                house_at = now + HOUSE_SECONDS
            if self._waiting and not store.in_place:  # it would be written where no search finds it
                self._log.emit("PYD2_HISTORY_REPLACED", switches.directory)
                return
            written = self._write_waiting(store, switches)
            if self.fault and written:
                self.fault = ""
                self._log.emit("PYD2_HISTORY_RESUMED", switches.directory, self.lost)
            with self._changed:
                if self._switches is not switches or (self._closing and not self._waiting):
                    return
                self._changed.wait_for(
                    lambda: self._closing or self._switches is not switches,
                    min(COMMIT_SECONDS, max(0.0, house_at - now)),
                )

    def _write_waiting(self, store: Store, switches: HistorySwitches) -> int:
        """Write all that waits, in one transaction; return how many requests that were."""
        written = 0
        if not self._waiting:
            return 0
        ends_at = time.monotonic() + COMMIT_SECONDS
        try:
            store.begin()
            while self._waiting and time.monotonic() < ends_at and self._switches is switches:
                batch = self._waiting.popleft()
                written += batch.size
                with self._changed:
                    self._count -= batch.size
                self._write_batch(store, batch)
            store.commit()
        except BaseException:
            self.lost += written
            raise
        return written

    def _write_batch(self, store: Store, batch: Batch) -> None:
        begun = time.thread_time()
        done = range(0, len(batch.done), FACTS)
        kept = self._kept(batch, done) if self._failures_only else done
        for first in range(0, len(kept), CHUNK):
            some = kept[first : first + CHUNK]
            store.add([row_of_done(batch, each, store.word) for each in some])
            begun = self._rest(begun)
        for first in range(0, len(batch.ends), CHUNK):
            ends = batch.ends[first : first + CHUNK]
            store.add([row_of_end(batch, each, store.word) for each in ends])
            begun = self._rest(begun)

    def _kept(self, batch: Batch, done: Sequence[int]) -> list[int]:
        """Return those that are done whose hosts have failed before: their success is what one looks for."""
        failed = self._failed
        for end in batch.ends:
            failed[end.request.fqdn_wire.lower()] = None
            if len(failed) > MOST_FAILED:
                failed.popitem(last=False)
        if not failed:
            return []
        return [each for each in done if failed.pop(batch.done[each].fqdn_wire.lower(), self) is None]

    def _rest(self, begun: float) -> float:
        """Sleep, so that the other threads have most of the time; return this thread's CPU time after it."""
        if not self._closing:
            time.sleep(DUTY * max(0.0, time.thread_time() - begun))
        return time.thread_time()
