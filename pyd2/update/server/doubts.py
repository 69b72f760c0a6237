"""What is known of a DNS server that may not be able to hold DHCID records (``drive/dhcid_support.py``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyd2.errors import BadReply
    from pyd2.update.model.kinds import Step


class Doubts:
    """That of one server in one domain."""

    __slots__ = ("ask_at", "count", "owner", "takes_none")

    def __init__(self) -> None:
        self.count = 0
        """Failures since it was asked."""
        self.takes_none = False
        """Whether it takes no DHCIDs, as it has turned out."""
        self.ask_at = 0.0
        """When it may be asked again, in monotonic seconds."""
        self.owner = b""
        """The name that it is asked about, on the wire; empty: it was not asked yet."""


class Asking:
    """What a transaction remembers that asks a server."""

    __slots__ = ("failed", "refusals", "step")

    def __init__(self, step: Step, failed: int | BadReply) -> None:
        self.step = step
        """The step in which it has failed."""
        self.failed = failed
        """How it has failed: the RCODE, or what was wrong with the reply."""
        self.refusals = 0
        """DHCIDs that the server has failed since."""
