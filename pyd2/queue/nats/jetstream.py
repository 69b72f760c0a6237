"""The calls of JetStream that a queue needs (docs.nats.io, "JetStream wire API Reference").

Each raises NoAnswerError when it is not known whether it was carried out, ApiError when it was refused, and
RefusedError when the client has no right to it.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from pyd2.queue.nats.commands import write_header
from pyd2.queue.nats.errors import ApiError, ProtocolError, WrongSequenceError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyd2.queue.nats.connection import Connection

API_SECONDS: Final = 5.0
"""How long an answer may take: a cluster may have to choose a leader first."""

_NO_MESSAGE: Final = 10037
_NOT_DELETED: Final = 10057
_NO_STREAM: Final = 10059
_WRONG_SEQUENCE: Final = frozenset({10071, 10164})


class Stored(NamedTuple):
    """A message of a stream."""

    subject: str
    sequence: int
    """Its place in the stream, from 1."""
    header: bytes
    """For ``read_header``; empty: none."""
    payload: bytes


class StreamState(NamedTuple):
    """What a stream holds."""

    messages: int
    octets: int
    first: int
    """The sequence of its first message; if it has none, of the next one."""
    last: int
    """The sequence of the last message that it has had; 0: none yet."""


class JetStream:
    """The calls over one connection."""

    def __init__(self, connection: Connection) -> None:
        self.connection: Final = connection

    async def publish(
        self, subject: str, payload: bytes, fields: Mapping[str, str], *, seconds: float
    ) -> int:
        """Add a message to the stream of its subject; return its sequence. It is safe then.

        ``fields`` are those of its header. With ``Nats-Expected-Last-Sequence`` it is added only if the last
        sequence of the stream is this one, with ``Nats-Expected-Last-Subject-Sequence`` only if that of the
        subject is: else raises WrongSequenceError.
        """
        answer = await self._ask(subject, payload, seconds, write_header(fields) if fields else b"")
        sequence = answer.get("seq")
        # A message that is a duplicate by its ID may be nowhere.
        if not isinstance(sequence, int) or sequence < 1 or answer.get("duplicate"):
            raise ProtocolError(f"the answer to {subject} does not say that the message is stored: {answer}")
        return sequence

    async def create_stream(self, config: Mapping[str, object]) -> None:
        """Make a stream; one that is there with the same configuration stays as it is."""
        await self._call(f"STREAM.CREATE.{config['name']}", config)

    async def stream_state(self, stream: str) -> StreamState | None:
        """Return what a stream holds; None if there is no such stream."""
        try:
            state = (await self._call(f"STREAM.INFO.{stream}"))["state"]
            names = ("messages", "bytes", "first_seq", "last_seq")
            return StreamState(*[_number(state[name]) for name in names])
        except ApiError as error:
            if error.number == _NO_STREAM:
                return None
            raise
        except (KeyError, TypeError) as error:
            raise ProtocolError(f"the state of {stream} has another form than expected: {error!r}") from error

    async def message(self, stream: str, sequence: int) -> Stored | None:
        """Return the message with a sequence, from the stream's leader; None if it is not there."""
        return await self._message(stream, {"seq": sequence})

    async def last_message(self, stream: str, subject: str) -> Stored | None:
        """Return the last message with a subject, from the stream's leader; None if there is none."""
        return await self._message(stream, {"last_by_subj": subject})

    async def first_message(self, stream: str, seconds: float) -> Stored | None:
        """Return the first message that is there, from the stream's leader; None if there is none."""
        return await self._message(stream, {"seq": 1, "next_by_subj": ">"}, seconds)

    async def purge(self, stream: str, up_to: int, subject: str = "") -> None:
        """Remove the messages up to a sequence, that one included; 0: none. ``subject``: only of this one."""
        # JetStream purges below the sequence that it gets, and takes 0 for all messages.
        if up_to > 0:
            which = {"filter": subject} if subject else {}
            await self._call(f"STREAM.PURGE.{stream}", {"seq": up_to + 1, **which})

    async def delete(self, stream: str, sequence: int) -> bool:
        """Remove a message; return whether it was there."""
        try:
            await self._call(f"STREAM.MSG.DELETE.{stream}", {"seq": sequence})
        except ApiError as error:
            if error.number == _NOT_DELETED:
                return False
            raise
        return True

    async def create_consumer(
        self, stream: str, config: Mapping[str, object], seconds: float = API_SECONDS
    ) -> int:
        """Make a consumer; return how many messages are there for it."""
        body = {"stream_name": stream, "config": config}
        answer = await self._call(f"CONSUMER.CREATE.{stream}.{config['name']}", body, seconds)
        try:
            return _number(answer["num_pending"])
        except (KeyError, TypeError) as error:
            text = f"a consumer of {stream} has another form than expected: {error!r}"
            raise ProtocolError(text) from error

    async def _message(
        self, stream: str, which: Mapping[str, object], seconds: float = API_SECONDS
    ) -> Stored | None:
        try:
            message = (await self._call(f"STREAM.MSG.GET.{stream}", which, seconds))["message"]
            header, payload = message.get("hdrs", ""), message.get("data", "")
            return Stored(
                str(message["subject"]), _number(message["seq"]),
                base64.b64decode(header, validate=True), base64.b64decode(payload, validate=True),
            )  # fmt: skip
        except ApiError as error:
            if error.number == _NO_MESSAGE:
                return None
            raise
        except (KeyError, TypeError, AttributeError, binascii.Error) as error:
            raise ProtocolError(f"a message of {stream} has another form than expected: {error!r}") from error

    async def _call(
        self, name: str, body: Mapping[str, object] | None = None, seconds: float = API_SECONDS
    ) -> dict[str, Any]:
        payload = b"" if body is None else orjson.dumps(body)
        return await self._ask(f"$JS.API.{name}", payload, seconds)

    async def _ask(self, subject: str, payload: bytes, seconds: float, header: bytes = b"") -> dict[str, Any]:
        message = await self.connection.request(subject, payload, seconds=seconds, header=header)
        try:
            answer = orjson.loads(message.payload)
        except orjson.JSONDecodeError as error:
            raise ProtocolError(f"the answer to {subject} is not JSON: {error}") from error
        if not isinstance(answer, dict):
            raise ProtocolError(f"the answer to {subject} is no JSON object")
        refusal = answer.get("error")
        if refusal is not None:
            fields = refusal if isinstance(refusal, dict) else {}
            number, why = fields.get("err_code", 0), fields.get("description", refusal)
            kind = WrongSequenceError if number in _WRONG_SEQUENCE else ApiError
            raise kind(f"JetStream refuses {subject}: {why} ({number})", number)
        return answer


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(value)
    return value
