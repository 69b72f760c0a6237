"""A small primary DNS server that accepts updates: the decisions, without IO.

It serves ``pyd2ctl demo`` and tests, not the Internet. RFC 2136 is followed section by section: the zone
(3.1), the prerequisites (3.2), the updates (3.4) and the serial (3.6); TSIG is RFC 8945, zone transfer
RFC 5936. Equal requests in equal order give equal zones. Not supported: MACs cut by ``digest-bits``, the
names of DNSSEC, and delegations.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.update
import dns.zone
from dns.rcode import Rcode
from dns.rdataclass import RdataClass
from dns.rdatatype import RdataType

from pyd2.explain.wire_text import UpdateText, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from dns.name import Name

_HEADER = struct.Struct("!HHHHHH")
_PER_MESSAGE = 100
"""RRsets in one message of a zone transfer."""
_NEVER_STORED = frozenset({RdataType.ANY, RdataType.AXFR, RdataType.MAILA, RdataType.MAILB,
                           RdataType.IXFR, RdataType.OPT, RdataType.TSIG, RdataType.TKEY})


class _Refusal(Exception):  # noqa: N818  it is an answer, not a fault of ours
    """The update ends here with this RCODE."""

    def __init__(self, rcode: Rcode) -> None:
        self.rcode = rcode


@dataclass(frozen=True, slots=True)
class Received:
    """One UPDATE and what became of it."""

    text: UpdateText
    key: str
    """The name of the TSIG key; empty for an unsigned message."""
    rcode: str


@dataclass(slots=True)
class Primary:
    """Zones, keys, and the record of the updates that came in."""

    zones: dict[Name, dns.zone.Zone]
    keys: dict[Name, dns.tsig.Key] = field(default_factory=dict)
    required_keys: Mapping[Name, Name] = field(default_factory=dict)
    """By zone: the key that its updates have to be signed with."""
    received: list[Received] = field(default_factory=list)
    report: Callable[[Received], None] = lambda _: None
    """Called with each update after it was carried out or refused."""

    def handle(self, wire: bytes, *, over_tcp: bool) -> list[bytes]:
        """Return the replies to one message; none when there is nothing to reply to.

        Over UDP a reply has at most 512 bytes, or is empty with TC set (RFC 1035, section 4.2.1).
        """
        if len(wire) < _HEADER.size or wire[2] & 0x80:
            return []
        try:
            request = dns.message.from_wire(wire, keyring=self.keys)
        except dns.message.UnknownTSIGKey:
            return [self._unverified(wire, Rcode.BADKEY)]
        except (dns.tsig.BadKey, dns.tsig.BadAlgorithm):
            return [self._unverified(wire, Rcode.BADKEY)]
        except dns.tsig.BadTime:
            return [self._unverified(wire, Rcode.BADTIME)]
        except dns.tsig.BadSignature:
            return [self._unverified(wire, Rcode.BADSIG)]
        except (dns.exception.DNSException, ValueError):
            return [_bare_reply(wire, Rcode.FORMERR)]
        if isinstance(request, dns.update.UpdateMessage):
            return [_to_wire(self._update(request), over_tcp=over_tcp)]
        if request.opcode() != dns.opcode.QUERY:
            return [_bare_reply(wire, Rcode.NOTIMP)]
        if len(request.question) == 1 and request.question[0].rdtype == RdataType.AXFR and over_tcp:
            return self._transfer(request)
        return [_to_wire(self._query(request), over_tcp=over_tcp)]

    # Updates, RFC 2136 section 3

    def _update(self, request: dns.update.UpdateMessage) -> dns.message.Message:
        reply = dns.message.make_response(request)
        try:
            zone = self._zone_for(request)
            _check_prerequisites(zone, request.prerequisite)
            _check_updates(zone, request.update)
            _apply(zone, request.update)
        except _Refusal as refusal:
            reply.set_rcode(refusal.rcode)
        received = Received(
            text=describe(request),
            key=str(request.keyname) if request.had_tsig else "",
            rcode=dns.rcode.to_text(reply.rcode()),
        )
        self.received.append(received)
        self.report(received)
        return reply

    def _zone_for(self, request: dns.update.UpdateMessage) -> dns.zone.Zone:
        """Return the zone of an update (section 3.1) if its sender may change it (section 3.3)."""
        if len(request.zone) != 1:
            raise _Refusal(Rcode.FORMERR)
        name = request.zone[0].name
        zone = self.zones.get(name)
        if zone is None or request.zone[0].rdclass != zone.rdclass:
            raise _Refusal(Rcode.NOTAUTH)
        required = self.required_keys.get(name)
        if required is not None and not (request.had_tsig and request.keyname == required):
            raise _Refusal(Rcode.REFUSED)
        return zone

    # Reading

    def _query(self, request: dns.message.Message) -> dns.message.Message:
        reply = dns.message.make_response(request)
        if len(request.question) != 1:
            reply.set_rcode(Rcode.FORMERR)
            return reply
        question = request.question[0]
        zone = self._enclosing(question.name)
        if zone is None or question.rdtype in {RdataType.AXFR, RdataType.IXFR}:
            reply.set_rcode(Rcode.REFUSED)
            return reply
        reply.flags |= dns.flags.AA
        node = zone.get_node(question.name)
        wanted = {question.rdtype, RdataType.CNAME}
        for rdataset in node or ():
            if question.rdtype == RdataType.ANY or rdataset.rdtype in wanted:
                reply.answer.append(dns.rrset.from_rdata_list(question.name, rdataset.ttl, list(rdataset)))
        if not reply.answer:
            soa = _soa(zone)
            assert zone.origin is not None
            reply.authority.append(dns.rrset.from_rdata_list(zone.origin, soa.ttl, list(soa)))
            below = (name.is_subdomain(question.name) for name in zone)
            reply.set_rcode(Rcode.NOERROR if any(below) else Rcode.NXDOMAIN)
        return reply

    def _enclosing(self, name: Name) -> dns.zone.Zone | None:
        candidates = [origin for origin in self.zones if name.is_subdomain(origin)]
        return self.zones[max(candidates, key=len)] if candidates else None

    def _transfer(self, request: dns.message.Message) -> list[bytes]:
        """Return the messages of a zone transfer: the SOA, every other RRset, the SOA again."""
        zone = self.zones.get(request.question[0].name)
        if zone is None:
            reply = dns.message.make_response(request)
            reply.set_rcode(Rcode.NOTAUTH)
            return [_to_wire(reply, over_tcp=True)]
        assert zone.origin is not None
        soa = dns.rrset.from_rdata_list(zone.origin, _soa(zone).ttl, list(_soa(zone)))
        others = [dns.rrset.from_rdata_list(name, rdataset.ttl, sorted(rdataset))
                  for name in sorted(zone)
                  for rdataset in sorted(zone[name], key=lambda rdataset: rdataset.rdtype)
                  if rdataset.rdtype != RdataType.SOA]
        rrsets = [soa, *others, soa]
        messages: list[bytes] = []
        context = None
        for start in range(0, len(rrsets), _PER_MESSAGE):
            reply = dns.message.make_response(request)
            reply.flags |= dns.flags.AA
            reply.answer = rrsets[start : start + _PER_MESSAGE]
            messages.append(reply.to_wire(multi=True, tsig_ctx=context, max_size=65535))
            context = reply.tsig_ctx
        return messages

    # Refusals of TSIG, RFC 8945 section 5.2

    def _unverified(self, wire: bytes, error: Rcode) -> bytes:
        """Return NOTAUTH with the error in a TSIG, which is unsigned: there is no common key."""
        request = dns.message.from_wire(wire, keyring=False)
        assert request.tsig is not None
        theirs = request.tsig[0]
        other = struct.pack("!Q", theirs.time_signed)[2:] if error == Rcode.BADTIME else b""
        tsig = theirs.replace(mac=b"", error=error, other=other, original_id=request.id)
        reply = bytearray(_bare_reply(wire, Rcode.NOTAUTH))
        reply[10:12] = b"\x00\x01"
        rdata = tsig.to_wire()
        assert rdata is not None
        reply += request.tsig.name.to_wire() or b""
        reply += struct.pack("!HHIH", RdataType.TSIG, RdataClass.ANY, 0, len(rdata)) + rdata
        return bytes(reply)


def _check_prerequisites(zone: dns.zone.Zone, prerequisites: Iterable[dns.rrset.RRset]) -> None:
    """Apply section 3.2: whether names and RRsets are (or are not) in use, and with which values."""
    expected: dict[tuple[Name, RdataType], set[dns.rdata.Rdata]] = {}
    for rrset in prerequisites:
        _check_name(zone, rrset.name)
        if rrset.ttl != 0:
            raise _Refusal(Rcode.FORMERR)
        any_type = rrset.rdtype == RdataType.ANY
        present = _in_use(zone, rrset.name) if any_type else _find(zone, rrset.name, rrset.rdtype) is not None
        if rrset.deleting is None:
            expected.setdefault((rrset.name, rrset.rdtype), set()).update(rrset)
        elif rrset.deleting == RdataClass.ANY and not present:
            raise _Refusal(Rcode.NXDOMAIN if any_type else Rcode.NXRRSET)
        elif rrset.deleting == RdataClass.NONE and present:
            raise _Refusal(Rcode.YXDOMAIN if any_type else Rcode.YXRRSET)
    for (name, rdtype), values in expected.items():
        rdataset = _find(zone, name, rdtype)
        if rdataset is None or set(rdataset) != values:
            raise _Refusal(Rcode.NXRRSET)


def _check_updates(zone: dns.zone.Zone, updates: Iterable[dns.rrset.RRset]) -> None:
    """Apply section 3.4.1: nothing is changed unless everything can be."""
    for rrset in updates:
        _check_name(zone, rrset.name)
        all_types = rrset.deleting == RdataClass.ANY and rrset.rdtype == RdataType.ANY
        if rrset.rdtype in _NEVER_STORED and not all_types:
            raise _Refusal(Rcode.FORMERR)
        if rrset.deleting is not None and rrset.ttl != 0:
            raise _Refusal(Rcode.FORMERR)


def _apply(zone: dns.zone.Zone, updates: Iterable[dns.rrset.RRset]) -> None:
    """Apply section 3.4.2, then raise the serial if anything changed (section 3.6)."""
    serial = _soa(zone)[0].serial
    changed = False
    for rrset in updates:
        if rrset.deleting is None:
            changed |= _add(zone, rrset)
        elif rrset.deleting == RdataClass.ANY:
            changed |= _delete_rrsets(zone, rrset)
        else:
            changed |= _delete_value(zone, rrset)
    soa = _soa(zone)
    if changed and soa[0].serial == serial:
        raised = soa[0].replace(serial=(serial + 1) % 2**32 or 1)
        zone.replace_rdataset(zone.origin or "@", dns.rdataset.from_rdata(soa.ttl, raised))


def _add(zone: dns.zone.Zone, rrset: dns.rrset.RRset) -> bool:
    """Add one RR; return whether that changed the zone."""
    types = {rdataset.rdtype for rdataset in zone.get_node(rrset.name) or ()}
    is_alias = rrset.rdtype == RdataType.CNAME
    if (is_alias and types - {RdataType.CNAME}) or (not is_alias and RdataType.CNAME in types):
        return False
    old = _find(zone, rrset.name, rrset.rdtype)
    if rrset.rdtype == RdataType.SOA:
        if rrset.name != zone.origin or rrset[0].serial <= _soa(zone)[0].serial:
            return False
        old = None
    values = list(rrset) if old is None or is_alias else [*old, *rrset]
    new = dns.rdataset.from_rdata_list(rrset.ttl, values)
    zone.replace_rdataset(rrset.name, new)
    return old is None or old.ttl != new.ttl or old != new


def _delete_rrsets(zone: dns.zone.Zone, rrset: dns.rrset.RRset) -> bool:
    """Delete an RRset, or all of a name; the zone's SOA and NS are kept. Return whether the zone changed."""
    changed = False
    for rdtype in [rdataset.rdtype for rdataset in zone.get_node(rrset.name) or ()]:
        kept = rrset.name == zone.origin and rdtype in {RdataType.SOA, RdataType.NS}
        if rrset.rdtype in {RdataType.ANY, rdtype} and not kept:
            zone.delete_rdataset(rrset.name, rdtype)
            changed = True
    return changed


