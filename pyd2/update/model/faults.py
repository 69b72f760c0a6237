"""How requests end, and the names of what fails beside RCODEs and bad replies (``pyd2.errors.BadReply``).

``reasons.py`` says why something fails and how to mend it. It is loaded only where that is shown.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Result(IntEnum):
    """How a request ends."""

    DONE = 0
    FAILED = 1
    EXPIRED = 2
    SUPERSEDED = 3
    UNMATCHED = 4
    """No domain fits: it is the only end that belongs to no zone."""
    RETRYING = 5
    """No end: it has failed for the first time, and is tried again."""

    @property
    def word(self) -> str:
        """As metrics name it."""
        return self.name.lower()


class Fault(StrEnum):
    """What fails beside RCODEs and bad replies."""

    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    UNSENDABLE = "unsendable"
    LOOP = "loop"
    NO_SERVER = "no-server"
    LIBRARY = "library"
    NO_DHCID = "no-dhcid"
    OTHER_HOST = "other-host"
    NO_LEASES = "no-leases"
    UNMATCHED = "unmatched"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    KEPT = "kept"
    SHARE_FULL = "share-full"
    LOST = "lost"
