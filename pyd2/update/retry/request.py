"""A request that waits to be tried again, and its state."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from pyd2.ncr import ChangeType
from pyd2.update.model.kinds import PTR_CHANGES
from pyd2.update.model.transaction import Transaction
from pyd2.update.retry.ordering import is_first
from pyd2.update.retry.states import State, next_state

if TYPE_CHECKING:
    from pyd2.packets.layer import Request
    from pyd2.update.containers import Chain, Link
    from pyd2.update.model.kinds import Kind, PtrChange
    from pyd2.update.model.plan import Domain, Plan
    from pyd2.update.model.transaction import Failure
    from pyd2.update.retry.shares import Share
    from pyd2.update.retry.states import Event

REMOVAL_SECONDS: Final = 86400.0
"""How long a removal is tried at least: its record is wrong as long as it stands, and no lease ends that."""


class RetryRequest:
    """A request that waits to be tried again, or behind one that does. ``states.py`` has its states."""

    __slots__ = (
        "_state", "age", "dhcid", "forward_failure", "forward_left", "has_place", "in_address_queue",
        "in_name_queue", "in_slot", "name", "ncr", "pauses", "reason", "reverse_left", "share", "since",
        "slot",
    )

    def __init__(self, ncr: Request, dhcid: int, wall: float) -> None:
        self.ncr = ncr
        self.dhcid = dhcid
        """The hash of its DHCID: what holds its client."""
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
        self.slot: Chain[RetryRequest] | None = None
        """The slot of its parking group, while it is PARKED."""
        self.in_slot: Link[RetryRequest] | None = None
        """Its place there; it is used again in the next slot."""
        self.in_name_queue: Link[RetryRequest] | None = None
        """Its place in the queue of its name, while it has a forward change left."""
        self.in_address_queue: Link[RetryRequest] | None = None
        """Its place in the queue of its address, while it has a reverse change left."""
        self.has_place = True
        """Whether it may wait though its domain has taken up its share; if not, it is tried only once."""
        self.share: Share | None = None
        """The share of its domain, in which it is counted."""
        self._state = State.NEW

    @property
    def state(self) -> State:
        """What it waits for; only ``change`` sets it."""
        return self._state

    def change(self, event: Event) -> None:
        """Change the state by an event. Raises TransitionError if no rule of states.py says where."""
        self._state = next_state(self._state, event)

    @property
    def size(self) -> int:
        """About how many octets it takes up in a queue."""
        return self.ncr.size

    @property
    def ptr_change(self) -> PtrChange:
        """What its reverse change does."""
        return PTR_CHANGES[self.ncr.kind]

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
    """A transaction that makes the changes which an earlier one has left over."""

    __slots__ = ("halts", "retried")

    def __init__(
        self, retry: RetryRequest, ncr: Request, kind: Kind, plan: Plan, forward: Domain | None,
        reverse: Domain | None,
    ) -> None:
        super().__init__(ncr, retry.dhcid, kind, plan, forward, reverse)
        self.retried = retry
        self.halts = not is_first(retry.in_address_queue)
        self.forward_done = not retry.forward_left and retry.forward_failure is None
        self.forward_failure = retry.forward_failure
        self.reverse_done = not retry.reverse_left


def makes_superfluous(ncr: Request, retry: RetryRequest) -> bool:
    """Whether the zones end up the same without an older request at the same name, now the last before this.

    It must be the same client's, for the same address and by the same rules, and the newer one must make all
    changes that the older one has left. A removal does not make an addition superfluous: that would also have
    taken away the address that the client had before.
    """
    older = retry.ncr
    return (
        retry.state is not State.UNDER_WAY
        and older.address == ncr.address
        and older.dhcid == ncr.dhcid
        and older.conflict_resolution_mode is ncr.conflict_resolution_mode
        and (ncr.change_type is ChangeType.ADD or older.change_type is ChangeType.REMOVE)
        and (ncr.forward_change or not retry.forward_left)
        and (ncr.reverse_change or not retry.reverse_left)
    )
