"""The durable queue as the daemon's loop sees it. Nothing here blocks, and no disk's fault stops a request.

Theory of operation
-------------------
A request that comes in gets a number, waits until the writer's thread says that it is on the disk, and only
then goes to the engine: so whatever was begun is in the file, and what was begun and not done is begun again
after a kill. When the engine is done with it, its number goes to the writer, which removes it. All requests
not yet done are held here too (``pending``): the file is their mirror.

When the file fails, or the disk does not answer, the waiting requests go to the engine at once, and so do
those that follow. ``lifecycle`` has the file and its states, and ``release`` the way to the engine.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pyd2.data.element import NOWHERE
from pyd2.queue import lifecycle
from pyd2.queue.interface import DATABASE, DeadLetter, Entries
from pyd2.queue.lifecycle import Lifecycle
from pyd2.queue.limit import Limit
from pyd2.queue.pending import Pending
from pyd2.queue.release import CHUNK, Release
from pyd2.queue.states import State

if TYPE_CHECKING:
    import asyncio
    import mmap
    from collections.abc import Callable, Mapping, Sequence

    from pyd2.config.switches import QueueSwitches
    from pyd2.counters import Counters
    from pyd2.messages import Log
    from pyd2.queue.sqlite.elsewhere import NoteOfNextStart
    from pyd2.queue.sqlite.writer import Writer


class DurableQueue:
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
        self._pending = Pending()
        self._lifecycle = Lifecycle(loop, self._pending, self._release, log, self._go_on)
        self._configured = ""
        """The directory that the configuration names; another one is used from the next start on."""
        self._claimed: Writer | None = None
        """Has the lock of the directory that the next configuration names."""
        self._note: NoteOfNextStart | None = None
        """The note in the directory that was named last and is to be used from the next start on."""
        self._held: list[bytes] = []
        """Requests that wait until the file is open."""

    # What the daemon asks.

    @property
    def durable(self) -> bool:
        """Whether what is not done is on the disk, and is kept at a stop."""
        return self._lifecycle.state in (State.IN_USE, State.OPENING)

    @property
    def kept(self) -> int:
        """How many requests have a place in the queue; at a stop it tells what becomes of them."""
        return len(self._pending)

    @property
    def busy(self) -> bool:
        """Whether requests have arrived that the engine has not got."""
        return self._release.busy or bool(self._held)

    @property
    def mark(self) -> mmap.mmap | None:
        """Where to store which request a library is at work for; None when its number is not in the file."""
        return self._lifecycle.mark

    def status(self, wall: float) -> dict[str, str | int] | None:
        """Return what the operator is told of it; None without a durable queue. The age is in seconds."""
        lifecycle = self._lifecycle
        if lifecycle.state is State.CLOSED:
            return None
        oldest = self._pending.oldest()
        in_memory = lifecycle.state in (State.UNUSABLE, State.RESUMING)
        status = {
            "file": str(lifecycle.path),
            "state": f"memory only: {lifecycle.reason}" if in_memory else lifecycle.state.value,
            "entries": len(self._pending),
            "oldest-age": max(0, int(wall - oldest)) if oldest is not None else 0,
            "dead-letters": lifecycle.writer.dead_count if lifecycle.writer is not None else 0,
        }
        if self._configured != lifecycle.directory and lifecycle.state is not State.RETIRED:
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
        writer = self._lifecycle.writer
        if writer is not None and not writer.closing:
            if switches.directory != self._lifecycle.directory:
                from pyd2.queue.sqlite.elsewhere import NoteOfNextStart

                self._note = NoteOfNextStart(switches.directory, writer.directory)
                self._note.wait(lifecycle.STALL_SECONDS)
            return
        self._claimed = self._lifecycle.new_writer(switches.directory)
        try:
            self._claimed.wait_for_lock(lifecycle.STALL_SECONDS)
        except BaseException:
            self.unclaim()
            raise

    def unclaim(self) -> None:
        """Take back ``claim``."""
        if self._claimed is not None:
            self._claimed.close(lifecycle.STALL_SECONDS)
            self._claimed = None

    def configure(self, switches: QueueSwitches) -> None:
        """Work by the configuration whose directory was claimed."""
        self._limit.most = switches.max_entries
        lifecycle = self._lifecycle
        if switches.type != "durable":
            if lifecycle.state not in (State.CLOSED, State.RETIRED):
                lifecycle.retire()
            elif lifecycle.writer is None and switches.position != NOWHERE:
                from pyd2.queue.sqlite.elsewhere import tell_of_left

                tell_of_left(switches.directory, self._say)
            return
        if lifecycle.state in (State.CLOSED, State.RETIRED):
            claimed, self._claimed = self._claimed, None
            lifecycle.open(switches.directory, claimed)
        if switches.directory not in (lifecycle.directory, self._configured):
            text = self._note.text if self._note is not None else ""
            if text is None:
                return
            self._log.emit("PYD2_QUEUE_NEXT_START", lifecycle.path, Path(switches.directory, DATABASE),
                           lifecycle.directory, switches.directory, text)
        self._configured = switches.directory

    # Requests.

    def take(self, datagrams: Sequence[bytes]) -> None:
        """Take what was read from the socket."""
        lifecycle = self._lifecycle
        if lifecycle.state in (State.CLOSED, State.RETIRED):
            if lifecycle.unread:
                self._pending.note_newer(datagrams)
            if not self._release.busy:
                self._carry_out(datagrams, ())
            else:
                self._release.add(Entries([0] * len(datagrams), [0.0] * len(datagrams), list(datagrams)))
            return
        self._release.burst = len(datagrams) >= CHUNK
        wall = time.time()
        room = self._limit.most - len(self._pending) - len(self._held)
        if len(datagrams) > room:
            self._limit.drop(len(datagrams) - max(0, room), wall)
            datagrams = datagrams[: max(0, room)]
        if lifecycle.state is State.OPENING:
            self._held += datagrams
            return
        entries = self._pending.number(datagrams, wall)
        self._release.add(entries)
        if lifecycle.state is State.IN_USE:
            lifecycle.write(entries)
            self._release.go_on()
            return
        if lifecycle.unread:
            self._pending.note_newer(datagrams)
        self._release.up_to(self._pending.last)

    def amend(self, changes: Sequence[tuple[int, bool, bool]]) -> None:
        """Take it that requests have only these changes left to make, forward and reverse, by number."""
        from pyd2.queue.changes import with_changes

        amended = []
        for number, forward, reverse in changes:
            entry = self._pending.get(number)
            if entry is not None:
                datagram = with_changes(entry.datagram, forward=forward, reverse=reverse)
                entry = entry._replace(datagram=datagram)
                self._pending.change(entry)
                amended.append(entry)
        self._lifecycle.amend(amended)

    def done(self, numbers: Sequence[int], dead: Mapping[int, str]) -> None:
        """Take it that requests have ended for good; the ``dead`` ones are dead letters, with reasons."""
        letters = []
        for number, reason in dead.items():
            entry = self._pending.get(number)
            if entry is not None:
                letters.append(DeadLetter(number, entry.taken, time.time(), reason, entry.datagram))
        self._pending.forget(numbers)
        self._lifecycle.remove(numbers, letters)
        self._limit.look(len(self._pending))

    def close(self) -> None:
        """Write what is to be written and close the file, at the end of the daemon. Blocks for that."""
        self.unclaim()
        lifecycle = self._lifecycle
        state = lifecycle.state
        if lifecycle.writer is None or state is State.CLOSED:
            return
        written = lifecycle.close(self._held)
        waiting = len(self._pending) + len(self._held)
        if not waiting:
            return
        if not written:
            self._log.emit("PYD2_QUEUE_LOST", waiting, lifecycle.path)
        elif state is State.RETIRED:
            self._log.emit("PYD2_QUEUE_KEPT_RETIRED", waiting, lifecycle.path, lifecycle.directory)
        elif self._configured != lifecycle.directory:
            self._log.emit("PYD2_QUEUE_KEPT_ELSEWHERE", waiting, lifecycle.path,
                           Path(self._configured, DATABASE), lifecycle.directory, self._configured)
        else:
            self._log.emit("PYD2_QUEUE_KEPT", waiting, lifecycle.path)

    def _go_on(self) -> None:
        """Let all requests begin that have come, and take those that waited for the file."""
        self._release.up_to(self._pending.last)
        held, self._held = self._held, []
        if held:
            self.take(held)

    def _say(self, message_id: str, *arguments: object) -> None:
        """Log a message of another thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody is there to be told
            self._loop.call_soon_threadsafe(self._log.emit, message_id, *arguments)
