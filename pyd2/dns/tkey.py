"""TKEY messages, in which two sides agree on a key by GSS-API (RFC 2930, RFC 3645): bytes in and out."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.dns.constants import RRClass, RRType
from pyd2.dns.names import parse_name
from pyd2.dns.reply import parse_reply, read_name

if TYPE_CHECKING:
    from pyd2.dns.tsig import TsigRecord

GSS_TSIG: Final = parse_name("gss-tsig.")
"""The algorithm that the records of a key by GSS-API name."""
LONGEST_TOKEN: Final = 0xFFFF
"""Octets of a token of GSS-API that fits into a TKEY record."""

_GSS_API_MODE: Final = 3
_HEADER: Final = Struct(">HHHHHH")
_TYPE_CLASS: Final = Struct(">HH")
_RECORD: Final = Struct(">HHIH")
"""Type, class, TTL and length of the data."""
_BEFORE_TOKEN: Final = Struct(">IIHHH")
"""Inception, expiration, mode, error, length of the token."""
_QUESTION_NAME: Final = b"\xc0\x0c"
"""A pointer to the name of the question."""
_HEADER_LENGTH: Final = 12


class TkeyReply(NamedTuple):
    """What a server says to a TKEY request."""

    is_response: bool
    opcode: int
    rcode: int
    answers: int
    """Records in the answer section."""
    answer_type: int
    """The first answer's; 0 when there is none. So are all that follow."""
    answer_class: int
    answer_ttl: int
    has_data: bool
    error: int
    """The TKEY error (RFC 2930, section 2.6)."""
    token: bytes
    tsig: TsigRecord | None


def encode_request(query_id: int, name: bytes, inception: int, expire: int, token: bytes) -> bytes:
    """Return the first or a further message of the exchange for a key of a name.

    ``name`` is a domain name on the wire; inception and expiration are seconds since the epoch, of which the
    low 32 bits count; the token has ``LONGEST_TOKEN`` octets at most.
    """
    low = 0xFFFFFFFF
    data = b"".join((
        GSS_TSIG, _BEFORE_TOKEN.pack(inception & low, expire & low, _GSS_API_MODE, 0, len(token)), token,
        bytes(2),
    ))
    return b"".join((
        _HEADER.pack(query_id, 0, 1, 0, 0, 1),
        name, _TYPE_CLASS.pack(RRType.TKEY, RRClass.ANY),
        _QUESTION_NAME, _RECORD.pack(RRType.TKEY, RRClass.ANY, 0, len(data)), data,
    ))


def parse_tkey_reply(message: bytes) -> TkeyReply:
    """Return what the server says; raises ReplyError when the message is malformed."""
    reply = parse_reply(message)
    _, _, questions, answers, _, _ = _HEADER.unpack_from(message)
    answer_type = answer_class = answer_ttl = length = error = 0
    token = b""
    if answers:
        # The whole message has been walked, the data of TKEY records too, so all that is read here is there.
        at = _HEADER_LENGTH
        for _ in range(questions):
            at = read_name(message, at)[1] + _TYPE_CLASS.size
        at = read_name(message, at)[1]
        answer_type, answer_class, answer_ttl, length = _RECORD.unpack_from(message, at)
        if answer_type == RRType.TKEY and length:
            at = read_name(message, at + _RECORD.size)[1]
            *_, error, size = _BEFORE_TOKEN.unpack_from(message, at)
            at += _BEFORE_TOKEN.size
            token = message[at : at + size]
    return TkeyReply(
        reply.is_response, reply.opcode, reply.rcode, answers, answer_type, answer_class, answer_ttl,
        length > 0, error, token, reply.tsig,
    )
