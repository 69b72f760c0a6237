"""What is read of the configurations of DHCP servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pyd2.ncr import ConflictResolutionMode
from pyd2.tools.reconcile.dhcp_config import Subnets, dhcp_config, read_dhcp_file
from pyd2.tools.reconcile.errors import ReconcileError
from tests.tools.reconcile.made import address, wire

if TYPE_CHECKING:
    from pathlib import Path

FILE = """
{ # a comment
  "Dhcp4": {
    // another
    "ddns-qualifying-suffix": "example.com.", "ddns-ttl-percent": 0.5, /* and a third */
    "reservations": [ { "ip-address": "192.0.2.5", "hostname": "global" } ],
    "shared-networks": [ { "name": "n", "ddns-conflict-resolution-mode": "no-check-with-dhcid",
      "subnet4": [ { "id": 7, "subnet": "198.51.100.0/24", "ddns-qualifying-suffix": "example.org" ,
        "reservations": [ { "hostname": "there.", "hw-address": "02:00:00:00:00:01" } ] } ] } ],
    "subnet4": [ { "id": 3, "subnet": "192.0.2.0/25", "ddns-ttl": 77 }, ],
    "lease-database": { "type": "memfile", "name": "my.csv" },
  }
}
"""


def test_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEA_DHCP_DATA_DIR", "/srv/kea")
    (tmp_path / "dhcp4.conf").write_text(FILE)
    config = read_dhcp_file(str(tmp_path / "dhcp4.conf"), 4)
    assert config.lease_file == "/srv/kea/my.csv"
    assert config.reserved_addresses == {address("192.0.2.5")}
    assert config.reserved_names == set(map(wire, ("global.", "global.example.com.", "there.",
                                                   "there.example.org.")))
    subnets = Subnets([config])
    one, other = subnets.find(address("192.0.2.127")), subnets.find(address("198.51.100.0"))
    assert one is not None
    assert other is not None
    assert (one.number, one.mode) == (3, ConflictResolutionMode.CHECK_WITH_DHCID)
    assert (other.number, other.mode) == (7, ConflictResolutionMode.NO_CHECK_WITH_DHCID)
    assert (set(one.ttls(4000)), set(other.ttls(4000))) == ({77}, {2000})
    for text in ("192.0.2.128", "192.0.1.255", "2001:db8::1"):
        assert subnets.find(address(text)) is None


@pytest.mark.parametrize(("settings", "lifetime", "ttls"), [
    ({}, 4000, {1333}),
    ({}, 3600, {1200}),
    ({}, 60, {600}),
    ({"ddns-ttl-percent": 0.1}, 60, {6, 600}),
    ({"ddns-ttl-min": 5}, 60, {20, 600}),
    ({"ddns-ttl-max": 700}, 4000, {700, 1333}),
    ({"ddns-ttl": 1, "ddns-ttl-max": 700}, 4000, {1}),
    ({"pools": [{"pool": "192.0.2.1 - 192.0.2.9", "ddns-ttl": 1}]}, 4000, set()),
])
def test_ttls_of_both_releases(settings: dict[str, Any], lifetime: int, ttls: set[int]) -> None:
    config = dhcp_config({"Dhcp4": {"subnet4": [{"id": 1, "subnet": "192.0.2.0/24", **settings}]}}, 4, "")
    assert config.subnets[0].ttls(lifetime) == ttls


def test_leases_elsewhere() -> None:
    database = {"type": "mysql", "password": "hidden"}
    body: dict[str, Any] = {"lease-database": database, "hosts-databases": [{"type": "mysql"}]}
    config = dhcp_config({"Dhcp6": body}, 6, "")
    assert (config.lease_file, config.lease_database, config.hosts_elsewhere) == ("", database, True)
    assert "hidden" not in repr(config)


def test_the_old_switch_for_conflicts() -> None:
    body = {"ddns-use-conflict-resolution": False, "subnet6": [{"id": 1, "subnet": "2001:db8::/64"}]}
    mode = dhcp_config({"Dhcp6": body}, 6, "").subnets[0].mode
    assert mode == ConflictResolutionMode.NO_CHECK_WITH_DHCID


@pytest.mark.parametrize(("text", "reason"), [
    ("{", "a value is missing|expected"),
    ("{}", "it has no Dhcp4"),
    ('{ "Dhcp4": { "subnet4": [ { "id": 1 } ] } }', "'subnet'"),
    ('{ "Dhcp4": { "subnet4": [ { "id": 1, "subnet": "192.0.2.0/33" } ] } }', "192.0.2.0/33"),
    ('{ "Dhcp4": { "reservations": [ { "hostname": "a..b" } ] } }', "the reserved hostname a..b"),
    ('{ "Dhcp4": {} } }', "text behind the configuration"),
    ('{ "Dhcp4": ' + "[" * 200, "nested more than 100 times"),
    ('{ "Dhcp4" {} }', "expected :"),
])
def test_what_is_wrong_is_said(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "dhcp4.conf").write_text(text)
    with pytest.raises(ReconcileError, match=reason) as caught:
        read_dhcp_file(str(tmp_path / "dhcp4.conf"), 4)
    assert "dhcp4.conf" in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ReconcileError, match="Unable to open file"):
        read_dhcp_file(str(tmp_path / "dhcp4.conf"), 4)


def test_subnets_of_both_families_are_found() -> None:
    four = dhcp_config({"Dhcp4": {"subnet4": [{"id": 1, "subnet": "192.0.2.0/24"}]}}, 4, "")
    six = dhcp_config({"Dhcp6": {"subnet6": [{"id": 2, "subnet": "2001:db8::/64"}]}}, 6, "")
    subnets = Subnets(config for config in (four, six))
    found = [subnets.find(address(text)) for text in ("192.0.2.255", "2001:db8::ffff")]
    assert [subnet and subnet.number for subnet in found] == [1, 2]


def test_subnets_of_two_servers_must_not_overlap() -> None:
    one = dhcp_config({"Dhcp4": {"subnet4": [{"id": 1, "subnet": "192.0.2.0/24"}]}}, 4, "")
    other = dhcp_config({"Dhcp4": {"subnet4": [{"id": 1, "subnet": "192.0.2.128/25"}]}}, 4, "")
    with pytest.raises(ReconcileError, match=r"192\.0\.2\.0/24 and 192\.0\.2\.128/25 overlap"):
        Subnets([one, other])
