"""One agreement on a key with a DNS server: TKEY messages in and out, no IO (RFC 3645, section 3).

The log messages, their order and the statistics are those of Kea's library.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from pyd2.dns.constants import Opcode, RRClass, RRType, rcode_text
from pyd2.dns.names import parse_name
from pyd2.dns.reply import is_truncated
from pyd2.dns.tkey import GSS_TSIG, LONGEST_TOKEN, encode_request, parse_tkey_reply
from pyd2.dns.tsig import check_record, identity_of, signed_by_reply
from pyd2.errors import ReplyError
from pyd2.hooks.gss.gssapi import GssError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.dns.tkey import TkeyReply
    from pyd2.hooks.gss.gssapi import Context

MOST_ROUNDS: Final = 10
"""Messages to the server for one key. SPNEGO with Kerberos needs one, at most three."""

_TYPES: Final = {int(one): one.name for one in RRType}
_NO_LENGTH: Final = 2
"""Octets in front of what a reply's MAC is made of that give the length of the request's MAC. A TKEY request
has none, and then the length is left out, too."""


class Status(Enum):
    """How an agreement has ended, in Kea's words."""

    SUCCESS = "response received and is ok"
    TIMEOUT = "no response, timeout"
    IO_STOPPED = "IO was stopped"
    INVALID_RESPONSE = "response received but invalid"
    UNSIGNED_RESPONSE = "response received but not signed"
    BAD_CREDENTIALS = "bad client credentials"
    OTHER = "other, unclassified error"


