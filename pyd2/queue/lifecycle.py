"""The file of the durable queue as the loop sees it: its state, and the thread that has it.

When the file fails, or the disk does not answer, nothing is handed to the thread any more. From time to time
it opens the file again, asks what that is to hold (``ready``), and tells when it does (``restored``).
``states`` has all states and ways.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyd2.queue.interface import DATABASE, StoreError
from pyd2.queue.stall import StallWatch
from pyd2.queue.states import TABLE, State, Trigger, moved

if TYPE_CHECKING:
    import asyncio
    import mmap
    from collections.abc import Callable, Sequence

    from pyd2.messages import Log
    from pyd2.queue.interface import DeadLetter, Entries, Entry, Identity
    from pyd2.queue.pending import Pending
    from pyd2.queue.release import Release
    from pyd2.queue.sqlite.writer import Writer

STALL_SECONDS: Final = 3.0
"""How long requests, and the daemon's thread at a claim, wait for a disk that does not answer."""

RETRY_SECONDS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""How long to wait before the file is tried again; the last stays."""

CLOSE_SECONDS: Final = 10.0
"""How long the end of the daemon waits for the last commit."""


class Lifecycle:
    """Holds what is ``pending``, as far as its state allows.

    ``go_on`` is called when the state has changed and requests need not wait for it any longer.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, pending: Pending, release: Release, log: Log,
        go_on: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._pending = pending
        self._release = release
        self.log = log
        self._go_on = go_on
        self.state = State.CLOSED
        self.directory = ""
        """Whose file is used; empty while none is."""
        self.writer: Writer | None = None
        self.mirrored = False
        """Whether the file holds what is pending, as soon as the thread has written what it was handed."""
        self.reason = ""
        """Why the file does not work, as it was logged last."""
        self._known: Identity | None = None
        """The file that was read; None: none was, and what is in the place is unread."""
        self._stall = StallWatch(loop, self._seen, self._stalled)
        self._retry: asyncio.TimerHandle | None = None
        self._failures = 0

    @property
    def path(self) -> Path:
        """The database."""
        return Path(self.directory, DATABASE)

    @property
    def unread(self) -> bool:
        """Whether there is a file whose requests have not been read yet."""
        return self._known is None and self.state is not State.CLOSED

    @property
    def mark(self) -> mmap.mmap | None:
        """Where to store which request a library is at work for; None when its number is not in the file."""
        return self.writer.mark if self.mirrored and self.writer is not None else None

    # What the queue asks.

    def open(self, directory: str, writer: Writer | None) -> None:
        """Begin to use a file, or one that was retired again; ``writer`` has the lock of its directory."""
        self._to(Trigger.WANTED)
        self.reason, self._failures = "", 0
        if writer is None and self.writer is not None and not self.writer.closing:
            if self.mirrored:
                self.mirrored = False
                self.writer.drop()
        else:
            self.directory = directory
            self._known = None
            self.mirrored = False
            self._pending.expect_file()
            self.writer = writer or self.new_writer(directory)
            self.writer.open(None)
        self._stall.begin(STALL_SECONDS)

    def new_writer(self, directory: str) -> Writer:
        """Return a thread that takes the lock of a directory when the present one has given up its own."""
        # Loaded here, SQLite and what else it needs cost a start without a durable queue nothing.
        from pyd2.queue.sqlite.writer import Writer

        return Writer(self._loop, self, directory, self.writer)

    def retire(self) -> None:
        """Work off what is in the file, and write nothing more."""
        unusable = self.state is State.UNUSABLE
        self.log.emit(self._to(Trigger.WAIVED), self.path, len(self._pending))
        self._stop_timers()
        self._pending.number_anew()
        assert self.writer is not None
        if unusable:
            self.writer.open(self._known)  # requests are in it that are done
        self._go_on()
        self.leave_if_done()

    def write(self, entries: Entries) -> None:
        """Write requests; they begin when ``safe`` tells of them."""
        assert self.writer is not None
        if entries:
            self.writer.write(entries)
        self._stall.begin(STALL_SECONDS)

    def amend(self, amended: Sequence[Entry]) -> None:
        """Write requests in their present form, now or when the file works again."""
        if self.mirrored and self.writer is not None:
            self.writer.amend(amended)
        else:
            self._pending.note(amended=[entry.number for entry in amended])

    def remove(self, numbers: Sequence[int], letters: Sequence[DeadLetter]) -> None:
        """Remove requests, and add dead letters, now or when the file works again."""
        if self.writer is None:
            return
        self._pending.bury(letters)
        if self.mirrored:
            self.writer.remove(numbers, letters)
        else:
            self._pending.note(numbers)
        self.leave_if_done()

    def close(self, behind: Sequence[bytes]) -> bool:
        """Write what is to be written, at last the requests ``behind``, and close the file. Blocks for that.

        Returns whether the file holds all that waits.
        """
        self._stop_timers()
        assert self.writer is not None
        if self.state is State.OPENING:
            written = self.writer.close(CLOSE_SECONDS, behind=behind)
        elif not self.mirrored and self._known is not None:
            written = self.writer.close(CLOSE_SECONDS, (self._known, self._pending.hold()))
        else:
            written = self.writer.close(CLOSE_SECONDS) and self.mirrored
        self._to(Trigger.STOPPED)
        self.mirrored, self.writer = False, None
        return written

    def leave_if_done(self) -> None:
        """Close the file when it is not wanted any more and all of it is done; ``ended`` comes after that."""
        if self.state is State.RETIRED and self.mirrored and not self._pending:
            assert self.writer is not None
            if not self.writer.closing:
                self.writer.close(None)

    # What the thread tells, here in the loop; what one tells that is not used any more does not count.

    def found(self, entries: Entries) -> None:
        """Take some requests of a file that was unread, in its order; there may be more."""
        assert self.writer is not None
        self.writer.taken()
        going_on, at_once = self._pending.take_found(entries)
        self._release.add(going_on)
        if at_once:
            self._release.up_to(self._pending.last)

    def opened(self, identity: Identity) -> None:
        """Let the requests of the time before go on, and then those that came meanwhile."""
        self._known = identity
        late = self._pending.all_found()
        if late is None:
            self._use(Trigger.READ)
            return
        if late.dead or (late.kept and self.state is not State.OPENING):
            self.log.emit("PYD2_QUEUE_LATE", self.path, late.kept, late.dead, self.directory)
        self.ready()

    def ready(self) -> None:
        """Tell the thread, which waits for it, what the file is to hold: the disk answers."""
        assert self.writer is not None
        self.writer.hold(self._pending.hold())

    def restored(self, identity: Identity) -> None:
        """Hand over what has changed meanwhile, and let requests wait for the disk again."""
        assert self.writer is not None
        self._known = identity
        self.mirrored = True
        changes = self._pending.changes()
        self.writer.write(changes.more)
        self.writer.amend(changes.amended)
        self.writer.remove(changes.gone, changes.dead)
        if self.state is State.RETIRED:
            self.leave_if_done()
        else:
            self._use(Trigger.RESTORED)

    def buried(self, count: int) -> None:
        """Take it that so many dead letters are in the file."""
        self._pending.buried(count)

    def safe(self, number: int) -> None:
        """Let the requests up to this number begin."""
        self._release.up_to(number)

    def failed(self, fault: StoreError) -> None:
        """Go on without the file."""
        assert self.writer is not None
        self._known = fault.identity or self._known
        self.mirrored = False
        if self.state is State.RETIRED:
            self.log.emit(self._to(Trigger.FAILED), self.path, fault)
            self._forget()
            self.writer.close(None)
            return
        self._fail(Trigger.FAILED, fault)
        self._retry = self._loop.call_later(
            RETRY_SECONDS[min(self._failures, len(RETRY_SECONDS) - 1)], self._try_again
        )
        self._failures += 1

    def ended(self) -> None:
        """Close a queue that is retired and empty, when all is written."""
        if self.state is State.RETIRED:
            self.log.emit(self._to(Trigger.EMPTIED), self.path)
            self._forget()

    # The states.

    def _to(self, trigger: Trigger) -> str:
        """Go to the state to which a trigger leads; return the message that tells of it."""
        message = TABLE.get((self.state, trigger), (None, ""))[1]
        self.state = moved(self.state, trigger)
        return message

    def _use(self, trigger: Trigger) -> None:
        """Let requests wait for the disk from now on."""
        self.log.emit(self._to(trigger), self.path, len(self._pending))
        self.mirrored = True
        self._failures, self.reason = 0, ""
        self._stop_timers()
        self._go_on()

    def _fail(self, trigger: Trigger, fault: StoreError) -> None:
        """Let requests go on from memory."""
        message = self._to(trigger)
        self.mirrored = False
        self._pending.forget_told()
        if str(fault) != self.reason:
            self.reason = str(fault)
            self.log.emit(message, self.reason)
        self._stop_timers()
        self._go_on()

    def _try_again(self) -> None:
        self._retry = None
        self._to(Trigger.RETRY)
        assert self.writer is not None
        self.writer.open(self._known)

    def _forget(self) -> None:
        self.directory = ""
        self._known = None
        self.mirrored = False

    def _stop_timers(self) -> None:
        self._stall.end()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _seen(self) -> tuple[int, int] | None:
        """Return what goes up as long as the disk answers; None when nobody waits for it."""
        waiting = self._release.busy and not self._release.some_may_begin
        waiting = self.state is State.OPENING or (self.state is State.IN_USE and waiting)
        if self.writer is None or not waiting:
            return None
        return self._release.safe, self.writer.steps

    def _stalled(self) -> None:
        assert self.writer is not None
        if self.state is State.IN_USE:
            self.writer.drop()
        self._fail(Trigger.STALLED,
                   StoreError(f"{self.path}: the disk has not answered for {STALL_SECONDS:g} seconds"))
