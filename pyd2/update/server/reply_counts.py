"""What is counted of the replies of a DNS server: RCODEs, times, silence, and what is wrong with a reply.

Most replies are counted where they are judged in C (``cbridge/wire/observed.h``), the others in Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyd2.counters import Histogram
from pyd2.dns.constants import Rcode

if TYPE_CHECKING:
    from pyd2.errors import BadReply

REPLY_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""The bounds of the times from an update to its reply."""
RCODES: Final = (*(code.name for code in Rcode), "other")
"""The names under which RCODEs are counted."""
_OTHER: Final = len(RCODES) - 1


class ReplyCounts:
    """The counts of one server, or of several."""

    __slots__ = ("bad", "rcodes", "seconds", "timeouts")

    def __init__(self) -> None:
        self.rcodes = [0] * len(RCODES)
        """Replies that count, by RCODE in the order of ``RCODES``."""
        self.seconds = Histogram(REPLY_SECONDS)
        """From an update to the reply that answers it, whatever it says."""
        self.timeouts = 0
        self.bad: dict[BadReply, int] = {}
        """Replies that do not count, by what is wrong with them."""

    def rcode(self, rcode: int, count: int = 1) -> None:
        """Count replies that count."""
        self.rcodes[min(rcode, _OTHER)] += count

    def bad_reply(self, reason: BadReply) -> None:
        """Count a reply that does not count."""
        self.bad[reason] = self.bad.get(reason, 0) + 1

    def add(self, other: ReplyCounts) -> None:
        """Add the counts of another server."""
        self.rcodes = [own + more for own, more in zip(self.rcodes, other.rcodes, strict=True)]
        self.seconds += other.seconds
        self.timeouts += other.timeouts
        for reason, count in other.bad.items():
            self.bad[reason] = self.bad.get(reason, 0) + count
