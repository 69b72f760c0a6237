"""The numbers of the DNS protocol that an update client needs (RFC 1035, RFC 2136, RFC 4701, RFC 8945)."""

from __future__ import annotations

from enum import IntEnum


class RRType(IntEnum):
    """Resource record types."""

    A = 1
    NS = 2
    CNAME = 5
    SOA = 6
    PTR = 12
    TXT = 16
    AAAA = 28
    OPT = 41
    RRSIG = 46
    DHCID = 49
    TKEY = 249
    TSIG = 250
    ANY = 255


class RRClass(IntEnum):
    """Resource record classes; NONE and ANY carry the meaning of RFC 2136, section 2.4 and 2.5."""

    IN = 1
    CH = 3
    NONE = 254
    ANY = 255


class Opcode(IntEnum):
    """The operation codes that pyd2 uses."""

    QUERY = 0
    UPDATE = 5


class Rcode(IntEnum):
    """Response codes (RFC 2136, section 2.2) and the TSIG errors that extend them (RFC 8945, section 3)."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    YXDOMAIN = 6
    YXRRSET = 7
    NXRRSET = 8
    NOTAUTH = 9
    NOTZONE = 10


_RCODE_TEXTS = (*(code.name for code in Rcode), *(f"RESERVED{code}" for code in range(11, 16)), "BADVERS")


def rcode_text(rcode: int) -> str:
    """Return an RCODE (0 to 4095) as the log shows it: ``NOERROR``, ``RESERVED11``, ``BADVERS``, ``17``."""
    return _RCODE_TEXTS[rcode] if 0 <= rcode < len(_RCODE_TEXTS) else str(rcode)
