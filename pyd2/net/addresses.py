"""Addresses as the kernel's socket calls want them."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from pyd2.config.addresses import Address

SocketAddress: TypeAlias = tuple[str, int] | tuple[str, int, int, int]
"""What bind and connect take: IPv4, or IPv6 with flow label and the number of the zone."""


def socket_address(address: Address, port: int) -> SocketAddress:
    """Return what bind and connect want; a zone must come as a number of its own, or Python drops it.

    Raises OSError when the zone names no interface.
    """
    if isinstance(address, IPv4Address):
        return str(address), port
    zone = address.scope_id or "0"
    number = int(zone) if zone.isdecimal() else socket.if_nametoindex(zone)
    return str(IPv6Address(address.packed)), port, 0, number
