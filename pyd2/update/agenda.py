"""What has happened in the engine and the scheduler has not acted on yet.

The driver, the circuit breakers and the retry queue add to the agenda instead of calling the scheduler, so a
chain of failures cannot become a recursion. The scheduler works it off at the end of each call, in one place
(``Scheduler._work_off_agenda``) and in this order: servers that turned, then clients that became free,
requests to be parked, retries that may begin and updates to be sent, as long as there are any, then lanes
without a free place.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pyd2.update.model.transaction import Failure, Transaction
    from pyd2.update.server.lane import Lane


class Postponed(NamedTuple):
    """A transaction that has ended, though its request has not."""

    transaction: Transaction
    failure: Failure | None
    """How it has failed, for a reason that may pass; None: it has halted before its reverse direction."""


class Agenda:
    """The events of one engine. The containers stay the same objects: each part may keep those it adds to."""

    __slots__ = ("freed", "full", "ordered", "postponed", "retries_ready", "turned")

    def __init__(self) -> None:
        self.freed: deque[int] = deque()
        """The hashes of the DHCIDs that ended transactions have held: for the next request of that client."""
        self.postponed: deque[Postponed] = deque()
        """Transactions that have ended, and whose requests are to be parked before their clients are free."""
        self.turned: list[Lane] = []
        """Servers whose circuit breaker has opened or closed."""
        self.retries_ready = False
        """Whether retries may begin at once."""
        self.ordered: list[Lane] = []
        """Lanes with ``orders``: updates to be made and sent together."""
        self.full: set[Lane] = set()
        """Lanes in which something waits because they had no free place for it."""
