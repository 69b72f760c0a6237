"""Decides what differs between leases and records. No IO: values in, differences out."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from pyd2.dns.constants import RRType
from pyd2.dns.names import lower, name_text, reverse_name_wire
from pyd2.ncr import ConflictResolutionMode
from pyd2.tools.reconcile.difference import Difference, Kind
from pyd2.tools.reconcile.lease import address_text
from pyd2.tools.reconcile.records import ADDRESS_TYPES, reversed_address
from pyd2.update.model.holdings import Holds, holding, is_of_dhcpv6

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence

    from pyd2.tools.reconcile.dhcp_config import Subnets
    from pyd2.tools.reconcile.lease import Lease
    from pyd2.tools.reconcile.records import Node, Records, RRset


class Scope(NamedTuple):
    """What of the DNS belongs to the DHCP servers that are compared."""

    families: frozenset[int]
    """The lengths of addresses, 4 and 16, of whose leases there is a source."""
    subnets: Subnets
    reserved_addresses: Container[bytes]
    reserved_names: Container[bytes]
    quiet: Container[bytes]
    """Addresses whose lease has ended so lately that the request for it may be under way."""
    young: float
    """Leases since this time, in seconds since the epoch, are not judged: their requests may be under way."""
    single: bool = False
    """Whether each name is to have one DHCID only, as Kea wants it."""


def compare(leases: Sequence[Lease], records: Records, scope: Scope) -> Iterator[Difference]:
    """Yield all differences, those of leases first. ``leases`` are held, at most one an address."""
    comparison = _Comparison(leases, records, scope)
    yield from comparison.of_leases()
    yield from comparison.of_records()


class _Comparison:
    """The leases by name and by address, beside the records."""

    def __init__(self, leases: Sequence[Lease], records: Records, scope: Scope) -> None:
        self._records, self._scope = records, scope
        self._by_name: dict[bytes, list[Lease]] = defaultdict(list)
        self._by_address = {lease.address: lease for lease in leases}
        for lease in leases:
            if lease.forward:
                self._by_name[lease.name].append(lease)

    # Leases.

    def of_leases(self) -> Iterator[Difference]:
        """Yield what a lease lacks, or finds in its way."""
        for name in sorted(self._by_name, key=name_text):
            if self._records.zone_of(name) is not None:
                yield from self._forward(name, self._by_name[name])
        for lease in self._by_address.values():
            if lease.reverse and not self._is_young([lease]):
                yield from self._reverse(lease)

    def _forward(self, name: bytes, leases: list[Lease]) -> Iterator[Difference]:
        node = self._records.at(name)
        if self._is_young(leases):
            return
        if not self._may_be_shared(name):
            yield from self._clients(name, node, leases)
            return
        for length in ADDRESS_TYPES:
            of_family = [lease for lease in leases if len(lease.address) == length]
            if of_family:
                yield from self._clients(name, node, of_family)

    def _may_be_shared(self, name: bytes) -> bool:
        """Whether the daemon lets a name have a client of each family."""
        zone = self._records.zone_of(name)
        return zone is not None and zone.policy.switches.dual_stack != "off"

    def _clients(self, name: bytes, node: Node, leases: list[Lease]) -> Iterator[Difference]:
        """Judge a name of which one client at most can be the holder of these leases."""
        clients = {lease.dhcid for lease in leases}
        if len(clients) > 1:
            held = ", ".join(f"{address_text(lease.address)} by {_client(lease.dhcid)}" for lease in leases)
            yield Difference(Kind.TWICE, name, leases[0].address, leases[0], node, leases[0].dhcid,
                             forward=False, reverse=False, note=held)
        # Of several clients the one that has the name is judged, else the one with the newest lease.
        winners = clients & set(node.dhcids) or {max(leases, key=lambda lease: lease.since).dhcid}
        for rdtype in ADDRESS_TYPES.values():
            of_type = [lease for lease in leases
                       if lease.dhcid in winners and ADDRESS_TYPES[len(lease.address)] == rdtype]
            if of_type:
                yield from self._address(name, node, of_type, node.rrsets.get(rdtype))

    def _address(self, name: bytes, node: Node, leases: list[Lease],
                 rrset: RRset | None) -> Iterator[Difference]:
        """Judge the A or AAAA records of a name that one client holds."""
        lease = max(leases, key=lambda lease: lease.since)
        found = _Found(name, lease, node)
        if not node.rrsets:
            yield found.differs(Kind.MISSING, forward=True, reverse=lease.reverse)
        elif not node.dhcids and self._mode(lease) != ConflictResolutionMode.NO_CHECK_WITHOUT_DHCID:
            yield found.differs(Kind.UNGUARDED, note=_addresses(node) or "records of other types only")
        elif node.dhcids and lease.dhcid not in node.dhcids and not (
            rrset is None and self._may_be_shared(name)
            and holding(node.dhcids, lease.dhcid, lease.address).holds is Holds.OTHER_FAMILY
        ):
            owners = ", ".join(map(_client, node.dhcids))
            note = f"the lease is {_client(lease.dhcid)}'s, the name {owners}'s, {_addresses(node)}"
            yield found.differs(Kind.WRONG_OWNER, note=note)
        elif rrset is None:
            yield found.differs(Kind.MISSING, forward=True, reverse=lease.reverse)
        elif not {one.address for one in leases}.issuperset(rrset.data):
            yield found.differs(Kind.WRONG_ADDRESS, forward=True, reverse=lease.reverse,
                                note=f"the DNS has {_addresses(node)}")
        else:
            yield from self._ttl(found, rrset)

    def _reverse(self, lease: Lease) -> Iterator[Difference]:
        """Judge the PTR record of a lease."""
        owner = lower(reverse_name_wire(lease.address))
        if self._records.zone_of(owner) is None:
            return
        node = self._records.at(owner)
        found = _Found(lease.name, lease, node)
        targets = node.targets
        if lease.name in targets:
            if not lease.forward:
                yield from self._ttl(found, node.rrsets[RRType.PTR])
        elif not node.rrsets:
            yield found.differs(Kind.MISSING_PTR, reverse=True)
        elif node.dhcids:
            others = ", ".join(map(name_text, targets))
            yield found.differs(Kind.MISSING_PTR, reverse=True, note=others and f"it is to {others}")
        else:
            others = ", ".join(map(name_text, targets)) or "records of other types"
            yield found.differs(Kind.UNGUARDED, note=f"{name_text(owner)} has {others}")

    def _ttl(self, found: _Found, rrset: RRset) -> Iterator[Difference]:
        subnet = self._scope.subnets.find(found.lease.address)
        right = subnet.ttls(found.lease.lifetime) if subnet is not None else frozenset()
        if right and rrset.ttl not in right:
            expected = " or ".join(map(str, sorted(right)))
            yield found.differs(Kind.TTL, note=f"{rrset.ttl} instead of {expected}")

    def _is_young(self, leases: Iterable[Lease]) -> bool:
        return any(lease.since > self._scope.young for lease in leases)

    def _mode(self, lease: Lease) -> ConflictResolutionMode:
        subnet = self._scope.subnets.find(lease.address)
        return subnet.mode if subnet is not None else ConflictResolutionMode.CHECK_WITH_DHCID

    # Records.

    def of_records(self) -> Iterator[Difference]:
        """Yield the records with a DHCID that no lease wants."""
        for name, node in sorted(self._records.guarded(), key=lambda item: name_text(item[0])):
            zone = self._records.zone_of(name)
            if zone is not None and zone.reverse:
                yield from self._pointer(name, node)
                continue
            if self._scope.single and len(node.dhcids) > 1:
                yield from self._second_client(name, node)
            judged = {len(lease.address) for lease in self._by_name.get(name, ())}
            for length in self._scope.families - judged:
                for address in node.data(ADDRESS_TYPES[length]):
                    yield from self._unheld(name, node, address)

    def _second_client(self, name: bytes, node: Node) -> Iterator[Difference]:
        """Yield the addresses of the client that is to leave a name: that of DHCPv6."""
        for address in node.data(RRType.AAAA):
            guard = _guard(node, address)
            if holding(node.dhcids, guard, address).holds is Holds.SHARED:
                lease = self._by_address.get(address)
                yield Difference(Kind.SINGLE_DHCID, name, address, lease, node, guard, forward=True,
                                 reverse=name in self._records.at(lower(reverse_name_wire(address))).targets)

    def _unheld(self, name: bytes, node: Node, address: bytes) -> Iterator[Difference]:
        """Judge an address of a name that no lease holds."""
        lease = self._by_address.get(address)
        pointer = self._records.at(lower(reverse_name_wire(address)))
        points_here = name in pointer.targets and bool(pointer.dhcids)
        if self._scope.subnets.find(address) is None:
            yield Difference(Kind.OUTSIDE, name, address, None, node, node.dhcids[0], forward=False,
                             reverse=False)
        elif not self._is_spared(name, address, lease):
            yield Difference(
                Kind.STALE, name, address, None, node, _guard(node, address), forward=True,
                reverse=points_here and not (lease is not None and lease.reverse),
                note=f"{name_text(lease.name)} has the lease" if lease is not None else "",
            )

    def _pointer(self, owner: bytes, node: Node) -> Iterator[Difference]:
        """Judge a PTR record with a DHCID."""
        address = reversed_address(owner)
        if address is None or len(address) not in self._scope.families:
            return
        lease = self._by_address.get(address)
        if lease is not None and lease.reverse:
            return  # _reverse has judged it
        for target in node.targets:
            forward = self._records.zone_of(target)
            if forward is None or address in self._records.at(target).data(ADDRESS_TYPES[len(address)]):
                continue  # the name is judged, or it is not known
            if self._scope.subnets.find(address) is None:
                yield Difference(Kind.OUTSIDE, target, address, None, node, node.dhcids[0], forward=False,
                                 reverse=False, note="a PTR record")
            elif forward.name in self._records.complete and not self._is_spared(target, address, lease):
                yield Difference(Kind.ORPHAN_PTR, target, address, None, node, node.dhcids[0],
                                 forward=False, reverse=True)

    def _is_spared(self, name: bytes, address: bytes, lease: Lease | None) -> bool:
        """Whether a record may be right without a lease of its name, or is about to go."""
        scope = self._scope
        if lease is not None and self._is_young([lease]):
            return True
        zone = self._records.zone_of(name)
        if zone is not None and zone.policy.keeps_name(name):
            return True
        return (address in scope.quiet or address in scope.reserved_addresses or name in scope.reserved_names)


class _Found(NamedTuple):
    """What is compared at present."""

    name: bytes
    lease: Lease
    node: Node

    def differs(self, kind: Kind, *, forward: bool = False, reverse: bool = False,
                note: str = "") -> Difference:
        return Difference(kind, self.name, self.lease.address, self.lease, self.node, self.lease.dhcid,
                          forward, reverse, note)


def _guard(node: Node, address: bytes) -> bytes:
    """Return the DHCID that an address of a name belongs to, which may have one for each family."""
    of_family = [dhcid for dhcid in node.dhcids if is_of_dhcpv6(dhcid) == (len(address) == 16)]
    return (of_family or node.dhcids)[0]


def _client(dhcid: bytes) -> str:
    """Return the beginning of a DHCID in hex, enough to tell clients from each other."""
    return f"{dhcid.hex().upper()[:14]}..."


def _addresses(node: Node) -> str:
    return ", ".join(address_text(address) for rdtype in ADDRESS_TYPES.values()
                     for address in node.data(rdtype))