def _delete_value(zone: dns.zone.Zone, rrset: dns.rrset.RRset) -> bool:
    """Delete one RR; the SOA and the zone's last NS are kept. Return whether that changed the zone."""
    old = _find(zone, rrset.name, rrset.rdtype)
    if old is None or rrset.rdtype == RdataType.SOA or rrset[0] not in old:
        return False
    left = [rdata for rdata in old if rdata not in rrset]
    if left:
        zone.replace_rdataset(rrset.name, dns.rdataset.from_rdata_list(old.ttl, left))
        return True
    if rrset.rdtype == RdataType.NS and rrset.name == zone.origin:
        return False
    zone.delete_rdataset(rrset.name, rrset.rdtype)
    return True


def _check_name(zone: dns.zone.Zone, name: Name) -> None:
    if zone.origin is None or not name.is_subdomain(zone.origin):
        raise _Refusal(Rcode.NOTZONE)


def _in_use(zone: dns.zone.Zone, name: Name) -> bool:
    node = zone.get_node(name)
    return node is not None and len(node) > 0


def _find(zone: dns.zone.Zone, name: Name, rdtype: RdataType) -> dns.rdataset.Rdataset | None:
    return zone.get_rdataset(name, rdtype)


def _soa(zone: dns.zone.Zone) -> dns.rdataset.Rdataset:
    return zone.find_rdataset(zone.origin or "@", RdataType.SOA)


def _bare_reply(wire: bytes, rcode: Rcode) -> bytes:
    """Return a reply of the header alone, for a request that could not be read."""
    ident, flags = struct.unpack_from("!HH", wire)
    return _HEADER.pack(ident, 0x8000 | (flags & 0x7800) | rcode, 0, 0, 0, 0)


def _to_wire(reply: dns.message.Message, *, over_tcp: bool) -> bytes:
    try:
        return reply.to_wire(max_size=65535 if over_tcp else 512)
    except dns.exception.TooBig:
        reply.answer.clear()
        reply.authority.clear()
        reply.flags |= dns.flags.TC
        return reply.to_wire(max_size=512)
