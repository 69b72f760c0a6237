"""Batches against single updates, with dnspython as oracle."""

from __future__ import annotations

import dns.message
import dns.rdatatype
import dns.rrset
import dns.update
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyd2.dns.batch import BatchPart, encode_batch
from pyd2.dns.names import parse_name, reverse_name_wire
from pyd2.dns.update import Zone, encode_update
from pyd2.errors import NcrError
from pyd2.update.model.kinds import KINDS

TEMPLATES = {
    forward: [step.template for kind in KINDS for step in kind.steps.values() if step.forward == forward]
    for forward in (True, False)
}
LABELS = st.text("aBc%-x", min_size=1, max_size=12)
ADDRESSES = st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16)


def spelled(rrset: dns.rrset.RRset) -> str:
    """Return a record; where an earlier spelling of the zone's name wins, that is no difference."""
    text = str(rrset) if rrset.rdtype == dns.rdatatype.DHCID else str(rrset).lower()
    return f"{text} {rrset.rdclass} {rrset.deleting} {rrset.rdtype}"


def read(wire: bytes) -> tuple[str, list[str], list[str]]:
    """Return zone, prerequisites and updates of a message, each in its order."""
    message = dns.message.from_wire(wire, one_rr_per_rrset=True)
    assert isinstance(message, dns.update.UpdateMessage)
    return (
        message.zone[0].to_text(),
        [spelled(rrset) for rrset in message.prerequisite],
        [spelled(rrset) for rrset in message.update],
    )


@st.composite
def parts(draw: st.DrawFn, forward: bool, most: int) -> tuple[Zone, list[BatchPart]]:
    zone = Zone(draw(st.sampled_from(["Example.com.", "com.", "arpa.", "."])))
    found = {}
    for label in draw(st.lists(LABELS, min_size=1, max_size=most)):
        parent = draw(st.sampled_from(["example.COM.", "sub.example.com.", "other.test."]))
        fqdn = parse_name(f"{label}.{parent}")
        address = draw(ADDRESSES)
        owner = fqdn if forward else reverse_name_wire(address)
        found[owner.lower()] = BatchPart(
            draw(st.sampled_from(TEMPLATES[forward])), owner, fqdn, address,
            draw(st.binary(min_size=1, max_size=40)), draw(st.integers(0, 2**32 - 1)),
        )
    return zone, list(found.values())


@pytest.mark.parametrize("forward", [True, False])
@given(data=st.data())
def test_a_batch_has_the_records_of_its_single_updates(forward: bool, data: st.DataObject) -> None:
    zone, found = data.draw(parts(forward, 8))
    singles = [read(encode_update(part.template, zone, *part[1:])) for part in found]
    named, prerequisites, updates = read(encode_batch(zone, found))
    assert {named} == {single[0] for single in singles}
    assert prerequisites == [text for single in singles for text in single[1]]
    assert updates == [text for single in singles for text in single[2]]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_pointers_reach_so_far_and_names_are_spelled_behind(kind: object) -> None:
    zone = Zone("example.com.")
    for step in kind.steps.values():  # type: ignore[attr-defined]
        found = []
        for number in range(400):
            fqdn = parse_name(f"host{number}.example.com.")
            address = bytes((10, 0, number >> 8, number & 255))
            owner = fqdn if step.forward else reverse_name_wire(address)
            found.append(BatchPart(step.template, owner, fqdn, address, b"\0\1\1" + bytes(32), 300))
        zone = Zone("example.com." if step.forward else "10.in-addr.arpa.")
        wire = encode_batch(zone, found)
        _, prerequisites, updates = read(wire)
        assert len(prerequisites) == 400 * len(step.template.prerequisites)
        assert len(updates) == 400 * len(step.template.updates)
        assert len(wire) < 400 * 160


def test_a_name_takes_few_octets() -> None:
    """So that thirteen fit into a datagram of 1,232 octets."""
    zone = Zone("example.com.")
    add = KINDS[0].first_forward.template
    sizes = []
    for count in (10, 20):
        found = [
            BatchPart(add, parse_name(f"h{number:08}.example.com."), b"", bytes(4), bytes(35), 1)
            for number in range(count)
        ]
        sizes.append(len(encode_batch(zone, found)))
    assert (sizes[1] - sizes[0]) / 10 == 85


def test_what_is_too_large_is_refused() -> None:
    add = KINDS[0].first_forward.template
    found = [
        BatchPart(add, parse_name(f"{number}.example.com."), b"", bytes(4), bytes(4000), 1)
        for number in range(20)
    ]
    with pytest.raises(NcrError, match="does not fit"):
        encode_batch(Zone("example.com."), found)
