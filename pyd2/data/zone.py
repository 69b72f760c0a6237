"""The zone behind the ``%`` of an IPv6 address, a name or a number (RFC 4007, section 11)."""

from __future__ import annotations

import re
from typing import Final, Protocol

_LEADING_NUMBER: Final = re.compile(r"[ \t-\r]*([+-]?[0-9]+)")
_INT64: Final = 2**63


class Interfaces(Protocol):
    """The network interfaces of a host."""

    def index(self, name: str) -> int:
        """Return the number of an interface, 0 if there is none of the name."""

    def name(self, index: int) -> str:
        """Return the name of an interface, empty if there is none of the number."""


class NoInterfaces:
    """A host without interfaces: no name is known, and numbers are kept as they are."""

    def index(self, name: str) -> int:  # noqa: ARG002  there is none
        """Return 0."""
        return 0

    def name(self, index: int) -> str:  # noqa: ARG002  there is none
        """Return an empty name."""
        return ""


NO_INTERFACES: Final = NoInterfaces()


def zone_text(address: bytes, zone: str, interfaces: Interfaces) -> str:
    """Return a zone as Kea shows it: an interface's name if there is one, else a number, else an empty text.

    Names count for link-local addresses only. Numbers are read as C's atoi does: text behind the digits is
    ignored, a number of more than 64 bits becomes the largest of 64 bits, and the low 32 bits count.
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
