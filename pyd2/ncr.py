"""The NameChangeRequest: what a DHCP server asks for (contract, section 3)."""

from __future__ import annotations

import re
from binascii import unhexlify
from copy import copy
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Final

from pyd2.data.inet import AF_INET, AF_INET6, inet_ntop, inet_pton
from pyd2.data.json import from_json, too_many_values
from pyd2.data.zone import NO_INTERFACES, zone_text
from pyd2.dns.names import name_text, parse_name
from pyd2.errors import DomainNameError, ElementTypeError, JsonError, NcrError

if TYPE_CHECKING:
    from typing import Self

    from pyd2.data.element import Element
    from pyd2.data.zone import Interfaces

MAX_DATAGRAM = 4096
"""Bytes of Kea's receive buffer: what is longer arrives cut."""

MOST_VALUES = 128
"""JSON values of a request, each map and list counted as one; Kea's have 10.

There is space for 2000 in a datagram: to read them would keep the update thread busy for milliseconds.
"""

_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
"""A string, with or without its end. If one without were none, each quote in it would search for it."""


class ChangeType(IntEnum):
    """What is to happen to the DNS entries."""

    ADD = 0
    REMOVE = 1


class ConflictResolutionMode(StrEnum):
    """How an update distinguishes clients that want the same name."""

    CHECK_WITH_DHCID = "check-with-dhcid"
    NO_CHECK_WITH_DHCID = "no-check-with-dhcid"
    CHECK_EXISTS_WITH_DHCID = "check-exists-with-dhcid"
    NO_CHECK_WITHOUT_DHCID = "no-check-without-dhcid"


class RequestKind(IntEnum):
    """What a request asks for, as one number: how its DNS entries change, and its conflict resolution mode.

    ``pyd2/update/model/kinds.py`` says what each kind does. C uses the same numbers
    (``cbridge/wire/request.h``).
    """

    ADD_CHECK_WITH_DHCID = ChangeType.ADD, ConflictResolutionMode.CHECK_WITH_DHCID
    ADD_NO_CHECK_WITH_DHCID = ChangeType.ADD, ConflictResolutionMode.NO_CHECK_WITH_DHCID
    ADD_CHECK_EXISTS_WITH_DHCID = ChangeType.ADD, ConflictResolutionMode.CHECK_EXISTS_WITH_DHCID
    ADD_NO_CHECK_WITHOUT_DHCID = ChangeType.ADD, ConflictResolutionMode.NO_CHECK_WITHOUT_DHCID
    REMOVE_CHECK_WITH_DHCID = ChangeType.REMOVE, ConflictResolutionMode.CHECK_WITH_DHCID
    REMOVE_NO_CHECK_WITH_DHCID = ChangeType.REMOVE, ConflictResolutionMode.NO_CHECK_WITH_DHCID
    REMOVE_CHECK_EXISTS_WITH_DHCID = ChangeType.REMOVE, ConflictResolutionMode.CHECK_EXISTS_WITH_DHCID
    REMOVE_NO_CHECK_WITHOUT_DHCID = ChangeType.REMOVE, ConflictResolutionMode.NO_CHECK_WITHOUT_DHCID

    change_type: ChangeType
    mode: ConflictResolutionMode

    def __new__(cls, change_type: ChangeType, mode: ConflictResolutionMode) -> Self:
        """Make the next member; they are numbered from 0."""
        number = len(cls.__members__)
        kind = int.__new__(cls, number)
        kind._value_ = number
        kind.change_type = change_type
        kind.mode = mode
        return kind


