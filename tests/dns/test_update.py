"""UPDATE messages: the recorded ones, the contract's dumps, and dnspython as the oracle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dns.message
import dns.name
import dns.rdataclass
import dns.rrset
import dns.update
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyd2.dns.constants import RRClass, RRType
from pyd2.dns.names import name_text, parse_name, reverse_name_wire
from pyd2.dns.update import (
    MAX_MESSAGE,
    Data,
    RecordTemplate,
    UpdateTemplate,
    Zone,
    encode_update,
)
from pyd2.errors import DomainNameError, NcrError
from pyd2.ncr import NameChangeRequest, decode
from tests.dns import kinds
from tests.dns.kinds import FORWARD, REVERSE, TEMPLATES
from tests.kit import ncr

CASES = Path(__file__).parents[1] / "conformance" / "data" / "transactions"
DHCID = bytes.fromhex("000101c4dab1d7e0c2bb6c9e4a4e4b8d4b34f2ab9fee2d0c0cd2a1a8f1bb0cd1f4b5a0")
HOST = parse_name("host.example.com.")
V4 = bytes([192, 0, 2, 10])
V6 = bytes.fromhex("20010db8000000000000000000000010")
names = st.lists(st.binary(min_size=1, max_size=63), max_size=6).map(
    lambda labels: b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
).filter(lambda wire: len(wire) <= 255)
"""Names of all kinds on the wire."""



def all_messages(request: NameChangeRequest, forward: Zone, reverse: Zone) -> set[bytes]:
    """Return every message that the request's kind may send."""
    kind = (request.conflict_resolution_mode.value, int(request.change_type))
    pointer = reverse_name_wire(request.address)
    common = (request.fqdn_wire, request.address, request.dhcid, request.lease_length)
    return {
        *(encode_update(step, forward, request.fqdn_wire, *common) for step in FORWARD[kind]),
        encode_update(REVERSE[kind], reverse, pointer, *common),
    }


def without_tsig(wire: bytes) -> bytes:
    """Cut the TSIG record off a message."""
    message = dns.message.from_wire(wire, ignore_trailing=True, keyring=False)
    if message.tsig is None:
        return wire
    name = message.tsig.name.to_wire()
    assert name is not None
    return wire[:10] + b"\0\0" + wire[12 : wire.rindex(name + b"\x00\xfa\x00\xff")]


def recorded_updates() -> list[Any]:
    """Return all distinct recorded messages with the request they were sent for.

    Those that Kea truncated (flag TC) are left out: pyd2 does not truncate (docs/differences.md).
    """
    found = {}
    for path in sorted(CASES.glob("*.json")):
        case = json.loads(path.read_text())
        requests = [entry for entry in case["ncr"] if isinstance(entry, dict)]
        for update in case["result"]["updates"]:
            if update["flags"] == "0x2800":
                found[update["hex"]] = pytest.param(requests, update, id=path.stem)
    return list(found.values())


@pytest.mark.parametrize(("requests", "update"), recorded_updates())
def test_recorded_update_is_reproduced(requests: list[dict[str, Any]], update: dict[str, Any]) -> None:
    zone = Zone(update["zone"][0].split()[0])
    recorded = without_tsig(bytes.fromhex(update["hex"]))
    made = set()
    for request in requests:
        made |= all_messages(decode(ncr.datagram(request)), zone, zone)
    assert recorded in made


