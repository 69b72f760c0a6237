"""Records of the DNS as reconcile sees them: names with the types that the daemon changes."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final, NamedTuple

import dns.rdata
import dns.rdataclass
import dns.rdatatype

from pyd2.dns.constants import RRType
from pyd2.dns.names import lower, name_text
from pyd2.tools.reconcile.lease import address_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pyd2.tools.reconcile.d2_config import Zone

KEPT: Final = frozenset({RRType.A, RRType.AAAA, RRType.PTR, RRType.DHCID})
"""Types whose data is compared; of others only that they are there."""
NOT_DATA: Final = frozenset({46, 47, 50, 51})
"""RRSIG, NSEC, NSEC3 and NSEC3PARAM: a name with no other types is not in use (RFC 2136, section 3.2.4)."""
ADDRESS_TYPES: Final = {4: RRType.A, 16: RRType.AAAA}
"""By the length of the address."""
_IN_ADDR: Final = b"\x07in-addr\x04arpa\x00"
_IP6: Final = b"\x03ip6\x04arpa\x00"
_HEX: Final = {b"%x" % digit: digit for digit in range(16)}


class RRset(NamedTuple):
    """The records of one type at a name."""

    ttl: int
    data: tuple[bytes, ...]
    """Uncompressed; empty for a type whose data was not kept."""


class Node:
    """A name with its records."""

    __slots__ = ("owner", "rrsets")

    def __init__(self, owner: bytes) -> None:
        self.owner = owner
        """On the wire, in the case that the server has."""
        self.rrsets: dict[int, RRset] = {}

    def data(self, rdtype: int) -> tuple[bytes, ...]:
        """Return the data of a type, in no order; empty without any."""
        rrset = self.rrsets.get(rdtype)
        return rrset.data if rrset is not None else ()

    @property
    def dhcids(self) -> tuple[bytes, ...]:
        """The DHCIDs: which clients the name belongs to."""
        return self.data(RRType.DHCID)

    @property
    def targets(self) -> tuple[bytes, ...]:
        """The names that PTR records have, in lower case."""
        return tuple(map(lower, self.data(RRType.PTR)))

    def add(self, rdtype: int, ttl: int, data: Iterable[bytes]) -> None:
        """Add records of a type."""
        before = self.rrsets.get(rdtype)
        found = tuple(data)
        self.rrsets[rdtype] = RRset(ttl, before.data + found if before is not None else found)

    def same(self, other: Node, types: Iterable[int]) -> bool:
        """Whether the other has the same records of these types, with any TTL."""
        return all(set(self.data(rdtype)) == set(other.data(rdtype)) for rdtype in types)


NOTHING: Final = Node(b"\x00")
"""A name without records."""


class Records:
    """What was read of the DNS."""

    def __init__(self, zones: Iterable[Zone]) -> None:
        self.zones = {zone.name: zone for zone in zones}
        self.nodes: dict[bytes, Node] = {}
        """By the name on the wire, in lower case. Names outside the zones, such as glue, are not there."""
        self.complete: set[bytes] = set()
        """The zones of which every record was read; of others, only what was asked for."""

    def zone_of(self, name: bytes) -> Zone | None:
        """Return the innermost of the zones that a name in lower case is in."""
        at = 0
        while True:
            zone = self.zones.get(name[at:])
            if zone is not None:
                return zone
            if name[at] == 0:
                return None
            at += 1 + name[at]

    def at(self, name: bytes) -> Node:
        """Return the records of a name."""
        return self.nodes.get(name, NOTHING)

    def guarded(self) -> Iterator[tuple[bytes, Node]]:
        """Return the names that have a DHCID, in no order."""
        return ((name, node) for name, node in self.nodes.items() if node.dhcids)


def reversed_address(name: bytes) -> bytes | None:
    """Return the address that a reverse name on the wire, in lower case, is for; None if it is for none."""
    labels = []
    at = 0
    while name[at:] not in {_IN_ADDR, _IP6, b"\x00"}:
        labels.append(name[at + 1 : at + 1 + name[at]])
        at += 1 + name[at]
    labels.reverse()
    if name[at:] == _IN_ADDR and len(labels) == 4:
        numbers = [int(label) if label.isdigit() and len(label) < 4 else 256 for label in labels]
        return bytes(numbers) if max(numbers) < 256 else None
    if name[at:] == _IP6 and len(labels) == 32 and all(label in _HEX for label in labels):
        return bytes.fromhex(b"".join(labels).decode())
    return None


def type_text(rdtype: int) -> str:
    """Return the name of a type."""
    return dns.rdatatype.to_text(dns.rdatatype.RdataType.make(rdtype))


def data_text(rdtype: int, data: bytes) -> str:
    """Return the data of a record as zone files have it."""
    if rdtype in {RRType.A, RRType.AAAA}:
        return address_text(data)
    if rdtype == RRType.PTR:
        return name_text(data)
    if rdtype == RRType.DHCID:
        return base64.b64encode(data).decode()
    kind = dns.rdatatype.RdataType.make(rdtype)
    return dns.rdata.from_wire(dns.rdataclass.IN, kind, data, 0, len(data)).to_text()
