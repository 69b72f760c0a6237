"""A node of a site in virtual time: its clocks, what it has of the queue, and its receiver."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pyd2.queue.shared.outgoing import Outgoing
from pyd2.queue.shared.ownership import Moment, Ownership

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.queue.shared.batch import RequestBatch
    from pyd2.queue.shared.under_way import UnderWay

LEASE: Final = 6.0
GRACE: Final = 1.0


@dataclass(eq=False)
class Term:
    """The work of an owner; see pyd2.cluster.term."""

    work: UnderWay
    read_to: int
    under_way: int = 0
    """Batches of which requests wait for a reply."""
    blocked: list[int] = field(default_factory=list)
    """The numbers of requests whose DNS server is down."""
    repeated: int = 0
    """Requests that were carried out before, by another term."""


class Node:
    """A machine with a daemon."""

    def __init__(self, name: str, drift: float) -> None:
        self.name = name
        self.rate: Final = 1.0 + drift
        self.up = True
        self.frozen = False
        self.cut = False
        self.life = 0
        """Counts its processes; what is left to do for a former one is not done."""
        self.server = 0
        """The server that it is connected to."""
        self.stood = 0.0
        """For how long its clocks have stood still."""
        self.wall_error = 0.0
        self.deferred: list[Callable[[], None]] = []
        """What happens when it stands still no more."""
        self.in_kernel = 0
        """Requests that have come while it stood still."""
        self.prepared = False
        """Whether it stands still between its look at the clocks and the end of the system call."""
        self.disk: dict[int, tuple[float, bytes]] = {}
        """What it has taken and is not acknowledged: times and requests, by their numbers."""
        self.last_number = 0
        self.spool_peak = 0
        """The most that has waited since the servers take nothing; 0: they do."""
        self._boot = 0
        self._replaced = 0
        self.start()

    def start(self) -> None:
        """Start a process."""
        self.life += 1
        self.up = True
        self.ownership = Ownership(f"{self.name}.{self.life}", LEASE, GRACE)
        self.known = False
        self.term: Term | None = None
        self.writing = False
        self.leave_at: float | None = None
        self.renew_at = 0.0
        self.turn_at = 0.0
        """When its next turn is."""
        self.turn = 0
        """Counts what was planned as its next turn; only the last one counts."""
        self.failures = 0
        self.appending = False
        self._boot += 1
        self.outgoing = Outgoing(f"{self.name}.{self._replaced}", self._boot)
        for number, (taken, datagram) in self.disk.items():
            self.outgoing.add([datagram], [number], taken)

    def end(self) -> None:
        """End the process without a farewell."""
        self.life += 1
        self.up = False
        self.frozen = self.prepared = False
        self.term = None
        self.deferred.clear()
        self.in_kernel = 0

    def lose_disk(self) -> int:
        """Another machine takes its place; return how many requests are lost."""
        lost = len(self.disk)
        self.disk = {}
        self._replaced += 1
        self._boot = 0
        self.spool_peak = 0
        return lost

    @property
    def works(self) -> bool:
        """Whether it runs and reaches the servers."""
        return self.up and not self.frozen and not self.cut

    def moment(self, now: float) -> Moment:
        """Return what its clocks show."""
        return Moment(self.rate * (now - self.stood), now + self.wall_error)

    def first(self, now: float) -> RequestBatch | None:
        """Return the batch that its receiver is to append."""
        return self.outgoing.first(now)

    def may_send(self, now: float) -> bool:
        """See Ownership."""
        return self.ownership.may_send(self.moment(now))
