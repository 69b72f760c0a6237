"""The queue between the listener and the engine. Nothing here blocks, and no disk's fault stops a request.

Theory of operation
-------------------
A request that comes in gets a number and goes to the store. It waits until the store reports that it is on
the disk, and only then goes to the engine: so whatever was begun is on the disk, and what was begun and not
done is begun again after a kill. When the engine is done with it, the store removes it. All requests that are
not done are held here, too (``pending``): the store is their mirror.

When the store fails, or the disk does not answer, the waiting requests go to the engine at once, and so do
those that follow. ``lifecycle`` has the states of the store, and ``release`` the way to the engine.
"""

from __future__ import annotations

import time
from collections import deque
from os.path import normpath
from typing import TYPE_CHECKING, Final, Protocol

from pyd2.data.element import NOWHERE
from pyd2.queue import lifecycle
from pyd2.queue.interface import DeadLetter, Entries
from pyd2.queue.lifecycle import Lifecycle
from pyd2.queue.pending import Pending
from pyd2.queue.release import CHUNK, Release
from pyd2.queue.states import State
from pyd2.update.schedule.queue_limit import FullQueue

if TYPE_CHECKING:
    import asyncio
    import mmap
    from collections.abc import Callable, Mapping, Sequence

    from pyd2.config.switches import QueueSwitches
    from pyd2.counters import Counters
    from pyd2.data.element import Plain
    from pyd2.messages import Log
    from pyd2.queue.interface import DeadLetters, QueueStore, QueueStores
    from pyd2.update.output import Amendment


HELD_PART: Final = 1024
"""Requests that waited for the store and begin in one turn of the loop."""


class NextPart(Protocol):
    """What gets the requests in the place of the engine: it puts on the disk what it has to (``keep``)."""

    @property
    def in_memory(self) -> int:
        """How many requests it has that are not on the disk."""

    def take(self, datagrams: Sequence[bytes], numbers: Sequence[int]) -> None:
        """Get requests that may begin, with their numbers on the disk; without numbers they are not there."""

    def keep(self) -> None:
        """Put all requests on the disk that are not there: what follows goes there, too."""

    def configure(self, max_entries: int) -> None:
        """Have so many requests at most, as the queue itself."""

    def status(self, wall: float) -> Mapping[str, Plain]:
        """Return what the queue's status has besides."""


