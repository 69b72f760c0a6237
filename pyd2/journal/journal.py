"""The durable queue as the daemon's loop sees it. Nothing here blocks, and no disk's fault stops a request.

Theory of operation
-------------------
A request that comes in gets a number, waits until the writer's thread says that it is on the disk, and only
then goes to the engine: so whatever was begun is in the file, and what was begun and not done is begun again
after a kill. When the engine is done with it, its number goes to the writer, which removes it. All requests
not yet done are held here too: the file is their mirror.

When the file fails, or the disk does not answer, the waiting requests go to the engine at once, and so do
those that follow; nothing is handed to the writer then. From time to time it opens the file again, asks what
that is to hold (``ready``), and tells when it does (``restored``). ``states`` has all states and ways.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyd2.data.element import NOWHERE
from pyd2.journal.entry import DATABASE, DeadLetter, Entries, StoreError
from pyd2.journal.limit import Limit
from pyd2.journal.pending import Pending
from pyd2.journal.release import CHUNK, Release
from pyd2.journal.stall import StallWatch
from pyd2.journal.states import TABLE, State, Trigger, moved

if TYPE_CHECKING:
    import asyncio
    import mmap
    from collections.abc import Callable, Mapping, Sequence

    from pyd2.config.switches import QueueSwitches
    from pyd2.counters import Counters
    from pyd2.journal.entry import Identity
    from pyd2.journal.late import Newer
    from pyd2.journal.writer import Writer
    from pyd2.messages import Log

STALL_SECONDS: Final = 3.0
"""How long requests, and the daemon's thread at a claim, wait for a disk that does not answer."""

