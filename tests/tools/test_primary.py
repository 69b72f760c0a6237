"""The demo's DNS server against RFC 2136, RFC 8945 and RFC 5936."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.update
import dns.xfr
import dns.zone
import pytest
from dns.rcode import Rcode

from pyd2.tools.dns_server import make_zone
from pyd2.tools.primary import Primary

ZONE = "example.com."
ORIGIN = dns.name.from_text(ZONE)
HOST = dns.name.from_text("host.example.com.")
DHCID = "AAIBY2/AuCccgoJbsaxcQc9TUapptP69"
KEY = dns.tsig.Key("k.example.", "c2VjcmV0LXNlY3JldC1zZWNyZXQ=", "hmac-sha256.")
OTHER_SECRET = dns.tsig.Key("k.example.", "b3RoZXItb3RoZXItb3RoZXItb3Q=", "hmac-sha256.")
UNKNOWN_KEY = dns.tsig.Key("unknown.example.", "c2VjcmV0LXNlY3JldC1zZWNyZXQ=", "hmac-sha256.")


@pytest.fixture
def primary() -> Primary:
    return Primary({ORIGIN: make_zone(ZONE)}, {KEY.name: KEY})


def update() -> dns.update.UpdateMessage:
    return dns.update.UpdateMessage(ZONE)


def carry_out(primary: Primary, message: dns.message.Message) -> Rcode:
    """Send a message to the server and return the RCODE of its only reply."""
    (reply,) = primary.handle(message.to_wire(), over_tcp=False)
    parsed = dns.message.from_wire(reply, keyring=message.keyring, request_mac=message.mac)
    assert parsed.id == message.id
    assert parsed.flags & dns.flags.QR
    return parsed.rcode()


def serial(primary: Primary) -> int:
    soa = primary.zones[ORIGIN].get_rdataset(ORIGIN, "SOA")
    assert soa is not None
    value: int = soa[0].serial
    return value


def records(primary: Primary, name: dns.name.Name = HOST) -> list[str]:
    node = primary.zones[ORIGIN].get_node(name)
    return sorted(line for rdataset in node or () for line in rdataset.to_text().splitlines())


def with_host(primary: Primary) -> None:
    message = update()
    message.add(HOST, 60, "A", "192.0.2.1")
    message.add(HOST, 60, "DHCID", DHCID)
    assert carry_out(primary, message) == Rcode.NOERROR


# RFC 2136 section 3.2.5: prerequisites, each where it holds and where it does not


def test_name_in_use(primary: Primary) -> None:
    message = update()
    message.present(HOST)
    assert carry_out(primary, message) == Rcode.NXDOMAIN
    with_host(primary)
    assert carry_out(primary, message) == Rcode.NOERROR


def test_name_not_in_use(primary: Primary) -> None:
    message = update()
    message.absent(HOST)
    assert carry_out(primary, message) == Rcode.NOERROR
    with_host(primary)
    assert carry_out(primary, message) == Rcode.YXDOMAIN


def test_rrset_exists(primary: Primary) -> None:
    message = update()
    message.present(HOST, "A")
    assert carry_out(primary, message) == Rcode.NXRRSET
    with_host(primary)
    assert carry_out(primary, message) == Rcode.NOERROR


def test_rrset_does_not_exist(primary: Primary) -> None:
    message = update()
    message.absent(HOST, "A")
    assert carry_out(primary, message) == Rcode.NOERROR
    with_host(primary)
    assert carry_out(primary, message) == Rcode.YXRRSET


def test_rrset_exists_with_these_values(primary: Primary) -> None:
    with_host(primary)
    message = update()
    message.present(HOST, "A", "192.0.2.1")
    assert carry_out(primary, message) == Rcode.NOERROR
    message.present(HOST, "A", "192.0.2.2")
    assert carry_out(primary, message) == Rcode.NXRRSET


def test_nothing_changes_when_a_prerequisite_fails(primary: Primary) -> None:
    message = update()
    message.present(HOST)
    message.add(HOST, 60, "A", "192.0.2.1")
    assert carry_out(primary, message) == Rcode.NXDOMAIN
    assert records(primary) == []
    assert serial(primary) == 1


# Section 3.4: updates


def test_adding_raises_the_serial_once(primary: Primary) -> None:
    with_host(primary)
    assert records(primary) == ["60 IN A 192.0.2.1", f"60 IN DHCID {DHCID}"]
    assert serial(primary) == 2


def test_adding_what_is_there_changes_nothing(primary: Primary) -> None:
    with_host(primary)
    with_host(primary)
    assert serial(primary) == 2


def test_the_ttl_of_the_last_addition_wins(primary: Primary) -> None:
    with_host(primary)
    message = update()
    message.add(HOST, 3600, "A", "192.0.2.2")
    assert carry_out(primary, message) == Rcode.NOERROR
    assert records(primary)[:2] == ["3600 IN A 192.0.2.1", "3600 IN A 192.0.2.2"]


def test_deleting_an_rrset_a_value_and_a_name(primary: Primary) -> None:
    with_host(primary)
    message = update()
    message.delete(HOST, "A", "192.0.2.99")
    assert carry_out(primary, message) == Rcode.NOERROR
    assert serial(primary) == 2
    message = update()
    message.delete(HOST, "A", "192.0.2.1")
    assert carry_out(primary, message) == Rcode.NOERROR
    assert records(primary) == [f"60 IN DHCID {DHCID}"]
    with_host(primary)
    message = update()
    message.delete(HOST, "DHCID")
    assert carry_out(primary, message) == Rcode.NOERROR
    assert records(primary) == ["60 IN A 192.0.2.1"]
    message = update()
    message.delete(HOST)
    assert carry_out(primary, message) == Rcode.NOERROR
    assert records(primary) == []
    assert serial(primary) == 6


def test_the_apex_keeps_its_soa_and_ns(primary: Primary) -> None:
    before = records(primary, ORIGIN)
    for rdtype in ("SOA", "NS", None):
        message = update()
        message.delete(ORIGIN, *([rdtype] if rdtype else []))
        assert carry_out(primary, message) == Rcode.NOERROR
    message = update()
    message.delete(ORIGIN, "NS", "ns")
    assert carry_out(primary, message) == Rcode.NOERROR
    assert records(primary, ORIGIN) == before


def test_an_alias_excludes_other_data(primary: Primary) -> None:
    with_host(primary)
    message = update()
    message.add(HOST, 60, "CNAME", "elsewhere.example.")
    assert carry_out(primary, message) == Rcode.NOERROR
    assert not any("CNAME" in line for line in records(primary))


# What is refused


def test_another_zone_is_notauth(primary: Primary) -> None:
    assert carry_out(primary, dns.update.UpdateMessage("example.net.")) == Rcode.NOTAUTH


@pytest.mark.parametrize("section", ["prerequisite", "update"])
def test_a_name_outside_the_zone_is_notzone(primary: Primary, section: str) -> None:
    message = update()
    rrset = dns.rrset.from_text("host.example.net.", 0, "IN", "A", "192.0.2.1")
    getattr(message, section).append(rrset)
    assert carry_out(primary, message) == Rcode.NOTZONE


def test_a_type_that_cannot_be_stored_is_formerr_and_nothing_is_done(primary: Primary) -> None:
    message = update()
    message.add(HOST, 60, "A", "192.0.2.1")
    message.delete(HOST, "AXFR")
    assert carry_out(primary, message) == Rcode.FORMERR
    assert records(primary) == []


def test_rubbish_is_formerr_and_replies_are_ignored(primary: Primary) -> None:
    wire = update().to_wire()
    (reply,) = primary.handle(wire[:14], over_tcp=False)
    assert dns.message.from_wire(reply).rcode() == Rcode.FORMERR
    assert primary.handle(wire[:2] + b"\xa8" + wire[3:], over_tcp=False) == []
    assert primary.handle(wire[:11], over_tcp=False) == []


# TSIG


def test_a_signed_update_is_answered_signed(primary: Primary) -> None:
    primary.required_keys = {ORIGIN: KEY.name}
    message = update()
    message.add(HOST, 60, "A", "192.0.2.1")
    assert carry_out(primary, message) == Rcode.REFUSED
    message.use_tsig(KEY)
    assert carry_out(primary, message) == Rcode.NOERROR
    assert primary.received[-1].key == "k.example."
    assert records(primary) == ["60 IN A 192.0.2.1"]


@pytest.mark.parametrize(("key", "error"), [(OTHER_SECRET, Rcode.BADSIG), (UNKNOWN_KEY, Rcode.BADKEY)])
def test_a_bad_signature_is_notauth(primary: Primary, key: dns.tsig.Key, error: Rcode) -> None:
    message = update()
    message.use_tsig(key)
    (wire,) = primary.handle(message.to_wire(), over_tcp=False)
    reply = dns.message.from_wire(wire, keyring=False)
    assert reply.rcode() == Rcode.NOTAUTH
    assert reply.tsig is not None
    assert reply.tsig[0].error == error
    assert reply.tsig[0].mac == b""
    assert primary.received == []


# Reading


def test_queries(primary: Primary) -> None:
    with_host(primary)
    cases = [(HOST, "A", Rcode.NOERROR, 1), (HOST, "AAAA", Rcode.NOERROR, 0),
             (dns.name.from_text("no.example.com."), "A", Rcode.NXDOMAIN, 0),
             (dns.name.from_text("example.net."), "A", Rcode.REFUSED, 0)]
    for name, rdtype, rcode, answers in cases:
        (wire,) = primary.handle(dns.message.make_query(name, rdtype).to_wire(), over_tcp=False)
        reply = dns.message.from_wire(wire)
        assert (reply.rcode(), len(reply.answer)) == (rcode, answers)


def test_a_reply_too_long_for_udp_is_truncated(primary: Primary) -> None:
    message = update()
    for number in range(40):
        message.add(HOST, 60, "AAAA", f"2001:db8::{number:x}")
    assert carry_out(primary, message) == Rcode.NOERROR
    query = dns.message.make_query(HOST, "AAAA").to_wire()
    (short,) = primary.handle(query, over_tcp=False)
    assert dns.message.from_wire(short).flags & dns.flags.TC
    (whole,) = primary.handle(query, over_tcp=True)
    assert len(dns.message.from_wire(whole).answer[0]) == 40


@pytest.mark.parametrize("key", [None, KEY])
def test_a_transfer_of_many_messages_gives_the_same_zone(primary: Primary, key: dns.tsig.Key | None) -> None:
    message = update()
    for number in range(250):
        message.add(dns.name.from_text(f"h{number}.{ZONE}"), 60, "A", f"192.0.2.{number}")
    (_,) = primary.handle(message.to_wire(), over_tcp=True)
    query = dns.message.make_query(ORIGIN, "AXFR")
    if key:
        query.use_tsig(key)
    wires = primary.handle(query.to_wire(), over_tcp=True)
    assert len(wires) > 2
    copy = dns.zone.Zone(ORIGIN, relativize=False)
    context = None
    with dns.xfr.Inbound(copy, dns.rdatatype.AXFR) as inbound:
        for wire in wires:
            part = dns.message.from_wire(wire, keyring=query.keyring, request_mac=query.mac, xfr=True,
                                         tsig_ctx=context, multi=True,
                                         one_rr_per_rrset=True)
            context = part.tsig_ctx
            done = inbound.process_message(part)
    assert done
    assert copy == primary.zones[ORIGIN]
