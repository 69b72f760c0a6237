"""A receiver of the model of a shared queue: its disk, and what of it a kill leaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyd2.queue.shared.acknowledged import Acknowledged
from pyd2.queue.shared.outgoing import Outgoing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyd2.queue.shared.batch import BatchNumber, RequestBatch
    from tests.queue.shared.model import Call


@dataclass(eq=False)
class Receiver:
    """A process that takes requests."""

    name: str
    clients: range
    outgoing: Outgoing
    boot: int = 1
    kept: Acknowledged = field(default_factory=Acknowledged)
    appended: set[BatchNumber] = field(default_factory=set)
    """All that servers have acknowledged since the start."""
    disk: dict[int, bytes] = field(default_factory=dict)
    """The requests that a kill leaves, by their numbers there."""
    unwritten: dict[int, bytes] = field(default_factory=dict)
    """What is to be written there; no octets: the request is to be removed."""
    last: int = 0
    """The last of these numbers."""
    safe: int = 0
    """What has a number up to this is on the disk, or has left it."""
    call: Call | None = None

    @property
    def disk_is_empty(self) -> bool:
        return not (self.disk or self.unwritten)

    def keep(self, datagrams: Sequence[bytes], _: float = 0.0) -> Sequence[int]:
        """Have requests put on the disk; return their numbers."""
        numbers = range(self.last + 1, self.last + 1 + len(datagrams))
        self.last = numbers[-1]
        self.unwritten |= zip(numbers, datagrams, strict=True)
        return numbers

    def acknowledged(self, batch: RequestBatch, sequence: int, now: float) -> None:
        """The batch under way is in the queue."""
        self.appended.add(batch.number)
        self.kept.add(batch, sequence, now)
        self.unwritten |= dict.fromkeys(self.outgoing.acknowledged(), b"")

    def commit(self) -> list[bytes]:
        """Write what is to be written; return the requests that are new on the disk."""
        written, self.unwritten, self.safe = self.unwritten, {}, self.last
        self.disk |= written
        self.disk = {number: datagram for number, datagram in self.disk.items() if datagram}
        return [datagram for datagram in written.values() if datagram]

    def restart(self, now: float) -> None:
        """Go on with what is on the disk, as if that had just come."""
        self.boot, self.call = self.boot + 1, None
        self.outgoing, self.unwritten = Outgoing(self.name, self.boot), {}
        self.kept, self.appended = Acknowledged(), set()
        self.safe = self.last
        if self.disk:
            self.outgoing.add([*self.disk.values()], [*self.disk], now)
