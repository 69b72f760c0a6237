"""Leases in MySQL or MariaDB, by PyMySQL."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pymysql
from pymysql.cursors import SSCursor

from pyd2.tools.reconcile.database.connection import failed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyd2.tools.reconcile.database.access import Access
    from pyd2.tools.reconcile.database.connection import Values

_ALL: Final = {
    4: "SELECT address, hwaddr, client_id, valid_lifetime, CAST(UNIX_TIMESTAMP(expire) AS SIGNED), subnet_id,"
       " fqdn_fwd, fqdn_rev, hostname, state FROM lease4",
    6: "SELECT address, duid, NULL, valid_lifetime, CAST(UNIX_TIMESTAMP(expire) AS SIGNED), subnet_id,"
       " fqdn_fwd, fqdn_rev, hostname, state FROM lease6 WHERE lease_type <> 2",
}
"""Without delegated prefixes, for which no request is sent."""
_ONE: Final = {4: f"{_ALL[4]} WHERE address = %s", 6: f"{_ALL[6]} AND address = %s"}
_PORT: Final = 3306
_SOCKET: Final = "/run/mysqld/mysqld.sock"
_LOCAL: Final = "localhost"
_SILENCE: Final = 60
"""Seconds that the server may take for an answer."""


class MySql:
    """A connection; a ``Database``."""

    def __init__(self, access: Access) -> None:
        """Connect. Raises ReconcileError."""
        self._access = access
        try:
            # Each statement sees what is there then: without autocommit all would see what the first one saw.
            self._connection = pymysql.connect(
                host=access.host, port=access.port or _PORT, unix_socket=_socket(access),
                user=access.user or None, password=access.password, database=access.name, charset="utf8mb4",
                connect_timeout=access.timeout, read_timeout=_SILENCE, autocommit=True, ssl=_tls(access),
            )
        except (pymysql.MySQLError, OSError) as error:
            raise failed(access, error) from None

    def leases(self, family: int) -> Iterator[Values]:
        """Return all leases of a family, as they are at one time. Raises ReconcileError."""
        try:
            with self._connection.cursor(SSCursor) as cursor:  # it keeps one row at a time
                cursor.execute(_ALL[family])
                yield from cursor
        except (pymysql.MySQLError, OSError) as error:
            raise failed(self._access, error) from None

    def lease(self, family: int, address: bytes) -> Values | None:
        """Return the present lease of an address. Raises ReconcileError."""
        wanted = int.from_bytes(address, "big") if family == 4 else address
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(_ONE[family], (wanted,))
                return cursor.fetchone()
        except (pymysql.MySQLError, OSError) as error:
            raise failed(self._access, error) from None

    def close(self) -> None:
        """Close it."""
        with contextlib.suppress(pymysql.MySQLError):  # it was lost
            self._connection.close()


def _tls(access: Access) -> dict[str, str] | None:
    """Return the files of TLS; None: there are none, so TLS is not asked for."""
    authorities = "capath" if Path(access.trust_anchor).is_dir() else "ca"
    files = {authorities: access.trust_anchor, "cert": access.cert_file, "key": access.key_file}
    return {name: path for name, path in files.items() if path} or None


def _socket(access: Access) -> str | None:
    """Return the socket that a client of MySQL uses for ``localhost``; None: it connects by TCP."""
    if access.host.startswith("/"):
        return access.host
    path = os.environ.get("MYSQL_UNIX_PORT", _SOCKET)
    return path if access.host == _LOCAL and not access.port and Path(path).exists() else None
