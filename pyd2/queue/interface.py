"""The durable queue's interface to its store: the verbs, what the store reports, and the values between them.

A store holds the requests that are not done. Four verbs carry them: ``read`` what was left, ``append`` what
has come, ``replace`` what has changed, ``drop`` what is done. A store works in a thread of its own, and
reports to its listener in the update thread; no call waits for it, but for ``wait_for_lock`` and ``close``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import starmap
from typing import TYPE_CHECKING, NamedTuple, Protocol, overload

from pyd2.errors import Pyd2Error

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from pyd2.counters import Histogram


class Entry(NamedTuple):
    """A request that is not done."""

    number: int
    """Its place in the order of arrival, from 1."""
    taken: float
    """When it was read from the socket, in seconds since the epoch."""
    datagram: bytes


class Entries(Sequence[Entry]):
    """Requests by the column, so that work on all of them runs in C."""

    __slots__ = ("datagrams", "numbers", "taken")

    def __init__(self, numbers: list[int], taken: list[float], datagrams: list[bytes]) -> None:
        self.numbers = numbers
        self.taken = taken
        self.datagrams = datagrams

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> Entries:
        """Return the same requests by the column."""
        if isinstance(entries, Entries):
            return entries
        # Not by zip, which would hold the interpreter for a fifth of a second with 300,000.
        return cls(
            [entry.number for entry in entries], [entry.taken for entry in entries],
            [entry.datagram for entry in entries],
        )

    def extend(self, more: Entries) -> None:
        """Add requests at the end."""
        self.numbers += more.numbers
        self.taken += more.taken
        self.datagrams += more.datagrams

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[Entry]:
        return starmap(Entry, zip(self.numbers, self.taken, self.datagrams, strict=True))

    @overload
    def __getitem__(self, place: int) -> Entry: ...
    @overload
    def __getitem__(self, place: slice) -> Entries: ...
    def __getitem__(self, place: int | slice) -> Entry | Entries:
        columns = self.numbers[place], self.taken[place], self.datagrams[place]
        return Entries(*columns) if isinstance(place, slice) else Entry(*columns)  # type: ignore[arg-type]


class DeadLetter(NamedTuple):
    """A request that has failed for good though such requests are tried again."""

    number: int
    """Its own, from 1; before the store has it, that of the request, or 0."""
    taken: float
    """When it was read from the socket, in seconds since the epoch."""
    died: float
    """When it was given up."""
    reason: str
    datagram: bytes


class Held(NamedTuple):
    """What the store is to hold, or a part of that."""

    entries: Entries
    dead: list[DeadLetter]
    """Dead letters to add; with the last part."""
    complete: bool
    """Whether it is the last part."""


class Identity(NamedTuple):
    """Distinguishes a store's content from that of another store, or of an older copy."""

    device: int
    inode: int
    generation: bytes


class StoreError(Pyd2Error):
    """The store cannot be used; the text says why, and how to repair it."""

    def __init__(self, text: str, *, damaged: bool = False, foreign: bool = False) -> None:
        super().__init__(text)
        self.damaged = damaged
        """The content is broken; waiting does not help."""
        self.foreign = foreign
        """It is not pyd2's, or of a later version: do not modify it."""
        self.identity: Identity | None = None
        """What it is now, if that is known."""


class OtherFileError(StoreError):
    """The content is not what was read before."""


class UnwritableError(StoreError):
    """The content can be read, but not changed."""

    def __init__(self, text: str, entries: Entries, identity: Identity) -> None:
        super().__init__(text)
        self.entries = entries
        self.identity = identity


class InUseError(Pyd2Error):
    """Another process uses the store."""


