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
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyd2.journal.entry import DATABASE, DeadLetter, Entries, Entry, StoreError
from pyd2.journal.former import FormerWriters
from pyd2.journal.lock import DirectoryLock
from pyd2.journal.pending import Pending
from pyd2.journal.release import CHUNK, Release

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
        self._release = Release(loop, carry_out)
        self._counters = counters
        self._log = log
        self._wanted = False
        """Whether the configuration asks for it; if not, what is still in the file is worked off."""
        self._directory = ""
        self._max_entries = 0
        self._claimed: DirectoryLock | None = None
        """The lock of the directory that the next configuration names."""
        self._writer: Writer | None = None
        self._formers = FormerWriters()
        self._lock: DirectoryLock | None = None
        """While there is no writer."""
        self._loading = False
        """Whether the file is being read for the first time; requests wait for that in ``_held``."""
        self._held: list[bytes] = []
        self._up = False
        """Whether the file works."""
        self._unread = False
        """Whether the file could not be read at the start."""
        self._pending = Pending()
        self._restored_up_to = 0
        self._next = 1
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
        return self._release.busy or bool(self._held)

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self._directory, DATABASE)

    def status(self, wall: float) -> dict[str, str | int] | None:
        """Return what the operator is told of it; None without a durable queue. The age is in seconds."""
        if not self._directory:
            return None
        oldest = self._pending.oldest()
        return {
            "file": str(self.path),
            "state": "loading" if self._loading else "in use" if self._up else f"memory only: {self._reason}",
            "entries": len(self._pending),
            "oldest-age": max(0, int(wall - oldest)) if oldest is not None else 0,
            "dead-letters": self._writer.dead_count if self._writer is not None else 0,
        }

    def claim(self, switches: QueueSwitches) -> None:
        """Lock the directory that a configuration asks for, before it is in force.

        Raises InUseError when another process has it. What else may be wrong with it is no reason to refuse
        a configuration: the daemon then works without the file.
        """
        self.unclaim()
        if self.holds(switches):
            return
        try:
            self._claimed = DirectoryLock(switches.directory)
        except OSError:
            return  # said when it is opened

    def holds(self, switches: QueueSwitches) -> bool:
        """Whether a configuration asks for no directory, or for one that is locked already."""
        if switches.type != "durable" or switches.directory == self._directory:
            return True
        # It goes on with the former, and its thread waits for the latter.
        return self._formers.has(switches.directory) or bool(self._formers.ending(switches.directory))

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
            if not self._release.busy:
                self._carry_out(datagrams, ())
            else:
                self._release.add(_numbered([0] * len(datagrams), 0.0, datagrams))
            return
        self._release.burst = len(datagrams) >= CHUNK
        wall = time.time()
        room = self._max_entries - len(self._pending) - len(self._held)
        if len(datagrams) > room:
            self._drop(len(datagrams) - max(0, room), wall)
            datagrams = datagrams[: max(0, room)]
        if self._loading:
            self._held += datagrams
            return
        entries = _numbered(list(range(self._next, self._next + len(datagrams))), wall, datagrams)
        self._next += len(entries)
        self._add(entries)
        if self._writer is not None and entries:
            self._writer.write(entries)
        if not self._up:
            self._waive()
            return
        self._watch_for_stall()
        self._release.go_on()

    def amend(self, changes: Sequence[tuple[int, bool, bool]]) -> None:
        """Take it that requests have only these changes left to make, forward and reverse, by number."""
        from pyd2.journal.changes import with_changes

        amended = []
        for number, forward, reverse in changes:
            entry = self._pending.get(number)
            if entry is not None:
                datagram = with_changes(entry.datagram, forward=forward, reverse=reverse)
                entry = entry._replace(datagram=datagram)
                self._pending.change(entry)
                amended.append(entry)
        if self._writer is not None and not self._loading:
            self._writer.amend(amended)
        self._formers.amend(amended)

    def done(self, numbers: Sequence[int], dead: Mapping[int, str]) -> None:
        """Take it that requests have ended for good; the ``dead`` ones are dead letters, with reasons."""
        letters = []
        for number, reason in dead.items():
            entry = self._pending.get(number)
            if entry is not None:
                letters.append(DeadLetter(0, entry.taken, time.time(), reason, entry.datagram))
        self._pending.forget(numbers)
        if self._writer is not None:
            # While its file is being read these requests are not in it, but letters belong there already.
            self._writer.remove(() if self._loading else numbers, letters)
        self._formers.remove(numbers)
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
        self._formers.close(CLOSE_SECONDS)
        if self._lock is not None:
            self._lock.release()
        if self._pending or self._held:
            message = "PYD2_QUEUE_KEPT" if kept else "PYD2_QUEUE_LOST"
            self._log.emit(message, len(self._pending) + len(self._held), self.path)

    # What the writer tells. What comes from one that was given up counts no more.

    def opened(self, writer: Writer, entries: list[Entry], fault: StoreError | None) -> None:
        """Let the requests of the time before go on, and then those that came meanwhile."""
        if writer is not self._writer:
            return
        writer.unread = False
        moved = bool(self._pending)
        if moved:
            entries = [entry._replace(number=number) for number, entry in zip(count(self._next), entries)]
        if entries:
            # Never less than before: that requests up to a number are safe has been said of others.
            self._next = max(self._next, entries[-1].number + 1)
        self._add(Entries.of(entries))
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
                writer.replace(self._pending.entries())
                self._watch_for_stall()
            else:
                self._release.safe = self._next - 1
                self._formers.empty()
        self._take_held()
        self._release.go_on()

    def restored(self, writer: Writer) -> None:
        """Let requests wait for the disk again."""
        if writer is not self._writer:
            return
        self._unread = False
        self._formers.empty()
        if not self._up:
            self._up = True
            self._failures = 0
            self._reason = ""
            self._log.emit("PYD2_QUEUE_RESUMED", self.path, len(self._pending))
        self._release.up_to(self._restored_up_to)

    def safe(self, _writer: Writer, number: int) -> None:
        """Let the requests up to this number begin."""
        self._release.up_to(number)

    def failed(self, writer: Writer, fault: StoreError) -> None:
        """Go on without the file."""
        self._formers.failed(writer)
        if writer is not self._writer:
            if writer.directory != self._directory and not writer.unread and not writer.given_up:
                self._log.emit("PYD2_QUEUE_LEFT_BEHIND", Path(writer.directory, DATABASE), fault)
            return
        self._lock = writer.lock
        self._unread = writer.unread
        self._loading = False
        self._fail(fault)
        self._take_held()

    def set_aside(self, writer: Writer, reason: str, aside: Path, count: int) -> None:
        """Say where the old file is."""
        self._log.emit("PYD2_QUEUE_SET_ASIDE", Path(writer.directory, DATABASE), reason, aside, count)

    # Requests.

    def _add(self, entries: Entries) -> None:
        self._pending.add(entries)
        self._release.add(entries)

    def _take_held(self) -> None:
        held, self._held = self._held, []
        if held:
            self.take(held)

    def _waive(self) -> None:
        """Let all requests begin, on the disk or not."""
        self._release.up_to(self._next - 1)

    def _drop(self, lost: int, wall: float) -> None:
        self._counters.queue_full.add(wall, lost)
        self._counters.tally.received += lost
        self._counters.tally.lost += lost
        if not self._full:
            self._full = True
            self._log.emit("DHCP_DDNS_QUEUE_MGR_QUEUE_FULL", self._max_entries)

    def _resume_if_room(self) -> None:
        resume_at = self._max_entries * RESUME_PERCENT // 100
        if len(self._pending) <= resume_at:
            self._full = False
            self._log.emit("DHCP_DDNS_QUEUE_MGR_RESUMING", resume_at, self._max_entries)

    # The file.

    def _move(self, directory: str) -> None:
        """Work with another directory from now on; what is not done moves there."""
        self._retry_now()
        if self._writer is not None:
            if self._loading:
                self._formers.end(self._writer)  # none of what is held here stands in it, and what does stays
            else:
                self._formers.add(self._writer)
            self._writer = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        self._directory = directory
        former = self._formers.take_back(directory)
        self._loading, self._unread, self._failures, self._reason = former is None, False, 0, ""
        self._up = former is not None
        if former is None:
            self._writer = self._new_writer(self._claimed)
            self._claimed = None
            self._writer.start()
        else:
            # It was left before the next directory had taken its entries over.
            self._writer = former
            self._restored_up_to = self._next - 1
            former.replace(self._pending.entries())
            self._watch_for_stall()
            self._take_held()

    def _new_writer(self, lock: DirectoryLock | None) -> Writer:
        # Loaded here, SQLite and what else it needs cost a start without a durable queue nothing.
        from pyd2.journal.writer import Writer

        return Writer(self._loop, self, self._directory, lock, self._formers.ending(self._directory))

    def _leave_if_done(self) -> None:
        """Give up the file when it is not wanted any more and all of it is done."""
        if self._wanted or not self._directory or self._loading or self._pending:
            return
        self._retry_now()
        self._formers.leave()
        if self._writer is not None:
            self._formers.end(self._writer)
        if self._lock is not None:
            self._lock.release()
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

    def _try_again(self, *, add: bool = True) -> None:
        self._retry = None
        lock, self._lock = self._lock, None
        self._writer = self._new_writer(lock)
        self._restored_up_to = self._next - 1
        self._writer.start_again(self._pending.entries(), unread=self._unread, add=add)

    def _retry_now(self) -> None:
        """Before the file is left: if it has failed, requests are in it that are done."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
            if not self._unread:  # else none of them is known, and all stay
                self._try_again(add=False)  # there may be no room, and what waits has another place

    def _watch_for_stall(self) -> None:
        if self._stall is None:
            self._safe_before = self._release.safe
            self._stall = self._loop.call_later(STALL_SECONDS, self._look_for_stall)

    def _look_for_stall(self) -> None:
        self._stall = None
        if not self._up or not self._release.busy or self._release.some_may_begin:
            return
        if self._release.safe > self._safe_before:
            self._safe_before = self._release.safe
            self._stall = self._loop.call_later(STALL_SECONDS, self._look_for_stall)
            return
        assert self._writer is not None
        self._unread = self._writer.unread
        self._writer.given_up = True
        self._formers.end(self._writer)
        self._fail(StoreError(f"{self.path}: the disk has not answered for {STALL_SECONDS:g} seconds"))


def _numbered(numbers: list[int], wall: float, datagrams: Sequence[bytes]) -> Entries:
    return Entries(numbers, [wall] * len(numbers), list(datagrams))
