"""The packet layer over the C codec in ``cbridge/wire``.

The C codec does what is common. What it declines, right or wrong, goes to the plain layer, which says exactly
what is wrong with it, if anything is: only the plain layer refuses.
"""

from __future__ import annotations

from socket import AF_INET6, inet_ntop
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from pyd2.dns.tsig import ALGORITHMS, HmacContext, HmacKey
from pyd2.dns.update import Data, Zone
from pyd2.ncr import ChangeType, ConflictResolutionMode, NameChangeRequest
from pyd2.packets.plain import PlainLayer
from pyd2.packets.wire import ffi, lib

if TYPE_CHECKING:
    from pyd2.dns.tsig import SigningContext
    from pyd2.dns.update import UpdateTemplate

ROOM: Final = 2048
"""Octets of the longest message that is written in C."""

_FIELDS = Struct("=I7H6B")
"""Those of wire_request before its address."""
_ADDRESS_AT = ffi.offsetof("wire_request", "address")
_FQDN_WIRE_AT = ffi.offsetof("wire_request", "fqdn_wire")
_DHCID_AT = ffi.offsetof("wire_request", "dhcid")
assert _FIELDS.size == _ADDRESS_AT

_CHANGE_TYPES = tuple(ChangeType)
_MODES = tuple(ConflictResolutionMode)
_DATA = {
    Data.NONE: lib.WIRE_DATA_NONE, Data.ADDRESS: lib.WIRE_DATA_ADDRESS, Data.DHCID: lib.WIRE_DATA_DHCID,
    Data.TARGET: lib.WIRE_DATA_TARGET,
}
_TSIG_TAIL: Final = 6
"""Octets behind the MAC of a signed message: original ID, error, length of no other data."""

# Looked up once: each is called for every request.
_read_request = lib.wire_request_read
_write_update = lib.wire_update_write
_sign = lib.wire_sign
_read_reply = lib.wire_reply_read
_new_request = NameChangeRequest.__new__


class CompiledZone(Zone):
    """A zone that C knows, too."""

    __slots__ = ("prepared",)

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.prepared = ffi.new("wire_name *")
        error = lib.wire_name_set(self.prepared, self.wire, len(self.wire))
        assert error == 0


class CompiledKey(HmacKey):
    """A shared secret that C knows, too; ``prepared`` is None where libcrypto does not do its digest."""

    __slots__ = ("buffer", "prepared", "room")

    def __init__(self, name: str, algorithm: str, secret: bytes, digest_bits: int) -> None:
        super().__init__(name, algorithm, secret, digest_bits)
        key = lib.wire_key_new(
            self.name_wire, len(self.name_wire), self.algorithm_wire, len(self.algorithm_wire),
            ALGORITHMS[algorithm.lower()].encode(), secret, len(secret), self.mac_size,
        )
        self.prepared: Any = ffi.gc(key, lib.wire_key_free) if key else None
        self.room = ffi.new("uint8_t[]", ROOM)
        self.buffer = ffi.buffer(self.room)

    def create_context(self) -> HmacContext:
        """Return the context of one message."""
        return CompiledContext(self) if self.prepared is not None else HmacContext(self)


class CompiledContext(HmacContext):
    """One message and its reply under a shared secret, signed in C."""

    __slots__ = ()

    _key: CompiledKey

    @property
    def verification(self) -> tuple[Any, bytes]:
        """The prepared key and the request's MAC."""
        return self._key.prepared, self._request_mac

    def sign(self, message: bytes, qid: int, wall: int) -> bytes:
        """Return the message with its query ID and its TSIG record; see SigningContext."""
        key = self._key
        size = _sign(key.prepared, message, len(message), qid, wall, key.room, ROOM)
        if size < 0:
            return super().sign(message, qid, wall)
        self._request_mac = key.buffer[size - _TSIG_TAIL - key.mac_size : size - _TSIG_TAIL]
        signed: bytes = key.buffer[:size]
        return signed


