"""IP addresses as Kea reads and prints them: by inet_pton and inet_ntop, with a zone behind ``%`` for IPv6.

Python's ``ipaddress`` differs in the text of IPv4-mapped addresses, and that from version to version.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from typing import TypeAlias

from pyd2.data.zone import zone_text
from pyd2.errors import ConfigError

Address: TypeAlias = IPv4Address | IPv6Address


class SystemInterfaces:
    """The network interfaces of this machine; an ``Interfaces``."""

    def index(self, name: str) -> int:
        """Return the number of an interface, 0 if there is none of the name."""
        with suppress(OSError, ValueError):
            return socket.if_nametoindex(name)
        return 0

    def name(self, index: int) -> str:
        """Return the name of an interface, empty if there is none of the number."""
        with suppress(OSError, OverflowError):
            return socket.if_indextoname(index)
        return ""


def parse_address(text: str) -> Address:
    """Return the address; raises ConfigError with Kea's reason."""
    # For Kea the text is a C string.
    spelled = text.partition("\0")[0]
    host, mark, zone = spelled.partition("%")
    try:
        packed = socket.inet_pton(socket.AF_INET6, host)
    except (OSError, UnicodeError):
        try:
            return IPv4Address(socket.inet_pton(socket.AF_INET, spelled))
        except (OSError, UnicodeError):
            raise ConfigError(f"Failed to convert string to address '{text}': Invalid argument") from None
    address = IPv6Address(packed)
    scope = zone_text(packed, zone, SystemInterfaces()) if mark else ""
    return IPv6Address(f"{address}%{scope}") if scope else address


def address_text(address: Address) -> str:
    """Return the address as Kea prints it, such as ``2001:db8::1`` or ``fe80::1%eth0``."""
    if isinstance(address, IPv4Address):
        return str(address)
    text = socket.inet_ntop(socket.AF_INET6, address.packed)
    return f"{text}%{address.scope_id}" if address.scope_id else text

