"""What the replies to a probe mean: one sentence for an operator, or none where all is well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dns.rcode import Rcode
from dns.rdatatype import RdataType

from pyd2.dns.constants import rcode_text
from pyd2.dns.tsig import FUDGE

if TYPE_CHECKING:
    from dns.message import Message
    from dns.name import Name

    from pyd2.dns.tsig import HmacKey
    from pyd2.queries.reply import Answer

_AS_EXPECTED: Final = frozenset({Rcode.NXRRSET, Rcode.NXDOMAIN})
"""What a server answers to an update that it would carry out if the prerequisite held."""
_WITHOUT_DHCID: Final = "; only the mode no-check-without-dhcid works there"


def of_key(answer: Answer, key: HmacKey, now: int) -> str:
    """Return what is wrong with a key, as the server says (RFC 8945, section 5.2).

    ``now`` is in seconds since the epoch.
    """
    error = answer.tsig_error
    assert answer.tsig is not None
    if error == Rcode.BADKEY:
        return (f"it does not know the key {key.name} with {key.algorithm} (BADKEY): give it the key, or "
                "name the right one in key-name")
    if error == Rcode.BADSIG:
        return f"it has another secret for the key {key.name} (BADSIG): copy the secret from it"
    if error == Rcode.BADTIME:
        theirs = int.from_bytes(answer.tsig.other, "big") or answer.tsig.time_signed
        ahead = theirs - now
        by = f" by {abs(ahead)} s ({'ahead' if ahead > 0 else 'behind'})" if abs(ahead) > FUDGE else ""
        return (f"its clock differs from that of this machine{by}, and TSIG allows {FUDGE} s (BADTIME): set "
                "both clocks by NTP")
    if error == Rcode.BADTRUNC:
        return (f"it takes no signature of {8 * key.mac_size} bits by the key {key.name} (BADTRUNC): leave "
                "digest-bits out")
    return f"it reports the TSIG error {error} for the key {key.name}"


def of_refused_key(key: HmacKey) -> str:
    """Return what is wrong with a key of which the server does not say what.

    PowerDNS answers so to every key that does not work, Knot DNS to one that it does not know or allow.
    """
    return (f"it does not accept the key {key.name} with {key.algorithm} (NOTAUTH without a signature): its "
            "log says why; the name, algorithm, secret or clock differs, or the key is not allowed")


def of_soa(answer: Answer, zone: Name) -> str:
    """Return why a server is none of a zone."""
    rcode = answer.rcode
    if rcode in {Rcode.NOERROR, Rcode.NXDOMAIN}:
        return _of_records(answer, zone)
    name = rcode_text(rcode)
    if rcode == Rcode.REFUSED:
        return f"it does not serve the zone, or does not answer this machine ({name})"
    if rcode == Rcode.NOTAUTH:
        return f"it does not serve the zone ({name})"
    if rcode == Rcode.SERVFAIL:
        return f"it cannot serve the zone ({name}): its log says why; the zone may not be loaded"
    return f"it answers {name} to a query for the SOA"


def _of_records(answer: Answer, zone: Name) -> str:
    message = answer.message
    if zone in _owners(message, 1, RdataType.SOA):
        if answer.is_authoritative:
            return ""
        return "it answers from a cache: it is no server of the zone"
    if above := _owners(message, 2, RdataType.SOA):
        right = above[0].to_text()
        return (f"it has no zone of this name, which is inside its zone {right}: updates must name that one, "
                f"so write {right}")
    servers = sorted(str(rdata) for rrset in message.sections[2] if rrset.rdtype == RdataType.NS
                     for rdata in rrset)
    if servers:
        return f"it does not serve the zone, and refers to {', '.join(servers)}"
    return "it has no SOA of the zone"


def _owners(message: Message, section: int, kind: RdataType) -> list[Name]:
    return [rrset.name for rrset in message.sections[section] if rrset.rdtype == kind]


def takes_updates(answer: Answer) -> bool:
    """Say whether a server would have carried out an update, had its prerequisite held."""
    return answer.rcode in _AS_EXPECTED and not answer.tsig_error


def of_update(answer: Answer, plain: Answer | None, key: HmacKey | None) -> str:
    """Return why a server takes no updates, or none of DHCID records.

    ``plain`` is its answer to the update without DHCID, if that was sent.
    """
    if takes_updates(answer):
        return ""
    name = rcode_text(answer.rcode)
    if answer.rcode == Rcode.NOERROR:
        return ("it ignores the prerequisites of updates (NOERROR to one that cannot hold): nothing protects "
                "the names of other clients there")
    if plain is not None and takes_updates(plain):
        if answer.rcode in {Rcode.REFUSED, Rcode.NOTAUTH}:
            return (f"it takes updates, but none of DHCID records ({name}): its rules must allow this type "
                    f"for new names in the zone{_WITHOUT_DHCID}")
        return f"it takes updates, but cannot hold DHCID records ({name}), as Samba{_WITHOUT_DHCID}"
    if answer.rcode in {Rcode.REFUSED, Rcode.NOTAUTH}:
        whose = f"signed by {key.name}" if key else "that are not signed"
        return (f"it takes no updates {whose} ({name}): allow them for new names in this zone, unless the "
                "server is a secondary of it; then name the primary")
    if answer.rcode == Rcode.NOTIMP:
        return f"it takes no updates at all ({name})"
    if answer.rcode == Rcode.SERVFAIL:
        return f"it cannot carry out updates ({name}): its log says why"
    return f"it answers {name} to an update"


def of_refused_question(key: HmacKey | None) -> str:
    """Return why policies cannot work with a server that takes updates."""
    how = f"signed by {key.name}" if key else "from this machine"
    return (f"it takes updates, but no queries {how} (REFUSED), and the policies of the domain ask it whose "
            "a name is: allow them")


def of_signature(answer: Answer) -> str:
    """Return why the daemon would not believe an answer that is as expected."""
    if answer.fault:
        return (f"it answers {rcode_text(answer.rcode)} to an update, but the daemon will not believe it: "
                f"{answer.fault}")
    return ""
