"""Writes the log: a queue of entries, and the log thread that writes them.

Any thread adds to the queue under a lock. The log thread takes all entries under the lock, but formats and
writes the lines without it, so that no other thread waits for a disk. The queue holds all that must keep its
order: the lines, changes of the outputs, and calls to make once the entries before them are written.
"""

from __future__ import annotations

import signal
import threading
import time
import traceback
from typing import TYPE_CHECKING, Final, TypeAlias

from pyd2.interpreter import free_in_parts
from pyd2.observe.appenders import WRITE_TIMEOUT, complain
from pyd2.observe.entries import RequestGroup, put

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pyd2.messages import LoggedRequest
    from pyd2.observe.appenders import Output
    from pyd2.observe.entries import Known, Target, Text
    from pyd2.observe.lockfile import LockFile

WAITING_LIMIT: Final = 16 << 20
"""Octets, about, that may wait for a disk that does not answer."""

GATHER_SECONDS: Final = 0.02
"""How long a line waits for others that are written with it; WARN and above wait less.

Each round switches between the threads some ten times, so shorter rounds would cost too much.
"""

URGENT_SECONDS: Final = 0.005
"""How long after a round the next one begins at the earliest if only lines of WARN and above hurry it.

When a server is silent there are hundreds of such lines at once. A round for each would take the interpreter
from the update thread that often.
"""

FLUSH_SECONDS: Final = 1.0
"""How long a flush waits for a disk that does not answer."""

_TOGETHER: Final = 1 << 20
"""Characters after which the lines made so far are written."""

# The sizes of the queue's entries, without the characters of a text.
_TEXT_SIZE: Final = 128
_REQUEST_SIZE: Final = 512
_CALL_SIZE: Final = 1024


class _Switch:
    """A change of the outputs: the present ones are closed, within ``timeout`` seconds for all."""

    def __init__(self, outputs: Sequence[Output], timeout: float) -> None:
        self.outputs: Final = outputs
        self.timeout: Final = timeout


_Entry: TypeAlias = "Text | RequestGroup | _Switch | Callable[[], object]"


