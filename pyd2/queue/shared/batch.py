"""A batch of requests: what a receiver appends at once, and how it is known again when it comes twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.errors import Pyd2Error

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    """Counts the starts of the receiver."""
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


def join(datagrams: Sequence[bytes]) -> bytes:
    """Return the octets of a batch: each datagram behind its length."""
    parts: list[bytes] = [b""] * (2 * len(datagrams))
    parts[::2] = [len(one).to_bytes(_LENGTH, "big") for one in datagrams]
    parts[1::2] = datagrams
    return b"".join(parts)


def split(octets: bytes) -> list[bytes]:
    """Return the datagrams of a batch. Raises BatchError."""
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
        raise BatchError(f"a batch of requests ends in the middle of one, at octet {size}")
    return datagrams
