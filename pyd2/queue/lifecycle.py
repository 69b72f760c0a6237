"""The states of the durable queue's store, as the update thread sees it.

While the store does not work, nothing is handed to it. From time to time it is read again, asks what it is to
hold (``ready``), and reports when it does (``restored``). ``states`` has all states and transitions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyd2.queue.states import State, Trigger, moved

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pyd2.messages import Log
    from pyd2.queue.interface import (
        DeadLetter,
        Entries,
        Entry,
        Held,
        Identity,
        QueueStore,
        QueueStores,
        StoreError,
    )
    from pyd2.queue.pending import Pending
    from pyd2.queue.release import Release

STALL_SECONDS: Final = 3.0
"""How long requests, and the main thread at a claim, wait for a disk that does not answer."""

RETRY_SECONDS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""The delays before the store is tried again; the last one stays."""

CLOSE_SECONDS: Final = 10.0
"""How long the end of the daemon waits for the last commit."""


class Lifecycle:
    """Keeps the store the mirror of what is ``pending``, as far as its state allows.

    ``go_on`` is called when the state has changed and requests need not wait for it any longer.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, pending: Pending, release: Release, log: Log,
        stores: QueueStores, go_on: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._pending = pending
        self._release = release
        self._log = log
        self._stores = stores
        self._go_on = go_on
        self.state = State.CLOSED
        self.directory = ""
        """The directory of the store in use; empty while none is."""
        self.store: QueueStore | None = None
        self.mirrored = False
        """Whether the store holds what is pending, as soon as it has written what it was handed."""
        self.reason = ""
        """Why the store does not work, as it was logged last."""
        self._known: Identity | None = None
        """The content that was read; None while what the store holds is unread."""
        self._stall: asyncio.TimerHandle | None = None
        """Runs while requests wait for the disk."""
        self._retry: asyncio.TimerHandle | None = None
        self._failures = 0
        self._handing: asyncio.Handle | None = None
        """Runs while there is more to hand over to a store that was restored."""
        self._handed_over = 0
        """The last request that was handed over so and is not on the disk yet; else 0."""
        self._unlogged = ""
        """The message that is logged when that one is on the disk; else empty."""
        self._kept = 0
        """The last request that was handed over so; else 0."""

    @property
    def path(self) -> Path:
        """What messages name."""
        return self._stores.path(self.directory)

    @property
    def unread(self) -> bool:
        """Whether the store holds requests that have not been read yet."""
        return self._known is None and self.state is not State.CLOSED

    @property
    def _used(self) -> QueueStore:
        assert self.store is not None
        return self.store

    # What the queue asks.

    def open(self, directory: str, store: QueueStore | None) -> None:
        """Use ``store``, which has the lock of the directory, or the store that is being worked off."""
        self._to(Trigger.WANTED)
        self.reason, self._failures = "", 0
        if store is None and self.store is not None and not self.store.closing:
            if self.mirrored:
                self.mirrored = False
                self.store.mirror(renumbered=False)
        else:
            self.directory = directory
            self._known, self.mirrored = None, False
            self._pending.expect_file()
            self.store = store or self.new_store(directory)
            self.store.read(None)
        self._watch()

    def new_store(self, directory: str) -> QueueStore:
        """Return a store that locks its directory when the present one has given up its own lock."""
        return self._stores.open(directory, self, self.store)

    def retire(self) -> None:
        """Work off what is in the store, and write nothing more."""
        unusable = self.state is State.UNUSABLE
        self._to(Trigger.WAIVED, self.path, len(self._pending))
        self._stop_timers()
        self._pending.renumber()
        if unusable:
            self._used.read(self._known)  # it holds requests that are done
        self._go_on()
        self.leave_if_done()

    def append(self, entries: Entries) -> None:
        """Write requests; they begin when ``safe`` reports them."""
        self._used.append(entries)
        self._watch()

    def keep(self, entries: Entries) -> None:
        """Write requests that do not wait for ``release``."""
        self._kept = entries.numbers[-1]
        self.append(entries)

    def hurry(self) -> None:
        """Have removed at once what has ended."""
        if self.mirrored:
            self._used.hurry()

    def replace(self, amended: Sequence[Entry]) -> None:
        """Write requests in their present form, now or when the store works again."""
        if self.mirrored:
            self._used.replace(amended)
        else:
            self._pending.note(amended=[entry.number for entry in amended])

    def drop(self, numbers: Sequence[int], dead: Sequence[DeadLetter]) -> None:
        """Remove requests, and add dead letters, now or when the store works again."""
        if self.store is None:
            return
        self._pending.bury(dead)
        if self.mirrored:
            self.store.drop(numbers, dead)
        else:
            self._pending.note(numbers)
        self.leave_if_done()

    def close(self, behind: Sequence[bytes]) -> bool:
        """Write what is to be written, and the requests ``behind`` at the end, and close the store. Blocks.

        Returns whether the store holds all that waits.
        """
        self._stop_timers()
        held = None
        if not self.mirrored and self._known is not None:
            held = self._known, self._pending.hold_all()
        holds_all = self.mirrored or held is not None or self.state is State.OPENING
        written = self._used.close(CLOSE_SECONDS, held, behind) and holds_all
        self._stop_handing_over()
        self._to(Trigger.STOPPED)
        self.store = None
        return written

    def leave_if_done(self) -> None:
        """Close the store when it is retired and all of it is done; ``ended`` reports that."""
        if self.state is State.RETIRED and self.mirrored and not self._pending and not self._used.closing:
            self._used.close(None)

    # What the store reports.

    def found(self, entries: Entries) -> None:
        """Add some requests of a store that was unread."""
        carried_out, at_once = self._pending.add_found(entries)
        self._release.add(carried_out)
        if at_once:
            self._release.up_to(self._pending.last)

    def opened(self, identity: Identity) -> None:
        """Begin the requests that were found, and then those that came meanwhile."""
        self._known = identity
        newer = self._pending.all_found()
        if newer is None:
            self._use(Trigger.READ)
            return
        if newer.dead or (newer.kept and self.state is not State.OPENING):
            self._log.emit("PYD2_QUEUE_LATE", self.path, newer.kept, newer.dead, self.directory)
        self._used.mirror(renumbered=True)

    def ready(self, after: int) -> Held:
        """Return a part of what the store is to hold."""
        return self._pending.hold(after)

    def restored(self, identity: Identity) -> None:
        """Hand over what has changed meanwhile, some at a time; then let requests wait for the disk again."""
        self._known = identity
        self._handed_over = 0
        self._hand_over()

    def _hand_over(self) -> None:
        self._handing = None
        entries, amended, complete = self._pending.more()
        self._handed_over = entries.numbers[-1] if entries else self._handed_over
        self._used.append(entries)
        self._used.replace(amended)
        if not complete:
            self._handing = self._loop.call_soon(self._hand_over)
            return
        self._used.drop(*self._pending.ended())
        self.mirrored = True
        if self.state is State.RETIRED:
            self.leave_if_done()
        else:
            self._use(Trigger.RESTORED)

    def safe(self, number: int) -> None:
        """Allow the requests up to this number to begin; they are on the disk."""
        self._release.up_to(number)
        if self._handed_over and number >= self._handed_over:
            self._handed_over = 0
            if self._unlogged:
                self._works()

    def buried(self, count: int) -> None:
        """Forget so many dead letters, which the store has."""
        self._pending.buried(count)

    def failed(self, fault: StoreError) -> None:
        """Continue without the store."""
        self._known = fault.identity or self._known
        self._stop_handing_over()
        if self.state is State.RETIRED:
            self._to(Trigger.FAILED, self.path, fault)
            self._forget()
            self._used.close(None)
            return
        self._fail(Trigger.FAILED, str(fault))
        self._pending.forget_handed_over()
        delay = RETRY_SECONDS[min(self._failures, len(RETRY_SECONDS) - 1)]
        self._retry = self._loop.call_later(delay, self._try_again)
        self._failures += 1

    def ended(self) -> None:
        """End a queue that is retired and empty, when all is written."""
        if self.state is State.RETIRED:
            self._to(Trigger.EMPTIED, self.path)
            self._forget()

    # The states.

    def _to(self, trigger: Trigger, *arguments: object, logged: bool = True) -> str:
        """Go to the state to which a trigger leads; return its message, logged if there are arguments."""
        self.state, message = moved(self.state, trigger)
        self._unlogged = ""
        if logged and arguments:
            self._log.emit(message, *arguments)
        return message

    def _use(self, trigger: Trigger) -> None:
        """Let requests wait for the disk from now on."""
        self._unlogged = self._to(trigger)
        self.mirrored = True
        self._stop_timers()
        if not self._handed_over:
            self._works()
        self._go_on()

    def _works(self) -> None:
        """Log that the store works: it holds all that waits, what was handed over included."""
        message, self._unlogged = self._unlogged, ""
        self._log.emit(message, self.path, len(self._pending))
        self._failures, self.reason = 0, ""

    def _fail(self, trigger: Trigger, reason: str) -> None:
        """Carry requests out from memory."""
        self._to(trigger, reason, logged=reason != self.reason)
        self.reason = reason
        self.mirrored = False
        self._pending.renumber()
        self._stop_timers()
        self._go_on()

    def _try_again(self) -> None:
        self._retry = None
        self._to(Trigger.RETRY)
        self._used.read(self._known)

    def _forget(self) -> None:
        self.directory = ""
        self._known = None
        self.mirrored = False

    # Time.

    def _stop_timers(self) -> None:
        for timer in (self._stall, self._retry):
            if timer is not None:
                timer.cancel()
        self._stall = self._retry = None

    def _stop_handing_over(self) -> None:
        self.mirrored = False
        self._handed_over = 0
        if self._handing is not None:
            self._handing.cancel()
            self._handing = None

    def _watch(self) -> None:
        """Look in STALL_SECONDS whether the disk has answered."""
        if self._stall is None:
            self._stall = self._loop.call_later(STALL_SECONDS, self._look, self._progress())

    def _look(self, before: tuple[int, int] | None) -> None:
        self._stall = None
        now = self._progress()
        if now is None:
            return
        if now != before:
            self._watch()
            return
        if self.state is State.IN_USE:
            self._used.mirror(renumbered=False)
            self._pending.forget_handed_over()
        self._fail(Trigger.STALLED, f"{self.path}: the disk has not answered for {STALL_SECONDS:g} seconds")

    def _progress(self) -> tuple[int, int] | None:
        """Return what rises as long as the disk answers; None when nothing waits for it."""
        waiting = self._release.busy and not self._release.some_may_begin
        waiting = waiting or self._kept > self._release.safe
        waiting = self.state is State.OPENING or (self.state is State.IN_USE and waiting)
        return (self._release.safe, self._used.steps) if waiting else None
