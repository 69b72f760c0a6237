"""Says in plain words what is wrong when Kerberos or a DNS server does not agree, and what to do."""

from __future__ import annotations

import re
from typing import Final

_KERBEROS: Final = (
    (
        "clock skew too great|not yet valid",
        "the clocks of this host and of the KDC differ by more than five minutes: set both by NTP",
    ),
    (
        "entry in database has expired|credentials (?:for server )?have been revoked|policy rejects request",
        (
            "the realm does not let the account in: it is disabled, locked or expired, or may not log on "
            "from this host or at this hour. In Active Directory look at the account of client-principal, "
            "and at that of the DNS server"
        ),
    ),
    (
        "password has expired",
        (
            "the password of the account has expired: in Active Directory let it never expire, set it anew, "
            "and export the keytab again"
        ),
    ),
    (
        "krbtgt/[^ ]* not found|reply did not match|realm mismatch|realm not local",
        (
            "the realm behind the @ of server-principal or client-principal is not the KDC's, nor one that "
            "it trusts: is it spelt right, in capitals?"
        ),
    ),
    (
        "improper format of kerberos|can't open/find kerberos",
        "krb5.conf is not there, or cannot be read as one",
    ),
    (
        "malformed representation|illegal character in component",
        (
            "client-principal and server-principal are SERVICE/HOST@REALM, such as "
            "DNS/dc1.example.org@EXAMPLE.ORG"
        ),
    ),
    (
        "encryption type|etype",
        (
            "the account and this host have no kind of encryption in common: allow AES for the "
            "account in Active Directory, then export the keytab again"
        ),
    ),
    (
        "does not match desired name|can't find client principal",
        (
            "credentials-cache has the tickets of another account: leave it out, name a cache of its own, or "
            "run kinit for client-principal"
        ),
    ),
    (
        "cannot contact any KDC",
        (
            "the KDC does not answer: is its address in the [realms] section of krb5.conf right, is "
            "it running, and does a firewall let port 88 through, by UDP and TCP?"
        ),
    ),
    (
        (
            "cannot find KDC|cannot resolve .*KDC|unable to find realm|configuration file does not "
            "specify default realm"
        ),
        (
            "this host knows no KDC of the realm: name one in the [realms] section of krb5.conf, or "
            "the realm's DNS server in resolv.conf; is the realm spelt right, in capitals?"
        ),
    ),
    (
        "client '[^']*' not found|client not found",
        (
            "the realm has no such account: is client-principal spelt as the keytab has it (klist "
            "-k), and in Active Directory as ktpass -princ mapped it?"
        ),
    ),
    (
        "server '?[^ ']*'? ?not found|server not found",
        (
            "the realm has no such service: is server-principal DNS/HOST@REALM with the full name of "
            "the DNS server, as 'setspn -L' shows it in Active Directory? If the name comes from a "
            "reverse lookup, set rdns = false in krb5.conf"
        ),
    ),
    (
        "preauthentication failed|decrypt integrity check failed|password incorrect",
        (
            "the key in the keytab is not that of the account any more, for example because its "
            "password was changed or ktpass was run again: export the keytab again"
        ),
    ),
    (
        "permission denied",
        "the user that the server runs as may not read the file: change its owner or mode",
    ),
    (
        (
            "key table file|keytab file|unknown keytab|no suitable keys|cannot find key|key table "
            "entry not found|client keytab"
        ),
        (
            "the keytab cannot be read or lacks the principal: does client-keytab name the right file"
            " ('klist -k FILE' shows its principals), and is client-principal one of them?"
        ),
    ),
    (
        "credentials expired|ticket expired|has expired",
        (
            "the tickets have ended: name a client-keytab, from which pyd2 gets new ones itself, or "
            "run kinit regularly"
        ),
    ),
    (
        (
            "no kerberos credentials|no credentials cache|no credentials were supplied|credential "
            "cache|credentials cache|matching credential"
        ),
        (
            "there are no tickets, and no keytab to get them with: name a client-keytab, or run kinit"
            " as the user that the server runs as"
        ),
    ),
    (
        "too short credential lifetime",
        (
            "the ticket ends before a key would: with client-keytab and without credentials-cache "
            "pyd2 gets a fresh ticket itself; else lower tkey-lifetime, or allow longer tickets in "
            "the realm"
        ),
    ),
)
_SERVER: Final = (
    (
        "BADTIME",
        "the clocks of this host and of the DNS server differ by more than five minutes: set both by NTP",
    ),
    (
        "timeout|timed out",
        (
            "the DNS server does not answer TKEY messages: is the address right, and does a firewall "
            "let its port through, for the tkey-protocol?"
        ),
    ),
    (
        "refused: connection|connection refused|no route|unreachable",
        "nothing listens at this address and port: is it the DNS server's?",
    ),
    (
        "TKEY error (?:BADKEY|17)|BADKEY|NOTAUTH",
        (
            "the DNS server cannot use the ticket: its own keytab must hold the newest key of server-"
            "principal (kvno), and its clock must be right; its log says more"
        ),
    ),
    (
        "NOTIMP|FORMERR|REFUSED|answers? NXDOMAIN|0 answers|TKEY error BADALG",
        (
            "the DNS server does not take GSS-TSIG: BIND needs tkey-gssapi-keytab, Windows secure "
            "dynamic updates"
        ),
    ),
    (
        "not signed",
        (
            "the DNS server's answer is not signed with the key: is it the server that server-"
            "principal names?"
        ),
    ),
)
"""What the text of an error holds, in any case, and what to do about it. The first that fits counts."""


def of_kerberos(text: str) -> str:
    """Return what to do about an error of GSS-API; empty when that is not known."""
    return _first(_KERBEROS, text)


def of_server(text: str) -> str:
    """Return what to do about an agreement that has failed; empty when that is not known."""
    return _first(_SERVER, text)


def _first(table: tuple[tuple[str, str], ...], text: str) -> str:
    return next((advice for pattern, advice in table if re.search(pattern, text, re.IGNORECASE)), "")
