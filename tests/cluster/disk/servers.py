"""The servers of a shared queue, played: they take a batch, or do not, and answer, or do not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from pyd2.queue.shared.interface import QueuedBatch, SharedQueueError, UnansweredError
from pyd2.queue.shared.progress import Progress
from pyd2.queue.shared.record import NO_RECORD, Record, Revision

if TYPE_CHECKING:
    from pyd2.queue.shared.batch import RequestBatch
    from tests.cluster.disk.turns import Turns

STATES: Final = "good", "good", "slow", "silent", "away", "full"


class Servers:
    """Their queue outlives the receivers."""

    def __init__(self, turns: Turns) -> None:
        self.state = "good"
        self.stream: list[RequestBatch] = []
        self._turns = turns

    async def append(self, batch: RequestBatch, seconds: float) -> int:
        """See SharedQueue."""
        drawn = self._turns.random
        if self.state == "full":
            await asyncio.sleep(0.001)
            raise SharedQueueError("the stream is full")
        late = self.state == "slow" and drawn.random() < 0.5
        if self.state != "silent" or drawn.random() < 0.3:
            self.stream.append(batch)
            if self.state != "silent":
                await asyncio.sleep(drawn.choice((0.08, 0.4)) if late else drawn.choice((0.0, 0.001, 0.01)))
                return len(self.stream)
        await asyncio.sleep(seconds)
        raise UnansweredError("no answer")

    async def batch(self, sequence: int) -> QueuedBatch | None:
        """See SharedQueue."""
        return QueuedBatch(sequence, self.stream[sequence - 1]) if sequence <= len(self.stream) else None

    async def record(self) -> tuple[Revision, Record]:
        """See SharedQueue: no node owns the queue."""
        return Revision(0, 0), NO_RECORD

    def found(self) -> list[bytes]:
        """Return the requests that an owner carries out, in order."""
        progress = Progress(NO_RECORD)
        return [datagram for sequence, batch in enumerate(self.stream, 1)
                if progress.begin(sequence, batch) for datagram in batch.datagrams]


class PlayedLink:
    """See Link."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self.server = "played"

    @property
    def queue(self) -> Servers:
        if self._servers.state == "away":
            raise UnansweredError("there is no connection to a server")
        return self._servers

    async def run(self) -> None:
        await asyncio.Event().wait()

    def go_to_next(self, reason: str) -> None:
        """There is one only."""