class TkeyExchange:
    """An agreement on one key.

    ``begin`` and ``receive`` return the next message to the server, or None: then ``status`` says how it
    ended. ``open_context`` acquires credentials and returns a new context; it and the context raise GssError.
    Nothing else is raised.
    """

    def __init__(
        self, name: str, inception: float, lifetime: int, open_context: Callable[[], Context],
        emit: Callable[..., None], count: Callable[[str], None], draw_id: Callable[[], int],
    ) -> None:
        """``name`` is the key's; ``inception`` is seconds since the epoch, ``lifetime`` seconds.

        ``emit`` logs a message, ``count`` adds one to a statistic, ``draw_id`` returns a query ID.
        """
        self._name = parse_name(name)
        self._inception = int(inception)
        self._lifetime = lifetime
        self._open_context = open_context
        self._emit = emit
        self._count = count
        self._draw_id = draw_id
        self._rounds = 0
        self._context: Context | None = None
        self.status: Status | None = None
        """None: the exchange is under way."""
        self.problem = ""
        """Why there is no key, in a few words; empty while there is no reason."""

    @property
    def context(self) -> Context:
        """The context; established when the status is SUCCESS."""
        assert self._context is not None
        return self._context

    def begin(self) -> bytes | None:
        """Acquire credentials and return the first message."""
        try:
            self._context = self._open_context()
        except GssError as error:
            return self._end(Status.BAD_CREDENTIALS, "BAD_CLIENT_CREDENTIALS", str(error))
        return self._step(b"", b"", None, 0)

    def receive(self, message: bytes, wall: int) -> bytes | None:
        """Use the server's answer, which came at ``wall``, seconds since the epoch."""
        reply = self._read(message)
        if reply is None or not reply.token:
            return self._end(Status.INVALID_RESPONSE, "TKEY_EXCHANGE_FAIL_EMPTY_IN_TOKEN")
        return self._step(reply.token, message, reply, wall)

    def timed_out(self) -> None:
        """End because the server did not answer in time."""
        self._end(Status.TIMEOUT, "TKEY_EXCHANGE_FAIL_IO_TIMEOUT", counted="tkey-timeout")

    def io_failed(self, reason: str) -> None:
        """End because the server cannot be reached."""
        self._end(Status.OTHER, "TKEY_EXCHANGE_FAIL_IO_ERROR", reason)

    def _end(
        self, status: Status, message_id: str, *arguments: object, counted: str = "tkey-error",
    ) -> bytes | None:
        """Note the outcome; return that there is no further message."""
        self._emit(message_id, *arguments)
        self._count(counted)
        self.status = status
        self.problem = self.problem or ": ".join(str(part) for part in (status.value, *arguments))
        return None

    def _step(self, token: bytes, message: bytes, reply: TkeyReply | None, wall: int) -> bytes | None:
        context = self.context
        try:
            answer, established = context.step(token)
            lifetime = context.lifetime() if established else 0
        except GssError as error:
            return self._end(Status.OTHER, "TKEY_EXCHANGE_FAIL_TO_INIT", str(error))
        if established:
            if answer:
                # The server has signed its last answer, so it does not wait for this.
                self._emit("TKEY_EXCHANGE_OUT_TOKEN_NOT_EMPTY")
            return self._established(message, reply, lifetime, wall)
        if not answer:
            return self._end(Status.INVALID_RESPONSE, "TKEY_EXCHANGE_FAIL_EMPTY_OUT_TOKEN")
        if len(answer) > LONGEST_TOKEN or self._rounds == MOST_ROUNDS:
            fault = f"TKEY value too long: {len(answer)}" if self._rounds < MOST_ROUNDS else "no end in sight"
            return self._end(Status.OTHER, "TKEY_EXCHANGE_FAIL_TO_INIT", fault)
        self._rounds += 1
        request = encode_request(
            self._draw_id(), self._name, self._inception, self._inception + self._lifetime, answer
        )
        self._emit("TKEY_EXCHANGE_SEND_MESSAGE", len(request))
        self._count("tkey-sent")
        return request

    def _established(self, message: bytes, reply: TkeyReply | None, lifetime: int, wall: int) -> bytes | None:
        if lifetime < self._lifetime:
            fault = f"too short credential lifetime: {lifetime} < {self._lifetime}"
            return self._end(Status.BAD_CREDENTIALS, "BAD_CLIENT_CREDENTIALS", fault)
        self._emit("TKEY_EXCHANGE_VALID", lifetime)
        if reply is None or reply.tsig is None:
            return self._end(Status.UNSIGNED_RESPONSE, "TKEY_EXCHANGE_FAIL_NOT_SIGNED")
        try:
            name = self._name.lower()
            tsig = check_record(reply.tsig, name, GSS_TSIG, wall)
            signed = signed_by_reply(b"", message, tsig, identity_of(name, GSS_TSIG))
            self.context.verify_mic(signed[_NO_LENGTH:], tsig.mac)
        except (GssError, ReplyError) as error:
            self.problem = f"the server's answer is not signed rightly: {error}"
            if isinstance(error, GssError):
                self._emit("GSS_TSIG_VERIFY_FAILED", error)
            return self._end(Status.UNSIGNED_RESPONSE, "TKEY_EXCHANGE_FAILED_TO_VERIFY")
        self._emit("GSS_TSIG_VERIFIED")
        self._emit("TKEY_EXCHANGE_VERIFIED")
        self._count("tkey-success")
        self.status = Status.SUCCESS
        return None

    def _read(self, message: bytes) -> TkeyReply | None:
        """Return the server's answer; None when it has no token. That is logged in Kea's order."""
        emit = self._emit
        if not message:
            return self._unfit("the response is empty", "TKEY_EXCHANGE_FAIL_EMPTY_RESPONSE")
        emit("TKEY_EXCHANGE_RECEIVE_MESSAGE", len(message))
        try:
            reply = parse_tkey_reply(message)
        except ReplyError as error:
            fault = f"the response is malformed: {error}"
            return self._unfit(fault, "TKEY_EXCHANGE_FAIL_RESPONSE_ERROR", error)
        if not reply.is_response:
            emit("TKEY_EXCHANGE_NOT_A_RESPONSE")
        if reply.rcode:
            text = rcode_text(reply.rcode)
            return self._unfit(f"the server answers {text}", "TKEY_EXCHANGE_FAIL_RESPONSE_ERROR", text)
        if reply.opcode != Opcode.QUERY:
            fault = "the response has another opcode"
            return self._unfit(fault, "TKEY_EXCHANGE_FAIL_WRONG_RESPONSE_OPCODE", _opcode_text(reply.opcode))
        if reply.answers != 1:
            fault = f"the response has {reply.answers} answers"
            if is_truncated(message):
                fault = "the response does not fit into a datagram: set tkey-protocol TCP"
            return self._unfit(fault, "TKEY_EXCHANGE_FAIL_WRONG_RESPONSE_ANSWER_COUNT", reply.answers)
        if reply.answer_class != RRClass.ANY:
            emit("TKEY_EXCHANGE_ANSWER_CLASS", _class_text(reply.answer_class))
        if reply.answer_type != RRType.TKEY:
            text = _TYPES.get(reply.answer_type, f"TYPE{reply.answer_type}")
            fault = f"the response has a record of type {text}"
            return self._unfit(fault, "TKEY_EXCHANGE_FAIL_WRONG_RESPONSE_ANSWER_TYPE", text)
        if reply.answer_ttl:
            emit("TKEY_EXCHANGE_RESPONSE_TTL", reply.answer_ttl)
        if not reply.has_data:
            emit("TKEY_EXCHANGE_RDATA_COUNT", 0)
            return self._unfit("the TKEY record is empty", "TKEY_EXCHANGE_FAIL_NO_RDATA")
        if reply.error:
            fault = f"the server answers with the TKEY error {_tkey_error(reply.error)}"
            return self._unfit(fault, "TKEY_EXCHANGE_FAIL_TKEY_ERROR", reply.error)
        return reply

    def _unfit(self, problem: str, message_id: str, *arguments: object) -> TkeyReply | None:
        """Say what is wrong with an answer; return that it has no token."""
        self.problem = problem
        self._emit(message_id, *arguments)
        return None


def _opcode_text(number: int) -> str:
    names = ("QUERY", "IQUERY", "STATUS", "RESERVED3", "NOTIFY", "UPDATE")
    return names[number] if number < len(names) else f"RESERVED{number}"


def _class_text(number: int) -> str:
    return RRClass(number).name if number in RRClass.__members__.values() else f"CLASS{number}"


def _tkey_error(error: int) -> str:
    names = {16: "BADSIG", 17: "BADKEY", 18: "BADTIME", 19: "BADMODE", 20: "BADNAME", 21: "BADALG"}
    return names.get(error, str(error))
