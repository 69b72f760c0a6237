"""Leases in PostgreSQL, by psycopg."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import psycopg

from pyd2.tools.reconcile.database.connection import failed
from pyd2.tools.reconcile.lease import address_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyd2.tools.reconcile.database.access import Access
    from pyd2.tools.reconcile.database.connection import Values

_ALL: Final = {
    4: "SELECT address, hwaddr, client_id, valid_lifetime, EXTRACT(EPOCH FROM expire)::bigint, subnet_id,"
       " fqdn_fwd, fqdn_rev, hostname, state FROM lease4",
    6: "SELECT host(address), duid, NULL, valid_lifetime, EXTRACT(EPOCH FROM expire)::bigint, subnet_id,"
       " fqdn_fwd, fqdn_rev, hostname, state FROM lease6 WHERE lease_type <> 2",
}
"""Without delegated prefixes, for which no request is sent."""
_ONE: Final = {4: f"{_ALL[4]} WHERE address = %s", 6: f"{_ALL[6]} AND address = %s::inet"}
_FETCHED: Final = 5000
"""Leases that the server sends at a time."""


class Pgsql:
    """A connection; a ``Database``."""

    def __init__(self, access: Access) -> None:
        """Connect. Raises ReconcileError."""
        self._access = access
        mode = access.ssl_mode or ("verify-ca" if access.trust_anchor else "")
        options: dict[str, Any] = {
            "host": access.host, "port": access.port or None, "user": access.user or None,
            "password": access.password or None, "dbname": access.name, "connect_timeout": access.timeout,
            "sslmode": mode or None, "sslrootcert": access.trust_anchor or None,
            "sslcert": access.cert_file or None, "sslkey": access.key_file or None,
        }
        try:
            self._connection = psycopg.connect(
                autocommit=True, **{name: value for name, value in options.items() if value is not None}
            )
        except psycopg.Error as error:
            raise failed(access, error) from None

    def leases(self, family: int) -> Iterator[Values]:
        """Return all leases of a family, as they are at one time. Raises ReconcileError."""
        try:
            with self._connection.transaction(), self._connection.cursor("pyd2") as cursor:
                cursor.itersize = _FETCHED
                cursor.execute(_ALL[family])
                yield from cursor
        except psycopg.Error as error:
            raise failed(self._access, error) from None

    def lease(self, family: int, address: bytes) -> Values | None:
        """Return the present lease of an address. Raises ReconcileError."""
        wanted = int.from_bytes(address, "big") if family == 4 else address_text(address)
        try:
            return self._connection.execute(_ONE[family], (wanted,)).fetchone()
        except psycopg.Error as error:
            raise failed(self._access, error) from None

    def close(self) -> None:
        """Close it."""
        self._connection.close()
