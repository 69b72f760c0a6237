"""What an owner logs, counts and remembers of the batches that its terms read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyd2.messages import Log
    from pyd2.queue.shared.batch import BatchNumber, RequestBatch


class TermLog:
    """Of all terms of a node, since its start."""

    def __init__(self, log: Log, site: str) -> None:
        self._log = log
        self._site = site
        self.overtaken_requests = 0
        """Requests that came too late to be carried out."""
        self.missing_batches = 0
        """Batches that receivers had appended and that are not in the queue."""

        self._gaps: set[tuple[str, BatchNumber]] = set()
        """Batches that have waited for others, when all was read again."""
        self._missing: set[tuple[str, BatchNumber]] = set()
        """Batches before which others are missing, as was logged: another term may find that again."""

    def knows_gap(self, batch: RequestBatch) -> bool:
        """Whether all was read again for those that are missing before a batch."""
        return (batch.receiver, batch.number) in self._gaps

    def note_gaps(self, sequence: int, waiting: set[tuple[str, BatchNumber]]) -> None:
        """All is read again for those that are missing before the batches that wait, once for all of them."""
        self._gaps |= waiting
        self.lost(sequence)

    def unreadable(self, sequence: int, fault: str) -> None:
        """A batch is skipped."""
        self._log.emit("PYD2_CLUSTER_BATCH_UNREADABLE", self._site, sequence, fault)

    def lost(self, sequence: int) -> None:
        """Servers have lost a batch with this sequence, or some before it; all is read again."""
        self._log.emit("PYD2_CLUSTER_STREAM_LOST", self._site, sequence)

    def overtaken(self, receiver: str, count: int) -> None:
        """So many requests of a receiver come too late."""
        self.overtaken_requests += count
        self._log.emit("PYD2_CLUSTER_OVERTAKEN", self._site, count, receiver)

    def missing(self, receiver: str, count: int, before: BatchNumber) -> None:
        """So many batches of a receiver are missing before one with this number."""
        if (receiver, before) in self._missing:
            return
        self._missing.add((receiver, before))
        self.missing_batches += count
        self._log.emit("PYD2_CLUSTER_BATCHES_MISSING", self._site, count, receiver, before)
