"""Writes the log: a queue of what is to be written, and the thread that works it off.

Whoever emits adds to the queue under a lock; the thread takes all of it under the lock, and makes and writes
the lines without, so that nobody waits for a disk. All that depends on an order stands in the queue: the
lines, the change of the outputs, and the calls for when what is before them has been written.
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
"""How long a line waits for others that are written with it; WARN and above do not.

Each round hands the interpreter to and fro between the threads, some ten times; so rounds are not shorter.
"""

FLUSH_SECONDS: Final = 1.0
"""How long a flush waits for a disk that does not answer."""

_TOGETHER: Final = 1 << 20
"""Characters that are written together at most."""

# What the entries of the queue count for, beside the characters of a text.
_TEXT_SIZE: Final = 128
_REQUEST_SIZE: Final = 512
_CALL_SIZE: Final = 1024


class _Switch:
    """Other outputs from here on; the present ones are closed, ``patience`` seconds for all."""

    def __init__(self, outputs: Sequence[Output], patience: float) -> None:
        self.outputs: Final = outputs
        self.patience: Final = patience


_Entry: TypeAlias = "Text | RequestGroup | _Switch | Callable[[], object]"


class LogWriter:
    """Before ``start`` each thing is written at once, by who adds it; that is then the only thread."""

    def __init__(self, lock_file: LockFile, emit: Callable[..., None], clock: Callable[[], float]) -> None:
        """``emit`` is the log's, for what is to be said of the log itself."""
        self.lock: Final = threading.RLock()
        """Guards the queue, and in the log what decides where messages go."""
        self._changed = threading.Condition(self.lock)
        self._lock_file = lock_file
        self._lock_opened = False
        self._emit = emit
        self._clock = clock
        self._waiting: list[_Entry] = []
        self._taken: list[_Entry] = []
        """What the thread is at work on."""
        self._told: RequestGroup | None = None
        """The last thing waiting, if more requests can join it."""
        self._size = 0
        self._limit = WAITING_LIMIT
        """What ``_size`` may be, with what is being written taken off."""
        self._dropped: dict[Output, int] = {}
        """Lines for which there was no room."""
        self._thread: threading.Thread | None = None
        self._idle = True
        """Whether what is added is to be seen to: the thread sleeps, or there is none."""
        self._hurry = False
        self._closing = False
        self._overdue: threading.Event | None = None
        """Of a flush that was not waited for to its end."""
        self._outputs: Sequence[Output] = ()

    def start(self) -> None:
        """Let a thread write from now on; signals are not for it."""
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

    # What is added; the lock is held for the first two.

    def put(self, target: Target, text: str) -> None:
        """Write a text where a target says. There is always room for what the thread says of the log."""
        if self._size > self._limit and threading.current_thread() is not self._thread:
            self._drop(target)
            return
        self._size += len(text) + _TEXT_SIZE
        self._told = None
        self._waiting.append((target, self._clock(), text))
        if self._idle or target.urgent:
            self._wake(urgent=target.urgent)

    def tell(self, message_id: str, request: LoggedRequest, known: Mapping[str, Known]) -> None:
        """Write a message that tells of a request, if it is ``known``."""
        now = self._clock()
        told = self._told
        if told is None or message_id != told.message_id or not told.now <= now < told.until:
            message = known.get(message_id)
            if message is None:
                return
            if self._size > self._limit:
                self._drop(message.target)
                return
            told = self._told = RequestGroup(message_id, message, now)
            self._waiting.append(told)
        told.requests.append(request)
        self._size += _REQUEST_SIZE
        if self._idle:
            self._wake()

    def after_written(self, call: Callable[[], object]) -> None:
        """Run ``call`` when what is there now has been written; see the log."""
        with self.lock:
            if (self._waiting or self._taken) and self._size <= self._limit:
                self._add(call)
                return
        call()

    def flush(self) -> None:
        """Write what is there, and wait for that; see the log."""
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

    def switch(self, outputs: Sequence[Output], patience: float) -> None:
        """Close the outputs, after what is there now has been written, and open these."""
        with self.lock:
            self._add(_Switch(outputs, patience), urgent=True)

    def close(self, patience: float) -> None:
        """Write what is there, close the outputs and end the thread, within about so many seconds."""
        with self.lock:
            self._closing = True
            self.switch((), patience)
        if self._thread is None:
            self._lock_file.close()
            return
        self._thread.join(patience + 5 * WRITE_TIMEOUT)
        if self._thread.is_alive():
            self._tell_of_rest()

    def _add(self, entry: _Switch | Callable[[], object], *, urgent: bool = False) -> None:
        self._size += _CALL_SIZE
        self._told = None
        self._waiting.append(entry)
        if self._idle or urgent:
            self._wake(urgent=urgent)

    def _drop(self, target: Target) -> None:
        for output, _ in target.writers:
            self._dropped[output] = self._dropped.get(output, 0) + 1

    def _wake(self, *, urgent: bool = False) -> None:
        if self._thread is None:
            self._write(self._take())
        elif self._idle or not self._hurry:
            self._idle = False
            self._hurry = self._hurry or urgent
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
            except Exception:  # whatever it is, the log goes on
                complain(f"Unable to write log lines: {traceback.format_exc()}")
        self._lock_file.close()

    def _await(self) -> None:
        """Wait for something to write, and then a while for more."""
        if not self._waiting:
            self._idle = True
            self._changed.wait_for(lambda: not self._idle)
        self._changed.wait_for(lambda: self._hurry, GATHER_SECONDS)
        self._hurry = False

    def _take(self) -> list[_Entry]:
        taken, self._waiting = self._waiting, []
        self._told = None
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
        ends = time.monotonic() + switch.patience
        with self._lock_file:
            for output in self._outputs:
                output.close(max(0.0, ends - time.monotonic()))
        self._outputs = switch.outputs
        for output in self._outputs:
            output.open()

    def _count_dropped(self) -> None:
        if self._dropped:
            with self.lock:
                dropped, self._dropped = self._dropped, {}
            for output, lines in dropped.items():
                output.lost += lines

    def _tell_of_rest(self) -> None:
        """Say on stderr what is lost since the thread hangs; in another one, for stderr may hang, too."""
        with self.lock:
            lines = sum(len(entry.requests) if isinstance(entry, RequestGroup) else isinstance(entry, tuple)
                        for entry in (*self._taken, *self._waiting))
            lines += max(self._dropped.values(), default=0)
        text = f"log lines that were lost, for writing them does not come to an end: up to {lines}"
        last = threading.Thread(target=complain, args=(text,), daemon=True)
        last.start()
        last.join(WRITE_TIMEOUT)
