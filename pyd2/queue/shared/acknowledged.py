"""What a receiver keeps of batches that servers have acknowledged: servers may lose some of them.

A cluster of servers whose leader changes may give up the last messages that it had acknowledged (nats-server
2.10 does: docs/cluster.md). So a receiver keeps a batch until a record says that it is done. If that takes
long, it looks now and then whether the servers still have it, and appends it again if they do not: the owner
puts it in its place (``order``). It looks for all of them, not only for the oldest one: a DNS server that is
down keeps that from being done for longer than an owner waits for what is missing behind it.

Servers could refuse a batch that does not follow the one before it. But a message that servers refuse when
they carry it out is what nats-server 2.10 miscounts after a restart, and then loses others.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyd2.queue.shared.batch import octets_of

if TYPE_CHECKING:
    from pyd2.queue.shared.batch import BatchNumber, RequestBatch

MOST_OCTETS: Final = 16 * 1024 * 1024
"""Of the datagrams that are kept: in a backlog the oldest ones are forgotten, which servers do not lose."""
MOST_BATCHES: Final = 4096
"""Batches that are kept: to look for more of them would take longer than the owner waits for one."""
MOST_LOOKS: Final = 64
"""So many are looked for at once, at most."""
LOOK_OCTETS: Final = 256 * 1024
"""Or so many octets of them: servers send the whole of each."""


@dataclass(slots=True)
class Kept:
    """A batch that is kept."""

    batch: RequestBatch
    sequence: int
    """Where it is in the queue."""
    since: float
    """When it was acknowledged, or looked for, in monotonic seconds."""
    octets: int
    """Of its datagrams."""
    forgotten: bool = False


class Acknowledged:
    """The batches in the order of their numbers."""

    def __init__(self) -> None:
        self._kept: deque[Kept] = deque()
        self._looks: deque[Kept] = deque()
        """The same in the order in which they are to be looked for; also some that were forgotten since."""
        self._octets = 0

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, batch: RequestBatch, sequence: int, now: float) -> None:
        """Note that the next batch is in the queue; ``now`` is in monotonic seconds."""
        kept = Kept(batch, sequence, now, octets_of(batch.datagrams))
        self._kept.append(kept)
        self._looks.append(kept)
        self._octets += kept.octets
        while len(self._kept) > (1 if self._octets > MOST_OCTETS else MOST_BATCHES):
            self._forget_first()

    def done(self, number: BatchNumber | None) -> None:
        """Forget the batches up to a number: a record says that they are done."""
        while number is not None and self._kept and self._kept[0].batch.number <= number:
            self._forget_first()

    def behind(self, number: BatchNumber | None) -> Kept | None:
        """Return the first batch behind a number, or the first one of all; None: there is none."""
        return next((kept for kept in self._kept if number is None or kept.batch.number > number), None)

    @property
    def next_look(self) -> float | None:
        """Return when the next one to be looked for was acknowledged, or looked for; None: there is none."""
        return self._looks[0].since if self._looks else None

    def look(self, before: float, now: float) -> list[Kept]:
        """Return some that were acknowledged, or looked for, before a time; they are looked for now."""
        found: list[Kept] = []
        octets = 0
        while len(found) < MOST_LOOKS and octets < LOOK_OCTETS:
            since = self.next_look
            if since is None or since > before:
                break
            kept = self._looks.popleft()
            kept.since = now
            self._looks.append(kept)
            self._drop_forgotten()
            found.append(kept)
            octets += kept.octets
        return found

    def _forget_first(self) -> None:
        kept = self._kept.popleft()
        kept.forgotten = True
        self._octets -= kept.octets
        self._drop_forgotten()

    def _drop_forgotten(self) -> None:
        while self._looks and self._looks[0].forgotten:
            self._looks.popleft()
