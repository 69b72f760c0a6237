"""The clients (DHCIDs) that are at work, and the order of their requests (contract, section 4)."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, TypeAlias

from pyd2.update.containers import LAST_SHARD, SHIFT, Sharded

if TYPE_CHECKING:
    from pyd2.packets.layer import Request
    from pyd2.update.retry.request import RetryRequest
    from pyd2.update.server.lane import Lane

    Held: TypeAlias = "dict[int, Followers]"


class Followers(deque["Request | RetryRequest"]):
    """The requests that queue behind the holder of a DHCID."""

    __slots__ = ("lane", "retry")

    def __init__(self) -> None:
        super().__init__()
        self.retry: RetryRequest | None = None
        """The holder, if it is a retry that is under way."""
        self.lane: Lane | None = None
        """The lane for which all of them count: where the first of them begins; None: there was none yet."""


NO_FOLLOWERS: Final = Followers()
"""What a held DHCID has before a request queues behind the holder.

With None in its place the garbage collector would not examine a part of ``ClientLocks.held`` until a request
queues there, and then all parts in one go: with 300,000 clients that takes 5 ms.
"""


class ClientLocks:
    """Per-client locks: which DHCIDs are held, and which requests wait for them."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held: tuple[Held, ...] = Sharded[int, Followers]().parts
        """DHCIDs that are held, each with the requests that queue behind the holder.

        The keys are their hashes, which saves memory. Two DHCIDs that share a hash go one after the other,
        which does no harm; this is unlikely, and clients cannot bring it about. Each is in the part
        ``held[dhcid >> SHIFT & LAST_SHARD]``.
        """

    def part(self, dhcid: int) -> Held:
        """Return the part that has a DHCID if it is held."""
        return self.held[dhcid >> SHIFT & LAST_SHARD]

    def followers(self, dhcid: int, lane: Lane | None) -> Followers:
        """Return the queue behind the holder of a DHCID; a request that begins in ``lane`` is put there."""
        held = self.part(dhcid)
        followers = held[dhcid]
        if followers is NO_FOLLOWERS:
            followers = held[dhcid] = Followers()
        if followers.lane is None and lane is not None:
            followers.lane = lane
            lane.followers += len(followers)  # those that came before it was known
        if followers.lane is not None:
            followers.lane.followers += 1
        return followers

    def hold_retry(self, retry: RetryRequest) -> None:
        """Lock the client of a retry, which is free or has just been passed on to it."""
        held = self.part(retry.dhcid)
        followers = held.get(retry.dhcid, NO_FOLLOWERS)
        if followers is NO_FOLLOWERS:
            followers = held[retry.dhcid] = Followers()
        followers.retry = retry
