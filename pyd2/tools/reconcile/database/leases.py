"""The leases in a database of Kea's, whichever it is: the columns are the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pyd2.tools.reconcile.database.access import PGSQL
from pyd2.tools.reconcile.errors import ReconcileError
from pyd2.tools.reconcile.lease import FOREVER, Row, address_text, pack_address
from pyd2.tools.requests import Identifier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyd2.tools.reconcile.database.access import Access
    from pyd2.tools.reconcile.database.connection import Database, Values

# ruff: noqa: ANN401  Any is a value of a column

_ETHERNET: Final = b"\x01"
_IPV6_LENGTH: Final = 16
_PACKAGES: Final = {"pgsql": ("PostgreSQL", "psycopg", "python3-psycopg"),
                    "mysql": ("MySQL", "PyMySQL", "python3-pymysql")}


class DatabaseLeases:
    """The leases of one DHCP server; a ``LeaseSource``."""

    resends = False

    def __init__(self, access: Access, family: int) -> None:
        """Connect to nothing yet."""
        self.family = family
        self.faults: list[str] = []
        self._access = access
        self._database: Database | None = None

    def __str__(self) -> str:
        return f"{self._access} lease{self.family}"

    def read(self) -> Iterator[Row]:
        """Return all leases. Raises ReconcileError: a part of them is worth nothing."""
        self.faults = []
        for values in self._open().leases(self.family):
            try:
                yield row_of(self.family, values)
            except ValueError as error:
                self.faults.append(f"{self}: lease {_shown(values[0])}: {error}")

    def at(self, address: bytes) -> Row | None:
        """Return the present lease of an address. Raises ReconcileError."""
        values = self._open().lease(self.family, address)
        if values is None:
            return None
        try:
            return row_of(self.family, values)
        except ValueError as error:
            raise ReconcileError(f"{self}: lease {address_text(address)}: {error}") from None

    def resend(self, address: bytes) -> None:
        """Fail: a database sends nothing."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _open(self) -> Database:
        if self._database is None:
            self._database = _connect(self._access)
        return self._database


def _connect(access: Access) -> Database:
    """Connect to a database. Raises ReconcileError."""
    try:
        if access.system == PGSQL:
            from pyd2.tools.reconcile.database.pgsql import Pgsql

            return Pgsql(access)
        from pyd2.tools.reconcile.database.mysql import MySql

        return MySql(access)
    except ImportError as error:
        system, package, debian = _PACKAGES[access.system]
        raise ReconcileError(f"{access}: leases in {system} need the Python package {package} ({error}): "
                             f"pip install 'pyd2[{access.system}]', or Debian's {debian}") from None


def row_of(family: int, values: Values) -> Row:
    """Return a lease as a row. Raises ValueError."""
    address, identifier, client, lifetime, expires, subnet, forward, reverse, hostname, state = values
    lifetime = _number(lifetime, "valid_lifetime", FOREVER)
    expires = _number(expires, "expire", 2**63)
    if lifetime == FOREVER:
        expires += FOREVER  # Kea's databases have the beginning of such a lease
    if family == 6:
        kind, identifier = Identifier.DUID, _octets(identifier)
    elif client:
        kind, identifier = Identifier.CLIENT_ID, _octets(client)
    else:
        hardware = _octets(identifier)
        kind, identifier = Identifier.HARDWARE_ADDRESS, _ETHERNET + hardware if hardware else b""
    return Row(_address(family, address), kind, identifier, lifetime, expires,
               _number(subnet, "subnet_id", 2**32), bool(forward), bool(reverse), _text(hostname),
               _number(state, "state", 2**63))


def _address(family: int, value: Any) -> bytes:
    if family == 4:
        return _number(value, "address", 2**32 - 1).to_bytes(4, "big")
    if isinstance(value, bytes) and len(value) == _IPV6_LENGTH:
        return value
    return pack_address(6, _text(value))


def _number(value: Any, name: str, most: int) -> int:
    if not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError(f"{name} is not a number from 0 to {most}")
    return int(value)


def _octets(value: Any) -> bytes:
    return bytes(value) if value is not None else b""


def _text(value: Any) -> str:
    """Return a text; where the database does not say in which encoding it is, it comes as octets."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value or ""


def _shown(value: Any) -> str:
    """Return an address as it is shown, whatever it is."""
    try:
        return address_text(_address(4 if isinstance(value, int) else 6, value))
    except ValueError:
        return str(value)
