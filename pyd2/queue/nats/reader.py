"""Reads a stream in order, from a sequence on, without acknowledging anything.

JetStream keeps a consumer for the reader, in the memory of one server. When that is lost, or a message on its
way, the reader says so, and its user opens another one behind the last message that it has got.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING, Final, Self

import orjson

from pyd2.queue.nats.errors import NatsError, NoAnswerError, ProtocolError
from pyd2.queue.nats.jetstream import API_SECONDS, Stored
from pyd2.queue.nats.parser import read_header

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pyd2.queue.nats.jetstream import JetStream
    from pyd2.queue.nats.parser import Message

PULL: Final = 32
"""Messages that JetStream may send ahead."""
PULL_SECONDS: Final = 5.0
"""After so long without messages JetStream says that there are none."""
HEARTBEAT_SECONDS: Final = 0.25
"""How often JetStream says that there is nothing new."""
DEADLINE_SECONDS: Final = 1.0
"""When JetStream has said nothing for so long, the consumer is lost: with its server, for example."""
_IDLE_SECONDS: Final = 30
"""JetStream removes a consumer that was asked for nothing for so long."""

_HEARTBEAT: Final = 100
_NONE_CAME: Final = (404, 408)
"""The pull is over, and the consumer is still good."""


class ReaderError(NatsError):
    """The reader is of no further use; what it has returned is in order and complete."""


class Reader:
    """``read`` returns the messages as they come. It reads ahead by one pull at most."""

    def __init__(self, jetstream: JetStream, stream: str, consumer: str, pending: int) -> None:
        self._connection = jetstream.connection
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._inbox = self._connection.new_inbox()
        self._loop = asyncio.get_running_loop()
        self._arrived: list[Stored] = []
        self._fault = ""
        self._pending = pending
        """Messages that have not come yet, as JetStream said last."""
        self._delivered = 0
        """How many messages have come."""
        self._left = 0
        """How many more the present pull may bring."""
        self._deadline: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        self._sid = self._connection.subscribe(self._inbox, self._receive)
        self._connection.ended.add_done_callback(self._disconnected)

    @classmethod
    async def open(
        cls, jetstream: JetStream, stream: str, after: int, seconds: float = API_SECONDS
    ) -> Self:
        """Return a reader of the messages behind a sequence, in so many seconds. Raises as JetStream does."""
        name = f"pyd2-{os.urandom(8).hex()}"
        pending = await jetstream.create_consumer(stream, {
            "name": name, "deliver_policy": "by_start_sequence", "opt_start_seq": after + 1,
            "ack_policy": "none", "mem_storage": True, "num_replicas": 1,
            "inactive_threshold": _IDLE_SECONDS * 10**9,
        }, seconds)  # fmt: skip
        return cls(jetstream, stream, name, pending)

    @property
    def more(self) -> int:
        """How many messages are there that ``read`` has not returned."""
        return self._pending + len(self._arrived)

    async def read(self, seconds: float) -> list[Stored]:
        """Return the messages that have come, in order; wait for the first one. Empty: none came in time.

        Raises ReaderError, but first all is returned that came before the fault.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._arrived and not self._fault:
                    self._pull()
                    self._changed.clear()
                    await self._changed.wait()
        messages, self._arrived = self._arrived, []
        if not messages and self._fault:
            raise ReaderError(self._fault)
        self._pull()
        return messages

    def close(self) -> None:
        """End it. JetStream removes the consumer by itself."""
        self._connection.ended.remove_done_callback(self._disconnected)
        self._fail("it is closed")

    def _pull(self) -> None:
        """Ask for more messages, unless that was done."""
        if self._left or self._fault:
            return
        body = orjson.dumps({
            "batch": PULL, "expires": int(PULL_SECONDS * 10**9),
            "idle_heartbeat": int(HEARTBEAT_SECONDS * 10**9),
        })  # fmt: skip
        try:
            self._connection.publish(self._subject, body, reply=self._inbox)
        except NoAnswerError as error:
            self._fail(str(error))
            return
        self._left = PULL
        self._set_deadline()

    def _set_deadline(self) -> None:
        self._end_deadline()
        reason = f"{self._subject} has not been answered"
        self._deadline = self._loop.call_later(DEADLINE_SECONDS, self._fail, reason)

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _receive(self, message: Message) -> None:
        try:
            if message.reply:
                self._deliver(message)
            else:
                self._hear(message)
        except ProtocolError as error:
            self._fail(str(error))

    def _deliver(self, message: Message) -> None:
        sequence, delivered, self._pending = _read_numbers(message.reply)
        if delivered != self._delivered + 1:
            raise ProtocolError(f"message {self._delivered + 1} of {self._subject} is missing")
        self._delivered = delivered
        self._left -= 1
        if self._left:
            self._set_deadline()
        else:
            self._end_deadline()
        self._arrived.append(Stored(message.subject, sequence, message.header, message.payload))
        self._changed.set()

    def _hear(self, message: Message) -> None:
        """Read what JetStream says about a pull."""
        header = read_header(message.header)
        if header.status == _HEARTBEAT:
            if self._left:  # else it is of a pull that is over
                self._set_deadline()
            return
        if header.status not in _NONE_CAME:
            raise ProtocolError(f"{self._subject} was answered by: {header.status} {header.text}")
        self._left = 0
        self._end_deadline()
        self._changed.set()

    def _disconnected(self, ended: asyncio.Future[str]) -> None:
        self._fail(ended.result())

    def _fail(self, reason: str) -> None:
        if not self._fault:
            self._fault = reason
            self._end_deadline()
            self._connection.unsubscribe(self._sid)
            self._changed.set()


async def read_all(
    jetstream: JetStream, stream: str, after: int = 0, seconds: float = API_SECONDS
) -> AsyncIterator[Stored]:
    """Yield the messages behind a sequence that are there now, in order; see ``open``. Raises NatsError."""
    reader = await Reader.open(jetstream, stream, after, seconds)
    try:
        while reader.more:
            messages = await reader.read(API_SECONDS)
            if not messages:
                raise NoAnswerError(f"no messages of {stream} have come for {API_SECONDS:g} s")
            for message in messages:
                yield message
    finally:
        reader.close()


def _read_numbers(reply: str) -> tuple[int, int, int]:
    """Return a message's sequence in its stream, which one of its consumer it is, and how many are behind it.

    They are in the subject for its acknowledgement, which has two tokens more if it names domain and account.
    """
    words = reply.split(".")
    place = 5 if len(words) == 9 else 7
    numbers = [*words[place : place + 2], *words[place + 3 : place + 4]]
    if words[:2] != ["$JS", "ACK"] or len(numbers) < 3 or not all(number.isdecimal() for number in numbers):
        raise ProtocolError(f"a message of a stream has the reply subject {reply!r}")
    return int(numbers[0]), int(numbers[1]), int(numbers[2])
