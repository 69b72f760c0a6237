"""Late batches: what is left of batches that would hold the floor back for too long.

A request that waits for a DNS server that is down must not hold the floor back for hours: a claim would
repeat all that came since. So what is left of its batch is kept beside the record, in its present form, and
the floor moves. A claim begins these first, in their order. What is left of a late batch is written before
the floor passes any request that was done after it: so a claim repeats none alone that newer ones have
followed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.queue.shared.batch import BatchError

if TYPE_CHECKING:
    from collections.abc import Sequence

LATE_SECONDS: Final = 10.0
"""A batch is late when it was begun so long ago, and most of what came behind it is done."""
LATE_BEHIND: Final = 10_000
"""So it is when so many requests behind it are done."""


class LateName(NamedTuple):
    """Tells late batches apart; in the order in which their requests came."""

    epoch: int
    """In which it became late."""
    sequence: int
    """That of the batch in the queue, at that time."""

    def __str__(self) -> str:
        return f"{self.epoch}.{self.sequence}"


class LateBatch(NamedTuple):
    """What is left of a batch."""

    name: LateName
    taken: float
    """When the first request of the batch was read from the socket, in seconds since the epoch."""
    datagrams: Sequence[bytes]
    """In their present form, without what is done of them; empty: nothing is left."""


def read_name(text: str) -> LateName:
    """Read the text of a name. Raises BatchError."""
    epoch, _, sequence = text.partition(".")
    for part in (epoch, sequence):
        if not (part.isascii() and part.isdigit() and len(part) < 16):
            raise BatchError(f"{text[:60]!r} is no name of a late batch")
    return LateName(int(epoch), int(sequence))
