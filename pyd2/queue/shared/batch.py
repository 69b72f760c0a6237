"""A batch of requests: what a receiver appends at once, and how it is known again when it comes twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, overload

from pyd2.errors import Pyd2Error

if TYPE_CHECKING:
    from types import ModuleType

compiled: ModuleType | None = None
"""Does in C what is done for each request."""
with suppress(ImportError):
    from pyd2.packets import joined as compiled

MOST_REQUESTS: Final = 1024
MOST_OCTETS: Final = 256 * 1024
"""Of the datagrams with their lengths."""

SPOOLED_SECONDS: Final = 2.0
"""A request that has waited for so long before it was appended is a spooled one.

Those that are appended together came within this time.
"""

_LENGTH: Final = 2
"""Octets before each datagram."""


class BatchError(Pyd2Error):
    """The octets are no batch of requests."""


class BatchNumber(NamedTuple):
    """The place of a batch among those of its receiver: numbers only rise, whatever a clock does."""

    boot: int
    """Rises with each start of the receiver."""
    serial: int
    """Counts its batches since then."""

    def __str__(self) -> str:
        return f"{self.boot}.{self.serial}"


class RequestBatch(NamedTuple):
    """Requests that a receiver has taken together, in their order."""

    receiver: str
    """Its name and, behind a dot, what tells it from another one with this name."""
    number: BatchNumber
    taken: float
    """When the first of them was read from the socket, in seconds since the epoch."""
    datagrams: Sequence[bytes]
    spooled: bool = False
    """Whether they have waited on the receiver's disk; all of them came within SPOOLED_SECONDS then."""


def read_number(text: str) -> BatchNumber:
    """Read the text of a batch's number. Raises BatchError."""
    boot, _, serial = text.partition(".")
    for part in (boot, serial):
        if not (part.isascii() and part.isdigit() and len(part) < 16):
            raise BatchError(f"{text[:60]!r} is no number of a batch")
    return BatchNumber(int(boot), int(serial))


def first_batch(datagrams: Sequence[bytes]) -> list[bytes]:
    """Return as many of the first datagrams as a batch may have; one at least, if there is any."""
    batch = list(datagrams[:MOST_REQUESTS])
    octets = _LENGTH * len(batch) + sum(map(len, batch))
    while octets > MOST_OCTETS and len(batch) > 1:
        octets -= _LENGTH + len(batch.pop())
    return batch


class Joined(Sequence[bytes]):
    """Datagrams as they are in the queue, each behind its length; taken apart when one is asked for."""

    __slots__ = ("_count", "_datagrams", "octets")

    def __init__(self, octets: bytes, count: int, datagrams: Sequence[bytes] | None = None) -> None:
        """``datagrams`` are the same taken apart, if that was done."""
        self.octets: Final = octets
        self._count = count
        self._datagrams = datagrams

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._apart())

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | Sequence[bytes]:
        return self._apart()[index]

    def _apart(self) -> Sequence[bytes]:
        datagrams = self._datagrams
        if datagrams is None:
            datagrams = self._datagrams = _split(self.octets) if compiled is None \
                else compiled.read(self.octets, self._count)
        return datagrams

    def clients(self) -> list[int] | None:
        """Return for the client of each request a number of eight octets, the last ones of its DHCID.

        0: it has another form than the DHCP servers write, or no such end. None: that is not known without C.
        """
        return None if compiled is None else compiled.clients(self.octets, self._count)


def joined(datagrams: Sequence[bytes]) -> Joined:
    """Return datagrams that stay as they are, whatever becomes of the memory that these are in."""
    return datagrams if isinstance(datagrams, Joined) else Joined(join(datagrams), len(datagrams))


def octets_of(datagrams: Sequence[bytes]) -> int:
    """Return how many octets datagrams have together."""
    return len(join(datagrams)) - _LENGTH * len(datagrams)


def first_of(some: Sequence[Joined]) -> Joined:
    """Return as many of the first datagrams, MOST_REQUESTS or less, as a batch may have."""
    whole = Joined(b"".join([one.octets for one in some]), sum(map(len, some)))
    return whole if len(whole.octets) <= MOST_OCTETS else joined(first_batch(whole))


def join(datagrams: Sequence[bytes]) -> bytes:
    """Return the octets of a batch: each datagram behind its length."""
    if isinstance(datagrams, Joined):
        return datagrams.octets
    if compiled is not None and isinstance(datagrams, compiled.DatagramBatch):
        octets: bytes = compiled.write(datagrams)
        return octets
    parts: list[bytes] = [b""] * (2 * len(datagrams))
    parts[::2] = [len(one).to_bytes(_LENGTH, "big") for one in datagrams]
    parts[1::2] = datagrams
    return b"".join(parts)


def split(octets: bytes) -> Joined:
    """Return the datagrams of a batch. Raises BatchError."""
    if compiled is None:
        datagrams = _split(octets)
        return Joined(octets, len(datagrams), datagrams)
    count = compiled.count(octets)
    if count < 0:
        raise _cut(octets)
    return Joined(octets, count)


def _split(octets: bytes) -> list[bytes]:
    datagrams = []
    end = 0
    size = len(octets)
    # Two octets one by one: int.from_bytes of a slice takes twice as long, and this is done for each request.
    try:
        while end < size:
            begin = end + _LENGTH
            end = begin + (octets[end] << 8 | octets[end + 1])
            datagrams.append(octets[begin:end])
    except IndexError:
        end = size + 1
    if end != size:
        raise _cut(octets)
    return datagrams


def _cut(octets: bytes) -> BatchError:
    return BatchError(f"a batch of requests ends in the middle of one, at octet {len(octets)}")
