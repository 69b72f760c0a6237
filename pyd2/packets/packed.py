"""Requests as the compiled layer holds them: an octet string each instead of a dozen objects.

What the hot path asks for stands at fixed places (``cbridge/wire/packed.h``); all else is made when a message
or a hook library asks for it.
"""

from __future__ import annotations

from operator import itemgetter
from struct import Struct
from typing import TYPE_CHECKING, Final

from pyd2.data.inet import AF_INET, AF_INET6, inet_ntop
from pyd2.ncr import NameChangeRequest, RequestKind
from pyd2.packets.wire import ffi, lib

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from pyd2.ncr import ChangeType, ConflictResolutionMode

_LINES: Final = 128
_BUFFER_SIZE: Final = 1 << 16
"""Octets for so many lines as they mostly are; much more would be mapped and zeroed with each call."""
_SHOWN_MAX: Final = int(lib.WIRE_SHOWN_MAX)
_new_buffer: Final = ffi.new_allocator(should_clear_after_alloc=False)
"""Each call has a buffer of its own, since several threads show requests."""
_show: Final = lib.wire_request_show
_show_lines: Final = lib.wire_requests_show

_HEAD: Final = Struct("=QIIIBBHBB14s16sd")
"""wire_packed: number, TTL, domains, kind, ways, sizes of DHCID, FQDN and address, expiry, address, and when
it was read.
"""
_DOMAINS: Final = Struct("=12xII")
_NUMBER: Final = Struct("=Q").unpack_from
_BEHIND: Final = _HEAD.size
_FQDN_SIZE: Final = ffi.offsetof("wire_packed", "fqdn_size")
_ADDRESS: Final = ffi.offsetof("wire_packed", "address")
_ADDRESS_SIZE: Final = ffi.offsetof("wire_packed", "address_size")
_KIND: Final = ffi.offsetof("wire_packed", "kind")
_WAYS: Final = ffi.offsetof("wire_packed", "ways")
_ALIKE: Final = slice(ffi.offsetof("wire_packed", "forward"), _WAYS + 1)
_FORWARD: Final = int(lib.WIRE_FORWARD)
_REVERSE: Final = int(lib.WIRE_REVERSE)

_KINDS: Final = tuple(RequestKind)
assert len(_KINDS) == lib.WIRE_REQUEST_KINDS


