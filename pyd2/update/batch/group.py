"""A group: updates that wait for a batch and may share a message."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from pyd2.dns.question import Found
from pyd2.update.batch.size import BatchSize
from pyd2.update.model.batch_rules import BatchSort

if TYPE_CHECKING:
    from typing import TypeAlias

    from pyd2.dns.tsig import SigningKey
    from pyd2.dns.update import Zone
    from pyd2.update.model.plan import Server
    from pyd2.update.model.route import Route
    from pyd2.update.model.transaction import Transaction

    GroupKey: TypeAlias = tuple[Server, Zone, SigningKey | None, bool, BatchSort]
    """Server, zone, key, whether forward, sort."""

OCTETS: Final = 104.0
"""What an update takes up in a batch, until it is known."""


class BatchGroup:
    """Updates of one sort and direction for a zone at a server, with one key."""

    __slots__ = (
        "asking", "expected", "fixed", "forward", "key", "octets", "rounds", "server", "since", "size",
        "sort", "waiting", "zone",
    )

    def __init__(self, key: GroupKey, most: int) -> None:
        self.server, self.zone, self.key, self.forward, self.sort = key
        self.size = BatchSize(most, removals=self.sort is BatchSort.REMOVALS)
        self.waiting: deque[tuple[bytes, Transaction]] = deque()
        """Transactions that wait, each behind its owner."""
        self.since = 0.0
        """Since when some have waited, or when the last round began; in monotonic seconds."""
        self.rounds = 0
        """Rounds under way."""
        self.expected = Found.FREE
        """What names of additions turned out to be when the server was asked last. If all were OURS, they are
        taken over at once; if it is OTHERWISE, because some existed, the server is asked first."""
        self.asking: Route | None = None
        """How its questions go to the server; None: none was asked yet."""
        self.fixed = 0
        """Octets of the last batch besides its updates: the header, the zone and the TSIG."""
        self.octets = OCTETS
        """What an update has taken up in the last batch."""
