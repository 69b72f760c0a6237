"""IP addresses as Kea reads and prints them: by inet_pton and inet_ntop, with a zone behind ``%`` for IPv6.

Python's ``ipaddress`` differs in the text of IPv4-mapped addresses, and that from version to version.
"""

from __future__ import annotations

import re
import socket
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from pyd2.errors import ConfigError

if TYPE_CHECKING:
    from pyd2.config.model import Address

_LEADING_NUMBER = re.compile(r"[ \t-\r]*([+-]?[0-9]+)")


def parse_address(text: str) -> Address:
    """Return the address; raises ConfigError with Kea's reason."""
    # A C string ends at its first NUL.
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
    scope = _scope(address, zone) if mark else None
    return IPv6Address(f"{address}%{scope}") if scope else address


def address_text(address: Address) -> str:
    """Return the address as Kea prints it, such as ``2001:db8::1`` or ``fe80::1%eth0``."""
    if isinstance(address, IPv4Address):
        return str(address)
    text = socket.inet_ntop(socket.AF_INET6, address.packed)
    return f"{text}%{address.scope_id}" if address.scope_id else text


def _scope(address: IPv6Address, zone: str) -> str | None:
    """Return the zone that the system makes of the text: an interface's name, else a number, else none."""
    named = address.is_link_local or (address.is_multicast and address.packed[1] & 0x0F == 2)
    if named:
        try:
            socket.if_nametoindex(zone)
        except (OSError, ValueError):
            pass
        else:
            return zone
    found = _LEADING_NUMBER.match(zone)
    # As atoi does; Python refuses to read a number of more than 4300 digits.
    number = max(-(2**63), min(int(found.group(1)[:4000]), 2**63 - 1)) & 0xFFFFFFFF if found else 0
    if not number:
        return None
    if named:
        try:
            return socket.if_indextoname(number)
        except OSError:
            pass
    return str(number)