# The dumps of the contract, section 6: counts, then the records. D is the DHCID's data behind its length.
_FORWARD_ZONE = "076578616d706c6503636f6d00 0006 0001"
_REVERSE_ZONE = "013201300331393207696e2d61646472046172706100 0006 0001"
_REVERSE_ZONE_V6 = "0138016201640130013101300130013203697036046172706100 0006 0001"
_ADD_A = "c01d 0001 0001 00000e10 0004 c000020a"
_ADD_DHCID = "c01d 0031 0001 00000e10 D"
_TARGET = "0012 04686f7374076578616d706c6503636f6d00"
DUMPS = [
    (kinds.ADD_NEW, V4, "0001 0001 0002 0000",
     f"04686f7374c00c 00ff 00fe 00000000 0000 {_ADD_A} {_ADD_DHCID}"),
    (kinds.ADD_NEW, V6, "0001 0001 0002 0000",
     ("04686f7374c00c 00ff 00fe 00000000 0000"
      f" c01d 001c 0001 00000e10 0010 20010db8000000000000000000000010 {_ADD_DHCID}")),
    (kinds.REPLACE_OWN, V4, "0001 0002 0002 0000",
     ("04686f7374c00c 00ff 00ff 00000000 0000 c01d 0031 0001 00000000 D"
      f" c01d 0001 00ff 00000000 0000 {_ADD_A}")),
    (kinds.REPLACE_ANYONES, V4, "0001 0001 0004 0000",
     ("04686f7374c00c 0031 00ff 00000000 0000 c01d 0001 00ff 00000000 0000 c01d 0031 00ff 00000000 0000"
      f" {_ADD_A} {_ADD_DHCID}")),
    (kinds.REPLACE_REVERSE, V4, "0001 0000 0004 0000",
     ("023130c00c 000c 00ff 00000000 0000 c026 0031 00ff 00000000 0000"
      f" c026 000c 0001 00000e10 {_TARGET} c026 0031 0001 00000e10 D")),
    (kinds.REPLACE_REVERSE, V6, "0001 0000 0004 0000",
     ("0130 0131" + " 0130" * 22 + " c00c 000c 00ff 00000000 0000 c02a 0031 00ff 00000000 0000"
      f" c02a 000c 0001 00000e10 {_TARGET} c02a 0031 0001 00000e10 D")),
    (kinds.REPLACE, V4, "0001 0000 0004 0000",
     f"04686f7374c00c 0001 00ff 00000000 0000 c01d 0031 00ff 00000000 0000 {_ADD_A} {_ADD_DHCID}"),
    (kinds.REPLACE_ADDRESS, V4, "0001 0000 0002 0000", f"04686f7374c00c 0001 00ff 00000000 0000 {_ADD_A}"),
    (kinds.REPLACE_PTR, V4, "0001 0000 0002 0000",
     f"023130c00c 000c 00ff 00000000 0000 c026 000c 0001 00000e10 {_TARGET}"),
    (kinds.REMOVE_OWN_ADDRESS, V4, "0001 0001 0001 0000",
     "04686f7374c00c 0031 0001 00000000 D c01d 0001 00fe 00000000 0004 c000020a"),
    (kinds.REMOVE_OWN_ADDRESS, V6, "0001 0001 0001 0000",
     "04686f7374c00c 0031 0001 00000000 D c01d 001c 00fe 00000000 0010 20010db8000000000000000000000010"),
    (kinds.REMOVE_ANYONES_ADDRESS, V4, "0001 0001 0001 0000",
     "04686f7374c00c 0031 00ff 00000000 0000 c01d 0001 00fe 00000000 0004 c000020a"),
    (kinds.REMOVE_OWN_NAME, V4, "0001 0003 0001 0000",
     ("04686f7374c00c 0031 0001 00000000 D c01d 0001 00fe 00000000 0000 c01d 001c 00fe 00000000 0000"
      " c01d 00ff 00ff 00000000 0000")),
    (kinds.REMOVE_ANYONES_DHCID, V4, "0001 0002 0001 0000",
     "04686f7374c00c 0001 00fe 00000000 0000 c01d 001c 00fe 00000000 0000 c01d 0031 00ff 00000000 0000"),
    (kinds.REMOVE_OWN_REVERSE, V4, "0001 0001 0001 0000",
     f"023130c00c 000c 0001 00000000 {_TARGET} c026 00ff 00ff 00000000 0000"),
    (kinds.REMOVE_FORWARD, V4, "0001 0000 0002 0000",
     "04686f7374c00c 0001 00ff 00000000 0000 c01d 0031 00ff 00000000 0000"),
    (kinds.REMOVE_REVERSE, V4, "0001 0000 0002 0000",
     "023130c00c 000c 00ff 00000000 0000 c026 0031 00ff 00000000 0000"),
    (kinds.REMOVE_ADDRESSES, V4, "0001 0000 0001 0000", "04686f7374c00c 0001 00ff 00000000 0000"),
    (kinds.REMOVE_PTR, V4, "0001 0000 0001 0000", "023130c00c 000c 00ff 00000000 0000"),
]


