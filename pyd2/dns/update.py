"""UPDATE messages (RFC 2136), built from parts that are prepared once.

All records of one UPDATE share their owner: the FQDN of a forward step or the reverse name of a reverse
step. So a step's message is a template with a few holes, compiled once, and an encoding fills the holes.
"""

from __future__ import annotations

from enum import Enum
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pyd2.dns.constants import Opcode, RRClass, RRType
from pyd2.dns.names import CompressionTable, name_text, parse_name
from pyd2.errors import NcrError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_MESSAGE = 65535
"""Octets of the largest DNS message, which is what TCP can carry."""
MAX_UDP_MESSAGE = 512
"""Octets of the largest message over UDP without EDNS (RFC 1035, section 4.2.1)."""

_HEADER_LENGTH = 12
_UPDATE_FLAGS = Opcode.UPDATE << 11


class Data(Enum):
    """The kinds of record data."""

    NONE = "none"
    """No data, as in most records of class ANY and NONE."""
    ADDRESS = "address"
    """The lease's address."""
    DHCID = "dhcid"
    OTHER_DHCID = "other-dhcid"
    """The DHCID of another client that has the same name."""
    TARGET = "target"
    """The FQDN that a PTR record points to."""


A_OR_AAAA: Final = None
"""The type of a record that holds the lease's address, whatever its family."""


class RecordTemplate(NamedTuple):
    """A record of an UPDATE. All records of a step have the same owner."""

    type: RRType | None
    """``A_OR_AAAA`` or a definite type."""
    rrclass: RRClass
    data: Data = Data.NONE
    with_ttl: bool = False
    """Whether the TTL is the request's; else it is 0."""
    other_family: bool = False
    """Whether ``A_OR_AAAA`` is here that of the two that the lease's address is not."""


class UpdateTemplate:
    """The prerequisites and updates of one step, compiled for both address families."""

    __slots__ = ("plain_only", "plan_v4", "plan_v6", "prerequisites", "updates", "uses_address")

    def __init__(
        self, prerequisites: tuple[RecordTemplate, ...] = (), updates: tuple[RecordTemplate, ...] = ()
    ) -> None:
        self.prerequisites = prerequisites
        self.updates = updates
        self.uses_address = any(record.data is Data.ADDRESS for record in (*prerequisites, *updates))
        """Whether a record holds the address itself."""
        records = (*prerequisites, *updates)
        self.plain_only = any(
            record.data is Data.OTHER_DHCID or record.other_family for record in records
        )
        """Whether the compiled layer cannot encode it: it knows one DHCID and one family."""
        counts = (1, len(prerequisites), len(updates), 0)
        head = b"".join(map(_u16, (0, _UPDATE_FLAGS, *counts)))
        self.plan_v4 = _Plan(records, head, (RRType.A, RRType.AAAA), 4)
        self.plan_v6 = _Plan(records, head, (RRType.AAAA, RRType.A), 16)

    def __repr__(self) -> str:
        return f"UpdateTemplate({self.prerequisites!r}, {self.updates!r})"


_TAIL = 3
"""Octets at the end of a name: equal (ignoring case) if names share a label, else mostly different."""

# The arguments that an encoding passes to its plan, by position.
_ZONE, _OWNER, _AGAIN, _TTL, _ADDRESS, _DHCID, _TARGET, _OTHER = range(8)
_HOLES: Final = {Data.DHCID: _DHCID, Data.OTHER_DHCID: _OTHER, Data.TARGET: _TARGET}


