"""What keeps a shared queue, by four verbs: ``append``, ``read``, ``replace``, ``drop``.

It is a replicated log of batches of requests, each with a sequence that only rises, and one record beside it
that can be replaced by whoever knows its present revision. Whoever owns the queue (``ownership``) reads it.
Beside the record are the late batches (``late``), and for the whole site there are the dead letters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from pyd2.errors import Pyd2Error

if TYPE_CHECKING:
    from pyd2.queue.interface import DeadLetter
    from pyd2.queue.shared.batch import RequestBatch
    from pyd2.queue.shared.late import LateBatch, LateName
    from pyd2.queue.shared.record import Record, Revision


class SharedQueueError(Pyd2Error):
    """It did not work, as the text says. Whether a change was made all the same is not known."""


class UnansweredError(SharedQueueError):
    """No answer came, or no connection is there: another server may answer."""


class OutdatedError(SharedQueueError):
    """The record is another one than expected. The change was not made."""


class QueuedBatch(NamedTuple):
    """A batch in the queue."""

    sequence: int
    """Its place in the queue, from 1."""
    batch: RequestBatch | None
    """None if it cannot be read."""
    fault: str = ""
    """Why not."""


class BatchReader(Protocol):
    """Reads the batches of a queue in their order."""

    async def read(self, seconds: float) -> list[QueuedBatch]:
        """Return the next batches; wait so many seconds for the first. Raises SharedQueueError.

        After that it is of no further use, and what it has returned is complete.
        """

    def close(self) -> None:
        """End it."""


class RecordWatch(Protocol):
    """Shows what is written beside the queue as soon as it is there."""

    async def next(self, seconds: float) -> tuple[Revision, Record] | None:
        """Return the newest record with its revision; None: nothing was written within so many seconds.

        What a server that lags behind shows is an older one, for a moment. Raises SharedQueueError, and
        RecordError; after that it is of no further use.
        """

    def close(self) -> None:
        """End it."""


class SharedQueue(Protocol):
    """A queue that is kept by others. All methods raise SharedQueueError."""

    async def append(self, batch: RequestBatch, seconds: float) -> int:
        """Add a batch at the end; return its sequence. Servers have it then (but see ``acknowledged``).

        Without an answer the same batch is to be appended again: whoever reads both knows them by the number.
        """

    async def read(self, after: int, seconds: float) -> BatchReader:
        """Return a reader of the batches behind a sequence, in so many seconds."""

    async def batch(self, sequence: int) -> QueuedBatch | None:
        """Return the batch with a sequence; None if it is not there."""

    async def record(self) -> tuple[Revision, Record]:
        """Return the record with its revision. Raises RecordError if it cannot be read."""

    async def watch(self, revision: Revision, record: Record, seconds: float) -> RecordWatch:
        """Return a watch for what is written behind a revision, whose record this is, in so many seconds."""

    async def replace(self, record: Record, expected: Revision, seconds: float) -> Revision:
        """Put a record in the place of the one with a revision; return its own. Raises OutdatedError."""

    async def drop(self, up_to: int) -> None:
        """Remove the batches up to a sequence, that one included."""

    async def late(self, revision: Revision, seconds: float) -> list[LateBatch]:
        """Return the late batches in their order, as they were at the record of a revision or later.

        It must begin within so many seconds.
        """

    async def keep_late(self, batch: LateBatch, expected: Revision, seconds: float) -> Revision:
        """Put a late batch in the place of the one with its name. Returns and raises as ``replace`` does."""

    async def drop_late(self, name: LateName, revision: Revision) -> None:
        """Remove what there is of a late batch up to a revision, by which nothing was left of it."""

    async def bury(self, dead_letter: DeadLetter, seconds: float) -> None:
        """Add a dead letter to those of the site. It is safe then."""
