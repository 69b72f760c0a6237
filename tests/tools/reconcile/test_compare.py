"""The classes of differences, one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pyd2.config.policy import PolicySwitches
from pyd2.dns.constants import RRType
from pyd2.dns.dhcid import make_dhcid
from pyd2.dns.names import lower, name_text, reverse_name_wire
from pyd2.tools.reconcile.compare import Scope, compare
from pyd2.tools.reconcile.dhcp_config import Subnets, dhcp_config
from pyd2.tools.reconcile.difference import Kind
from pyd2.tools.reconcile.lease import address_text
from pyd2.tools.reconcile.records import Node, Records, reversed_address
from pyd2.tools.requests import Identifier
from pyd2.update.model.policies import Policy
from tests.tools.reconcile.made import (
    DHCP4,
    DHCP6,
    FORWARD,
    LIFETIME,
    REVERSE,
    TTL,
    address,
    client_dhcid,
    lease,
    wire,
    zone,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyd2.tools.reconcile.lease import Lease

H1, H2, HOST = "h1.example.com.", "h2.example.com.", "192.0.2.11"
REVERSE6 = "8.b.d.0.1.0.0.2.ip6.arpa."
NOW = 1_000_000.0


class World:
    """Records to compare leases with."""

    def __init__(self, zones: Sequence[str] = (FORWARD, REVERSE, REVERSE6), **policy: Any) -> None:
        chosen = Policy(PolicySwitches(**policy))
        self.records = Records([zone(text)._replace(policy=chosen) for text in zones])
        self.records.complete = set(self.records.zones)

    def add(self, name: str, rdtype: int, *data: bytes, ttl: int = TTL) -> None:
        node = self.records.nodes.setdefault(wire(name), Node(wire(name)))
        node.add(rdtype, ttl, data)

    def name(self, name: str, number: int, *hosts: str, ttl: int = TTL) -> None:
        """Add what the daemon makes of a lease, without the PTR record."""
        for host in hosts:
            self.add(name, RRType.AAAA if ":" in host else RRType.A, address(host), ttl=ttl)
        self.add(name, RRType.DHCID, client_dhcid(number, name), ttl=ttl)

    def pointer(self, host: str, number: int, name: str, *, guarded: bool = True) -> None:
        owner = name_text(reverse_name_wire(address(host)))
        self.add(owner, RRType.PTR, wire(name))
        if guarded:
            self.add(owner, RRType.DHCID, client_dhcid(number, name))

    def differences(self, *leases: Lease, reserved: Sequence[str] = (), names: Sequence[str] = (),
                    quiet: Sequence[str] = (), dhcp4: dict[str, Any] | None = None) -> list[str]:
        """Return each as ``class name address``, with ``F`` and ``R`` for what would be changed."""
        subnets = Subnets([dhcp_config(dhcp4 or DHCP4, 4, ""), dhcp_config(DHCP6, 6, "")])
        scope = Scope(frozenset({4, 16}), subnets, {address(host) for host in reserved},
                      {wire(name) for name in names}, {address(host) for host in quiet}, NOW)
        return [f"{found.kind} {name_text(found.name)} {address_text(found.address)}"
                f"{' F' * found.forward}{' R' * found.reverse}"
                for found in compare(leases, self.records, scope)]


@pytest.fixture
def world() -> World:
    return World()


def test_equal(world: World) -> None:
    world.name(H1, 1, HOST)
    world.pointer(HOST, 1, H1)
    assert world.differences(lease(HOST, 1, H1)) == []


def test_missing(world: World) -> None:
    found = world.differences(lease(HOST, 1, H1))
    assert found == [f"missing {H1} {HOST} F R", f"missing-ptr {H1} {HOST} R"]
    world.name(H1, 1, "2001:db8::1")  # the client's, in the other family
    world.pointer(HOST, 1, H1)
    six = lease("2001:db8::1", 1, H1, reverse=False)
    assert world.differences(lease(HOST, 1, H1), six) == [f"missing {H1} {HOST} F R"]


def test_flags_say_what_is_wanted(world: World) -> None:
    assert world.differences(lease(HOST, 1, H1, reverse=False)) == [f"missing {H1} {HOST} F"]
    assert world.differences(lease(HOST, 1, H1, forward=False)) == [f"missing-ptr {H1} {HOST} R"]


def test_a_pointer_to_another_name(world: World) -> None:
    world.name(H1, 1, HOST)
    world.pointer(HOST, 2, H2)
    assert world.differences(lease(HOST, 1, H1)) == [f"missing-ptr {H1} {HOST} R"]


def test_a_static_pointer_is_left_alone(world: World) -> None:
    world.name(H1, 1, HOST)
    world.pointer(HOST, 1, "static.example.com.", guarded=False)
    assert world.differences(lease(HOST, 1, H1)) == [f"unguarded {H1} {HOST}"]


def test_wrong_address(world: World) -> None:
    world.name(H1, 1, "192.0.2.99")
    world.pointer(HOST, 1, H1)
    assert world.differences(lease(HOST, 1, H1)) == [f"wrong-address {H1} {HOST} F R"]


def test_several_addresses_of_one_client(world: World) -> None:
    """Each addition replaces the addresses, so the DNS has the last one: any of them is right."""
    leases = [lease(f"2001:db8::{number}", 1, H1, reverse=False) for number in (1, 2)]
    world.name(H1, 1, "2001:db8::1")
    assert world.differences(*leases) == []
    world.name(H1, 1, "2001:db8::3")
    assert world.differences(*leases) == [f"wrong-address {H1} 2001:db8::1 F"]


def test_wrong_owner(world: World) -> None:
    world.name(H1, 2, HOST)
    world.pointer(HOST, 1, H1)
    assert world.differences(lease(HOST, 1, H1)) == [f"wrong-owner {H1} {HOST}"]


@pytest.mark.parametrize("host", [HOST, "192.0.2.99"])
def test_unguarded(world: World, host: str) -> None:
    world.add(H1, RRType.A, address(host))
    world.pointer(HOST, 1, H1)
    assert world.differences(lease(HOST, 1, H1)) == [f"unguarded {H1} {HOST}"]


def test_a_name_in_use_without_addresses(world: World) -> None:
    world.add(H1, 16)
    assert world.differences(lease(HOST, 1, H1, reverse=False)) == [f"unguarded {H1} {HOST}"]


def test_a_mode_without_dhcids(world: World) -> None:
    dhcp4 = {"Dhcp4": {"ddns-conflict-resolution-mode": "no-check-without-dhcid", **DHCP4["Dhcp4"]}}
    world.add(H1, RRType.A, address(HOST))
    world.pointer(HOST, 1, H1, guarded=False)
    assert world.differences(lease(HOST, 1, H1), dhcp4=dhcp4) == []
    world.add(H1, RRType.A, address("192.0.2.99"))
    assert world.differences(lease(HOST, 1, H1), dhcp4=dhcp4) == [f"wrong-address {H1} {HOST} F R"]


def test_stale(world: World) -> None:
    world.name(H1, 1, HOST)
    assert world.differences() == [f"stale {H1} {HOST} F"]
    world.pointer(HOST, 1, H1)
    assert world.differences() == [f"stale {H1} {HOST} F R"]


def test_stale_in_one_family(world: World) -> None:
    world.name(H1, 1, HOST, "2001:db8::1")
    assert world.differences(lease(HOST, 1, H1, reverse=False)) == [f"stale {H1} 2001:db8::1 F"]


def test_stale_though_the_address_is_leased(world: World) -> None:
    world.name(H1, 1, HOST)
    world.name(H2, 2, HOST)
    world.pointer(HOST, 1, H1)
    assert world.differences(lease(HOST, 2, H2)) == [f"missing-ptr {H2} {HOST} R", f"stale {H1} {HOST} F"]


def test_what_is_spared(world: World) -> None:
    world.name(H1, 1, HOST)
    world.pointer("192.0.2.12", 2, H2)
    orphan, stale = f"orphan-ptr {H2} 192.0.2.12 R", f"stale {H1} {HOST} F"
    assert world.differences() == [orphan, stale]
    assert world.differences(reserved=[HOST]) == [orphan]
    assert world.differences(names=[H1]) == [orphan]
    assert world.differences(quiet=[HOST]) == [orphan]
    assert world.differences(reserved=["192.0.2.12"]) == [stale]
    assert world.differences(names=[H2]) == [stale]
    young = lease(HOST, 3, "h3.example.com.", since=int(NOW) + 1)
    assert world.differences(young) == [orphan], "the request for the new lease may be on its way"


def test_static_names_are_nothing_to_it(world: World) -> None:
    world.add("www.example.com.", RRType.A, address(HOST))
    world.pointer("192.0.2.12", 1, "www.example.com.", guarded=False)
    assert world.differences() == []


def test_orphan_ptr(world: World) -> None:
    world.pointer(HOST, 1, H1)
    assert world.differences() == [f"orphan-ptr {H1} {HOST} R"]
    world.name(H1, 1, "192.0.2.12")
    moved = lease("192.0.2.12", 1, H1, reverse=False)
    assert world.differences(moved) == [f"orphan-ptr {H1} {HOST} R"]


def test_a_pointer_to_an_unknown_zone_is_left_alone(world: World) -> None:
    world.pointer(HOST, 1, "h1.example.net.")
    assert world.differences() == []


def test_outside(world: World) -> None:
    world.name(H1, 1, "192.0.2.200")
    world.pointer("192.0.2.200", 1, H1)
    world.pointer("192.0.2.201", 2, H2)
    assert world.differences() == [f"outside {H2} 192.0.2.201", f"outside {H1} 192.0.2.200"]


def test_twice(world: World) -> None:
    world.name(H1, 2, "192.0.2.12")
    one, two = lease(HOST, 1, H1, since=5, reverse=False), lease("192.0.2.12", 2, H1, since=2, reverse=False)
    assert world.differences(one, two) == [f"twice {H1} {HOST}"]
    world.records.nodes.clear()
    assert world.differences(one, two) == [f"twice {H1} {HOST}", f"missing {H1} {HOST} F"], "the newest"


@pytest.mark.parametrize("right", [TTL, LIFETIME // 3])
def test_ttl(world: World, right: int) -> None:
    world.name(H1, 1, HOST, ttl=right)
    assert world.differences(lease(HOST, 1, H1, reverse=False)) == []
    world.name(H1, 1, ttl=right)
    world.records.nodes.clear()
    world.name(H1, 1, HOST, ttl=60)
    assert world.differences(lease(HOST, 1, H1, reverse=False)) == [f"ttl {H1} {HOST}"]


def duid(name: str) -> bytes:
    """Return the DHCID of a DHCPv6 client."""
    return make_dhcid(Identifier.DUID, b"\0\3\0\1abcdef", wire(name))


def lease6(host: str, name: str) -> Lease:
    return lease(host, 1, name)._replace(dhcid=duid(name))


def test_a_name_may_have_a_client_of_each_family() -> None:
    world = World(dual_stack="per-family")
    leases = lease(HOST, 1, H1, reverse=False), lease6("2001:db8::11", H1)._replace(reverse=False)
    world.name(H1, 1, HOST, "2001:db8::11")
    world.add(H1, RRType.DHCID, duid(H1))
    assert world.differences(*leases) == []
    assert world.differences(leases[1]) == [f"stale {H1} {HOST} F"]
    assert world.differences(leases[0]) == [f"stale {H1} 2001:db8::11 F"]
    other = lease("192.0.2.12", 2, H1, reverse=False)
    assert world.differences(*leases, other) == [f"twice {H1} {HOST}"]


def test_the_client_of_the_other_family_is_missing_where_a_name_may_have_both() -> None:
    world = World(dual_stack="same-host")
    leases = lease(HOST, 1, H1, reverse=False), lease6("2001:db8::11", H1)._replace(reverse=False)
    world.name(H1, 1, HOST)
    assert world.differences(*leases) == [f"missing {H1} 2001:db8::11 F"]
    world.add(H1, RRType.AAAA, address("2001:db8::12"))
    assert world.differences(*leases) == [f"wrong-owner {H1} 2001:db8::11"]
    of_kea = World()
    of_kea.name(H1, 1, HOST)
    assert of_kea.differences(*leases) == [f"twice {H1} {HOST}"]


def test_the_second_client_of_a_name_is_found_if_that_is_asked_for() -> None:
    world = World(dual_stack="per-family")
    world.name(H1, 1, HOST, "2001:db8::11", "2001:db8::12")
    world.add(H1, RRType.DHCID, duid(H1))
    world.name(H2, 2, "192.0.2.12", "2001:db8::13")
    leases = lease(HOST, 1, H1, reverse=False), lease6("2001:db8::11", H1)._replace(reverse=False)
    subnets = Subnets([dhcp_config(DHCP4, 4, ""), dhcp_config(DHCP6, 6, "")])
    scope = Scope(frozenset({4}), subnets, (), (), (), NOW, single=True)
    found = [(one.kind, one.address, one.dhcid) for one in compare(leases, world.records, scope)
             if one.kind == Kind.SINGLE_DHCID]
    expected = [address("2001:db8::11"), address("2001:db8::12")]
    assert found == [(Kind.SINGLE_DHCID, each, duid(H1)) for each in expected]


@pytest.mark.parametrize("number", [1, 2])
def test_a_removal_has_the_dhcid_of_the_family(number: int) -> None:
    world = World(dual_stack="per-family")
    for guard in (client_dhcid(1, H1), duid(H1))[:: -1 if number == 1 else 1]:
        world.add(H1, RRType.DHCID, guard)
    world.add(H1, RRType.A, address(HOST))
    world.add(H1, RRType.AAAA, address("2001:db8::11"))
    subnets = Subnets([dhcp_config(DHCP4, 4, ""), dhcp_config(DHCP6, 6, "")])
    scope = Scope(frozenset({4, 16}), subnets, (), (), (), NOW)
    found = {found.address: found.dhcid for found in compare([], world.records, scope)}
    assert found == {address(HOST): client_dhcid(1, H1), address("2001:db8::11"): duid(H1)}


def test_names_that_are_kept_are_not_stale() -> None:
    world = World(keep=("h1.EXAMPLE.com.", "*.below.example.com."))
    for number, name in enumerate((H1, H2, "a.below.example.com."), 11):
        world.name(name, number, f"192.0.2.{number}")
        world.pointer(f"192.0.2.{number + 20}", number, name)
    assert world.differences() == [f"orphan-ptr {H2} 192.0.2.32 R", f"stale {H2} 192.0.2.12 F"]


def test_young_leases_are_left_out(world: World) -> None:
    assert world.differences(lease(HOST, 1, H1, since=int(NOW) + 1)) == []
    assert world.differences(lease(HOST, 1, H1, since=int(NOW))) != []


def test_names_of_other_zones_are_left_out() -> None:
    world = World([FORWARD])
    assert world.differences(lease(HOST, 1, "h1.example.net.")) == []


def test_the_innermost_zone_counts() -> None:
    world = World([FORWARD, "sub.example.com."])
    found = world.records.zone_of(wire("h1.sub.example.com."))
    assert found is not None
    assert found.text == "sub.example.com."
    assert world.records.zone_of(wire("example.net.")) is None


@pytest.mark.parametrize("text", ["192.0.2.1", "0.0.0.0", "2001:db8::ab1"])
def test_reverse_names_give_their_addresses(text: str) -> None:
    assert reversed_address(lower(reverse_name_wire(address(text)))) == address(text)


@pytest.mark.parametrize("name", [
    "2.0.192.in-addr.arpa.", "300.2.0.192.in-addr.arpa.", "x.2.0.192.in-addr.arpa.", "1.0.ip6.arpa.",
    "example.com.", ".", f"{'ab.' * 32}ip6.arpa.", "1.2.3.4.5.in-addr.arpa.",
])
def test_other_names_give_none(name: str) -> None:
    assert reversed_address(wire(name)) is None
