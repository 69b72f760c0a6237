"""What the durable queue holds, and what it may say: all that is needed where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import starmap
from typing import TYPE_CHECKING, Final, NamedTuple, overload

from pyd2.errors import Pyd2Error

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER: Final = "pyd2-queue"
"""The folder in the queue's directory that holds the database and its WAL: they move together."""

DATABASE: Final = f"{FOLDER}/queue.sqlite3"
"""The database's path in the queue's directory."""


class Entry(NamedTuple):
    """A request that is not yet done."""

    number: int
    """Its place in the order of arrival, from 1."""
    taken: float
    """When it was read from the socket: seconds since the epoch."""
    datagram: bytes


class Entries(Sequence[Entry]):
    """Requests by the column: what is done to all of them runs in C."""

    __slots__ = ("datagrams", "numbers", "taken")

    def __init__(self, numbers: list[int], taken: list[float], datagrams: list[bytes]) -> None:
        self.numbers = numbers
        self.taken = taken
        self.datagrams = datagrams

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> Entries:
        """Return the same requests in this form."""
        if isinstance(entries, Entries):
            return entries
        return cls(*map(list, zip(*entries, strict=True))) if entries else cls([], [], [])

    def extend(self, more: Entries) -> None:
        """Add those that follow."""
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
        if isinstance(place, slice):
            return Entries(self.numbers[place], self.taken[place], self.datagrams[place])
        return Entry(self.numbers[place], self.taken[place], self.datagrams[place])


class DeadLetter(NamedTuple):
    """A request that has failed for good though such are tried again."""

    number: int
    """Its own, counted from 1; before it is in the file that of the request, or 0."""
    taken: float
    """When it was read from the socket: seconds since the epoch."""
    died: float
    """When it was given up."""
    reason: str
    datagram: bytes


@dataclass(slots=True)
class Changes:
    """What the file is to be told."""

    more: Entries = field(default_factory=lambda: Entries([], [], []))
    """Requests that it does not hold yet."""
    amended: list[Entry] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    """Numbers of requests that are done."""
    dead: list[DeadLetter] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.more or self.amended or self.gone or self.dead)


class Identity(NamedTuple):
    """What a file is: another file in its place, or an older copy, has another one."""

    device: int
    inode: int
    generation: bytes


class StoreError(Pyd2Error):
    """The file cannot be used; the text says why, and what to do."""

    def __init__(self, text: str, *, damaged: bool = False, foreign: bool = False) -> None:
        super().__init__(text)
        self.damaged = damaged
        """Its content is broken: no waiting will mend it."""
        self.foreign = foreign
        """It is none of ours, or of a later version: hands off."""
        self.identity: Identity | None = None
        """What the file is now, if that is known."""


class OtherFileError(StoreError):
    """The file in the place is not the one that was read."""


class UnwritableError(StoreError):
    """The file can be read, but not written."""

    def __init__(self, text: str, entries: Entries, identity: Identity) -> None:
        super().__init__(text)
        self.entries = entries
        self.identity = identity


def os_fault(error: OSError) -> StoreError:
    """Return what the operating system says as one of ours."""
    mend = " (let it belong to the daemon's user: 'chown -R')" if isinstance(error, PermissionError) else ""
    return StoreError(f"{error.filename}: {error.strerror}{mend}")
