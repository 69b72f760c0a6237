"""Says in plain words what is wrong when Kerberos or a DNS server does not agree, and what to do."""

from __future__ import annotations

import re
from typing import Final

_KERBEROS: Final = (
    (
        "clock skew",
        "the clocks of this host and of the KDC differ by more than five minutes: set both by NTP",
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
        "no support for encryption type|encryption type|etype",
        (
            "the account and this host have no kind of encryption in common: allow AES for the "
            "account in Active Directory, then export the keytab again"
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
