"""Defects to plant in the queue, for the test of the test: each must be found."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from pyd2.queue import durable, release
from pyd2.queue.interface import Entries
from pyd2.queue.sqlite import database, lock, store, writer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def _acknowledge_early() -> None:
    """Requests begin when they come, and are written later."""
    accept = durable.DurableQueue.accept

    def early(self: durable.DurableQueue, datagrams: Sequence[bytes]) -> None:
        accept(self, datagrams)
        self._release.up_to(1 << 60)

    durable.DurableQueue.accept = early  # type: ignore[method-assign]


def _forget_removals() -> None:
    """What is done stays in the file."""
    write = store.Store.write

    def forgetful(self: store.Store, entries: Any, removed: Any = (), *more: Any, **named: Any) -> None:
        write(self, entries, (), *more, **named)

    store.Store.write = forgetful  # type: ignore[method-assign]


def _lose_one_in_ten() -> None:
    """A commit leaves a request out now and then."""
    hand_over = writer.Writer.append

    def lossy(self: writer.Writer, entries: Entries) -> None:
        left = Entries.of([entry for entry in entries if entry.number % 10 != 0])
        if left:
            hand_over(self, left)

    writer.Writer.append = lossy  # type: ignore[method-assign]


def _do_not_sync() -> None:
    """A commit does not wait for the disk."""
    set_up = database.Database.set_up

    def hasty(self: database.Database, **named: Any) -> None:
        set_up(self, **named)
        self.execute("PRAGMA synchronous = NORMAL")

    database.Database.set_up = hasty  # type: ignore[method-assign]


def _silent() -> None:
    """No message tells of a file that was set aside."""
    UNHEARD.update(("PYD2_QUEUE_SET_ASIDE", "PYD2_QUEUE_ASIDE"))


def _take_any_file() -> None:
    """A file that comes into the place of the one that was read is taken for that."""
    begin = store.Store.__init__

    def careless(self: store.Store, *arguments: Any, only: object = None, **named: Any) -> None:
        begin(self, *arguments, **named)

    store.Store.__init__ = careless  # type: ignore[method-assign]


def _lock_nothing() -> None:
    """Two processes may have the same directory."""
    vars(lock)["fcntl"] = SimpleNamespace(flock=lambda *_: None, LOCK_EX=0, LOCK_NB=0)


def _newest_first() -> None:
    """Requests begin in the wrong order."""
    begin = release.Release.__init__

    def reversing(self: release.Release, loop: Any, carry_out: Callable[..., None]) -> None:
        begin(self, loop, lambda datagrams, numbers: carry_out(datagrams[::-1], numbers[::-1]))

    release.Release.__init__ = reversing  # type: ignore[method-assign]


UNHEARD: Final[set[str]] = set()
"""Messages that are not logged."""

DEFECTS: Final[dict[str, Callable[[], None]]] = {
    "acknowledges before the commit": _acknowledge_early,
    "forgets what is done": _forget_removals,
    "loses one in ten": _lose_one_in_ten,
    "commits without a sync": _do_not_sync,
    "sets aside in silence": _silent,
    "takes any file for its own": _take_any_file,
    "locks nothing": _lock_nothing,
    "begins with the newest": _newest_first,
}


def plant(name: str) -> None:
    """Plant a defect in this process; the empty name is none."""
    if name:
        DEFECTS[name]()
