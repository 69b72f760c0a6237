"""The clients (DHCIDs) that are at work, and the order of their requests (contract, section 4)."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from pyd2.update.retries import Hold

if TYPE_CHECKING:
    from pyd2.packets.layer import Request
    from pyd2.update.retries import Late


class Clients:
    """Who is at work, and who waits for whom."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held: dict[int, deque[Request | Late] | None] = {}
        """DHCIDs that are held, each with the requests that queue behind the holder; None: none did so yet.

        They stand here by their hashes, for the sake of memory. Two that share one, which is unlikely and in
        nobody's power, go one after the other, which does no harm.
        """

    def followers(self, dhcid: int) -> deque[Request | Late]:
        """Return the queue behind the holder of a DHCID."""
        followers = self.held[dhcid]
        if followers is None:
            followers = self.held[dhcid] = deque()
        return followers

    def hold_late(self, late: Late) -> None:
        """Let a late request take hold of its DHCID, which is free or has just been passed on to it."""
        followers = self.held.get(late.dhcid)
        if isinstance(followers, Hold):
            followers.late = late  # there may be very many, not to be copied each time
        else:
            self.held[late.dhcid] = Hold(late, followers)
