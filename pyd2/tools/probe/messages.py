"""The messages of a probe, and what their replies say.

A probe must not change a zone. So its UPDATE has a prerequisite that cannot hold: the name of the zone must
have a certain DHCID record. (Samba, which takes none, says so only of a name that exists.) Should a server
not check that, the update itself changes nothing either: it deletes the DHCID records of a name drawn at
random. Where it is refused, ``without_dhcid`` shows whether for the DHCID.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final, NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.update

from pyd2.dns.names import parse_name
from pyd2.dns.reply import parse_reply
from pyd2.errors import ReplyError

if TYPE_CHECKING:
    from dns.message import Message
    from dns.name import Name

    from pyd2.dns.tsig import SigningContext, TsigRecord

_ARPA: Final = dns.name.from_text("arpa.")
_DIGEST: Final = 32
_DHCID_HEAD: Final = b"\x00\x01\x01"
"""Of a DHCID that was made of a client identifier with SHA-256 (RFC 4701, section 3.3)."""


class Answer(NamedTuple):
    """A reply, as far as a probe reads it."""

    rcode: int
    message: Message
    tsig: TsigRecord | None
    fault: str
    """Why the reply is not believed: its signature is missing or wrong; empty if nothing is wrong."""

    @property
    def tsig_error(self) -> int:
        """The error that the server reports in its TSIG record; 0: none."""
        return 0 if self.tsig is None else self.tsig.error

    @property
    def is_authoritative(self) -> bool:
        """Whether the server answers from a zone of its own."""
        return bool(self.message.flags & dns.flags.AA)


def zone_name(text: str) -> Name:
    """Return a domain of the configuration as a zone. Raises DomainNameError."""
    return dns.name.from_wire(parse_name(text), 0)[0]


def soa_query(zone: Name) -> bytes:
    """Return a query for a zone's SOA that asks for no recursion."""
    return dns.message.make_query(zone, dns.rdatatype.SOA, flags=0).to_wire()


def harmless_update(zone: Name) -> bytes:
    """Return an update of a DHCID record that changes nothing. Raises NameTooLong."""
    name = _random_name(zone)
    update = dns.update.UpdateMessage(zone)
    data = _DHCID_HEAD + secrets.token_bytes(_DIGEST)
    update.present(zone, dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.DHCID, data, 0, len(data)))
    update.delete(name, dns.rdatatype.DHCID)
    return update.to_wire()


def without_dhcid(zone: Name) -> bytes:
    """Return an update of the other record of a name that changes nothing either. Raises NameTooLong."""
    name = _random_name(zone)
    update = dns.update.UpdateMessage(zone)
    update.present(name)
    # BIND's update-policy refuses no deletion of PTRs that are not there: it says less of reverse zones.
    update.delete(name, dns.rdatatype.PTR if zone.is_subdomain(_ARPA) else dns.rdatatype.A)
    return update.to_wire()


def _random_name(zone: Name) -> Name:
    return dns.name.Name((f"pyd2-probe-{secrets.token_hex(8)}".encode(), *zone.labels))


def read(reply: bytes, request: bytes, context: SigningContext | None, now: int) -> Answer:
    """Return what a reply says; ``context`` has signed the request, ``now`` is in seconds since the epoch.

    Raises ReplyError if it is no DNS message.
    """
    tsig = parse_reply(reply).tsig
    try:
        message = dns.message.from_wire(reply, keyring=False, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError) as error:
        raise ReplyError(f"Malformed DNS message: {error}") from None
    fault = ""
    if context is not None and not (tsig and tsig.error):
        try:
            context.verify(reply, tsig, now)
        except ReplyError as error:
            fault = _signature_fault(tsig, request, str(error))
    return Answer(message.rcode(), message, tsig, fault)


def _signature_fault(tsig: TsigRecord | None, request: bytes, text: str) -> str:
    if tsig is None:
        return "it is not signed"
    own = parse_reply(request).tsig
    if own is not None and tsig.mac == own.mac:
        return "its signature is a copy of the request's, as from Samba and Windows"
    return text
