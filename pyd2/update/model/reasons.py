"""Why a request has failed, and how to mend it: the one table of it.

What failed has a name: the RCODE of the reply, what was wrong with the reply, or what kept an update from
being sent or a request from beginning. The same RCODE means different things in different steps, by what
the step requires (``kinds.py``), and in different conflict resolution modes: a row says where it applies, and
of several rows the first one counts. docs/reasons.md is printed from the table; a test asks it for every
kind, step and name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.dns.constants import Rcode, rcode_text
from pyd2.errors import BadReply
from pyd2.update.model.faults import Fault
from pyd2.update.model.kinds import MAX_ROUNDS, MAX_TRIES
from pyd2.update.model.places import (
    asks,
    everywhere,
    removes,
    removes_rest,
    replaces_guarded,
    replaces_own,
    reverse,
    with_dhcid,
)
from pyd2.update.model.policies import find_step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyd2.update.model.kinds import Kind, Step


OF_STEPS: Final = (
    Fault.TIMEOUT,
    Fault.UNREACHABLE,
    Fault.UNSENDABLE,
    Fault.LOOP,
    Fault.NO_SERVER,
    Fault.LIBRARY,
    Fault.NO_DHCID,
    Fault.OTHER_HOST,
    Fault.NO_LEASES,
)
"""What can happen in a step; the other faults are those of a request that has not begun."""
RCODES: Final = tuple(rcode_text(rcode) for rcode in range(17))
"""All RCODEs with a name; others are numbers."""
NAMES: Final = (*RCODES, *BadReply, *Fault)
"""All names that a failure can have, but those of RCODEs without a name."""


class Reason(NamedTuple):
    """What an operator wants to know."""

    why: str
    mend: str


class Row(NamedTuple):
    """A row of the table."""

    name: str
    """The name of what failed; empty: any RCODE."""
    where: str
    """Where the row applies, in words; empty: everywhere."""
    applies: Callable[[Kind, Step], bool]
    reason: Reason


_SAY_WHOSE: Final = frozenset({Rcode.NOERROR, Rcode.NXDOMAIN})
"""The RCODEs of answers to a question that say whose a name is."""


def _row(
    name: str, why: str, mend: str, where: str = "", applies: Callable[[Kind, Step], bool] = everywhere
) -> Row:
    return Row(name, where, applies, Reason(why, mend))


_WITHOUT_DHCID: Final = "set ddns-conflict-resolution-mode no-check-without-dhcid in the DHCP server"
_ACCOUNTS: Final = (
    "In Active Directory a record belongs to the account that made it: use one account for all DHCP servers, "
    "or make their accounts members of DnsUpdateProxy."
)
_CHARACTERS: Final = (
    "For names with such characters, set hostname-char-set and hostname-char-replacement in the DHCP server."
)

TABLE: Final = (
    _row("NOERROR", "The server has made the change.", "Nothing."),
    _row(
        "NXRRSET",
        "The name is another client's, or was entered by hand: it has DHCIDs or addresses with which the "
        "policies of the domain do not give it to this client.",
        "The note of the failure says what the name has. If it is to be this client's, remove it from the "
        "zone with its DHCIDs; the client gets it with its next request. Else give one of the two clients "
        "another name.",
        "the question of a policy",
        asks,
    ),
    _row(
        "",
        "The DNS server takes updates, but does not answer the question for the DHCIDs of the name, without "
        "which the policies of the domain cannot decide.",
        "Let pyd2 query the zone at this address, with its key if the updates have one (BIND: allow-query). "
        "'pyd2ctl lint --probe' asks the server, too.",
        "the question of a policy",
        asks,
    ),
    _row(
        "FORMERR",
        "The DNS server cannot read the update.",
        "Look into its log. If something between pyd2 and the server changes DNS messages, such as a "
        "firewall, let it "
        f"pass them as they are. If the server knows no DHCID records, {_WITHOUT_DHCID}.",
        "updates with a DHCID",
        with_dhcid,
    ),
    _row(
        "FORMERR",
        "The DNS server cannot read the update.",
        "Look into its log. If something between pyd2 and the server changes DNS messages, such as a "
        "firewall, let it pass them as they are.",
    ),
    _row(
        "SERVFAIL",
        "The DNS server failed while it made the change: it cannot write the zone's file or its .jnl file, "
        "it cannot reach the primary that it forwards to, or it cannot hold DHCID records, as Samba with "
        "BIND.",
        "Look into its log. With BIND, let it write the zone's directory. "
        f"With Samba, {_WITHOUT_DHCID}.",
        "updates with a DHCID",
        with_dhcid,
    ),
    _row(
        "SERVFAIL",
        "The DNS server failed while it made the change: it cannot write the zone's file or its .jnl file, "
        "or it cannot reach the primary that it forwards to.",
        "Look into its log. With BIND, let it write the zone's directory.",
    ),
    _row(
        "NXDOMAIN",
        "The name is not in the zone any more.",
        "Nothing: there is nothing left to remove.",
        "removals",
        removes,
    ),
    _row(
        "NXDOMAIN",
        "The DNS server says that the name does not exist, though this update needs no name that does.",
        "Look into the server's log: it does not treat updates as RFC 2136 says.",
    ),
    _row(
        "NOTIMP",
        "The DNS server takes no updates, or none with DHCID records, as Samba.",
        "Check that dns-servers names the primary of the zone, and that it takes dynamic updates. With "
        "Samba, "
        f"{_WITHOUT_DHCID}.",
        "updates with a DHCID",
        with_dhcid,
    ),
    _row(
        "NOTIMP",
        "The DNS server takes no updates.",
        "Check that dns-servers names the primary of the zone, and that it takes dynamic updates.",
    ),
    _row(
        "REFUSED",
        "The DNS server does not allow this update: its policy does not let this key, or this address, "
        "change the PTR there; or it refuses the characters of the host's name, such as '_' (BIND: "
        "check-names, which is a switch of each zone); or it is a secondary that forwards no updates; or the "
        "zone is frozen (BIND).",
        "Allow the key in the server's policy to change PTR and DHCID records in this zone (BIND: "
        "update-policy { grant KEY zonesub ANY; }). Check key-name of the domain, and that dns-servers names "
        f"the primary. {_CHARACTERS} End a freeze with 'rndc thaw ZONE'. {_ACCOUNTS}",
        "the reverse direction",
        reverse,
    ),
    _row(
        "REFUSED",
        "The DNS server does not allow this update: its policy does not let this key, or this address, "
        "change the name; or it refuses the characters of the name, such as '_' (BIND: check-names); or it "
        "is a secondary that forwards no updates; or the zone is frozen (BIND).",
        "Allow the key in the server's policy to change A, AAAA and DHCID records of this name (BIND: "
        "update-policy { grant KEY zonesub ANY; }). Check key-name of the domain, and that dns-servers names "
        f"the primary. {_CHARACTERS} End a freeze with 'rndc thaw ZONE'. {_ACCOUNTS}",
    ),
    _row(
        "YXDOMAIN",
        "The DNS server says that the name exists, though this update does not forbid it.",
        "Look into the server's log: it does not treat updates as RFC 2136 says.",
    ),
    _row(
        "YXRRSET",
        "The name still has an address, usually of the other family, so the rest of it stays; or the name is "
        "another client's, and this client never got it.",
        "Nothing for the name: it goes with its last address, or stays the other client's. As with Kea, the "
        "PTR of the address that went is not removed then: remove it by hand if no other client gets the "
        "address. With the policy remove-yxrrset 'done' it is removed.",
        "the second step of a removal",
        removes_rest,
    ),
    _row(
        "YXRRSET",
        "The DNS server says that records exist that this update does not forbid.",
        "Look into the server's log: it does not treat updates as RFC 2136 says.",
    ),
    _row(
        "NXRRSET",
        "The name belongs to another client, whose DHCID it has; or it was entered by hand and has no DHCID.",
        "If the name is to be this client's, remove it from the zone with its DHCID; the client gets it "
        "with its next request. Else give one of the two clients another name. If one host comes by DHCPv4 "
        "and DHCPv6 with different identifiers, set the policy dual-stack; if it comes with several in one "
        "family (a boot loader), set ddns-conflict-resolution-mode check-exists-with-dhcid for its subnet: "
        "then clients can take names from each other. If names without DHCID are left over from another "
        "DHCP server, set the policy adopt for a while.",
        "additions with check-with-dhcid",
        replaces_own,
    ),
    _row(
        "NXRRSET",
        "The name has no DHCID: it was entered by hand, and this mode leaves such names alone.",
        "If the name is to be a client's, remove it from the zone. Else give the client another name.",
        "additions with check-exists-with-dhcid",
        replaces_guarded,
    ),
    _row(
        "NXRRSET",
        "The DNS server says that records are missing that this update does not need.",
        "Look into the server's log: it does not treat updates as RFC 2136 says.",
    ),
    _row(
        "NOTAUTH",
        "The DNS server does not serve this zone, or not as its primary; or it does not accept the key: it "
        "does not know it, or the clocks differ by more than 300 seconds, or than tsig-fudge if that is set.",
        "Check that the domain's name is exactly that of the zone, and that dns-servers names the zone's "
        "primary. Check name, algorithm and secret of the key at both ends, and the clocks. The server's "
        "log says which.",
    ),
    _row(
        "NOTZONE",
        "The reverse name of the address lies outside the zone that the update names.",
        "Set the name of the reverse domain to the zone that holds the address, with its final dot. Zones "
        "of RFC 2317 get no updates.",
        "the reverse direction",
        reverse,
    ),
    _row(
        "NOTZONE",
        "The host's name lies outside the zone that the update names.",
        "Set the name of the forward domain to the zone that holds the host's name, with its final dot.",
    ),
    _row(
        "",
        "The DNS server answers with an RCODE that has no meaning for an update.",
        "Look into its log: it, or something between, does not treat updates as RFC 2136 says.",
    ),
    _row(
        BadReply.FORMAT,
        "The DNS server's reply is malformed, or is no reply to an update.",
        "Check that address and port in dns-servers are those of a DNS server. The message "
        "DHCP_DDNS_INVALID_RESPONSE says what is wrong with the reply.",
    ),
    _row(
        BadReply.UNSIGNED,
        "The update was signed, and the reply is not: the server does not know the key, does not take a "
        "signature cut by digest-bits, or could not sign with the key; or its rules do not let the key make "
        "this change (Knot DNS).",
        "Enter the key in the DNS server under the same name, with the same algorithm and secret, and leave "
        "digest-bits at 0. With Knot DNS, let an acl of the zone name the key, and allow the types A, AAAA, "
        "PTR and DHCID if it lists types. Check the clocks of both.",
    ),
    _row(
        BadReply.BADKEY,
        "The DNS server does not know the key, or has another algorithm for it.",
        "Enter the key in the DNS server under the same name, with the same algorithm and secret.",
    ),
    _row(
        BadReply.BADSIG,
        "The signature is wrong: DNS server and pyd2 have different secrets for this key.",
        "Copy the secret of one end to the other. Check that it was not cut, and that digest-bits is the "
        "same.",
    ),
    _row(
        BadReply.BADTIME,
        "The clocks of the DNS server and of pyd2 differ by more than 300 seconds.",
        "Set both clocks by NTP.",
    ),
    _row(
        BadReply.ECHO,
        "The reply has the update's own signature, so it proves nothing. Samba and Windows send some "
        "refusals so.",
        "With Samba, set ddns-conflict-resolution-mode no-check-without-dhcid in the DHCP server: it takes "
        "no DHCID records and refuses their changes in this way.",
        "updates with a DHCID",
        with_dhcid,
    ),
    _row(
        BadReply.ECHO,
        "The reply has the update's own signature, so it proves nothing. Samba and Windows send some "
        "refusals so, above all where the record belongs to another account.",
        f"{_ACCOUNTS} The message PYD2_GSS_TSIG_ECHO has the RCODE; with ignore-bad-direction pyd2 believes "
        "it.",
    ),
    _row(
        Fault.TIMEOUT,
        f"The DNS server did not answer in time, {MAX_TRIES} times in a row.",
        "Check that it runs, that address and port are right, and that a firewall lets UDP and TCP pass "
        "both ways. If "
        "it is slow, raise dns-server-timeout. If the log has ASIODNS_SEND_DATA, the update did not go out: "
        "it says why, such as a route, a connection, or with TLS a certificate. With the switches retry and "
        "failover such a request is not lost.",
    ),
    _row(
        Fault.UNREACHABLE,
        "The system could not send the update, or the TCP connection failed.",
        "Check route and firewall to the DNS server; with TLS, the certificates. The message "
        "ASIODNS_SEND_DATA says what the system reports.",
    ),
    _row(
        Fault.UNSENDABLE,
        "pyd2 could not make the update, or could not sign it.",
        "The message ending in _BUILD_FAILURE, or DHCP_DDNS_TRANS_SEND_ERROR, has the cause: mostly a "
        "domain whose name is no domain name, or a hook library's key.",
    ),
    _row(
        Fault.LOOP,
        f"The DNS server said {MAX_ROUNDS} times in turn that the name exists and that it does not.",
        "Find out what else changes the name, or whether several servers with different content answer at "
        "this address.",
    ),
    _row(
        Fault.NO_SERVER,
        "No DNS server of the domain could be asked: all are down, or hook libraries skip them, as GSS-TSIG "
        "does while no key has been agreed on.",
        "Look at the servers in status-get, and at the hook libraries. With GSS-TSIG, 'pyd2ctl gss-tsig "
        "check' says why there is no key. With retry such a request is tried again.",
    ),
    _row(
        Fault.LIBRARY,
        "A hook library failed when it was to choose a key or a server.",
        "The message DHCP_DDNS_STATE_MODEL_UNEXPECTED_ERROR has its error: mend the library or its "
        "parameters.",
    ),
    _row(
        Fault.NO_DHCID,
        "The DNS server takes updates, but none with DHCID records, as Samba: pyd2 has asked it. Such "
        "requests are not tried again.",
        "Set ddns-conflict-resolution-mode no-check-without-dhcid in the DHCP server: no other mode works "
        "there.",
    ),
    _row(
        Fault.OTHER_HOST,
        "The name is a client's of the other family, and the leases do not show that the two are one host, "
        "as the policy dual-stack 'same-host' wants it.",
        "The note of the failure says what differs. If it is one host all the same, such as one with two "
        "network cards, give it a name for each family, or set dual-stack to 'per-family'.",
    ),
    _row(
        Fault.NO_LEASES,
        "The name is a client's of the other family, and the DHCP servers could not be asked if it is one "
        "host.",
        "The note of the failure has the cause. Check dhcp4-socket and dhcp6-socket in policy, that pyd2 "
        "may open them, and that both DHCP servers load libdhcp_lease_cmds.so. With retry such a request is "
        "tried again.",
    ),
    _row(
        Fault.UNMATCHED,
        "No domain of the configuration holds the host's name, or the address.",
        "Add the zone to forward-ddns or reverse-ddns, or take ddns-qualifying-suffix of the DHCP server "
        "into account. 'pyd2ctl explain' shows what would match.",
    ),
    _row(
        Fault.EXPIRED,
        "The lease ended, or a removal was tried for long enough, before the change could be made.",
        "Nothing for this request. The failures before it say why it was not carried out in time.",
    ),
    _row(
        Fault.KEPT,
        "The policy keep has the name: removals of it are not made.",
        "Nothing, if that is meant. Else take the name out of policy.keep, and remove it from the zone by "
        "hand.",
    ),
    _row(Fault.SUPERSEDED, "A newer request of the same client has made this one superfluous.", "Nothing."),
    _row(
        Fault.SHARE_FULL,
        "So many requests of the domain wait for a retry that no further one may wait.",
        "Find out why its DNS servers accept no updates; raise queue.max-entries if so many are to wait.",
    ),
    _row(
        Fault.LOST,
        "The queue was full.",
        "Find out which DNS server is too slow, or raise queue.max-entries. The DHCP server does not send "
        "the request again before the lease is renewed.",
    ),
)
"""All reasons."""


def reason(name: str, kind: Kind | None = None, step: Step | None = None) -> Reason:
    """Return the reason of a failure by its name, as precisely as what is known allows.

    Without ``kind`` and ``step`` it is what applies everywhere.
    """
    for row in TABLE:
        if row.name == name or (not row.name and _is_rcode(name)):
            if row.applies is everywhere:
                return row.reason
            if kind is not None and step is not None and row.applies(kind, step):
                return row.reason
    raise KeyError(name)


def _is_rcode(name: str) -> bool:
    return name.isdigit() or name in RCODES


def failures(kind: Kind, step: Step) -> Iterator[tuple[str, Reason]]:
    """Return what can fail in a step, by name: RCODEs that its table does not have, and all else."""
    for rcode in Rcode:
        if rcode not in step.on and (step.asks is None or rcode not in _SAY_WHOSE):
            yield rcode.name, reason(rcode.name, kind, step)
    for name in (*BadReply, *OF_STEPS):
        yield name, reason(name, kind, step)


def reason_of_step(name: str, kind: Kind, step: str) -> Reason:
    """Return the reason of a failure in a step by its name, which may be one of a policy."""
    return reason(name, kind, find_step(kind, step))