class LogWriter:
    """Before ``start``, the thread that adds an entry writes it at once; it is then the only thread."""

    def __init__(self, lock_file: LockFile, emit: Callable[..., None], clock: Callable[[], float]) -> None:
        """``emit`` is the log's; it emits messages about the log itself."""
        self.lock: Final = threading.RLock()
        """Guards the queue, and the log's tables of where messages go."""
        self._changed = threading.Condition(self.lock)
        self._lock_file = lock_file
        self._lock_opened = False
        self._emit = emit
        self._clock = clock
        self._waiting: list[_Entry] = []
        self._taken: list[_Entry] = []
        """The entries that the thread is writing."""
        self._group: RequestGroup | None = None
        """The last entry waiting, if more requests can join it."""
        self._size = 0
        self._limit = WAITING_LIMIT
        """The limit of ``_size``: WAITING_LIMIT less what the thread is writing."""
        self._dropped: dict[Output, int] = {}
        """Lines beyond the limit."""
        self._thread: threading.Thread | None = None
        self._idle = True
        """Whether a new entry must wake the thread: it sleeps, or there is none."""
        self._hurry = False
        """Whether the entries that wait are to be written soon."""
        self._at_once = False
        """Whether another thread waits for that."""
        self._round_ended = 0.0
        self._closing = False
        self._overdue: threading.Event | None = None
        """The event of a flush that timed out."""
        self._outputs: Sequence[Output] = ()
        self._lost = 0
        """Lines that were lost, and reported or given up."""

    def start(self) -> None:
        """Start the log thread, with all signals blocked."""
        if self._thread is not None:
            return
        thread = threading.Thread(target=self._run, name="pyd2-log", daemon=True)
        with self.lock:
            self._thread, self._idle = thread, False
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            thread.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    @property
    def lines_lost(self) -> int:
        """How many lines were lost since the start; another thread may write meanwhile."""
        with self.lock:
            dropped = sum(self._dropped.values())
        return self._lost + dropped + sum(output.lost for output in self._outputs)

    # Adding entries; the caller of the first two holds the lock.

    def put(self, target: Target, text: str) -> None:
        """Write a text to a target. The limit does not apply to the log thread's own messages."""
        if self._size > self._limit and threading.current_thread() is not self._thread:
            self._drop(target)
            return
        self._size += len(text) + _TEXT_SIZE
        self._group = None
        self._waiting.append((target, self._clock(), text))
        if self._idle or target.urgent:
            self._wake(urgent=target.urgent)

    def tell(self, message_id: str, requests: Sequence[LoggedRequest], known: Mapping[str, Known]) -> None:
        """Write a message about each of some requests, if it is ``known``."""
        now = self._clock()
        group = self._group
        if group is None or message_id != group.message_id or not group.now <= now < group.until:
            message = known.get(message_id)
            if message is None:
                return
            if self._size > self._limit:
                self._drop(message.target, len(requests))
                return
            group = self._group = RequestGroup(message_id, message, now)
            self._waiting.append(group)
        group.requests.extend(requests)
        self._size += _REQUEST_SIZE * len(requests)
        if self._idle:
            self._wake()

    def after_written(self, call: Callable[[], object]) -> None:
        """Run ``call`` when the present entries have been written (``MessageLog.after_written``)."""
        with self.lock:
            if (self._waiting or self._taken) and self._size <= self._limit:
                self._add(call)
                return
        call()

    def flush(self) -> None:
        """Write the present entries, and wait for that (``MessageLog.flush``)."""
        if self._thread is None:
            self._write_pending()
            return
        written = threading.Event()
        with self.lock:
            if self._overdue is not None and not self._overdue.is_set():
                return
            self._add(written.set, urgent=True)
        if not written.wait(FLUSH_SECONDS):
            self._overdue = written

    def switch(self, outputs: Sequence[Output], timeout: float) -> None:
        """Close the outputs once the present entries have been written, and open these."""
        with self.lock:
            self._add(_Switch(outputs, timeout), urgent=True)

    def close(self, timeout: float) -> None:
        """Write the present entries, close the outputs and end the thread, within about so many seconds."""
        with self.lock:
            self._closing = True
            self.switch((), timeout)
        if self._thread is None:
            self._lock_file.close()
            return
        self._thread.join(timeout + 5 * WRITE_TIMEOUT)
        if self._thread.is_alive():
            self._report_rest()

    def _add(self, entry: _Switch | Callable[[], object], *, urgent: bool = False) -> None:
        self._size += _CALL_SIZE
        self._group = None
        self._waiting.append(entry)
        if self._idle or urgent:
            self._wake(urgent=urgent, at_once=urgent)

    def _drop(self, target: Target, lines: int = 1) -> None:
        for output, _ in target.writers:
            self._dropped[output] = self._dropped.get(output, 0) + lines

    def _wake(self, *, urgent: bool = False, at_once: bool = False) -> None:
        if self._thread is None:
            self._write(self._take())
        elif self._idle or not self._hurry or at_once:
            self._idle = False
            self._hurry = self._hurry or urgent
            self._at_once = self._at_once or at_once
            self._changed.notify()

    # The thread.

    def _run(self) -> None:
        while True:
            with self.lock:
                written, self._taken = self._taken, []
            free_in_parts(written)  # behind a disk that hung, 16 MB in a hundred thousand objects
            with self.lock:
                self._limit = WAITING_LIMIT
                if self._closing and not self._waiting:
                    break
                self._await()
                self._taken = self._take()
            try:
                self._write(self._taken)
            except Exception:  # the log must continue after any error
                complain(f"Unable to write log lines: {traceback.format_exc()}")
            self._round_ended = time.monotonic()
        self._lock_file.close()

    def _await(self) -> None:
        """Wait for something to write, and then a while for more."""
        if not self._waiting:
            self._idle = True
            self._changed.wait_for(lambda: not self._idle)
        self._changed.wait_for(lambda: self._hurry, GATHER_SECONDS)
        self._changed.wait_for(
            lambda: self._at_once, max(0.0, self._round_ended + URGENT_SECONDS - time.monotonic())
        )
        self._hurry = self._at_once = False

    def _take(self) -> list[_Entry]:
        taken, self._waiting = self._waiting, []
        self._group = None
        if self._thread is not None:
            self._limit = WAITING_LIMIT - self._size
        self._size = 0
        return taken

    def _write(self, entries: Iterable[_Entry]) -> None:
        size = 0
        calls: list[Callable[[], object]] = []
        for entry in entries:
            if isinstance(entry, tuple):
                size += put(entry)
            elif isinstance(entry, RequestGroup):
                size += entry.put()
            elif isinstance(entry, _Switch):
                self._write_pending()
                self._change_outputs(entry)
            else:
                calls.append(entry)
            if size > _TOGETHER:
                self._write_pending()
                size = 0
        self._write_pending()
        for call in calls:
            try:
                call()
            except Exception:  # one must not cost the others
                self._emit("PYD2_INTERNAL_ERROR", call, traceback.format_exc())

    def _write_pending(self) -> None:
        """Write the lines made so far; report lines that were lost once writing works again."""
        self._open_lock()
        with self._lock_file:
            for output in self._outputs:
                output.flush()
        self._count_dropped()
        for output in self._outputs:
            if output.lost and not output.reason:
                lost, output.lost = output.lost, 0
                self._lost += lost
                self._emit("PYD2_LOG_LINES_LOST", lost, output.name)

    def _open_lock(self) -> None:
        """Create the lock file with the first line, as Kea does; one that cannot be used costs no line."""
        if self._lock_opened or not any(output.pending for output in self._outputs):
            return
        self._lock_opened = True
        try:
            self._lock_file.open()
        except OSError as error:
            self._emit("PYD2_LOCKFILE_UNUSABLE", self._lock_file.path, error.strerror)

    def _change_outputs(self, switch: _Switch) -> None:
        self._count_dropped()
        ends = time.monotonic() + switch.timeout
        with self._lock_file:
            for output in self._outputs:
                output.close(max(0.0, ends - time.monotonic()))
            self._lost += sum(output.lost for output in self._outputs)
        self._outputs = switch.outputs
        for output in self._outputs:
            output.open()

    def _count_dropped(self) -> None:
        if self._dropped:
            with self.lock:
                dropped, self._dropped = self._dropped, {}
            for output, lines in dropped.items():
                output.lost += lines

    def _report_rest(self) -> None:
        """Report on stderr the lines that a hanging thread loses; from another thread, as stderr may hang."""
        with self.lock:
            lines = sum(len(entry.requests) if isinstance(entry, RequestGroup) else isinstance(entry, tuple)
                        for entry in (*self._taken, *self._waiting))
            lines += max(self._dropped.values(), default=0)
        text = f"up to {lines} log lines are lost: the disk or terminal did not accept them in time"
        last = threading.Thread(target=complain, args=(text,), daemon=True)
        last.start()
        last.join(WRITE_TIMEOUT)
