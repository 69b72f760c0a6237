"""Whose a name is, by the DHCIDs that it has (RFC 4701), where two clients may share one.

A DHCID begins with the type of the identifier that it was made of. Only DHCPv4 makes the types 0 and 1, and
DHCPv6 makes type 2; DHCPv4 does so for clients with the identifiers of RFC 4361, too.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection

_LEAST: Final = 3
"""Octets of a DHCID: the type of the identifier, and that of the digest."""
_OF_V4: Final = frozenset({0, 1})
_OF_V6: Final = 2


class Holds(Enum):
    """What a name turns out to hold when a client comes; the values are for the log."""

    FREE = "it does not exist"
    OURS = "it is this client's alone"
    SHARED = "it is this client's, together with one of the other family"
    OTHER_FAMILY = "it is a client's of the other family alone"
    UNGUARDED = "it has no DHCID, so it was not added by DHCP"
    OTHERS = "it is another client's"


class Holding(NamedTuple):
    """Whose a name is."""

    holds: Holds
    other: bytes = b""
    """The DHCID of the client with which the name is or may be shared."""


def holding(guards: Collection[bytes], dhcid: bytes, address: bytes) -> Holding:
    """Return whose a name that exists is, for the client with a DHCID and a lease of an address.

    ``guards`` are the DHCIDs that it has.
    """
    if not guards:
        return Holding(Holds.UNGUARDED)
    others = [guard for guard in guards if guard != dhcid]
    if not others:
        return Holding(Holds.OURS)
    if len(others) > 1 or not _is_pair(dhcid, others[0], address):
        return Holding(Holds.OTHERS)
    return Holding(Holds.OTHER_FAMILY if len(guards) == 1 else Holds.SHARED, others[0])


def is_of_dhcpv6(dhcid: bytes) -> bool:
    """Whether a DHCID is that of a client of DHCPv6."""
    return _type(dhcid) == _OF_V6


def _is_pair(own: bytes, other: bytes, address: bytes) -> bool:
    """Whether one DHCID is of the address's family, and the other one of the other family."""
    if len(address) == 4:
        return _type(own) in _OF_V4 and is_of_dhcpv6(other)
    return is_of_dhcpv6(own) and _type(other) in _OF_V4


def _type(dhcid: bytes) -> int | None:
    return int.from_bytes(dhcid[:2], "big") if len(dhcid) >= _LEAST else None
