"""The three servers of a site in virtual time: the log, the record, and whether they answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyd2.queue.shared.record import NO_RECORD, Record, Revision

if TYPE_CHECKING:
    from random import Random

    from pyd2.queue.shared.batch import RequestBatch
    from pyd2.queue.shared.late import LateBatch, LateName
    from pyd2.queue.shared.ownership import Write
    from tests.cluster.month.rates import Rates

SERVERS: Final = 3


class Servers:
    """What they hold, and who of them is there."""

    def __init__(self, rates: Rates, random: Random) -> None:
        self.batches: dict[int, RequestBatch] = {}
        self.last = 0
        self.record: Record = NO_RECORD
        self.revision = Revision(0, 0)
        self.late: dict[LateName, LateBatch] = {}
        self._rates = rates
        self._random = random
        self._faults = [0] * SERVERS
        """How many reasons there are that a server is not there."""
        self._leader: int | None = 0
        self._leads_from = 0.0

    def is_there(self, server: int) -> bool:
        """Whether a server reaches the others and the nodes."""
        return not self._faults[server]

    @property
    def quorum(self) -> bool:
        """Whether two of three are there."""
        return sum(not faults for faults in self._faults) >= 2

    def answer(self, now: float) -> bool:
        """Whether they have a leader, which can carry out what is asked."""
        return self._leader is not None and now >= self._leads_from

    def go(self, server: int, now: float, *, planned: bool = False) -> None:
        """A server is gone."""
        self._faults[server] += 1
        if not self.quorum:
            self._leader = None
        elif server == self._leader:
            self._choose(now, planned=planned)

    def come(self, server: int, now: float) -> None:
        """One reason for which it was gone is over."""
        self._faults[server] -= 1
        if self._leader is None and self.quorum:
            self._choose(now, planned=False)

    def _choose(self, now: float, *, planned: bool) -> None:
        self._leader = self._random.choice([one for one in range(SERVERS) if self.is_there(one)])
        wait = self._rates.transfer if planned else self._random.uniform(*self._rates.election)
        self._leads_from = now + wait

    def append(self, batch: RequestBatch) -> int:
        """See SharedQueue."""
        self.last += 1
        self.batches[self.last] = batch
        return self.last

    def replace(self, write: Write) -> Revision | None:
        """Return the new revision; None if another one was expected."""
        if self.revision != write.expected:
            return None
        for sequence in range(self.record.floor, write.record.floor):  # the one at the floor stays
            self.batches.pop(sequence, None)
        self.revision = Revision(self.revision.last + 1, self.revision.last + 1)
        self.record = write.record
        return self.revision

    def keep_late(self, batch: LateBatch, expected: Revision) -> Revision | None:
        """Return the new revision; None if another one was expected."""
        if self.revision != expected:
            return None
        self.late[batch.name] = batch
        if not batch.datagrams:
            del self.late[batch.name]
        self.revision = Revision(self.revision.last + 1, self.revision.record)
        return self.revision
