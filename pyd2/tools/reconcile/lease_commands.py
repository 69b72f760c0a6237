"""Leases that a running DHCP server gives by commands (Kea's hook library ``libdhcp_lease_cmds.so``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pyd2.tools.reconcile.errors import ReconcileError
from pyd2.tools.reconcile.lease import FOREVER, Row, address_text, octets, pack_address
from pyd2.tools.requests import Identifier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyd2.tools.reconcile.channel import Channel

PAGE: Final = 1000
"""Leases in one answer."""
_ETHERNET: Final = b"\x01"
_PREFIX: Final = "IA_PD"


class LeaseCommands:
    """The leases of one DHCP server over its control channel; a ``LeaseSource``."""

    resends = True

    def __init__(self, channel: Channel, family: int) -> None:
        self.family = family
        self.faults: list[str] = []
        self._channel = channel

    def __str__(self) -> str:
        return str(self._channel)

    def read(self) -> Iterator[Row]:
        """Return all leases, page by page. Raises ReconcileError: a part of them is worth nothing."""
        self.faults = []
        start = "start"
        while True:
            name = f"lease{self.family}-get-page"
            page = self._channel.command(name, {"from": start, "limit": PAGE})
            if page is None:
                return
            try:
                leases = _leases(page)
                yield from self._rows(leases)
                start = _next_start(self.family, start, leases)
            except ValueError as error:
                raise ReconcileError(f"{self}: the answer to {name} from {start}: {error}") from None

    def at(self, address: bytes) -> Row | None:
        """Return the present lease of an address. Raises ReconcileError."""
        name = f"lease{self.family}-get"
        lease = self._channel.command(name, {"ip-address": address_text(address)})
        if lease is None:
            return None
        try:
            return row_of(self.family, lease)
        except ValueError as error:
            raise ReconcileError(f"{self}: the answer to {name}: {error}") from None

    def resend(self, address: bytes) -> None:
        """Have the server send the request for a lease again, with its own TTL and mode.

        Raises ReconcileError; not for a lease that has ended.
        """
        self._channel.command(f"lease{self.family}-resend-ddns", {"ip-address": address_text(address)})

    def close(self) -> None:
        """Do nothing: each command has a connection of its own."""

    def _rows(self, leases: list[dict[str, Any]]) -> Iterator[Row]:
        for lease in leases:
            try:
                row = row_of(self.family, lease)
            except ValueError as error:
                self.faults.append(f"{self}: lease {lease.get('ip-address')}: {error}")
                continue
            if row is not None:
                yield row


def _leases(arguments: dict[str, Any]) -> list[dict[str, Any]]:
    leases = arguments.get("leases")
    if not isinstance(leases, list) or not leases or not all(isinstance(lease, dict) for lease in leases):
        raise ValueError("it has no list of leases")
    return leases


def _next_start(family: int, start: str, leases: list[dict[str, Any]]) -> str:
    """Return the address that the next page begins behind. Raises ValueError if it does not advance."""
    last = pack_address(family, _text(leases[-1], "ip-address"))
    if start != "start" and last <= pack_address(family, start):
        raise ValueError(f"it ends at {address_text(last)}, which is not behind where it begins")
    return address_text(last)


def row_of(family: int, lease: dict[str, Any]) -> Row | None:
    """Return a lease of an answer as a row; None for a delegated prefix. Raises ValueError."""
    if family == 6 and lease.get("type") == _PREFIX:
        return None
    address = pack_address(family, _text(lease, "ip-address"))
    if family == 6:
        kind, identifier = Identifier.DUID, octets(_text(lease, "duid"))
    elif client := octets(_text(lease, "client-id", "")):
        kind, identifier = Identifier.CLIENT_ID, client
    else:
        hardware = octets(_text(lease, "hw-address", ""))
        kind, identifier = Identifier.HARDWARE_ADDRESS, _ETHERNET + hardware if hardware else b""
    lifetime = _number(lease, "valid-lft", FOREVER)
    return Row(
        address, kind, identifier, lifetime, _number(lease, "cltt", 2**63) + lifetime,
        _number(lease, "subnet-id", 2**32), _flag(lease, "fqdn-fwd"), _flag(lease, "fqdn-rev"),
        _text(lease, "hostname"), _number(lease, "state", 2**32),
    )


def _text(lease: dict[str, Any], name: str, default: str | None = None) -> str:
    value = lease.get(name, default)
    if not isinstance(value, str):
        raise ValueError(f"{name} is no string")  # noqa: TRY004  a value from outside is wrong
    return value


def _number(lease: dict[str, Any], name: str, limit: int) -> int:
    value = lease.get(name)
    if type(value) is not int or not 0 <= value <= limit:
        raise ValueError(f"{name} is not a number from 0 to {limit}")
    return value


def _flag(lease: dict[str, Any], name: str) -> bool:
    value = lease.get(name)
    if not isinstance(value, bool):
        raise ValueError(f"{name} is no boolean")  # noqa: TRY004  a value from outside is wrong
    return value