class NameChangeRequest:
    """One request, checked.

    Not a dataclass: one is made per datagram, and plain slots are what a hot path wants.
    """

    __slots__ = ("address", "address_text", "change_type", "conflict_resolution_mode", "dhcid",
                 "forward_change", "fqdn", "fqdn_wire", "lease_expires_on", "lease_length", "number",
                 "read_at", "reverse_change")

    packed = False
    """Whether it is in the form that C reads (``pyd2.packets.packed``)."""
    domains = None
    """The numbers of its domains, which only packed requests have."""
    alike = None
    """Equal in requests of one kind, with the same changes in the same domains; None: it is not known."""
    show_many = None
    """See pyd2.messages.LoggedRequest."""

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
        self.number = 0
        """Its number in the durable queue; 0: it is in none."""
        self.read_at = 0.0
        """When it was read, in monotonic seconds; 0: that was not noted."""

    @property
    def request_id(self) -> str:
        """The name of this request in every message: its DHCID in upper-case hex."""
        return self.dhcid.hex().upper()

    @property
    def kind(self) -> int:
        """Its RequestKind."""
        return _KINDS[self.change_type, self.conflict_resolution_mode]

    @property
    def size(self) -> int:
        """How much memory it takes up in a queue, about, in octets."""
        return len(self.dhcid) + 2 * len(self.fqdn_wire) + 100

    @property
    def facts(self) -> tuple[int, str, bytes, bytes, int, float]:
        """Kind, FQDN in lower case, address, DHCID, ways (1: forward, 2: reverse change), ``read_at``."""
        ways = self.forward_change + 2 * self.reverse_change
        return self.kind, self.fqdn.lower(), self.address, self.dhcid, ways, self.read_at

    def without_forward(self) -> NameChangeRequest:
        """Return the same request without its forward change."""
        changed = copy(self)
        changed.forward_change = False
        return changed

    def without_reverse(self) -> NameChangeRequest:
        """Return the same request without its reverse change."""
        changed = copy(self)
        changed.reverse_change = False
        return changed

    def text(self) -> str:
        """Return the request as log messages show it: nine lines, each with its newline."""
        return (
            f"Type: {self.change_type:d} (CHG_{self.change_type.name})\n"
            f"Forward Change: {'yes' if self.forward_change else 'no'}\n"
            f"Reverse Change: {'yes' if self.reverse_change else 'no'}\n"
            f"FQDN: [{self.fqdn}]\n"
            f"IP Address: [{self.address_text}]\n"
            f"DHCID: [{self.request_id}]\n"
            f"Lease Expires On: {self.lease_expires_on}\n"
            f"Lease Length: {self.lease_length}\n"
            f"Conflict Resolution Mode: {self.conflict_resolution_mode.value}\n"
        )


_KINDS = {(kind.change_type, kind.mode): kind for kind in RequestKind}
_MODES = {mode.value: mode for mode in ConflictResolutionMode}
_BLANKS = b"\t\n\v\f\r "
_PAD = 0x3D
_HEX_DIGITS = frozenset(b"0123456789ABCDEFabcdef")
_TIME = re.compile(r"(19[7-9][0-9]|[2-9][0-9]{3})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-5][0-9]|60)")


def decode(datagram: bytes, interfaces: Interfaces = NO_INTERFACES) -> NameChangeRequest:
    """Return the request that a datagram holds: a length of two bytes, then as many of JSON.

    ``interfaces`` are those that the zone of an IPv6 address may name.

    Raises NcrError with the argument of DHCP_DDNS_INVALID_NCR (contract, section 3).
    """
    try:
        return _from_json(_payload(datagram[:MAX_DATAGRAM]), interfaces)
    except (NcrError, JsonError, ElementTypeError) as error:
        # Kea's exceptions end at a NUL.
        raise NcrError(f"fromFormat: buffer read error: {error}".partition("\0")[0]) from None


def has_too_many_commas(text: bytes) -> bool:
    """Return whether a text holds more than MOST_VALUES values: its commas show it in a tenth of the time."""
    return text.count(b",") >= MOST_VALUES and _STRING.sub(b"", text).count(b",") >= MOST_VALUES


def _payload(datagram: bytes) -> bytes:
    """Return the JSON text behind the length."""
    if len(datagram) < 2:
        raise NcrError("InputBuffer::peekUint16 read beyond end of buffer")
    length = int.from_bytes(datagram[:2], "big")
    if length > len(datagram) - 2:
        raise NcrError("InputBuffer::peekVector read beyond end of buffer")
    return datagram[2 : 2 + length]


def _from_json(text: bytes, interfaces: Interfaces) -> NameChangeRequest:
    """Return the request, field by field in Kea's order, so that of several faults Kea's is reported."""
    if has_too_many_commas(text):
        raise NcrError(f"Malformed NameChangeRequest JSON: {too_many_values(MOST_VALUES)}")
    try:
        root = from_json(text, max_values=MOST_VALUES)
    except JsonError as error:
        raise NcrError(f"Malformed NameChangeRequest JSON: {error}") from None
    fields = root.map_value()
    change_type = _integer(_required(fields, "change-type"), "change_type")
    if change_type not in {0, 1}:
        raise NcrError(f"Invalid data value for change_type: {change_type}")
    forward_change = _boolean(_required(fields, "forward-change"), "forward-change")
    reverse_change = _boolean(_required(fields, "reverse-change"), "reverse_change")
    fqdn_wire = _parse_fqdn(_required(fields, "fqdn").string_value())
    address, address_text = _parse_address(_required(fields, "ip-address").string_value(), interfaces)
    dhcid = _parse_dhcid(_required(fields, "dhcid").string_value())
    lease_expires_on = _parse_time(_required(fields, "lease-expires-on").string_value())
    lease_length = _integer(_required(fields, "lease-length"), "lease_length")
    if lease_length > 0xFFFFFFFF:
        raise NcrError(f"lease_length value {lease_length}is too large for unsigned 32-bit integer.")
    if lease_length < 0:
        raise NcrError(
            f"lease_length value {lease_length}is negative.  It must greater than or equal to zero "
        )
    mode = _conflict_resolution_mode(fields)
    if not dhcid:
        raise NcrError("DHCID cannot be blank")
    if not (forward_change or reverse_change):
        raise NcrError("Invalid Request, forward and reverse flags are both false")
    return NameChangeRequest(
        change_type=ChangeType(change_type),
        forward_change=forward_change,
        reverse_change=reverse_change,
        fqdn=name_text(fqdn_wire),
        fqdn_wire=fqdn_wire,
        address=address,
        address_text=address_text,
        dhcid=dhcid,
        lease_expires_on=lease_expires_on,
        lease_length=lease_length,
        conflict_resolution_mode=mode,
    )