@pytest.mark.parametrize(("template", "address", "counts", "records"), DUMPS)
def test_dump_of_the_contract_is_reproduced(
    template: UpdateTemplate, address: bytes, counts: str, records: str
) -> None:
    if template not in REVERSE.values():
        zone, section, owner = Zone("example.com."), _FORWARD_ZONE, HOST
    elif address == V4:
        zone, section, owner = Zone("2.0.192.in-addr.arpa."), _REVERSE_ZONE, reverse_name_wire(V4)
    else:
        zone, section, owner = Zone("8.b.d.0.1.0.0.2.ip6.arpa."), _REVERSE_ZONE_V6, reverse_name_wire(V6)
    dump = f"0000 2800 {counts} {section} {records}".replace("D", f"0023 {DHCID.hex()}")
    made = encode_update(template, zone, owner, HOST, address, DHCID, 3600)
    assert made.hex() == dump.replace(" ", "")


def test_every_template_has_a_dump() -> None:
    assert {id(dump[0]) for dump in DUMPS} == {id(template) for template in TEMPLATES}


def described(rrset: dns.rrset.RRset) -> tuple[Any, ...]:
    """Return what a record of an UPDATE says, names in lower case."""
    data = rrset[0].to_wire(origin=dns.name.root) if len(rrset) else b""
    assert data is not None
    rrclass = rrset.rdclass if rrset.deleting is None else rrset.deleting
    owner = rrset.name.canonicalize().to_wire()
    return owner, int(rrset.rdtype), int(rrclass), rrset.ttl, data.lower()


@settings(deadline=None)
@given(
    template=st.sampled_from(TEMPLATES),
    prefix=names, zone=names, target=names,
    address=st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16)),
    dhcid=st.binary(min_size=1, max_size=600),
    ttl=st.integers(0, 2**31 - 1),
    related=st.booleans(),
)
def test_dnspython_reads_what_was_meant(
    template: UpdateTemplate, prefix: bytes, zone: bytes, target: bytes, address: bytes, dhcid: bytes,
    ttl: int, related: bool,
) -> None:
    owner = prefix[:-1] + zone.swapcase() if related and len(prefix) + len(zone) <= 256 else prefix
    wire = encode_update(template, Zone(name_text(zone)), owner, target, address, dhcid, ttl)
    message = dns.message.from_wire(wire, one_rr_per_rrset=True)
    assert isinstance(message, dns.update.UpdateMessage)
    assert wire[:4] == b"\0\0\x28\0"
    assert [question.name.to_wire() for question in message.zone] == [zone]
    family = RRType.A if len(address) == 4 else RRType.AAAA
    data = {Data.NONE: b"", Data.ADDRESS: address, Data.DHCID: dhcid, Data.TARGET: target}
    meant = [
        (owner.lower(), record.type or family, record.rrclass, ttl if record.with_ttl else 0,
         data[record.data].lower())
        for record in (*template.prerequisites, *template.updates)
    ]
    assert len(message.prerequisite) == len(template.prerequisites)
    assert [described(rrset) for rrset in (*message.prerequisite, *message.update)] == meant


