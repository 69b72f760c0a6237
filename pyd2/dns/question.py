"""Questions for the DHCID of a name: who has it, if anybody (RFC 4701, RFC 1035)."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.dns.constants import Opcode, Rcode, RRClass, RRType
from pyd2.dns.reply import parse_reply, read_name
from pyd2.errors import ReplyError

if TYPE_CHECKING:
    from pyd2.dns.tsig import SigningContext

_HEAD: Final = Struct(">HHHHHH")
_ASKED: Final = Struct(">HH")
_RECORD: Final = Struct(">HHIH")
_HEADER_LENGTH: Final = 12
_TRUNCATED: Final = 2


class DhcidAnswer(NamedTuple):
    """What a server says of a name."""

    rcode: int
    dhcids: tuple[bytes, ...]
    """The DHCIDs that the name has."""

    @property
    def name_is_free(self) -> bool:
        """Whether there is no such name."""
        return self.rcode == Rcode.NXDOMAIN


def encode_question(name: bytes) -> bytes:
    """Return the question for the DHCID of an uncompressed name, with query ID 0 and without TSIG."""
    return _HEAD.pack(0, Opcode.QUERY << 11, 1, 0, 0, 0) + name + _ASKED.pack(RRType.DHCID, RRClass.IN)


def read_answer(datagram: bytes, name: bytes, context: SigningContext | None, wall: int) -> DhcidAnswer:
    """Return what a server has answered to the question for a name, whole and verified.

    ``context`` is the one that signed the question; ``wall`` is seconds since the epoch. Whether the query ID
    is right is for the caller to check. Raises ReplyError.
    """
    reply = parse_reply(datagram)
    if context is not None:
        context.verify(datagram, reply.tsig, wall)
    if reply.opcode != Opcode.QUERY or not reply.is_response or reply.zones != 1:
        raise ReplyError("received message does not answer a question")
    if datagram[2] & _TRUNCATED:
        raise ReplyError("received answer is truncated")
    owner, at = read_name(datagram, _HEADER_LENGTH)
    if owner.lower() != name.lower() or _ASKED.unpack_from(datagram, at) != (RRType.DHCID, RRClass.IN):
        raise ReplyError("received answer is one to another question")
    return DhcidAnswer(reply.rcode, tuple(_dhcids(datagram, at + _ASKED.size, name.lower())))


def _dhcids(datagram: bytes, at: int, name: bytes) -> list[bytes]:
    """Return the DHCIDs of a name in the answer section, which begins at ``at`` and is in order."""
    found = []
    for _ in range(int.from_bytes(datagram[6:8], "big")):
        owner, at = read_name(datagram, at)
        rrtype, rrclass, _, size = _RECORD.unpack_from(datagram, at)
        at += _RECORD.size
        if rrtype == RRType.DHCID and rrclass == RRClass.IN and owner.lower() == name:
            found.append(datagram[at : at + size])
        at += size
    return found
