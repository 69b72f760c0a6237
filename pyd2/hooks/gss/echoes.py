"""Says in words what a DNS server refuses with a signature that is a copy of the request's.

Samba's own DNS server and Windows do not sign some refusals: they send the signature of the request back
(sssd/sssd#7468). So the refusal cannot be verified, and all that an operator sees is a bad signature.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyd2.config.addresses import address_text
from pyd2.dns.constants import Rcode, rcode_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.hooks.gss.keys import KeyRing
    from pyd2.messages import Log

QUIET: Final = 60.0
"""Seconds in which a server's refusals of one kind are logged once."""

_NAME_IN_USE: Final = (
    "the name or its record is there already, for another client as a rule; with Samba and Windows only "
    "conflict-resolution-mode no-check-without-dhcid works"
)
CAUSES: Final = {
    int(Rcode.YXDOMAIN): _NAME_IN_USE,
    int(Rcode.YXRRSET): _NAME_IN_USE,
    int(Rcode.NXDOMAIN): "a name that must be there is not",
    int(Rcode.NXRRSET): "a record that must be there is not",
    int(Rcode.NOTIMP): (
        "the server cannot hold such a record: Samba takes no DHCID, so that only conflict-resolution-mode "
        "no-check-without-dhcid works"
    ),
    int(Rcode.REFUSED): (
        "the account may not change this record. In Active Directory it belongs to the account that made it: "
        "use one account for all DHCP servers, or make it a member of DnsUpdateProxy"
    ),
    int(Rcode.NOTAUTH): "the server has no such zone",
    int(Rcode.NOTZONE): "the name is not in the zone",
}
"""What each response code means for an administrator of Active Directory."""


class Echoes:
    """Counts such refusals, and logs each kind of them once a minute."""

    def __init__(self, log: Log, clock: Callable[[], float]) -> None:
        """``clock`` returns seconds."""
        self._log = log
        self._clock = clock
        self._seen: dict[tuple[str, int], tuple[float, int]] = {}
        """By server and response code: when it was logged, and how many there were since."""

    def note(self, ring: KeyRing, rcode: int) -> None:
        """Count a refusal, and log it unless one of its kind has just been logged."""
        server = ring.server
        now = self._clock()
        logged, count = self._seen.get((server.id, rcode), (0.0, 0))
        if logged and now - logged < QUIET:
            self._seen[server.id, rcode] = logged, count + 1
            return
        self._seen[server.id, rcode] = now, 0
        cause = CAUSES.get(rcode, "its log may say why")
        does = "pyd2 believes it, as ignore-bad-direction asks" if ring.believes_echoes and rcode else (
            "pyd2 cannot verify that, and takes it for a bad reply"
        )
        endpoint = f"{address_text(server.address)} port {server.port}"
        self._log.emit("PYD2_GSS_TSIG_ECHO", endpoint, rcode_text(rcode), cause, does, count)
