"""Real databases with Kea's own tables and DHCP servers: their leases are those that Kea's commands give."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.tools.reconcile.channel import Channel
from pyd2.tools.reconcile.database.access import of_kea
from pyd2.tools.reconcile.database.leases import DatabaseLeases
from pyd2.tools.reconcile.errors import ReconcileError
from pyd2.tools.reconcile.lease import FOREVER
from pyd2.tools.reconcile.lease_commands import LeaseCommands
from tests.kit import control, databases, dhcp, kea
from tests.kit.certificates import make_authority
from tests.kit.ports import PortLease
from tests.tools.reconcile.made import address

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.tools.reconcile.station import Station

pytestmark = pytest.mark.peers

MAC, OTHER_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
FLAGS = {"subnet-id": 1, "fqdn-fwd": True, "fqdn-rev": False}
FOUR: tuple[dict[str, Any], ...] = (
    {"ip-address": "10.77.1.1", "hw-address": MAC, "hostname": "h1.example.com."},
    {"ip-address": "10.77.1.2", "hw-address": MAC, "client-id": "ff:00:00:00:01:00:03:00:01:02",
     "hostname": "h2.example.com."},
    {"ip-address": "10.77.1.3", "hw-address": OTHER_MAC, "hostname": "h3.example.com.", "valid-lft": FOREVER},
    {"ip-address": "10.77.1.4", "hw-address": OTHER_MAC, "hostname": "", "fqdn-fwd": False, "state": 1},
    {"ip-address": "10.77.255.255", "hw-address": OTHER_MAC, "hostname": "H4.Example.com.", "fqdn-fwd": False,
     "fqdn-rev": True},
)
SIX: tuple[dict[str, Any], ...] = (
    {"ip-address": "2001:db8:77::1", "duid": "00:03:00:01:02", "iaid": 7, "hostname": "h6.example.com."},
    {"ip-address": "2001:db8:77::ffff:1", "duid": ":".join(["ab"] * 128), "iaid": 8, "hostname": "",
     "fqdn-fwd": False, "valid-lft": FOREVER},
    {"ip-address": "2001:db8:88::", "duid": "00:03:00:01:02", "iaid": 9, "type": "IA_PD", "prefix-len": 56,
     "fqdn-fwd": False},
)


@dataclass(frozen=True)
class Site:
    """A database, and the DHCP servers that keep their leases in it."""

    database: databases.Database
    servers: dict[int, dhcp.DhcpServer]

    def commands(self, family: int) -> LeaseCommands:
        path = f"unix:{self.servers[family].directory}/kea.sock"
        return LeaseCommands(Channel(path, f"dhcp{family}"), family)

    @contextlib.contextmanager
    def leases(self, family: int, **changed: Any) -> Iterator[DatabaseLeases]:
        access = of_kea(self.database.lease_database | changed, "dhcp.json")
        with contextlib.closing(DatabaseLeases(access, family)) as leases:
            yield leases

    def file(self, family: int) -> str:
        return str(self.servers[family].directory / "dhcp.json")

    def lease(self, family: int, name: str, **arguments: Any) -> None:
        path: Path = self.servers[family].directory / "kea.sock"
        answer = control.command(path, f"lease{family}-{name}", arguments)
        assert answer["result"] == 0, answer


@pytest.fixture(scope="module", params=[databases.postgresql, databases.mariadb], ids=["pgsql", "mysql"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(request.param())
        hooks = [kea.chosen().libraries / "kea/hooks/libdhcp_lease_cmds.so"]
        if kea.chosen().series != "2.6":
            hooks.append(hooks[0].with_name(f"libdhcp_{database.system}.so"))
        extra: dict[str, Any] = {
            "control-socket": {"socket-type": "unix", "socket-name": "kea.sock"},
            "hooks-libraries": [{"library": str(library)} for library in hooks],
            "lease-database": database.lease_database,
        }
        port = stack.enter_context(PortLease()).take()
        made = Site(database, {
            family: stack.enter_context(dhcp.kea_dhcp(family, port, 4000, extra)) for family in (4, 6)
        })
        for family, leases in ((4, FOUR), (6, SIX)):
            for lease in leases:
                made.lease(family, "add", **FLAGS | lease)
        yield made


@pytest.mark.parametrize("family", [4, 6])
def test_the_leases_are_those_that_kea_gives_by_commands(site: Site, family: int) -> None:
    known = {row.address: row for row in site.commands(family).read()}
    assert len(known) == (len(FOUR) if family == 4 else len(SIX) - 1), "a prefix is no address"
    with site.leases(family) as leases:
        assert {row.address: row for row in leases.read()} == known
        assert leases.faults == []
        for place, row in known.items():
            assert leases.at(place) == row
        assert leases.at(address("192.0.2.1" if family == 4 else "2001:db8::1")) is None


def test_a_connection_sees_what_has_changed(site: Site) -> None:
    place = address("10.77.1.1")
    with site.leases(4) as leases:
        before = leases.at(place)
        site.lease(4, "update", **FLAGS | FOUR[0] | {"hostname": "other.example.com."})
        after = leases.at(place)
        site.lease(4, "update", **FLAGS | FOUR[0])
    assert before is not None
    assert after is not None
    assert (before.hostname, after.hostname) == ("h1.example.com.", "other.example.com.")


def test_over_tls(site: Site, tmp_path: Path) -> None:
    with site.leases(4, **{"trust-anchor": str(site.database.authority)}) as leases:
        assert len(list(leases.read())) == len(FOUR)
        connection: Any = leases._open()._connection  # type: ignore[attr-defined]
        with connection.cursor() as cursor:
            cursor.execute("SELECT CAST(ssl AS text) FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
                           if site.database.system == "pgsql" else "SHOW SESSION STATUS LIKE 'Ssl_version'")
            assert cursor.fetchone()[-1] in {"true", "TLSv1.3"}
    other = str(make_authority(tmp_path).cert)
    with site.leases(4, **{"trust-anchor": other}) as leases, \
            pytest.raises(ReconcileError, match="certificate verify failed"):
        list(leases.read())


@pytest.mark.parametrize(("changed", "reason"), [
    ({"password": "wrong-and-hidden"}, "assword|denied"), ({"name": "nothing"}, "nothing"),
    ({"port": 1}, "refused|connect"),
])
def test_what_is_wrong_is_said_without_the_password(site: Site, changed: dict[str, Any], reason: str) -> None:
    with site.leases(4, **changed) as leases, pytest.raises(ReconcileError, match=reason) as caught:
        list(leases.read())
    text = str(caught.value)
    assert "wrong-and-hidden" not in text
    assert databases.PASSWORD not in text
    assert "\n" not in text


def test_leases_are_compared_and_mended(site: Site, made: Station,
                                        capsys: pytest.CaptureFixture[str]) -> None:
    by_configuration = ["--dhcp4", site.file(4), "--dhcp6", site.file(6), "--grace", "0"]
    assert made.reconcile(*by_configuration, "--json") == 1
    shown = capsys.readouterr()
    report = json.loads(shown.out)
    names = {one["name"] for one in report["differences"] if one["class"] == "missing"}
    assert names == {f"h{number}.example.com." for number in (1, 2, 3, 6)}
    made.directory.joinpath("password").write_text(f"{databases.PASSWORD}\n")
    by_address = ["--leases4", site.database.url, "--leases6", site.database.url, "--database-password",
                  "password", *by_configuration]
    assert made.reconcile(*by_address, "--repair", "missing") == 0
    found = {record.split()[0].lower() for record in made.records() if " A" in record}
    assert found == names
    shown = capsys.readouterr()
    assert databases.PASSWORD not in shown.out + shown.err
