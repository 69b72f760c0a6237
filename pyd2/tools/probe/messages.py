"""The messages of a probe.

A probe must not change a zone. So its UPDATE has a prerequisite that cannot hold: the name of the zone must
have a certain DHCID record. (Samba, which takes none, says so only of a name that exists.) Should a server
not check that, the update itself changes nothing either: it deletes the DHCID records of a name drawn at
random. Where it is refused, ``without_dhcid`` shows whether for the DHCID.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.update

from pyd2.dns.names import parse_name

if TYPE_CHECKING:
    from dns.name import Name

_ARPA: Final = dns.name.from_text("arpa.")
_DIGEST: Final = 32
_DHCID_HEAD: Final = b"\x00\x01\x01"
"""Of a DHCID that was made of a client identifier with SHA-256 (RFC 4701, section 3.3)."""


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
