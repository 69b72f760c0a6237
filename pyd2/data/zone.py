"""What stands behind the ``%`` of an IPv6 address: the zone, by name or number (RFC 4007, section 11)."""

from __future__ import annotations

import re
from typing import Final, Protocol

_LEADING_NUMBER: Final = re.compile(r"[ \t-\r]*([+-]?[0-9]+)")
_INT64: Final = 2**63


class Interfaces(Protocol):
    """Knows a host's network interfaces."""

    def index(self, name: str) -> int:
        """Return the number of an interface, 0 if there is none of the name."""

    def name(self, index: int) -> str:
        """Return the name of an interface, empty if there is none of the number."""


class NoInterfaces:
    """A host without any: names mean nothing, numbers stay numbers."""

    def index(self, name: str) -> int:  # noqa: ARG002  there is none
        """Return 0."""
        return 0

    def name(self, index: int) -> str:  # noqa: ARG002  there is none
        """Return an empty name."""
        return ""


NO_INTERFACES: Final = NoInterfaces()


def zone_text(address: bytes, zone: str, interfaces: Interfaces) -> str:
    """Return a zone as Kea shows it: an interface's name where that makes sense, else a number, else nothing.

    Names count for link-local addresses only. Numbers are read as C's atoi does: whatever follows the digits
    is ignored, and what does not fit in 64 bits is the largest number that does; 32 bits of it count.
    """
    local = (address[0] == 0xFE and address[1] & 0xC0 == 0x80) or (
        address[0] == 0xFF and address[1] & 0x0F == 2
    )
    index = interfaces.index(zone) if local else 0
    if index == 0 and (found := _LEADING_NUMBER.match(zone)):
        # Python refuses to read a number of more than 4300 digits.
        index = max(-_INT64, min(int(found.group(1)[:4000]), _INT64 - 1)) & 0xFFFFFFFF
    if index == 0:
        return ""
    return (interfaces.name(index) if local else "") or str(index)