@pytest.mark.parametrize(("zone", "owner", "section_and_owners"), [
    # The owner is the zone: each record points to it.
    ("example.com.", "Example.Com.", "076578616d706c6503636f6d00 00060001 c00c D c00c"),
    # The root is never compressed, neither as zone nor as owner.
    (".", "Host.", "00 00060001 04486f737400 D c011"),
    (".", ".", "00 00060001 00 D 00"),
    ("example.com.", ".", "076578616d706c6503636f6d00 00060001 00 D 00"),
    # Only the end of the zone's name is shared.
    ("sub.Com.", "a.b.cOM.", "0373756203436f6d00 00060001 01610162c010 D c019"),
    ("*", "h.", "012a00 00060001 016800 D c013"),
    # A label may look like the end of another name without being one.
    ("com.", "a\\003com.", "03636f6d00 00060001 056103636f6d00 D c015"),
])
def test_names_are_compressed_as_kea_does(zone: str, owner: str, section_and_owners: str) -> None:
    wire = parse_name(owner)
    made = encode_update(kinds.REMOVE_FORWARD, Zone(zone), wire, wire, V4, DHCID, 3600)
    first, again = section_and_owners.split(" D ")
    records = f"{first} 0001 00ff 00000000 0000 {again} 0031 00ff 00000000 0000"
    assert made[12:].hex() == records.replace(" ", "")


@pytest.mark.parametrize(("target", "data"), [
    ("x.IN-ADDR.arpa.", "0178c014"),
    ("10.2.0.192.in-addr.arpa.", "c026"),
    ("Sub.10.2.0.192.in-addr.arpa.", "03537562c026"),
    ("pa.", "02706100"),
    ("x.y.arPA.", "01780179c01c"),
    (".", "00"),
])
def test_a_target_is_compressed_where_it_shares_labels(target: str, data: str) -> None:
    zone, owner = Zone("2.0.192.in-addr.arpa."), reverse_name_wire(V4)
    made = encode_update(kinds.REPLACE_PTR, zone, owner, parse_name(target), V4, DHCID, 1)
    assert made.hex().endswith(f"c026000c000100000001{len(data) // 2:04x}{data}")


@pytest.mark.parametrize("zone", ["", "a..b", "x" * 64, ".a"])
def test_a_zone_needs_a_name(zone: str) -> None:
    with pytest.raises(DomainNameError):
        Zone(zone)


def test_a_zone_shows_its_name_as_kea_does() -> None:
    zone = Zone("Ex ample.com")
    assert (zone.name, repr(zone)) == ("Ex\\032ample.com.", "Zone('Ex\\\\032ample.com.')")


@pytest.mark.parametrize("size", [65_500, 65_536])
def test_what_no_message_can_hold_is_an_error(size: int) -> None:
    with pytest.raises(NcrError, match="does not fit"):
        encode_update(kinds.ADD_NEW, Zone("example.com."), HOST, HOST, V4, bytes(size), 1)


def test_a_message_may_be_as_large_as_tcp_carries() -> None:
    largest = MAX_MESSAGE - len(encode_update(kinds.ADD_NEW, Zone("example.com."), HOST, HOST, V4, b"", 1))
    made = encode_update(kinds.ADD_NEW, Zone("example.com."), HOST, HOST, V4, bytes(largest), 1)
    assert len(made) == MAX_MESSAGE


def test_a_template_knows_whether_it_needs_the_address() -> None:
    assert kinds.ADD_NEW.uses_address
    assert not kinds.REMOVE_OWN_NAME.uses_address
    assert "DHCID" in repr(kinds.REMOVE_OWN_NAME)


def test_a_constant_may_look_like_a_hole() -> None:
    # 0x25 is the percent sign. No template of Kea has 37 records; the encoder must not mind.
    record = RecordTemplate(RRType.A, RRClass.ANY)
    made = encode_update(UpdateTemplate((), (record,) * 0x25), Zone("example.com."), HOST, HOST, V4, DHCID, 1)
    assert made[8:10] == b"\x00\x25"
    assert made.count(b"\x00\x01\x00\xff\0\0\0\0\0\0") == 0x25