RETRY_SECONDS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""How long to wait before the file is tried again; the last stays."""

CLOSE_SECONDS: Final = 10.0
"""How long the end of the daemon waits for the last commit."""


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
        self._limit = Limit(counters, log)
        self._log = log
        self._state = State.CLOSED
        self._directory = ""
        """Whose file is used."""
        self._configured = ""
        """The directory that the configuration names; another one is used from the next start on."""
        self._claimed: Writer | None = None
        """Has the lock of the directory that the next configuration names."""
        self._writer: Writer | None = None
        self._held: list[bytes] = []
        """Requests that wait until the file is open."""
        self._pending = Pending()
        self._next = 1
        self._known: Identity | None = None
        """The file that was read; None: none was, and what is in the place is unread."""
        self._mirrored = False
        """Whether the file holds what is held here, as soon as the writer has written what it was handed."""
        self._fresh = False
        """Whether the file is being opened, and its requests are the only ones that have numbers."""
        self._newer: Newer | None = None
        """Whose requests were taken while the file was unread."""
        self._stall = StallWatch(loop, self._seen, self._stalled)
        self._retry: asyncio.TimerHandle | None = None
        self._failures = 0
        self._reason = ""
        """Why the file does not work, as it was logged last."""

    # What the daemon asks.

    @property
    def durable(self) -> bool:
        """Whether what is not done is on the disk, and is kept at a stop."""
        return self._state in (State.IN_USE, State.OPENING)

    @property
    def kept(self) -> int:
        """How many requests have a place in the queue; at a stop it tells what becomes of them."""
        return len(self._pending)

    @property
    def busy(self) -> bool:
        """Whether requests have arrived that the engine has not got."""
        return self._release.busy or bool(self._held)

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self._directory, DATABASE)

    @property
    def mark(self) -> mmap.mmap | None:
        """Where to store which request a library is at work for; None when its number is not in the file."""
        return self._writer.mark if self._mirrored and self._writer is not None else None

    def status(self, wall: float) -> dict[str, str | int] | None:
        """Return what the operator is told of it; None without a durable queue. The age is in seconds."""
        if self._state is State.CLOSED:
            return None
        oldest = self._pending.oldest()
        in_memory = self._state in (State.UNUSABLE, State.RESUMING)
        status = {
            "file": str(self.path),
            "state": f"memory only: {self._reason}" if in_memory else self._state.value,
            "entries": len(self._pending),
            "oldest-age": max(0, int(wall - oldest)) if oldest is not None else 0,
            "dead-letters": self._writer.dead_count if self._writer is not None else 0,
        }
        if self._configured != self._directory and self._state is not State.RETIRED:
            status["next-start"] = str(Path(self._configured, DATABASE))
        return status

    def claim(self, switches: QueueSwitches) -> None:
        """Lock the directory that a configuration asks for, before it is in force; waits 3 seconds at most.

        One that is to be used from the next start on gets a note of the present one instead.

        Raises InUseError when another process has it. What else may be wrong with it is no reason to refuse
        a configuration: the daemon then works without the file.
        """
        self.unclaim()
        if switches.type != "durable":
            return
        writer = self._writer
        if writer is not None and not writer.closing:
            if switches.directory != self._directory:
                writer.leave_for(switches.directory, STALL_SECONDS)
            return
        self._claimed = self._new_writer(switches.directory)
        try:
            self._claimed.wait_for_lock(STALL_SECONDS)
        except BaseException:
            self.unclaim()
            raise

    def unclaim(self) -> None:
        """Take back ``claim``."""
        if self._claimed is not None:
            self._claimed.close(STALL_SECONDS)
            self._claimed = None

    def configure(self, switches: QueueSwitches) -> None:
        """Work by the configuration whose directory was claimed."""
        self._limit.most = switches.max_entries
        if switches.type != "durable":
            if self._state not in (State.CLOSED, State.RETIRED):
                self._retire()
            elif self._writer is None and switches.position != NOWHERE:
                self._new_writer(switches.directory, only_look=True)
            return
        if self._state in (State.CLOSED, State.RETIRED):
            self._open(switches.directory)
        assert self._writer is not None
        if switches.directory not in (self._directory, self._configured):
            text = self._writer.noted(switches.directory)
            if text is None:
                return
            self._log.emit("PYD2_QUEUE_NEXT_START", self.path, Path(switches.directory, DATABASE),
                           self._directory, switches.directory, text)
        self._configured = switches.directory

    def take(self, datagrams: Sequence[bytes]) -> None:
        """Take what was read from the socket."""
        if self._state in (State.CLOSED, State.RETIRED):
            self._note_newer(datagrams)
            if not self._release.busy:
                self._carry_out(datagrams, ())
            else:
                self._release.add(_numbered([0] * len(datagrams), 0.0, datagrams))
            return
        self._release.burst = len(datagrams) >= CHUNK
        wall = time.time()
        room = self._limit.most - len(self._pending) - len(self._held)
        if len(datagrams) > room:
            self._limit.drop(len(datagrams) - max(0, room), wall)
            datagrams = datagrams[: max(0, room)]
        if self._state is State.OPENING:
            self._held += datagrams
            return
        entries = _numbered(list(range(self._next, self._next + len(datagrams))), wall, datagrams)
        self._next += len(entries)
        self._add(entries)
        if self._state is not State.IN_USE:
            self._note_newer(datagrams)
            self._waive()
            return
        assert self._writer is not None
        if entries:
            self._writer.write(entries)
        self._stall.begin(STALL_SECONDS)
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
        if self._mirrored and self._writer is not None:
            self._writer.amend(amended)
        else:
            self._pending.note(amended=[entry.number for entry in amended])

    def done(self, numbers: Sequence[int], dead: Mapping[int, str]) -> None:
        """Take it that requests have ended for good; the ``dead`` ones are dead letters, with reasons."""
        letters = []
        for number, reason in dead.items():
            entry = self._pending.get(number)
            if entry is not None:
                letters.append(DeadLetter(number, entry.taken, time.time(), reason, entry.datagram))
        self._pending.forget(numbers)
        if self._writer is not None:
            self._pending.bury(letters)
            if self._mirrored:
                self._writer.remove(numbers, letters)
            else:
                self._pending.note(numbers)
        self._limit.look(len(self._pending))
        self._leave_if_done()

    def close(self) -> None:
        """Write what is to be written and close the file, at the end of the daemon. Blocks for that."""
        self._stop_timers()
        self.unclaim()
        if self._writer is None or self._state is State.CLOSED:
            return
        kept = self._mirrored
        if self._state is State.OPENING:
            kept = True
            written = self._writer.close(CLOSE_SECONDS, behind=self._held)
        elif not kept and self._known is not None:
            kept = True
            written = self._writer.close(CLOSE_SECONDS, (self._known, self._pending.hold()))
        else:
            written = self._writer.close(CLOSE_SECONDS)
        waiting = len(self._pending) + len(self._held)
        if waiting and not (kept and written):
            self._log.emit("PYD2_QUEUE_LOST", waiting, self.path)
        elif waiting and self._state is State.RETIRED:
            self._log.emit("PYD2_QUEUE_KEPT_RETIRED", waiting, self.path, self._directory)
        elif waiting and self._configured != self._directory:
            self._log.emit("PYD2_QUEUE_KEPT_ELSEWHERE", waiting, self.path, Path(self._configured, DATABASE),
                           self._directory, self._configured)
        elif waiting:
            self._log.emit("PYD2_QUEUE_KEPT", waiting, self.path)
        self._to(Trigger.STOPPED)
        self._mirrored, self._writer = False, None

    # What the writer tells. What comes from one that was told to end counts no more.

    def found(self, writer: Writer, entries: Entries) -> None:
        """Take requests of the time before, in the file's order."""
        if writer is not self._writer:
            return
        writer.taken()
        if self._fresh:
            # Never less than before: that requests up to a number are safe has been said of others.
            self._next = max(self._next, entries.numbers[-1] + 1)
            self._add(entries)
            return
        kept, dead = self._newer_ones().judge(entries)
        self._pending.bury(dead)
        numbers = list(range(self._next, self._next + len(kept)))
        self._next += len(kept)
        self._add(Entries(numbers, [entry.taken for entry in kept], [entry.datagram for entry in kept]))
        self._waive()

    def opened(self, writer: Writer, identity: Identity) -> None:
        """Let the requests of the time before go on, and then those that came meanwhile."""
        if writer is not self._writer:
            return
        self._known = identity
        if self._fresh:
            self._fresh = False
            self._use(Trigger.READ)
            return
        newer = self._newer_ones()
        if newer.dead or (newer.kept and self._state is not State.OPENING):
            self._log.emit("PYD2_QUEUE_LATE", self.path, newer.kept, newer.dead, self._directory)
        self._newer = None
        self.ready(writer)

    def ready(self, writer: Writer) -> None:
        """Tell the writer what the file is to hold."""
        if writer is self._writer:
            writer.hold(self._pending.hold())

    def restored(self, writer: Writer, identity: Identity) -> None:
        """Hand over what has changed meanwhile, and let requests wait for the disk again."""
        if writer is not self._writer:
            return
        self._known = identity
        self._mirrored = True
        changes = self._pending.changes()
        writer.write(changes.more)
        writer.amend(changes.amended)
        writer.remove(changes.gone, changes.dead)
        if self._state is State.RETIRED:
            self._leave_if_done()
        else:
            self._use(Trigger.RESTORED)

    def buried(self, writer: Writer, count: int) -> None:
        """Take it that so many dead letters are in the file."""
        if writer is self._writer:
            self._pending.buried(count)

    def safe(self, writer: Writer, number: int) -> None:
        """Let the requests up to this number begin."""
        if writer is self._writer:
            self._release.up_to(number)

    def failed(self, writer: Writer, fault: StoreError) -> None:
        """Go on without the file."""
        if writer is not self._writer:
            return
        self._known = fault.identity or self._known
        self._mirrored = False
        if self._state is State.RETIRED:
            self._log.emit(self._to(Trigger.FAILED), self.path, fault)
            self._forget()
            writer.close(None)
            return
        self._fail(Trigger.FAILED, fault)
        self._retry = self._loop.call_later(
            RETRY_SECONDS[min(self._failures, len(RETRY_SECONDS) - 1)], self._try_again
        )
        self._failures += 1

    def tell(self, _writer: Writer, message_id: str, *arguments: object) -> None:
        """Log what the thread has to say."""
        self._log.emit(message_id, *arguments)

    def ended(self, writer: Writer) -> None:
        """Close a queue that is retired and empty, when all is written."""
        if writer is self._writer and self._state is State.RETIRED:
            self._log.emit(self._to(Trigger.EMPTIED), self.path)
            self._forget()

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

    def _newer_ones(self) -> Newer:
        from pyd2.journal.late import Newer

        if self._newer is None:
            self._newer = Newer()
        return self._newer

    def _note_newer(self, datagrams: Sequence[bytes]) -> None:
        """Note whose requests begin while the file is unread."""
        if self._known is None and self._state is not State.CLOSED:
            self._newer_ones().add(datagrams)

    # The states.

    def _to(self, trigger: Trigger) -> str:
        """Go to the state to which a trigger leads; return the message that tells of it."""
        message = TABLE.get((self._state, trigger), (None, ""))[1]
        self._state = moved(self._state, trigger)
        return message

    def _open(self, directory: str) -> None:
        """Begin to use a file, or one that was retired again."""
        self._to(Trigger.WANTED)
        self._reason, self._failures = "", 0
        if self._claimed is None and self._writer is not None and not self._writer.closing:
            if self._mirrored:
                self._mirrored = False
                self._writer.drop()
        else:
            self._directory = self._configured = directory
            self._known = self._newer = None
            self._mirrored = False
            # Else numbers of the file could be those of requests that were left in another one.
            self._fresh = not self._pending
            self._writer, self._claimed = self._claimed or self._new_writer(directory), None
            self._writer.open(None)
        self._stall.begin(STALL_SECONDS)

    def _new_writer(self, directory: str, *, only_look: bool = False) -> Writer:
        # Loaded here, SQLite and what else it needs cost a start without a durable queue nothing.
        from pyd2.journal.writer import Writer

        return Writer(self._loop, self, directory, self._writer, only_look=only_look)

    def _use(self, trigger: Trigger) -> None:
        """Let requests wait for the disk from now on."""
        self._log.emit(self._to(trigger), self.path, len(self._pending))
        self._mirrored = True
        self._failures, self._reason = 0, ""
        self._stop_timers()
        self._waive()
        self._take_held()

    def _fail(self, trigger: Trigger, fault: StoreError) -> None:
        """Let requests go on from memory."""
        message = self._to(trigger)
        self._mirrored = self._fresh = False
        self._pending.forget_told()
        if str(fault) != self._reason:
            self._reason = str(fault)
            self._log.emit(message, self._reason)
        self._stop_timers()
        self._waive()
        self._take_held()

    def _try_again(self) -> None:
        self._retry = None
        self._to(Trigger.RETRY)
        assert self._writer is not None
        self._writer.open(self._known)

    def _retire(self) -> None:
        """Work off what is in the file, and write nothing more."""
        unusable = self._state is State.UNUSABLE
        self._log.emit(self._to(Trigger.WAIVED), self.path, len(self._pending))
        self._stop_timers()
        self._fresh = False
        assert self._writer is not None
        if unusable:
            self._writer.open(self._known)  # requests are in it that are done
        self._waive()
        self._take_held()
        self._leave_if_done()

    def _leave_if_done(self) -> None:
        """Close the file when it is not wanted any more and all of it is done; ``ended`` comes after that."""
        if self._state is State.RETIRED and self._mirrored and not self._pending:
            assert self._writer is not None
            if not self._writer.closing:
                self._writer.close(None)

    def _forget(self) -> None:
        self._directory = self._configured = ""
        self._known = self._newer = None
        self._mirrored = False

    def _stop_timers(self) -> None:
        self._stall.end()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _seen(self) -> tuple[int, int] | None:
        """Return what goes up as long as the disk answers; None when nobody waits for it."""
        waiting = self._release.busy and not self._release.some_may_begin
        waiting = self._state is State.OPENING or (self._state is State.IN_USE and waiting)
        if self._writer is None or not waiting:
            return None
        return self._release.safe, self._writer.steps

    def _stalled(self) -> None:
        assert self._writer is not None
        if self._state is State.IN_USE:
            self._writer.drop()
        self._fail(Trigger.STALLED,
                   StoreError(f"{self.path}: the disk has not answered for {STALL_SECONDS:g} seconds"))


def _numbered(numbers: list[int], wall: float, datagrams: Sequence[bytes]) -> Entries:
    return Entries(numbers, [wall] * len(numbers), list(datagrams))