class _Plan:
    """A template for one address family: a format, and the value for each of its places."""

    __slots__ = ("fill", "format", "has_target")

    def __init__(
        self, records: tuple[RecordTemplate, ...], head: bytes, address_types: tuple[RRType, RRType],
        address_length: int,
    ) -> None:
        """Compile records; ``address_types`` are the type of the lease's address and the other one."""
        pieces = [_constant(head), b"%b"]
        holes = [_ZONE]
        for record in records:
            holes.append(_OWNER if len(holes) == 1 else _AGAIN)
            rrtype = address_types[record.other_family] if record.type is None else record.type
            pieces += b"%b", _constant(_u16(rrtype) + _u16(record.rrclass))
            if record.with_ttl:
                holes.append(_TTL)
                pieces.append(b"%b")
            else:
                pieces.append(bytes(4))
            if record.data is Data.NONE:
                pieces.append(_u16(0))
            elif record.data is Data.ADDRESS:
                holes.append(_ADDRESS)
                pieces += _constant(_u16(address_length)), b"%b"
            else:
                holes.append(_HOLES[record.data])
                pieces.append(b"%b")
        self.format = b"".join(pieces)
        self.has_target = _TARGET in holes
        self.fill: Callable[[tuple[bytes, ...]], Any] = itemgetter(*holes)


def _constant(octets: bytes) -> bytes:
    """Return octets for a place in a format."""
    return octets.replace(b"%", b"%%")


def _u16(number: int) -> bytes:
    return number.to_bytes(2, "big")


class Zone:
    """A zone as the messages name it: prepared once, when the configuration loads."""

    __slots__ = ("again", "name", "section", "table", "tail", "wire")

    def __init__(self, name: str) -> None:
        """Prepare a zone; raises DomainNameError if the name is none."""
        self.wire = parse_name(name)
        self.name = name_text(self.wire)
        """In Kea's spelling, with the final dot."""
        self.section = self.wire + RRType.SOA.to_bytes(2, "big") + RRClass.IN.to_bytes(2, "big")
        self.table = CompressionTable(self.wire, _HEADER_LENGTH)
        self.again = (0xC000 | _HEADER_LENGTH + len(self.section)).to_bytes(2, "big")
        """A pointer to the owner of the first record, directly behind the zone."""
        self.tail = self.wire[-_TAIL:].lower()

    def __repr__(self) -> str:
        return f"Zone({self.name!r})"


def encode_update(
    template: UpdateTemplate, zone: Zone, owner: bytes, target: bytes, address: bytes, dhcid: bytes, ttl: int,
    other: bytes = b"",
) -> bytes:
    """Return an UPDATE message with query ID 0 and without TSIG.

    ``owner`` and ``target`` are uncompressed names: the one that all records share, and the FQDN that PTR
    records point to (ignored where the template has none). ``address`` has 4 or 16 bytes and decides
    between A and AAAA. ``ttl`` is unsigned, 32 bits. ``other`` is the DHCID of another client, which most
    templates have no place for.

    Raises NcrError if the message would be larger than a DNS message can be.
    """
    plan = template.plan_v4 if len(address) == 4 else template.plan_v6
    first = zone.table.compress(owner)
    # A bare pointer (the owner is the zone or above it) and the root are repeated as they are.
    again = zone.again if len(first) > 2 else first
    target_data = b""
    if plan.has_target:
        tail = target[-_TAIL:].lower()
        if tail == zone.tail or tail == owner[-_TAIL:].lower():
            table = zone.table.copy()
            table.add(owner, _HEADER_LENGTH + len(zone.section))
            target = table.compress(target)
        target_data = len(target).to_bytes(2, "big") + target
    try:
        dhcid_data = len(dhcid).to_bytes(2, "big") + dhcid
        other_data = len(other).to_bytes(2, "big") + other
    except OverflowError:
        raise NcrError(f"a DHCID of {len(dhcid)} octets does not fit into a DNS record") from None
    message: bytes = plan.format % plan.fill(
        (zone.section, first, again, ttl.to_bytes(4, "big"), address, dhcid_data, target_data, other_data)
    )
    if len(message) > MAX_MESSAGE:
        raise NcrError(f"an UPDATE of {len(message)} octets does not fit into a DNS message")
    return message
