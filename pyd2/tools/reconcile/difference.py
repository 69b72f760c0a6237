"""The classes of differences between leases and records, and what mends each."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.dns.names import name_text
from pyd2.tools.reconcile.lease import address_text

if TYPE_CHECKING:
    from pyd2.tools.reconcile.lease import Lease
    from pyd2.tools.reconcile.records import Node


class Kind(StrEnum):
    """A class of differences; its value is its name in options and reports."""

    MISSING = "missing"
    MISSING_PTR = "missing-ptr"
    WRONG_ADDRESS = "wrong-address"
    WRONG_OWNER = "wrong-owner"
    UNGUARDED = "unguarded"
    STALE = "stale"
    ORPHAN_PTR = "orphan-ptr"
    SINGLE_DHCID = "single-dhcid"
    OUTSIDE = "outside"
    TWICE = "twice"
    TTL = "ttl"


MEANINGS: Final = {
    Kind.MISSING: "a lease whose name has no record",
    Kind.MISSING_PTR: "a lease whose address has no PTR record, or one to another name",
    Kind.WRONG_ADDRESS: "the name is the client's, and has another address",
    Kind.WRONG_OWNER: "the name is another client's",
    Kind.UNGUARDED: "the name, or the PTR record, has no DHCID: it is not of a DHCP server",
    Kind.STALE: "a name with an address that no lease holds",
    Kind.ORPHAN_PTR: "a PTR record to a name that has not that address",
    Kind.SINGLE_DHCID: "a name that has a client of each family",
    Kind.OUTSIDE: "an address in none of the subnets",
    Kind.TWICE: "a name that several clients hold",
    Kind.TTL: "a TTL that the DHCP server would not give",
}

ADDED: Final = frozenset({Kind.MISSING, Kind.MISSING_PTR, Kind.WRONG_ADDRESS})
"""What a request to add records mends."""
REMOVED: Final = frozenset({Kind.STALE, Kind.ORPHAN_PTR, Kind.SINGLE_DHCID})
"""What a request to remove records mends."""
UNLEASED: Final = REMOVED - {Kind.SINGLE_DHCID}
"""Of these, what no lease holds: if there is one again, the records stay."""


class Difference(NamedTuple):
    """A name, or an address, of which lease and records do not fit."""

    kind: Kind
    name: bytes
    """The host's name on the wire, in lower case."""
    address: bytes
    lease: Lease | None
    """The lease that counts; None: there is none."""
    node: Node
    """The records that differ: of the name, or of the reverse name."""
    dhcid: bytes
    """What the request that mends it has as DHCID: the lease's, or the one in the DNS."""
    forward: bool
    """Whether A or AAAA and DHCID of the name are to be changed."""
    reverse: bool
    """Whether the PTR record is to be changed."""
    note: str = ""

    def __str__(self) -> str:
        text = f"{self.kind:13} {name_text(self.name)} {address_text(self.address)}"
        return f"{text}: {self.note}" if self.note else text
