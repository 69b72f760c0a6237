"""DHCIDs, made from what identifies a client (RFC 4701, section 3.5), as Kea makes them."""

from __future__ import annotations

import hashlib
from typing import Final

CLIENT_ID: Final = 1
"""The type of an identifier of DHCPv4; 0 is a hardware address behind its type."""
DUID: Final = 2

_DUID_CLIENT_ID: Final = 0xFF
"""The first octet of a client identifier that holds an IAID and a DUID (RFC 4361, section 6.1)."""
_BEFORE_DUID: Final = 5
_LONGEST_DUID: Final = 130


def make_dhcid(kind: int, identifier: bytes, name: bytes) -> bytes:
    """Return the DHCID for a name on the wire in lower case.

    Of a client identifier with a DUID in it, the DUID counts. Raises ValueError for what Kea refuses.
    """
    if kind == CLIENT_ID and identifier[:1] == bytes([_DUID_CLIENT_ID]):
        if not _BEFORE_DUID < len(identifier) <= _BEFORE_DUID + _LONGEST_DUID:
            raise ValueError(f"its client identifier holds no DUID: {identifier.hex(':')}")
        kind, identifier = DUID, identifier[_BEFORE_DUID:]
    if not identifier:
        raise ValueError("it has neither a client identifier nor a hardware address")
    return kind.to_bytes(2, "big") + b"\x01" + hashlib.sha256(identifier + name).digest()
