"""UPDATE messages as text, in the notation of RFC 2136: owner, TTL, class, type, data."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import dns.message
import dns.rdataclass
import dns.rdatatype
import dns.update

if TYPE_CHECKING:
    from dns.rrset import RRset


class UpdateText(NamedTuple):
    """The records of an UPDATE message, one a line."""

    zone: str
    prerequisites: tuple[str, ...]
    updates: tuple[str, ...]


def describe(message: dns.update.UpdateMessage) -> UpdateText:
    """Return a message's records; the zone is empty when the message names none."""
    return UpdateText(
        zone=str(message.zone[0].name) if message.zone else "",
        prerequisites=tuple(map(_line, message.prerequisite)),
        updates=tuple(map(_line, message.update)),
    )


def describe_wire(wire: bytes) -> UpdateText:
    """Return the records of an unsigned message. Raises dns.exception.DNSException if it is malformed."""
    message = dns.message.from_wire(wire)
    assert isinstance(message, dns.update.UpdateMessage)
    return describe(message)


def _line(rrset: RRset) -> str:
    rdclass = rrset.rdclass if rrset.deleting is None else rrset.deleting
    rdtype = dns.rdatatype.to_text(rrset.rdtype)
    data = " ".join(rdata.to_text() for rdata in rrset)
    return f"{rrset.name} {rrset.ttl} {dns.rdataclass.to_text(rdclass)} {rdtype} {data}".rstrip()