class CompiledLayer(PlainLayer):
    """See PacketLayer."""

    name = "compiled"

    def __init__(self) -> None:
        self._request = ffi.new("wire_request *")
        self._request_buffer = ffi.buffer(self._request)
        self._room = ffi.new("uint8_t[]", ROOM)
        self._buffer = ffi.buffer(self._room)
        self._templates: dict[UpdateTemplate, Any] = {}

    def decode(self, datagram: bytes) -> NameChangeRequest:
        """Return the request that a datagram holds."""
        if _read_request(self._request, datagram, len(datagram)) != 0:
            return super().decode(datagram)
        buffer = self._request_buffer
        (
            lease_length, fqdn_at, fqdn_size, fqdn_wire_size, address_at, address_text_size, dhcid_size,
            expires_at, change_type, forward, reverse, mode, address_size, _,
        ) = _FIELDS.unpack_from(buffer)
        # Setting the slots costs a third of calling __init__ (measured).
        request = _new_request(NameChangeRequest)
        request.change_type = _CHANGE_TYPES[change_type]
        request.forward_change = forward == 1
        request.reverse_change = reverse == 1
        request.fqdn = datagram[fqdn_at : fqdn_at + fqdn_size].decode("ascii") + "."
        request.fqdn_wire = buffer[_FQDN_WIRE_AT : _FQDN_WIRE_AT + fqdn_wire_size]
        address = request.address = buffer[_ADDRESS_AT : _ADDRESS_AT + address_size]
        if address_size == 4:
            # What the system takes for an IPv4 address is in its one canonical form.
            request.address_text = datagram[address_at : address_at + address_text_size].decode("ascii")
        else:
            request.address_text = inet_ntop(AF_INET6, address)
        request.dhcid = buffer[_DHCID_AT : _DHCID_AT + dhcid_size]
        request.lease_expires_on = datagram[expires_at : expires_at + 14].decode("ascii")
        request.lease_length = lease_length
        request.conflict_resolution_mode = _MODES[mode]
        request.number = 0
        return request

    def zone(self, name: str) -> Zone:
        """Return a prepared zone."""
        return CompiledZone(name)

    def key(self, name: str, algorithm: str, secret: bytes, digest_bits: int) -> HmacKey:
        """Return a prepared key."""
        return CompiledKey(name, algorithm, secret, digest_bits)

    def encode_update(
        self, template: UpdateTemplate, zone: Zone, owner: bytes, target: bytes, address: bytes, dhcid: bytes,
        ttl: int,
    ) -> bytes:
        """Return an UPDATE message with query ID 0 and without TSIG."""
        prepared = self._templates.get(template)
        if prepared is None:
            prepared = self._templates[template] = _prepare(template)
        assert isinstance(zone, CompiledZone)
        size = _write_update(
            prepared, zone.prepared, owner, len(owner), target, len(target), address, len(address), dhcid,
            len(dhcid), ttl, self._room, ROOM,
        )
        if size < 0:
            return super().encode_update(template, zone, owner, target, address, dhcid, ttl)
        message: bytes = self._buffer[:size]
        return message

    def read_reply(self, datagram: bytes, context: SigningContext | None, wall: int) -> int:
        """Return the response code of a server's reply."""
        if context is None:
            rcode: int = _read_reply(datagram, len(datagram), ffi.NULL, b"", 0, wall)
        elif type(context) is CompiledContext:
            key, mac = context.verification
            rcode = _read_reply(datagram, len(datagram), key, mac, len(mac), wall)
        else:
            rcode = -1
        return rcode if rcode >= 0 else super().read_reply(datagram, context, wall)


def _prepare(template: UpdateTemplate) -> Any:  # noqa: ANN401  cffi's objects have no types
    """Return a template as C wants it."""
    records = [
        (record.type or 0, record.rrclass, _DATA[record.data], record.with_ttl)
        for record in (*template.prerequisites, *template.updates)
    ]
    return ffi.new(
        "wire_template *", (len(template.prerequisites), len(template.updates), records)
    )