def _required(fields: dict[str, Element], name: str) -> Element:
    field = fields.get(name)
    if field is None:
        raise NcrError(f"NameChangeRequest value missing for: {name}")
    return field


def _integer(field: Element, name: str) -> int:
    try:
        return field.int_value()
    except ElementTypeError as error:
        raise NcrError(f"Wrong data type for {name}: {error}") from None


def _boolean(field: Element, name: str) -> bool:
    try:
        return field.bool_value()
    except ElementTypeError as error:
        raise NcrError(f"Wrong data type for {name}: {error}") from None


def _parse_fqdn(text: str) -> bytes:
    try:
        return parse_name(text)
    except DomainNameError as error:
        raise NcrError(f"Invalid FQDN value: {text}, reason: {error}") from None


def _parse_address(text: str, interfaces: Interfaces) -> tuple[bytes, str]:
    """Return an address's bytes and its canonical text, with its zone if it has one."""
    # The system's functions, which Kea calls, see the text up to a NUL.
    bare, mark, zone = text.partition("\0")[0].partition("%")
    try:
        address = inet_pton(AF_INET6, bare)
        shown = zone_text(address, zone, interfaces) if mark else ""
        return address, inet_ntop(AF_INET6, address) + (f"%{shown}" if shown else "")
    except (OSError, ValueError):
        pass
    try:
        address = inet_pton(AF_INET, bare + mark)
        return address, inet_ntop(AF_INET, address)
    except (OSError, ValueError):
        raise NcrError(f"Invalid ip address string for ip_address: {text}") from None


def _parse_dhcid(text: str) -> bytes:
    """Return the bytes of a hex text; blanks do not count."""
    digits = text.encode("utf-8", "surrogateescape").translate(None, _BLANKS)
    padded = False
    for digit in digits:
        if digit == _PAD:
            padded = True
        elif digit not in _HEX_DIGITS:
            raise NcrError(f"Invalid data in Dhcid: attempt to decode a value not in base16 char set: {text}")
        elif padded:
            raise NcrError(f"Invalid data in Dhcid: pad mixed with digits in base16: {text}")
    bare = digits.rstrip(b"=")
    if len(bare) % 2 and not bare.endswith(b"0"):
        raise NcrError(f"Invalid data in Dhcid: non-zero bits left over {text}")
    if padded:
        raise NcrError(f"Invalid data in Dhcid: too many pad characters for base16: {text}")
    if len(bare) % 2:
        raise NcrError(f"Invalid data in Dhcid: Incomplete input for base16: {text}")
    return unhexlify(bare)


def _parse_time(text: str) -> str:
    """Return a YYYYMMDDHHMMSS text; a leap second becomes the next minute's first.

    The very last leap second that fits stays as it is: Kea takes it, too, and then fails to print it.
    """
    fields = _TIME.fullmatch(text)
    try:
        if fields is not None:
            year, month, day, hour, minute, second = map(int, fields.groups())
            moment = datetime(year, month, day, hour, minute, min(second, 59))  # noqa: DTZ001  always UTC
            return text if second < 60 else f"{moment + timedelta(seconds=1):%Y%m%d%H%M%S}"
    except OverflowError:
        return text
    except ValueError:
        pass
    raise NcrError(f"Invalid date-time string: [{text}]")


def _conflict_resolution_mode(fields: dict[str, Element]) -> ConflictResolutionMode:
    """Return the mode, or what its predecessor (a boolean) means if only that is there."""
    field = fields.get("conflict-resolution-mode")
    if field is not None:
        try:
            text = field.string_value()
        except ElementTypeError as error:
            raise NcrError(f"Wrong data type for conflict-resolution-mode: {error}") from None
        mode = _MODES.get(text)
        if mode is None:
            raise NcrError(f"Invalid ConflictResolutionMode: {text}")
        return mode
    legacy = fields.get("use-conflict-resolution")
    if legacy is not None and not _boolean(legacy, "use-conflict-resolution"):
        return ConflictResolutionMode.NO_CHECK_WITH_DHCID
    return ConflictResolutionMode.CHECK_WITH_DHCID
