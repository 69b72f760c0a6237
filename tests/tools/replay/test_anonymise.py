"""What an anonymised request still says, and what no longer."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_network
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pyd2.tools.replay.anonymise import Anonymiser
from tests.kit import ncr

ZONES = ("example.com.", "2.0.192.in-addr.arpa.", "lab.example.com")
ONE = Anonymiser(b"k" * 16, ZONES)
OTHER = Anonymiser(b"o" * 16, ZONES)
LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)


def values(octets: bytes | None) -> dict[str, Any]:
    """Return the members of a request."""
    assert octets is not None
    assert int.from_bytes(octets[:2], "big") == len(octets) - 2
    found: dict[str, Any] = json.loads(octets[2:])
    return found


def test_names_keep_their_zone_only() -> None:
    changed = ONE.name("Ann.Example.com.")
    assert changed.endswith(".example.com.")
    assert "ann" not in changed.lower()
    assert ONE.name("ann.example.com.") == changed
    assert ONE.name("ann.lab.example.com.").endswith(".lab.example.com.")
    assert ONE.name("ann.lab.example.com.").split(".")[0] == changed.split(".")[0]
    assert ONE.name("example.com.") == "example.com."
    assert "other" not in ONE.name("ann.other.org.")
    assert "org" not in ONE.name("ann.other.org.")
    assert OTHER.name("ann.example.com.") != changed


@given(st.lists(LABEL, min_size=1, max_size=60))
def test_a_name_stays_one(labels: list[str]) -> None:
    name = ".".join(labels)[:200].rstrip(".-") + ".example.com."
    changed = ONE.name(name)
    assert len(changed) <= 255
    assert all(0 < len(label) < 64 for label in changed.rstrip(".").split("."))
    assert ONE.name(name.upper()) == changed


def test_the_hosts_of_a_network_are_exchanged() -> None:
    changed = {ONE.address(f"192.0.2.{host}") for host in range(256)}
    assert changed == {str(address) for address in ip_network("192.0.2.0/24")}
    assert ONE.address("192.0.2.1") != OTHER.address("192.0.2.1") or ONE.address(
        "192.0.2.2"
    ) != OTHER.address("192.0.2.2")


@given(st.ip_addresses(v=6))
def test_ipv6_addresses_keep_their_network(address: Any) -> None:
    changed = ip_address(ONE.address(str(address)))
    assert changed.packed[:8] == address.packed[:8]


def test_a_request_says_nothing_of_the_host() -> None:
    client = ncr.dhcid(b"client", "ann.example.com.")
    request = ncr.request("ann.example.com.", "192.0.2.10", client, change=ncr.REMOVE, ttl=1234)
    found = values(ONE.request(ncr.datagram(request | {"secret": "x", "hostname": "ann"})))
    assert found.keys() == request.keys()
    same = {
        "change-type",
        "forward-change",
        "reverse-change",
        "lease-expires-on",
        "lease-length",
        "conflict-resolution-mode",
    }
    assert {name: found[name] for name in same} == {name: request[name] for name in same}
    assert found["dhcid"][:6] == client[:6]
    assert found["dhcid"] != client
    assert len(found["dhcid"]) == len(client)
    again = values(ONE.request(ncr.datagram(request | {"ip-address": "192.0.2.11"})))
    assert again["fqdn"] == found["fqdn"]
    assert again["dhcid"] == found["dhcid"]
    assert again["ip-address"] != found["ip-address"]


@given(
    st.one_of(st.binary(max_size=60), st.sampled_from([b"[]", b"{}", b'{"fqdn":1,"ip-address":2,"dhcid":3}']))
)
def test_what_cannot_be_read_is_left_out(text: bytes) -> None:
    assert ONE.request(ncr.datagram(text)) is None


def test_odd_values_are_left_out() -> None:
    request = ncr.request("ann.example.com.", "192.0.2.10", ncr.dhcid(b"1", "ann.example.com."))
    for odd in (
        {"ip-address": 5},
        {"ip-address": "ann"},
        {"dhcid": "00"},
        {"fqdn": ["ann"]},
        {"lease-expires-on": {"ann": 1}},
        {"conflict-resolution-mode": "ann" * 40},
    ):
        assert ONE.request(ncr.datagram(request | odd)) is None