class DurableQueue:
    """Without a durable queue it passes on what it gets.

    ``carry_out(datagrams, numbers)`` gets the requests that may begin, with the numbers that ``done`` takes;
    without numbers if their end need not be reported. ``stores`` has the stores by their directories.
    ``admit(datagrams, free)`` returns which new requests may be accepted; see Engine.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        carry_out: Callable[[Sequence[bytes], Sequence[int]], None],
        counters: Counters,
        log: Log,
        stores: QueueStores,
        admit: Callable[[Sequence[bytes], int], Sequence[bytes]],
    ) -> None:
        self._loop = loop
        self._carry_out = carry_out
        self._admit = admit
        self._counters = counters
        self._log = log
        self._stores = stores
        self._limit = FullQueue(counters, log)
        self._release = Release(loop, carry_out)
        self._pending = Pending()
        self._lifecycle = Lifecycle(loop, self._pending, self._release, log, stores, self._go_on)
        self._configured = ""
        """The directory that the configuration names; another one than the present is for the next start."""
        self._part: NextPart | None = None
        self._claimed: QueueStore | None = None
        """The store of the directory that the next configuration names, with its lock."""
        self._held: deque[bytes] = deque()
        """Requests that wait until the store is open, and those that came behind them."""
        self._beginning = False
        """Whether more of them begin in the next turn of the loop."""
        self.more_status: Callable[[float], Mapping[str, Plain]] = lambda _: {}
        """What status-get shows besides."""

    # What the service asks.

    def hand_to(self, part: NextPart) -> None:
        """Hand requests to another part than the engine; before the first configuration is in force."""
        self._part = part
        self._carry_out = self._release.carry_out = part.take
        self._admit = lambda datagrams, _: datagrams
        self.more_status = part.status

    def bury(self, dead: Sequence[DeadLetter]) -> None:
        """Keep dead letters of requests that were not accepted here."""
        self._lifecycle.drop((), dead)

    @property
    def durable(self) -> bool:
        """Whether requests that are not done are on the disk, and are kept at a stop."""
        return self._lifecycle.state in (State.IN_USE, State.OPENING)

    def dead_letters(self) -> DeadLetters | None:
        """Return what reads those of the directory in use, perhaps not that of the present configuration.

        None if there is none, or while it waits for its disk: whoever reads would wait as well.
        """
        life = self._lifecycle
        if life.state in (State.CLOSED, State.OPENING, State.RESUMING):
            return None
        return self._stores.dead_letters(life.directory)

    @property
    def usable(self) -> bool:
        """Whether the store works; without one there is nothing that could fail."""
        return self._lifecycle.state not in (State.UNUSABLE, State.RESUMING)

    @property
    def kept(self) -> int:
        """How many requests have a place in the queue; at a stop it logs what becomes of them."""
        return len(self._pending)

    @property
    def busy(self) -> bool:
        """Whether requests have arrived that the engine has not got."""
        return self._release.busy or bool(self._held)

    @property
    def mark(self) -> mmap.mmap | None:
        """Where to write the number of the request that a library works on; None if the store has it not."""
        life = self._lifecycle
        return life.store.mark if life.mirrored and life.store is not None else None

    def status(self, wall: float) -> dict[str, str | int] | None:
        """Return the queue's part of the status; None without a durable queue. The age is in seconds."""
        life = self._lifecycle
        if life.state is State.CLOSED:
            return None
        oldest = self._pending.oldest()
        in_memory = life.state in (State.UNUSABLE, State.RESUMING)
        status = {
            "file": str(life.path),
            "state": f"memory only: {life.reason}" if in_memory else life.state.value,
            "entries": len(self._pending),
            "oldest-age": max(0, int(wall - oldest)) if oldest is not None else 0,
            "dead-letters": life.store.dead_count if life.store is not None else 0,
        }
        if self._configured != life.directory and life.state is not State.RETIRED:
            status["next-start"] = str(self._stores.path(self._configured))
        return status

    def claim(self, switches: QueueSwitches) -> None:
        """Lock the directory that a configuration names, before it is in force; waits 3 seconds at most.

        One that is for the next start is not locked.

        Raises InUseError when another process has it. Another fault of the directory is no reason to refuse a
        configuration: the daemon then works without the store.
        """
        self.unclaim()
        life = self._lifecycle
        if not switches.on_disk or (life.store is not None and not life.store.closing):
            return
        # The first request of which a part is done needs it: the update thread has no time to load it.
        import pyd2.queue.ncrs  # noqa: F401

        self._claimed = life.new_store(switches.directory)
        try:
            self._claimed.wait_for_lock(lifecycle.STALL_SECONDS)
        except BaseException:
            self.unclaim()
            raise

    def unclaim(self) -> None:
        """Undo ``claim``."""
        if self._claimed is not None:
            self._claimed.close(lifecycle.STALL_SECONDS)
            self._claimed = None

    def configure(self, switches: QueueSwitches) -> None:
        """Work by the configuration whose directory was claimed."""
        self._limit.max_entries = switches.max_entries
        if self._part is not None:
            self._part.configure(switches.max_entries)
        life = self._lifecycle
        if not switches.on_disk:
            if life.state not in (State.CLOSED, State.RETIRED):
                life.retire()
            elif life.store is None and switches.position != NOWHERE:
                self._stores.report_left(switches.directory)
            return
        if life.state in (State.CLOSED, State.RETIRED):
            claimed, self._claimed = self._claimed, None
            life.open(switches.directory, claimed)
        directory = life.directory if normpath(switches.directory) == normpath(life.directory) \
            else switches.directory
        if directory not in (life.directory, self._configured):
            self._log.emit("PYD2_QUEUE_NEXT_START", life.path, self._stores.path(directory),
                           life.directory, directory)
        self._configured = directory

    def close(self) -> None:
        """Write what is to be written and close the store, at the end of the daemon. Blocks for that."""
        self.unclaim()
        self._keep_all()
        life = self._lifecycle
        path, retired = life.path, life.state is State.RETIRED
        if life.store is None or life.state is State.CLOSED:
            return
        while self._held and life.state is not State.OPENING:
            self._begin_held()
        written = life.close(list(self._held))
        waiting = len(self._pending) + len(self._held)
        if not written:
            waiting += self._pending.unburied
        if not waiting:
            return
        if not written:
            self._log.emit("PYD2_QUEUE_LOST", waiting, path)
        elif retired:
            self._log.emit("PYD2_QUEUE_KEPT_RETIRED", waiting, path, life.directory)
        elif self._configured != life.directory:
            self._log.emit("PYD2_QUEUE_KEPT_ELSEWHERE", waiting, path, self._stores.path(self._configured),
                           life.directory, self._configured)
        else:
            self._log.emit("PYD2_QUEUE_KEPT", waiting, path)

    # Requests.

    def accept(self, datagrams: Sequence[bytes]) -> None:
        """Accept what was read from the socket."""
        if self._lifecycle.state not in (State.CLOSED, State.RETIRED):
            self._release.burst = len(datagrams) >= CHUNK
            free = self._free
            if 2 * free <= self._limit.max_entries:
                datagrams = self._admit(datagrams, free - self._release.count)
            if len(datagrams) > free:
                lost = len(datagrams) - free
                self._counters.tally.received += lost  # the engine, which counts the others, never sees these
                self._limit.drop(time.time(), lost)
                datagrams = datagrams[:free]
        if self._held or self._lifecycle.state is State.OPENING:
            self._held += datagrams
        elif self._part is not None and self._lifecycle.state is State.IN_USE and not self._release.busy:
            self._part.take(datagrams, ())
        else:
            self._begin(datagrams)

    @property
    def _free(self) -> int:
        """How many more requests it may hold."""
        in_memory = 0 if self._part is None else self._part.in_memory
        return max(0, self._limit.max_entries - len(self._pending) - len(self._held) - in_memory)

    def _begin(self, datagrams: Sequence[bytes]) -> None:
        """Hand requests to the store, if one is in use, and to the engine, if they need not wait for that."""
        life = self._lifecycle
        self._keep_all()
        if life.state in (State.CLOSED, State.RETIRED):
            if life.unread:
                self._pending.note_newer(datagrams)
            if len(datagrams) <= CHUNK and not self._release.busy:
                self._carry_out(datagrams, ())
            else:
                self._release.add(Entries([0] * len(datagrams), [0.0] * len(datagrams), list(datagrams)))
                self._release.go_on()
            return
        entries = self._pending.number(datagrams, time.time())
        self._release.add(entries)
        if life.state is State.IN_USE:
            life.append(entries)
            self._release.go_on()
            return
        if life.unread:
            self._pending.note_newer(datagrams)
        self._release.up_to(self._pending.last)

    def _keep_all(self) -> None:
        """Have all requests on the disk that came before: those that follow go there."""
        if self._part is not None:
            self._part.keep()

    # What the part asks that gets the requests in the place of the engine.

    def keep(self, datagrams: Sequence[bytes], taken: float) -> Sequence[int]:
        """Put requests on the disk that came at ``taken`` and were not put there; return their numbers."""
        entries = self._pending.number(datagrams, taken)
        if self._lifecycle.state is State.IN_USE:
            self._lifecycle.keep(entries)
        else:
            self._release.up_to(self._pending.last)
        return entries.numbers

    @property
    def safe(self) -> int:
        """Requests up to this number are on the disk, or need not wait for it."""
        return self._release.safe

    @property
    def is_empty(self) -> bool:
        """Whether no request is on the disk: what has ended has left it for good."""
        life = self._lifecycle
        in_use = life.state is State.IN_USE and life.store is not None and life.store.written
        return in_use and not self._pending and not self._held

    # Ends.

    def amend(self, changes: Sequence[Amendment]) -> None:
        """Note what requests have left to do."""
        from pyd2.queue.ncrs import with_changes

        amended = []
        for number, forward, reverse in changes:
            entry = self._pending.get(number)
            if entry is not None:
                datagram = with_changes(entry.datagram, forward=forward, reverse=reverse)
                entry = entry._replace(datagram=datagram)
                self._pending.change(entry)
                amended.append(entry)
        self._lifecycle.replace(amended)

    def taken(self, number: int) -> float | None:
        """Return when a request came, in seconds since the epoch; None if it is done."""
        entry = self._pending.get(number)
        return None if entry is None else entry.taken

    def done(self, numbers: Sequence[int], dead: Mapping[int, str]) -> None:
        """Remove requests that have ended for good; the ``dead`` ones become dead letters, with reasons."""
        dead_letters = []
        for number, reason in dead.items():
            entry = self._pending.get(number)
            if entry is not None:
                dead_letters.append(DeadLetter(number, entry.taken, time.time(), reason, entry.datagram))
        if numbers or dead:
            self._pending.forget(numbers)
            self._lifecycle.drop(numbers, dead_letters)
            if self._part is not None and not self._pending:
                self._lifecycle.hurry()  # others may wait for an empty disk
        if self._limit.full:
            self._limit.resume_at(len(self._pending))

    def remove_dead(self, dead_letters: Sequence[DeadLetter], *, again: bool) -> str:
        """Remove dead letters for good, or accept their requests ``again``; return why not, or nothing.

        What is accepted again is on the disk when the dead letters go, or goes there in the same commit.
        """
        life = self._lifecycle
        if life.state is not State.IN_USE or life.store is None or self._held:
            return "it does not work at present"
        if again:
            if len(dead_letters) > self._free:
                return f"its limit allows {self._free} more requests, not {len(dead_letters)}"
            self._begin([dead_letter.datagram for dead_letter in dead_letters])
        life.store.remove_dead([dead_letter.number for dead_letter in dead_letters])
        return ""

    def _go_on(self) -> None:
        """Begin all requests that have come, and then those that waited for the store."""
        self._release.up_to(self._pending.last)
        if self._held and not self._beginning:
            self._begin_held()

    def _begin_held(self) -> None:
        """Begin some of the requests that waited for the store; the others follow in the next turn."""
        self._beginning = False
        if self._lifecycle.state is State.OPENING:  # once more
            return
        some = [self._held.popleft() for _ in range(min(HELD_PART, len(self._held)))]
        try:
            if some:
                self._begin(some)
        except Exception as error:  # those behind them must not wait for ever
            message = "some requests that waited for the durable queue were not begun; the next ones begin"
            self._loop.call_exception_handler({"message": message, "exception": error})
        if self._held:
            self._beginning = True
            self._loop.call_soon(self._begin_held)
