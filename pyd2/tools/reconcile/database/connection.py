"""What a connection to a database gives, whichever it is, and how its errors are reported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from pyd2.data.secrets import HIDDEN
from pyd2.tools.reconcile.errors import ReconcileError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyd2.tools.reconcile.database.access import Access

Values: TypeAlias = "tuple[Any, ...]"
"""Of a lease: address; hardware address or DUID; client identifier or None; lifetime in seconds; when it
ends, in seconds since the epoch; subnet; whether the DHCP server changes its name, and its reverse name;
hostname; state. An IPv4 address is a number; an IPv6 address is a text (PostgreSQL) or 16 octets (MySQL)."""


class Database(Protocol):
    """An open connection. Its methods raise ReconcileError."""

    def leases(self, family: int) -> Iterator[Values]:
        """Return the leases of all addresses of one family, 4 or 6, as they are at one time."""

    def lease(self, family: int, address: bytes) -> Values | None:
        """Return the present lease of an address."""

    def close(self) -> None:
        """Close it; nothing is raised."""


def failed(access: Access, error: Exception) -> ReconcileError:
    """Return what to raise for a database's error, in one line and without the password."""
    said = str(error.args[-1]) if error.args else ""
    text = " ".join(said.split()) or type(error).__name__
    if access.password:
        text = text.replace(access.password, HIDDEN)
    return ReconcileError(f"{access}: {text}")
