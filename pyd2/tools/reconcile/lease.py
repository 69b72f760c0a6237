"""A lease as its server stores it, and what it wants in the DNS."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from pyd2.data.inet import AF_INET, AF_INET6, inet_ntop, inet_pton
from pyd2.dns.dhcid import make_dhcid
from pyd2.dns.names import lower, parse_name
from pyd2.errors import DomainNameError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyd2.tools.requests import Identifier

FOREVER: Final = 0xFFFFFFFF
"""The lifetime of a lease that never ends, in seconds."""
HELD: Final = 0
"""The state of a lease that its client uses. Others are declined, reclaimed, released and registered."""

_PAIRS: Final = re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2})*")
_SHORT_PAIRS: Final = re.compile(r"[0-9A-Fa-f]{1,2}(?::[0-9A-Fa-f]{1,2})*")


class Row(NamedTuple):
    """A lease of an address as its server stores it, still valid or not."""

    address: bytes
    """4 or 16 octets."""
    kind: Identifier
    identifier: bytes
    """The client's: a hardware address behind its type, a client identifier, or a DUID. May be empty."""
    lifetime: int
    """Seconds; 0: the row removes the lease of its address."""
    expires: int
    """Seconds since the epoch."""
    subnet: int
    forward: bool
    reverse: bool
    hostname: str
    state: int

    @property
    def since(self) -> int:
        """When the client got or renewed it, in seconds since the epoch."""
        return self.expires - self.lifetime

    def held(self, now: float) -> bool:
        """Whether its client uses it."""
        return self.state == HELD and (self.lifetime == FOREVER or self.expires > now)

    @property
    def in_dns(self) -> bool:
        """Whether its server sends requests for it."""
        return bool(self.hostname) and (self.forward or self.reverse)


class Lease(NamedTuple):
    """A held lease that wants records in the DNS."""

    address: bytes
    name: bytes
    """The client's name on the wire, in lower case."""
    dhcid: bytes
    forward: bool
    reverse: bool
    since: int
    lifetime: int
    subnet: int


class LeaseSource(Protocol):
    """Where the leases of one DHCP server come from."""

    family: int
    """4 or 6."""
    faults: list[str]
    """What the last ``read`` could not read, each with its place."""
    resends: bool
    """Whether the server can be asked to send a request for a lease again."""

    def read(self) -> Iterable[Row]:
        """Return all rows, one an address. Raises ReconcileError."""

    def at(self, address: bytes) -> Row | None:
        """Return the present row of an address. Raises ReconcileError."""

    def resend(self, address: bytes) -> None:
        """Have the server send the request for a lease again. Raises ReconcileError."""

    def close(self) -> None:
        """Leave nothing open."""


def lease_of(row: Row) -> Lease:
    """Return what a row wants in the DNS. Raises ValueError where Kea cannot make a request of it."""
    try:
        name = lower(parse_name(row.hostname))
    except DomainNameError as error:
        raise ValueError(f"no request can be made for its hostname: {error}") from None
    return Lease(row.address, name, make_dhcid(row.kind, row.identifier, name), row.forward, row.reverse,
                 row.since, row.lifetime, row.subnet)


def pack_address(family: int, text: str) -> bytes:
    """Return an address as octets. Raises ValueError."""
    try:
        return inet_pton(AF_INET if family == 4 else AF_INET6, text)
    except (OSError, ValueError):
        raise ValueError(f"not an IPv{family} address: {text}") from None


def address_text(address: bytes) -> str:
    """Return the text of an address."""
    return inet_ntop(AF_INET if len(address) == 4 else AF_INET6, address)


def octets(text: str) -> bytes:
    """Return the octets of ``01:02:0a``; an octet may have one digit. Raises ValueError."""
    if not text:
        return b""
    if _PAIRS.fullmatch(text):
        return bytes.fromhex(text.replace(":", ""))
    if _SHORT_PAIRS.fullmatch(text):
        return bytes(int(part, 16) for part in text.split(":"))
    raise ValueError(f"not octets in hex: {text}")
