"""The zones of IPv6 addresses, on a host with known interfaces. What the real server shows is recorded."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest

from pyd2.data.zone import NO_INTERFACES, zone_text


class Host:
    """A host with the interface 2, ``eth0``."""

    def index(self, name: str) -> int:
        return 2 if name == "eth0" else 0

    def name(self, index: int) -> str:
        return "eth0" if index == 2 else ""


LOCAL = ("fe80::1", "febf::1", "ff02::1", "ff12::1")
OTHER = ("2001:db8::1", "::1", "fec0::1", "ff01::1", "ff0e::1")
NUMBERS = [
    ("", ""), ("0", ""), ("x", ""), ("-0", ""), ("7", "7"), ("7x", "7"), (" \t7", "7"), ("+7", "7"),
    ("0x7", ""), ("-1", "4294967295"),
    ("4294967295", "4294967295"), ("4294967296", ""), ("4294967303", "7"),
    ("9223372036854775807", "4294967295"), ("18446744073709551617", "4294967295"), ("9" * 5000, "4294967295"),
    ("-9223372036854775808", ""), ("-99999999999999999999", ""),
]  # fmt: skip


@pytest.mark.parametrize("address", LOCAL + OTHER)
@pytest.mark.parametrize(("zone", "shown"), NUMBERS)
def test_a_number_that_no_interface_has(address: str, zone: str, shown: str) -> None:
    assert zone_text(IPv6Address(address).packed, zone, Host()) == shown


@pytest.mark.parametrize(("zone", "local", "other"),
                         [("eth0", "eth0", ""), ("2", "eth0", "2"), ("eth1", "", "")])
def test_names_count_for_link_local_addresses_only(zone: str, local: str, other: str) -> None:
    for shown, addresses in ((local, LOCAL), (other, OTHER)):
        for address in addresses:
            assert zone_text(IPv6Address(address).packed, zone, Host()) == shown
    assert zone_text(IPv6Address(LOCAL[0]).packed, zone, NO_INTERFACES) == ("2" if zone == "2" else "")
