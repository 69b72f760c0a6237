"""Leases in databases: what names one, and what a row of one becomes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.tools.reconcile.database.access import MYSQL, PGSQL, Access, is_database, of_kea, parse_url
from pyd2.tools.reconcile.database.connection import failed
from pyd2.tools.reconcile.database.leases import DatabaseLeases, row_of
from pyd2.tools.reconcile.errors import ReconcileError
from pyd2.tools.reconcile.lease import FOREVER, Row
from pyd2.tools.requests import Identifier
from tests.tools.reconcile.made import address

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyd2.tools.reconcile.database.connection import Values

MAC = bytes.fromhex("020000000001")
FOUR: Values = (0xC0000201, MAC, None, 4000, 5000, 1, True, 0, "h1.example.com.", 0)
SIX: Values = ("2001:db8::1", b"\0\3\0\1\2", None, 4000, 5000, 7, 1, 1, None, 2)


@pytest.mark.parametrize(("text", "access"), [
    ("pgsql://kea@db.example.org:5433/leases",
     Access(PGSQL, "leases", "db.example.org", 5433, "kea", "hidden")),
    ("mysql:///kea", Access(MYSQL, "kea", "localhost", 0, "", "hidden")),
    ("pgsql://kea@[2001:db8::1]:5433/kea", Access(PGSQL, "kea", "2001:db8::1", 5433, "kea", "hidden")),
    ("pgsql://a%40b@%2Frun%2FPg/k%2Fa", Access(PGSQL, "k/a", "/run/Pg", 0, "a@b", "hidden")),
])
def test_an_address(text: str, access: Access) -> None:
    assert is_database(text)
    assert parse_url(text, "hidden") == access


def test_what_is_shown_of_an_access() -> None:
    access = Access(PGSQL, "kea", "2001:db8::1", 5433, "kea", "hidden")
    assert str(access) == "pgsql://kea@[2001:db8::1]:5433/kea"
    assert "hidden" not in repr(access)
    assert str(failed(access, ValueError(1, "no 'hidden'\n  more"))) == f"{access}: no '*****' more"
    assert str(failed(access, EOFError())) == f"{access}: EOFError"
    sources = [str(DatabaseLeases(access, family)) for family in (4, 6)]
    assert sources == [f"{access} lease4", f"{access} lease6"]


@pytest.mark.parametrize("text", [
    "pgsql://kea:hidden@host/kea", "pgsql://kea:hid:den@host/kea", "mysql://kea@host:hidden/kea",
    "mysql://host", "pgsql://kea@host/hidden?sslmode=require", "pgsql://kea:hid@den@host/kea",
])
def test_a_wrong_address_is_not_repeated(text: str) -> None:
    with pytest.raises(ReconcileError) as caught:
        parse_url(text, "")
    assert "hid" not in str(caught.value)
    if text.startswith("pgsql://kea:hidden@"):
        assert "--database-password" in str(caught.value)


def test_an_access_of_kea_s(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hidden\nmore\n")
    plain = {"type": "postgresql", "name": "kea"}
    assert of_kea(plain, "f") == Access(PGSQL, "kea")
    whole = {"type": "mysql", "name": "n", "host": "h", "port": 1, "user": "u",
             "password-file": str(tmp_path / "password"), "connect-timeout": 9, "trust-anchor": "t",
             "cert-file": "c", "key-file": "k", "ssl-mode": "m", "lfc-interval": 3600}
    assert of_kea(whole, "f") == Access(MYSQL, "n", "h", 1, "u", "hidden", 9, "t", "c", "k", "m")


@pytest.mark.parametrize(("database", "reason"), [
    ({"type": "memfile", "persist": False}, "f: its leases are neither in a file nor in PostgreSQL or MySQL"),
    ({"type": "mysql"}, "f: its lease-database has no name"),
    ({"type": "mysql", "name": 1}, "f: name of its lease-database is no string"),
    ({"type": "mysql", "name": "kea", "port": "1"}, "f: port of its lease-database is no number"),
    ({"type": "mysql", "name": "kea", "password": "*****"}, "f: the password of its lease-database is hid"),
    ({"type": "mysql", "name": "kea", "password-file": "/nonexistent"}, "/nonexistent: No such file"),
])
def test_what_is_wrong_with_an_access_of_kea_s(database: dict[str, Any], reason: str) -> None:
    with pytest.raises(ReconcileError, match=reason):
        of_kea(database, "f")


def test_a_row() -> None:
    assert row_of(4, FOUR) == Row(
        address("192.0.2.1"), Identifier.HARDWARE_ADDRESS, b"\1" + MAC, 4000, 5000, 1,
        forward=True, reverse=False, hostname="h1.example.com.", state=0,
    )
    with_client = row_of(4, (*FOUR[:2], b"\1\2\3", *FOUR[3:]))
    assert (with_client.kind, with_client.identifier) == (Identifier.CLIENT_ID, b"\1\2\3")
    six = row_of(6, SIX)
    assert (six.address, six.kind, six.identifier, six.hostname, six.state) == (
        address("2001:db8::1"), Identifier.DUID, b"\0\3\0\1\2", "", 2)
    assert row_of(6, (address("2001:db8::2"), *SIX[1:])).address == address("2001:db8::2")
    assert row_of(4, (*FOUR[:8], b"h\xff.example.com.", 0)).hostname == "h\udcff.example.com."


def test_a_lease_without_end() -> None:
    """Kea writes its beginning where others have their end."""
    row = row_of(4, (*FOUR[:3], FOREVER, 1000, *FOUR[5:]))
    assert (row.since, row.held(2e10)) == (1000, True)


class Fixed:
    """A database that holds some rows."""

    def __init__(self, *rows: Values) -> None:
        self._rows = rows

    def leases(self, family: int) -> Iterator[Values]:
        yield from self._rows

    def lease(self, family: int, _address: bytes) -> Values | None:
        return self._rows[0] if self._rows else None

    def close(self) -> None:
        self._rows = ()


def source(family: int, *rows: Values) -> DatabaseLeases:
    leases = DatabaseLeases(Access(PGSQL, "kea"), family)
    leases._database = Fixed(*rows)
    return leases


@pytest.mark.parametrize(("family", "row", "fault"), [
    (4, (*FOUR[:3], None, *FOUR[4:]), "lease 192.0.2.1: valid_lifetime is not a number from 0 to 4294967295"),
    (4, (2**32, *FOUR[1:]), "lease 4294967296: address is not a number from 0 to 4294967295"),
    (6, ("192.0.2.1", *SIX[1:]), "lease 192.0.2.1: not an IPv6 address: 192.0.2.1"),
    (6, (address("2001:db8::1"), *SIX[1:9], None), "lease 2001:db8::1: state is not a number"),
])
def test_a_row_that_is_none_is_shown(family: int, row: Values, fault: str) -> None:
    leases = source(family, row, FOUR if family == 4 else SIX)
    assert len(list(leases.read())) == 1
    (shown,) = leases.faults
    assert fault in shown
    with pytest.raises(ReconcileError, match=r"is not a number|not an IPv6 address"):
        leases.at(address("192.0.2.1"))


def test_one_lease() -> None:
    assert source(4).at(address("192.0.2.1")) is None
    leases = source(4, FOUR)
    assert leases.at(address("192.0.2.1")) == row_of(4, FOUR)
    leases.close()
    assert leases._database is None
    leases.close()


@pytest.mark.parametrize(("system", "module", "package"), [
    (PGSQL, "psycopg", "pip install 'pyd2[pgsql]', or Debian's python3-psycopg"),
    (MYSQL, "pymysql", "pip install 'pyd2[mysql]', or Debian's python3-pymysql"),
])
def test_a_package_that_is_missing(monkeypatch: pytest.MonkeyPatch, system: str, module: str,
                                   package: str) -> None:
    monkeypatch.delitem(sys.modules, f"pyd2.tools.reconcile.database.{system}", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ReconcileError) as caught:
        list(DatabaseLeases(Access(system, "kea"), 4).read())
    assert package in str(caught.value)
