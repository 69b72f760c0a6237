"""What the reply to a query, or to the update of a probe, says."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import dns.exception
import dns.flags
import dns.message

from pyd2.dns.reply import parse_reply
from pyd2.errors import ReplyError

if TYPE_CHECKING:
    from dns.message import Message

    from pyd2.dns.tsig import SigningContext, TsigRecord


class Answer(NamedTuple):
    """A reply, as far as one looks at it."""

    rcode: int
    message: Message
    tsig: TsigRecord | None
    fault: str
    """Why the reply is not believed: its signature is missing or wrong; empty if nothing is wrong."""

    @property
    def tsig_error(self) -> int:
        """The error that the server reports in its TSIG record; 0: none."""
        return 0 if self.tsig is None else self.tsig.error

    @property
    def is_authoritative(self) -> bool:
        """Whether the server answers from a zone of its own."""
        return bool(self.message.flags & dns.flags.AA)


def read(reply: bytes, request: bytes, context: SigningContext | None, now: int) -> Answer:
    """Return what a reply says; ``context`` has signed the request, ``now`` is in seconds since the epoch.

    Raises ReplyError if it is no DNS message.
    """
    tsig = parse_reply(reply).tsig
    try:
        message = dns.message.from_wire(reply, keyring=False, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError) as error:
        raise ReplyError(f"Malformed DNS message: {error}") from None
    fault = ""
    if context is not None and not (tsig and tsig.error):
        try:
            context.verify(reply, tsig, now)
        except ReplyError as error:
            fault = _signature_fault(tsig, request, str(error))
    return Answer(message.rcode(), message, tsig, fault)


def _signature_fault(tsig: TsigRecord | None, request: bytes, text: str) -> str:
    if tsig is None:
        return "it is not signed"
    own = parse_reply(request).tsig
    if own is not None and tsig.mac == own.mac:
        return "its signature is a copy of the request's, as from Samba and Windows"
    return text