class QueueStore(Protocol):
    """The store of one directory, from the moment that a configuration claims it until ``close``."""

    directory: str
    closing: bool
    steps: int
    """Rises while the store is read: the disk answers."""
    dead_count: int
    """Dead letters in it, approximately."""
    mark: mmap.mmap | None
    """Where to write the number of a request while a hook library works on it: it outlives the process."""

    @property
    def written(self) -> bool:
        """Whether all that was handed over is on the disk."""

    def wait_for_lock(self, timeout: float) -> None:
        """Wait ``timeout`` seconds for the lock. Raises InUseError; other faults are reported by ``read``."""

    def read(self, known: Identity | None) -> None:
        """Open the store. Other content than ``known`` is unread; the listener gets it (``found``)."""

    def append(self, entries: Entries) -> None:
        """Add requests; ``safe`` reports that they are on the disk."""

    def replace(self, entries: Sequence[Entry]) -> None:
        """Put requests in the place of those with their numbers."""

    def drop(self, numbers: Sequence[int], dead: Sequence[DeadLetter]) -> None:
        """Remove requests that are done, and add dead letters."""

    def hurry(self) -> None:
        """Write at once what was handed over: removals else wait for others."""

    def remove_dead(self, numbers: Sequence[int]) -> None:
        """Remove dead letters by their numbers."""

    def mirror(self, *, renumbered: bool) -> None:
        """Forget what was handed over, and ask again what to hold (``ready``), until ``restored``.

        ``renumbered``: its requests have other numbers now than those that it holds.
        """

    def close(
        self, timeout: float | None, held: tuple[Identity, Held] | None = None, behind: Sequence[bytes] = ()
    ) -> bool:
        """Write what was handed over, close the store and give up the lock.

        ``held``: all that the store with this identity is to hold, if it does not work now: it is tried once
        more. ``behind``: requests without numbers, to be added at the end. Waits ``timeout`` seconds (None:
        not at all); returns whether all was written.
        """


class StoreListener(Protocol):
    """What a store reports, in the update thread; only ``store``, which is in use, does."""

    store: QueueStore | None

    def found(self, entries: Entries) -> None:
        """Some requests of an unread store, in their order."""

    def opened(self, identity: Identity) -> None:
        """All requests were read."""

    def ready(self, after: int) -> Held:
        """Return what the store is to hold behind a number: some of it."""

    def restored(self, identity: Identity) -> None:
        """The store holds what ``ready`` returned."""

    def safe(self, number: int) -> None:
        """The requests up to this number are on the disk."""

    def buried(self, count: int) -> None:
        """So many dead letters are on the disk."""

    def failed(self, fault: StoreError) -> None:
        """The store does not work; ``read`` tries again."""

    def ended(self) -> None:
        """The store is closed."""


class DeadLetters(Protocol):
    """Reads the dead letters of a directory. Each call waits for the disk, and may raise StoreError."""

    def page(self, most: int, before: int) -> tuple[Sequence[DeadLetter], int]:
        """Return some with numbers below ``before``, the newest first, and how many there are in all."""

    def of_numbers(self, numbers: Sequence[int]) -> Sequence[DeadLetter]:
        """Return those of these numbers that are there."""


class QueueStores(Protocol):
    """A kind of store; each directory holds one."""

    @property
    def commit_seconds(self) -> Histogram:
        """How long commits take, in all directories."""

    def path(self, directory: str) -> Path:
        """Return what messages name."""

    def open(self, directory: str, listener: StoreListener, after: QueueStore | None) -> QueueStore:
        """Return the store of a directory; it locks that when ``after`` has given up its own lock."""

    def dead_letters(self, directory: str) -> DeadLetters:
        """Return what reads the dead letters of a directory."""

    def report_left(self, directory: str) -> None:
        """Log, without waiting, whether a directory that is not in use holds requests."""


class OfflineStore(Protocol):
    """The store of a directory that no daemon uses. All methods may raise StoreError."""

    def read(self) -> Sequence[Entry]:
        """Return the requests in their order."""

    def read_dead(self) -> Sequence[DeadLetter]:
        """Return the dead letters, the oldest first."""

    def write(
        self, entries: Sequence[Entry], removed: Sequence[int] = (), dead: Sequence[DeadLetter] = (),
        raised: Sequence[int] = (),
    ) -> None:
        """Add requests, remove some by number, add dead letters, and remove some of these (``raised``).

        On return all of it is on the disk; if it fails, nothing is.
        """

    def renew(self) -> None:
        """Give it another identity, before it gets requests: a move that was killed then takes them along."""


class OfflineStores(Protocol):
    """Stores without their daemon. All functions may raise StoreError and OSError."""

    def read(self, path: str, *, dead: bool) -> tuple[Sequence[Entry | DeadLetter], StoreError | None]:
        """Return the requests of a store, or with ``dead`` its dead letters, and why some may be missing.

        ``path`` is a directory, perhaps in use, or what a daemon has set aside there.
        """

    def change(self, directory: str) -> AbstractContextManager[OfflineStore]:
        """Open the store of a directory. Raises InUseError while a daemon uses it."""

    def move(self, directory: str, to: str) -> tuple[int, int]:
        """Move all that one holds behind what another holds; return how many requests and dead letters.

        Raises InUseError while a daemon uses one of them. After a kill it may be repeated.
        """
