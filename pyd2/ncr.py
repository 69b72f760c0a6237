"""The NameChangeRequest: what a DHCP server asks for (contract, section 3)."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class ChangeType(IntEnum):
    """What is to happen to the DNS entries."""

    ADD = 0
    REMOVE = 1


class ConflictResolutionMode(StrEnum):
    """How clients that want the same name are told apart."""

    CHECK_WITH_DHCID = "check-with-dhcid"
    NO_CHECK_WITH_DHCID = "no-check-with-dhcid"
    CHECK_EXISTS_WITH_DHCID = "check-exists-with-dhcid"
    NO_CHECK_WITHOUT_DHCID = "no-check-without-dhcid"


class NameChangeRequest:
    """One request, checked.

    Not a dataclass: one is made per datagram, and plain slots are what a hot path wants.
    """

    __slots__ = ("address", "address_text", "change_type", "conflict_resolution_mode", "dhcid", "forward_change",
                 "fqdn", "fqdn_wire", "lease_expires_on", "lease_length", "reverse_change")

    def __init__(
        self,
        *,
        change_type: ChangeType,
        forward_change: bool,
        reverse_change: bool,
        fqdn: str,
        fqdn_wire: bytes,
        address: bytes,
        address_text: str,
        dhcid: bytes,
        lease_expires_on: str,
        lease_length: int,
        conflict_resolution_mode: ConflictResolutionMode,
    ) -> None:
        self.change_type = change_type
        self.forward_change = forward_change
        self.reverse_change = reverse_change
        self.fqdn = fqdn
        """DNS text with its final dot, in Kea's spelling: case kept, odd bytes as ``\\DDD``."""
        self.fqdn_wire = fqdn_wire
        """The same as labels on the wire, uncompressed, case kept."""
        self.address = address
        """4 or 16 bytes."""
        self.address_text = address_text
        """In Kea's canonical text, such as ``2001:db8::1``."""
        self.dhcid = dhcid
        self.lease_expires_on = lease_expires_on
        """YYYYMMDDHHMMSS, UTC."""
        self.lease_length = lease_length
        """Seconds; the TTL of what is added."""
        self.conflict_resolution_mode = conflict_resolution_mode

    @property
    def request_id(self) -> str:
        """The name of this request in every message: its DHCID in upper-case hex."""
        return self.dhcid.hex().upper()
