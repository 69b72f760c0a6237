"""The durable queue as the daemon's loop sees it. Nothing here blocks, and no disk's fault stops a request.

Theory of operation
-------------------
A request that comes in gets a number, waits until the writer's thread says that it is on the disk, and only
then goes to the engine: so whatever was begun is in the file, and what was begun and not done is begun again
after a kill. When the engine is done with it, its number goes to the writer, which removes it. All requests
not yet done are held here too: the file is their mirror.

When the file fails, or the disk does not answer, the waiting requests go to the engine at once, and so do
those that follow. From time to time a new thread opens the file and makes it hold what is held here; from
then on requests wait for the disk again.
"""

from __future__ import annotations

import time
from collections import deque
from functools import partial
from itertools import count, repeat
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyd2.journal.entry import DATABASE, DeadLetter, Entry, StoreError
from pyd2.journal.lock import DirectoryLock

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping, Sequence

    from pyd2.config.switches import QueueSwitches
    from pyd2.counters import Counters
    from pyd2.journal.writer import Writer
    from pyd2.messages import Log

STALL_SECONDS: Final = 3.0
"""How long requests wait for a disk that does not answer."""

RETRY_SECONDS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""How long to wait before the file is tried again; the last stays."""

CLOSE_SECONDS: Final = 10.0
"""How long the end of the daemon waits for the last commit."""

RESUME_PERCENT: Final = 80
"""The queue counts as full until it is down to this part of its limit."""

_CHUNK: Final = 128
"""Requests handed to the engine at a time: as many as the listener reads at a time."""

_PUT_OFF: Final = 8
"""How many turns in a row the engine is kept waiting while the listener reads as many as it can: what waits
here is on the disk, and what waits in the kernel may be lost."""

# For each request that comes: in C, a fifth of what Entry(...) and entry.number take.
_entry: Final[Callable[[tuple[int, float, bytes]], Entry]] = partial(tuple.__new__, Entry)
_number: Final = itemgetter(0)


class Journal:
    """Between the listener and the engine; without a durable queue it passes on what it gets.

    ``carry_out(datagrams, numbers)`` gets the requests that may begin, with their numbers to be given back to
    ``done``; without numbers when nobody need hear of their end.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        carry_out: Callable[[Sequence[bytes], Sequence[int]], None],
        counters: Counters,
        log: Log,
    ) -> None:
        self._loop = loop
        self._carry_out = carry_out
        self._counters = counters
        self._log = log
        self._wanted = False
        """Whether the configuration asks for it; if not, what is still in the file is worked off."""
        self._directory = ""
        self._max_entries = 0
        self._claimed: DirectoryLock | None = None
        """The lock of the directory that the next configuration names."""
        self._writer: Writer | None = None
        self._formers: list[Writer] = []
        """Those of directories before, until the present one has taken their entries over."""
        self._ended: list[Writer] = []
        """Threads that were told to end; the next one in their directory waits for them."""
        self._lock: DirectoryLock | None = None
        """While there is no writer."""
        self._loading = False
        """Whether the file is being read for the first time; requests wait for that in ``_held``."""
        self._held: list[bytes] = []
        self._up = False
        """Whether the file works."""
        self._unread = False
        """Whether the file could not be read at the start."""
        self._entries: dict[int, Entry] = {}
        """All requests that are not done, by number, in their order."""
        self._waiting: deque[Sequence[Entry]] = deque()
        """Those that the engine has not got, as many together as it gets at a time."""
        self._safe = 0
        """Requests up to this number may begin."""
        self._restored_up_to = 0
        self._next = 1
        self._releasing = False
        self._burst = False
        """Whether the listener has just read as many as it can."""
        self._put_off = 0
        """Turns that the engine has been kept waiting for that."""
        self._full = False
        self._stall: asyncio.TimerHandle | None = None
        self._safe_before = 0
        self._retry: asyncio.TimerHandle | None = None
        self._failures = 0
        self._reason = ""
        """Why the file does not work, as it was logged last."""

    # What the daemon asks.

    @property
    def durable(self) -> bool:
        """Whether what is not done is on the disk, and goes on at the next start."""
        return self._wanted and (self._up or self._loading)

    @property
    def busy(self) -> bool:
        """Whether requests have arrived that the engine has not got."""
        return bool(self._waiting or self._held)

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self._directory, DATABASE)

    def status(self, wall: float) -> dict[str, str | int] | None:
        """Return what the operator is told of it; None without a durable queue. The age is in seconds."""
        if not self._directory:
            return None
        oldest = next(iter(self._entries.values()), None)
        return {
            "file": str(self.path),
            "state": "loading" if self._loading else "in use" if self._up else f"memory only: {self._reason}",
            "entries": len(self._entries),
            "oldest-age": max(0, int(wall - oldest.taken)) if oldest is not None else 0,
            "dead-letters": self._writer.dead_count if self._writer is not None else 0,
        }

    def claim(self, switches: QueueSwitches) -> None:
        """Lock the directory that a configuration asks for, before it is in force.

        Raises InUseError when another process has it. What else may be wrong with it is no reason to refuse
        a configuration: the daemon then works without the file.
        """
        self.unclaim()
        if switches.type != "durable" or switches.directory == self._directory:
            return
        if self._ending(switches.directory):
            return  # the thread waits for those
        try:
            self._claimed = DirectoryLock(switches.directory)
        except OSError:
            return  # said when it is opened

    def unclaim(self) -> None:
        """Take back ``claim``."""
        if self._claimed is not None:
            self._claimed.release()
            self._claimed = None

    def configure(self, switches: QueueSwitches) -> None:
        """Work by the configuration whose directory was claimed."""
        self._max_entries = switches.max_entries
        self._wanted = switches.type == "durable"
        if self._wanted and switches.directory != self._directory:
            self._move(switches.directory)
        elif not self._wanted:
            self._waive()
            self._leave_if_done()

    def take(self, datagrams: Sequence[bytes]) -> None:
        """Take what was read from the socket."""
        if not self._wanted and not self._loading:
            if not self._waiting:
                self._carry_out(datagrams, ())
            else:
                self._wait([Entry(0, 0.0, datagram) for datagram in datagrams])
            return
        self._burst = len(datagrams) >= _CHUNK
        wall = time.time()
        room = self._max_entries - len(self._entries) - len(self._held)
        if len(datagrams) > room:
            self._drop(len(datagrams) - max(0, room), wall)
            datagrams = datagrams[: max(0, room)]
        if self._loading:
            self._held += datagrams
            return
        entries = list(map(_entry, zip(count(self._next), repeat(wall), datagrams)))
        self._next += len(entries)
        self._add(entries)
        if self._writer is not None and entries:
            self._writer.write(entries)
        if not self._up:
            self._waive()
            return
        if self._stall is None:
            self._safe_before = self._safe
            self._stall = self._loop.call_later(STALL_SECONDS, self._look_for_stall)
        self._release()

    def amend(self, changes: Sequence[tuple[int, bool, bool]]) -> None:
        """Take it that requests have only these changes left to make, forward and reverse, by number."""
        from pyd2.journal.changes import with_changes

        amended = []
        for number, forward, reverse in changes:
            entry = self._entries.get(number)
            if entry is not None:
                datagram = with_changes(entry.datagram, forward=forward, reverse=reverse)
                entry = self._entries[number] = entry._replace(datagram=datagram)
                amended.append(entry)
        for writer in (self._writer, *self._formers):
            if writer is not None and not self._loading:
                writer.amend(amended)

    def done(self, numbers: Sequence[int], dead: Mapping[int, str]) -> None:
        """Take it that requests have ended for good; the ``dead`` ones are dead letters, with reasons."""
        letters = []
        for number, reason in dead.items():
            entry = self._entries.get(number)
            if entry is not None:
                letters.append(DeadLetter(0, entry.taken, time.time(), reason, entry.datagram))
        forget = self._entries.pop
        for number in numbers:
            forget(number, None)
        if self._writer is not None and not self._loading:
            self._writer.remove(numbers, letters)
        for former in self._formers:
            former.remove(numbers)
        if self._full:
            self._resume_if_room()
        self._leave_if_done()

    def close(self) -> None:
        """Write what is to be written and close the file, at the end of the daemon. Blocks for that."""
        for timer in (self._stall, self._retry):
            if timer is not None:
                timer.cancel()
        self.unclaim()
        if not self._directory:
            return
        kept = self._writer is not None and self._writer.close(CLOSE_SECONDS) and self._up
        for former in self._formers:
            former.close(CLOSE_SECONDS)
        if self._lock is not None:
            self._lock.release()
        if self._entries or self._held:
            message = "PYD2_QUEUE_KEPT" if kept else "PYD2_QUEUE_LOST"
            self._log.emit(message, len(self._entries) + len(self._held), self.path)

    # What the writer tells. What comes from one that was given up counts no more.

    def opened(self, writer: Writer, entries: list[Entry], fault: StoreError | None) -> None:
        """Let the requests of the time before go on, and then those that came meanwhile."""
        if writer is not self._writer:
            return
        moved = bool(self._entries)
        if moved:
            entries = [entry._replace(number=number) for number, entry in zip(count(self._next), entries)]
        if entries:
            self._next = entries[-1].number + 1
        self._add(entries)
        self._loading = self._unread = False
        if fault is not None:
            self._lock = writer.lock
            self._fail(fault)
        else:
            self._up = True
            self._log.emit("PYD2_QUEUE_OPENED", self.path, len(entries))
            if moved:
                # Numbers in the file mean others' requests: it gets what is held here instead.
                self._restored_up_to = self._next - 1
                writer.replace(list(self._entries.values()))
            else:
                self._safe = self._next - 1
                self._empty_formers()
        self._take_held()
        self._release()

    def restored(self, writer: Writer) -> None:
        """Let requests wait for the disk again."""
        if writer is not self._writer:
            return
        self._safe = max(self._safe, self._restored_up_to)
        self._unread = False
        self._empty_formers()
        if not self._up:
            self._up = True
            self._failures = 0
            self._reason = ""
            self._log.emit("PYD2_QUEUE_RESUMED", self.path, len(self._entries))
        self._release()

    def safe(self, _writer: Writer, number: int) -> None:
        """Let the requests up to this number begin."""
        self._safe = max(self._safe, number)
        self._release()

    def failed(self, writer: Writer, fault: StoreError) -> None:
        """Go on without the file."""
        if writer in self._formers:
            writer.close(None)
            self._formers.remove(writer)
        if writer is not self._writer:
            return
        self._lock = writer.lock
        self._unread = self._unread or self._loading
        self._loading = False
        self._fail(fault)
        self._take_held()

    def set_aside(self, _writer: Writer, reason: str, aside: Path, count: int) -> None:
        """Say where the old file is."""
        self._log.emit("PYD2_QUEUE_SET_ASIDE", self.path, reason, aside, count)

    # Requests.

    def _add(self, entries: Sequence[Entry]) -> None:
        self._entries.update(zip(map(_number, entries), entries, strict=True))
        self._wait(entries)

    def _wait(self, entries: Sequence[Entry]) -> None:
        for at in range(0, len(entries), _CHUNK):
            self._waiting.append(entries[at : at + _CHUNK])

    def _take_held(self) -> None:
        held, self._held = self._held, []
        if held:
            self.take(held)

    def _waive(self) -> None:
        """Let all requests begin, on the disk or not."""
        self._safe = self._next - 1
        self._release()

    def _release(self) -> None:
        """Hand requests that may begin to the engine, some at a time."""
        if self._releasing:
            return
        self._hand_over()
        if self._some_may_begin():
            self._releasing = True
            self._loop.call_soon(self._release_more)

    def _release_more(self) -> None:
        if self._burst and self._put_off < _PUT_OFF:
            self._burst = False
            self._put_off += 1
            self._loop.call_soon(self._release_more)
            return
        self._put_off = 0
        self._releasing = False
        self._release()

    def _some_may_begin(self) -> bool:
        # What came together is safe together.
        return bool(self._waiting) and self._waiting[0][-1].number <= self._safe

    def _hand_over(self) -> None:
        if self._some_may_begin():
            numbers, _, datagrams = zip(*self._waiting.popleft(), strict=True)
            self._carry_out(datagrams, numbers)

    def _drop(self, lost: int, wall: float) -> None:
        for _ in range(lost):
            self._counters.queue_full.add(wall)
        if not self._full:
            self._full = True
            self._log.emit("DHCP_DDNS_QUEUE_MGR_QUEUE_FULL", self._max_entries)

    def _resume_if_room(self) -> None:
        resume_at = self._max_entries * RESUME_PERCENT // 100
        if len(self._entries) <= resume_at:
            self._full = False
            self._log.emit("DHCP_DDNS_QUEUE_MGR_RESUMING", resume_at, self._max_entries)

    # The file.

    def _move(self, directory: str) -> None:
        """Work with another directory from now on; what is not done moves there."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._writer is not None:
            if self._loading:
                self._end(self._writer)  # none of what is held here stands in it, and what does stays
            else:
                self._formers.append(self._writer)
            self._writer = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        self._directory = directory
        self._loading, self._up, self._unread, self._failures, self._reason = True, False, False, 0, ""
        self._writer = self._new_writer(self._claimed)
        self._claimed = None
        self._writer.start()

    def _new_writer(self, lock: DirectoryLock | None) -> Writer:
        # Loaded here, SQLite and what else it needs cost a start without a durable queue nothing.
        from pyd2.journal.writer import Writer

        return Writer(self._loop, self, self._directory, lock, self._ending(self._directory))

    def _empty_formers(self) -> None:
        """Give up the directories of before: the present file holds all that is not done."""
        for former in self._formers:
            former.replace(())
            self._end(former)
        self._formers.clear()

    def _end(self, writer: Writer) -> None:
        """Let a thread end; it may take its time."""
        writer.close(None)
        self._ended = [ended for ended in self._ended if not ended.over]
        self._ended.append(writer)

    def _ending(self, directory: str) -> list[Writer]:
        """Return the threads that still have a directory."""
        return [writer for writer in self._ended if writer.directory == directory and not writer.over]

    def _leave_if_done(self) -> None:
        """Give up the file when it is not wanted any more and all of it is done."""
        if self._wanted or not self._directory or self._loading or self._entries:
            return
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        for writer in (*self._formers, self._writer):
            if writer is not None:
                self._end(writer)
        if self._lock is not None:
            self._lock.release()
        self._formers.clear()
        self._directory, self._writer, self._lock, self._up = "", None, None, False

    def _fail(self, fault: StoreError) -> None:
        self._up = False
        self._writer = None
        if str(fault) != self._reason:
            self._reason = str(fault)
            self._log.emit("PYD2_QUEUE_FAILED", self._reason)
        self._retry = self._loop.call_later(
            RETRY_SECONDS[min(self._failures, len(RETRY_SECONDS) - 1)], self._try_again
        )
        self._failures += 1
        self._waive()

    def _try_again(self) -> None:
        self._retry = None
        lock, self._lock = self._lock, None
        self._writer = self._new_writer(lock)
        self._restored_up_to = self._next - 1
        self._writer.start_again(list(self._entries.values()), unread=self._unread)

    def _look_for_stall(self) -> None:
        self._stall = None
        if not self._up or not self._waiting or self._some_may_begin():
            return
        if self._safe > self._safe_before:
            self._safe_before = self._safe
            self._stall = self._loop.call_later(STALL_SECONDS, self._look_for_stall)
            return
        assert self._writer is not None
        self._end(self._writer)
        self._fail(StoreError(f"{self.path}: the disk has not answered for {STALL_SECONDS:g} seconds"))
