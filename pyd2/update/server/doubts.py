"""What is known of a DNS server that may not be able to hold DHCID records (``drive/dhcid_support.py``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyd2.errors import BadReply
    from pyd2.update.model.kinds import Step


class Doubts:
    """That of one server in one domain."""

    __slots__ = ("ask_at", "count", "failed", "owner", "step", "takes_none")

    step: Step
    """The step in which the transaction has failed that asks."""
    failed: int | BadReply
    """How it has failed: the RCODE, or what was wrong with the reply."""

    def __init__(self) -> None:
        self.count = 0
        """Failures since it was asked."""
        self.takes_none = False
        """Whether it takes no DHCIDs, as it has turned out."""
        self.ask_at = 0.0
        """When it may be asked again, in monotonic seconds."""
        self.owner = b""
        """The name that it is asked about, on the wire; empty: it was not asked yet."""
