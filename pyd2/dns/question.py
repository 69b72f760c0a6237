"""Questions for the DHCID of a name: which client has it, if any (RFC 4701, RFC 1035)."""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.dns.constants import Opcode, Rcode, RRClass, RRType
from pyd2.dns.reply import is_truncated, parse_reply, read_name
from pyd2.errors import ReplyError

if TYPE_CHECKING:
    from pyd2.dns.tsig import SigningContext

_HEAD: Final = Struct(">HHHHHH")
_ASKED: Final = Struct(">HH")
_RECORD: Final = Struct(">HHIH")
_HEADER_LENGTH: Final = 12
_RESPONSE: Final = 0x80
_NOT_USUAL: Final = 0xFA
"""All bits of a header's third octet but those that say nothing here: AA and RD."""
_DHCID_IN: Final = _ASKED.pack(RRType.DHCID, RRClass.IN)
_ITS_DHCID: Final = (0xC000 | _HEADER_LENGTH).to_bytes(2, "big") + _DHCID_IN
"""How a record of the name begins: with a pointer to the question."""


class TruncatedAnswerError(ReplyError):
    """An answer does not fit into a datagram."""


class DhcidAnswer(NamedTuple):
    """What a server says of a name."""

    rcode: int
    dhcids: tuple[bytes, ...]
    """The DHCIDs that the name has."""

    @property
    def name_is_free(self) -> bool:
        """Whether there is no such name."""
        return self.rcode == Rcode.NXDOMAIN


class Found(IntEnum):
    """What an answer says of a name and a client; plain numbers, which are looked up quickly."""

    FREE = 0
    """There is no such name."""
    OURS = 1
    """It has the client's DHCID, and no other one."""
    OTHERWISE = 2
    """It has another client's."""
    WITHOUT = 3
    """It exists and has none; or it does not exist, and a wildcard of the zone answers for it."""
    UNKNOWN = 4
    """There is no answer that says anything."""


def encode_question(name: bytes) -> bytes:
    """Return the question for the DHCID of an uncompressed name, with query ID 0 and without TSIG."""
    return _HEAD.pack(0, Opcode.QUERY << 11, 1, 0, 0, 0) + name + _ASKED.pack(RRType.DHCID, RRClass.IN)


def read_answer(datagram: bytes, name: bytes, context: SigningContext | None, wall: int) -> DhcidAnswer:
    """Return what a server has answered to the question for a name, whole and verified.

    ``context`` is the one that signed the question; ``wall`` is seconds since the epoch. Whether the query ID
    is right is for the caller to check. Raises ReplyError, and TruncatedAnswerError for an answer that is in
    order as far as it goes.
    """
    if context is None:
        usual = _usual_answer(datagram, name)
        if usual is not None:
            return usual
    reply = parse_reply(datagram)
    if context is not None:
        context.verify(datagram, reply.tsig, wall)
    if reply.opcode != Opcode.QUERY or not reply.is_response or reply.zones != 1:
        raise ReplyError("received message does not answer a question")
    if is_truncated(datagram):
        raise TruncatedAnswerError("received answer is truncated")
    owner, at = read_name(datagram, _HEADER_LENGTH)
    if owner.lower() != name.lower() or _ASKED.unpack_from(datagram, at) != (RRType.DHCID, RRClass.IN):
        raise ReplyError("received answer is one to another question")
    return DhcidAnswer(reply.rcode, tuple(_dhcids(datagram, at + _ASKED.size, name.lower())))


def what_is_found(
    datagram: bytes, name: bytes, dhcid: bytes, context: SigningContext | None, wall: int
) -> Found:
    """Return what an answer says of a name and a client's DHCID; see ``read_answer`` for the rest."""
    try:
        answer = read_answer(datagram, name, context, wall)
    except ReplyError:
        return Found.UNKNOWN
    if answer.name_is_free:
        return Found.FREE
    if answer.rcode != Rcode.NOERROR:
        return Found.UNKNOWN
    if not answer.dhcids:
        return Found.WITHOUT
    return Found.OURS if answer.dhcids == (dhcid,) else Found.OTHERWISE


def _usual_answer(datagram: bytes, name: bytes) -> DhcidAnswer | None:
    """Return what an unsigned answer with one DHCID, or no record, says; None for all others, right or wrong.

    Other records in it are not read, which makes it four times as quick.
    """
    at = _HEADER_LENGTH + len(name)
    if (
        datagram[4:6] != b"\0\1"
        or datagram[2] & _NOT_USUAL != _RESPONSE
        or datagram[at : at + _ASKED.size] != _DHCID_IN
        or datagram[_HEADER_LENGTH:at].lower() != name.lower()
    ):
        return None
    rcode = datagram[3] & 15
    at += _ASKED.size
    if datagram[6:8] == b"\0\0":
        return DhcidAnswer(rcode, ())
    if datagram[6:8] == b"\0\1" and datagram[at : at + 6] == _ITS_DHCID:
        at += 2 + _RECORD.size
        size = int.from_bytes(datagram[at - 2 : at], "big")
        if rcode == Rcode.NOERROR and at + size <= len(datagram):
            return DhcidAnswer(rcode, (datagram[at : at + size],))
    return None


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
