"""Where a database is, and who logs in: by an address of the command line, or by Kea's ``lease-database``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote

from pyd2.data.secrets import HIDDEN
from pyd2.tools.reconcile.errors import ReconcileError

if TYPE_CHECKING:
    from collections.abc import Mapping

PGSQL: Final = "pgsql"
MYSQL: Final = "mysql"
SYSTEMS: Final = {"postgresql": PGSQL, "mysql": MYSQL}
"""The ``type`` of a ``lease-database``."""

_FORM: Final = f"{PGSQL}://USER@HOST:PORT/NAME or {MYSQL}://USER@HOST:PORT/NAME"
_URL: Final = re.compile(
    r"(?P<system>pgsql|mysql)://(?:(?P<user>[^@:/]*)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^@:/]*)"
    r"(?::(?P<port>[0-9]{1,5}))?/(?P<name>[^@:/?#]+)"
)
_WITH_PASSWORD: Final = re.compile(r"\w+://[^@/]*:[^@/]*@.*", re.DOTALL)
_TIMEOUT: Final = 5
"""Seconds to connect, as with Kea."""


class Access(NamedTuple):
    """A database, and how to log in. Its text and its ``repr`` have no password."""

    system: str
    """PGSQL or MYSQL."""
    name: str
    host: str = "localhost"
    """A name, an address, or the path of a socket (MySQL) or its directory (PostgreSQL)."""
    port: int = 0
    """0: the usual one."""
    user: str = ""
    password: str = ""
    timeout: int = _TIMEOUT
    """Seconds to connect."""
    trust_anchor: str = ""
    """The file with the authorities that may have signed the server's certificate."""
    cert_file: str = ""
    key_file: str = ""
    ssl_mode: str = ""
    """Of PostgreSQL, in its words."""

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port else ""
        return f"{self.system}://{user}{host}{port}/{self.name}"

    def __repr__(self) -> str:
        """Leave the password out."""
        return f"Access({str(self)!r})"


def is_database(text: str) -> bool:
    """Whether a text names a database, and not a file."""
    return text.startswith((f"{PGSQL}://", f"{MYSQL}://"))


def parse_url(text: str, password: str) -> Access:
    """Return the access that an address such as ``pgsql://kea@db.example.org/kea`` names.

    Raises ReconcileError, whose text does not repeat the address: it may hold a password.
    """
    found = _URL.fullmatch(text)
    if found is None:
        if _WITH_PASSWORD.fullmatch(text):
            raise ReconcileError("the address of a database holds a password, which all users of this host "
                                 "can see: put it into a file, and name that with --database-password")
        raise ReconcileError(f"the address of a database is not of the form {_FORM}")
    user, host, name = (unquote(found[part] or "") for part in ("user", "host", "name"))
    host = host.strip("[]") or "localhost"
    return Access(found["system"], name, host, int(found["port"] or 0), user, password)


def of_kea(database: Mapping[str, object], place: str) -> Access:
    """Return the access of a ``lease-database``; ``place`` is for errors. Raises ReconcileError."""
    system = SYSTEMS.get(_text(database, "type", place))
    if system is None:
        raise ReconcileError(f"{place}: its leases are neither in a file nor in PostgreSQL or MySQL: name a "
                             "control channel with --leases4 or --leases6")
    name = _text(database, "name", place)
    if not name:
        raise ReconcileError(f"{place}: its lease-database has no name")
    password = _text(database, "password", place)
    if password == HIDDEN:
        raise ReconcileError(f"{place}: the password of its lease-database is hidden; name the server's own "
                             "configuration file")
    if file := _text(database, "password-file", place):
        password = read_password(file)
    return Access(
        system, name, _text(database, "host", place) or "localhost", _number(database, "port", place),
        _text(database, "user", place), password, _number(database, "connect-timeout", place) or _TIMEOUT,
        _text(database, "trust-anchor", place), _text(database, "cert-file", place),
        _text(database, "key-file", place), _text(database, "ssl-mode", place),
    )


def read_password(path: str) -> str:
    """Return the first line of a file. Raises ReconcileError."""
    try:
        return Path(path).read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    except OSError as error:
        raise ReconcileError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ReconcileError(f"{path}: the password in it is not UTF-8") from None


def _text(database: Mapping[str, object], name: str, place: str) -> str:
    value = database.get(name, "")
    if not isinstance(value, str):
        raise ReconcileError(f"{place}: {name} of its lease-database is no string")
    return value


def _number(database: Mapping[str, object], name: str, place: str) -> int:
    value = database.get(name, 0)
    if type(value) is not int or not 0 <= value < 2**31:
        raise ReconcileError(f"{place}: {name} of its lease-database is no number")
    return value
