"""A request that waits to be tried again, and its state."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from pyd2.ncr import ChangeType
from pyd2.update.model.kinds import GUARDED
from pyd2.update.model.transaction import Transaction

if TYPE_CHECKING:
    from pyd2.packets.layer import Request
    from pyd2.update.containers import Link
    from pyd2.update.model.kinds import Kind
    from pyd2.update.model.plan import Domain, Plan
    from pyd2.update.model.transaction import Failure
    from pyd2.update.retry.ordering import Place
    from pyd2.update.retry.parking import Slot
    from pyd2.update.schedule.shares import Share

REMOVAL_SECONDS: Final = 86400.0
"""How long a removal is tried at least: its record is wrong as long as it stands, and no lease ends that."""

PARKED, FREE, BEHIND, HELD, UNDER_WAY, ENDED = range(6)
"""The states of a late request: it waits in a room for its time, for its servers or for room in a lane; it is
to be told where it waits; it waits behind an earlier one for its name; it waits until what it overwrites has
been dealt with; its transaction is under way; it has ended.
"""


class RetryRequest:
    """A request that waits to be tried again, or behind one that does."""

    __slots__ = ("age", "at_place", "dhcid", "forward_failure", "forward_left", "in_line", "in_slot", "name",
                 "ncr", "pauses", "place", "reason", "reverse_left", "share", "since", "slot", "state")

    def __init__(self, ncr: Request, dhcid: int, wall: float) -> None:
        self.ncr = ncr
        self.dhcid = dhcid
        """What holds the client."""
        self.name = ncr.fqdn_wire.lower()
        self.forward_left = ncr.forward_change
        """Whether the forward change is still to be made."""
        self.forward_failure: Failure | None = None
        """How it has failed for good, if it has."""
        self.reverse_left = ncr.reverse_change
        self.reason = ""
        """Why it failed last; empty if it never began."""
        self.since = wall
        """When it began to wait, in seconds since the epoch."""
        self.pauses = 0
        self.age: Link[RetryRequest] | None = None
        """Its place among all retries, in the order in which they began to wait; None: it is none of them."""
        self.slot: Slot | None = None
        """Where it waits, while it is PARKED."""
        self.in_slot: Link[RetryRequest] | None = None
        """Its place there; it is used again in the next slot."""
        self.in_line: Link[RetryRequest] | None = None
        """Its place in the queue of its name, while it has a forward change left."""
        self.place: Place | None = None
        """Where its reverse change is found, while newer requests may overwrite it."""
        self.at_place: Link[RetryRequest] | None = None
        """Its place there."""
        self.share: Share | None = None
        """Where it is counted."""
        self.state = BEHIND

    @property
    def size(self) -> int:
        """How much room it takes up in a queue, about, in octets."""
        return self.ncr.size

    @property
    def guarded(self) -> bool:
        """Whether it removes a PTR, and only if that holds its own name."""
        return self.ncr.kind in GUARDED

    def over(self, wall: float) -> str:
        """Return why it must not be tried any more; empty: it may be."""
        if self.ncr.change_type is ChangeType.ADD:
            now = f"{datetime.fromtimestamp(wall, UTC):%Y%m%d%H%M%S}"
            return "its lease has ended" if self.ncr.lease_expires_on < now else ""
        if wall < self.since + REMOVAL_SECONDS:
            return ""
        try:
            expires = datetime.strptime(self.ncr.lease_expires_on, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
            end = (expires + timedelta(seconds=self.ncr.lease_length)).timestamp()
        except (OverflowError, ValueError):  # beyond what a date can say
            return ""
        return "" if wall < end else "it has been tried for long enough"


class RetryTransaction(Transaction):
    """A transaction that goes on with what an earlier one has left over."""

    __slots__ = ("late",)

    def __init__(
        self, late: RetryRequest, ncr: Request, kind: Kind, plan: Plan, forward: Domain | None,
        reverse: Domain | None,
    ) -> None:
        super().__init__(ncr, late.dhcid, kind, plan, forward, reverse)
        self.late = late
        self.forward_done = not late.forward_left and late.forward_failure is None
        self.forward_failure = late.forward_failure
        self.reverse_done = not late.reverse_left


def makes_superfluous(ncr: Request, late: RetryRequest) -> bool:
    """Whether the zones end up the same without an older request at the same name, now the last before this.

    It must be the same client's, for the same address and by the same rules, and the newer one must make all
    changes that the older one has left. A removal does not make an addition superfluous: that would also have
    taken away the address that the client had before.
    """
    older = late.ncr
    return (
        late.state != UNDER_WAY
        and older.address == ncr.address
        and older.dhcid == ncr.dhcid
        and older.conflict_resolution_mode is ncr.conflict_resolution_mode
        and (ncr.change_type is ChangeType.ADD or older.change_type is ChangeType.REMOVE)
        and (ncr.forward_change or not late.forward_left)
        and (ncr.reverse_change or not late.reverse_left)
    )