class PackedRequest(bytes):
    """A request with the interface of NameChangeRequest."""

    __slots__ = ()

    packed = True
    """See NameChangeRequest."""

    @classmethod
    def pack(cls, ncr: NameChangeRequest) -> Self | None:
        """Return a request in this form, or None if it has something that does not fit into it.

        That is an address with a scope, and a name that is not spelled as it stands on the wire.
        """
        if "\\" in ncr.fqdn or ncr.fqdn == "." or "%" in ncr.address_text:
            return None
        head = _HEAD.pack(
            ncr.number, ncr.lease_length, 0, 0, ncr.kind,
            _FORWARD * ncr.forward_change + _REVERSE * ncr.reverse_change,
            len(ncr.dhcid), len(ncr.fqdn_wire), len(ncr.address),
            ncr.lease_expires_on.encode("ascii"), ncr.address, ncr.read_at,
        )
        return cls(head + ncr.dhcid + ncr.fqdn_wire)

    @property
    def domains(self) -> tuple[int, int]:
        """The numbers of its forward and its reverse domain; 0: none."""
        found: tuple[int, int] = _DOMAINS.unpack_from(self)
        return found

    # Both without a function in Python: they are asked for often.
    alike: bytes = property(itemgetter(_ALIKE))  # type: ignore[assignment]
    """See NameChangeRequest."""
    size: int = property(len)  # type: ignore[assignment]
    """See NameChangeRequest."""

    @property
    def change_type(self) -> ChangeType:
        """See NameChangeRequest."""
        return _KINDS[self[_KIND]].change_type

    @property
    def conflict_resolution_mode(self) -> ConflictResolutionMode:
        """See NameChangeRequest."""
        return _KINDS[self[_KIND]].mode

    @property
    def kind(self) -> int:
        """See NameChangeRequest."""
        return self[_KIND]

    @property
    def forward_change(self) -> bool:
        """See NameChangeRequest."""
        return self[_WAYS] & _FORWARD != 0

    @property
    def reverse_change(self) -> bool:
        """See NameChangeRequest."""
        return self[_WAYS] & _REVERSE != 0

    @property
    def dhcid(self) -> bytes:
        """See NameChangeRequest."""
        return self[_BEHIND : -self[_FQDN_SIZE]]

    @property
    def fqdn_wire(self) -> bytes:
        """See NameChangeRequest."""
        return self[-self[_FQDN_SIZE] :]

    @property
    def fqdn(self) -> str:
        """See NameChangeRequest."""
        return _plain_text(self.fqdn_wire)

    @property
    def address(self) -> bytes:
        """See NameChangeRequest."""
        return self[_ADDRESS : _ADDRESS + self[_ADDRESS_SIZE]]

    @property
    def address_text(self) -> str:
        """See NameChangeRequest."""
        address = self.address
        return inet_ntop(AF_INET if len(address) == 4 else AF_INET6, address)

    @property
    def lease_expires_on(self) -> str:
        """See NameChangeRequest."""
        *_, expires, _, _ = _HEAD.unpack_from(self)
        text: str = expires.decode("ascii")
        return text

    @property
    def lease_length(self) -> int:
        """See NameChangeRequest."""
        length: int = _HEAD.unpack_from(self)[1]
        return length

    @property
    def request_id(self) -> str:
        """See NameChangeRequest."""
        return self.dhcid.hex().upper()

    @property
    def number(self) -> int:
        """See NameChangeRequest."""
        number: int = _NUMBER(self)[0]
        return number

    @property
    def read_at(self) -> float:
        """See NameChangeRequest."""
        moment: float = _HEAD.unpack_from(self)[-1]
        return moment

    @property
    def facts(self) -> tuple[int, str, bytes, bytes, int, float]:
        """See NameChangeRequest."""
        _, _, _, _, kind, ways, size, fqdn_size, address_size, _, address, read_at = _HEAD.unpack_from(self)
        behind = _BEHIND + size
        name = _plain_text(self[behind : behind + fqdn_size]).lower()
        return kind, name, address[:address_size], self[_BEHIND:behind], ways, read_at

    def without_forward(self) -> NameChangeRequest:
        """See NameChangeRequest."""
        return self.unpacked().without_forward()

    def without_reverse(self) -> NameChangeRequest:
        """See NameChangeRequest."""
        return self.unpacked().without_reverse()

    def unpacked(self) -> NameChangeRequest:
        """Return the same request as an object."""
        request = NameChangeRequest(
            change_type=self.change_type, forward_change=self.forward_change,
            reverse_change=self.reverse_change, fqdn=self.fqdn, fqdn_wire=self.fqdn_wire,
            address=self.address, address_text=self.address_text, dhcid=self.dhcid,
            lease_expires_on=self.lease_expires_on, lease_length=self.lease_length,
            conflict_resolution_mode=self.conflict_resolution_mode,
        )
        request.number, request.read_at = self.number, self.read_at
        return request

    def text(self) -> str:
        """See NameChangeRequest."""
        buffer = _new_buffer("uint8_t[]", _SHOWN_MAX)
        size = _show(self, len(self), buffer, _SHOWN_MAX)
        return ffi.buffer(buffer)[:size].decode("ascii") if size >= 0 else self.unpacked().text()

    @staticmethod
    def show_many(requests: Sequence[PackedRequest], before: str, between: str, after: str) -> list[str]:
        """Return a text for each request; see pyd2.messages.ShowMany.

        The lines of many cost one call of C: at INFO, which is usual, there is one for each request.
        """
        frame = before, between, after
        octets = [part.encode("utf-8", "surrogateescape") for part in frame]
        kept = [ffi.from_buffer("char[]", part) for part in octets]
        line = ffi.new("wire_line *", (*kept, *map(len, octets)))
        buffer, marks = _new_buffer("uint8_t[]", _BUFFER_SIZE), _new_buffer("uint32_t[]", _LINES)
        shown = ffi.buffer(buffer)
        lines: list[str] = []
        while len(lines) < len(requests):
            left = requests[len(lines) : len(lines) + _LINES]
            records = b"".join(left)
            count = _show_lines(records, len(records), line, buffer, _BUFFER_SIZE, marks, len(left))
            if count <= 0:
                request = left[0]
                lines.append(f"{before}{request.request_id}{between}{request.text()}{after}")
                continue
            ends: list[int] = ffi.unpack(marks, count)  # type: ignore[assignment]
            text = shown[: ends[-1]]
            bounds = zip((0, *ends), ends, strict=False)
            if text.isascii():
                characters = text.decode("ascii")
                lines += [characters[begin:end] for begin, end in bounds]
            else:
                lines += [text[begin:end].decode("utf-8", "surrogateescape") for begin, end in bounds]
        return lines


def _plain_text(wire: bytes) -> str:
    """Return the text of a name that is spelled as it stands on the wire, as all that are packed."""
    labels = []
    at = 0
    while size := wire[at]:
        labels.append(wire[at + 1 : at + 1 + size])
        at += 1 + size
    return b".".join(labels).decode("ascii") + "."
