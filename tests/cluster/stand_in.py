"""Servers of NATS elsewhere, played, for times only: ``python -m tests.cluster.stand_in PORT MILLISECONDS``.

Real servers take processors and disks of the machine on which the rest is measured. This takes next to
nothing: it keeps messages in memory, and answers each write so many milliseconds later, one after the other
for each stream, as servers do that have it written to the disk message by message. It knows what a receiver
and an owner ask in good times, and nothing else. What it shows is what pyd2 itself takes; whether pyd2 is
right, only real servers show.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import uvloop

if TYPE_CHECKING:
    from collections.abc import Callable

_CRLF: Final = b"\r\n"
_INFO: Final = b'INFO {"server_id":"X","version":"2.10.27","headers":true,"max_payload":1048576}\r\n'
_HEARTBEAT: Final = b"NATS/1.0 100 Idle Heartbeat\r\n\r\n"
_TIMEOUT: Final = b"NATS/1.0 408 Request Timeout\r\n\r\n"
_NO_MESSAGE: Final = {"error": {"code": 404, "err_code": 10037, "description": "no message found"}}
_WRONG_SEQUENCE: Final = {"error": {"code": 400, "err_code": 10071, "description": "wrong last sequence"}}


class _Message(NamedTuple):
    subject: str
    header: bytes
    payload: bytes


class _Stream:
    """A stream: its messages by their sequences."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.messages: dict[int, _Message] = {}
        self.last = 0
        self.free_at = 0.0
        """When the write before is on the disk that is played."""
        self.consumers: dict[str, _Consumer] = {}

    def state(self) -> dict[str, int]:
        octets = sum(len(message.payload) for message in self.messages.values())
        first = next(iter(self.messages), self.last + 1)
        return {"messages": len(self.messages), "bytes": octets, "first_seq": first, "last_seq": self.last}

    def add(self, message: _Message) -> dict[str, Any]:
        for line in message.header.split(_CRLF):
            name, _, value = line.partition(b": ")
            if name == b"Nats-Expected-Last-Sequence" and int(value) != self.last:
                return _WRONG_SEQUENCE
        self.last += 1
        if self.name.startswith("PYD2-OWN"):  # it keeps the last one of each subject
            for sequence in [one for one, old in self.messages.items() if old.subject == message.subject]:
                del self.messages[sequence]
        self.messages[self.last] = message
        return {"stream": self.name, "seq": self.last}

    def find(self, which: dict[str, Any]) -> int | None:
        if "last_by_subj" in which:
            wanted = which["last_by_subj"]
            return max((one for one, old in self.messages.items() if old.subject == wanted), default=None)
        if "next_by_subj" in which:
            return min((one for one in self.messages if one >= which["seq"]), default=None)
        return which["seq"] if which["seq"] in self.messages else None


class _Consumer:
    """Delivers the messages behind a sequence, as many as it was asked for."""

    def __init__(self, stream: _Stream, name: str, first: int) -> None:
        self._stream = stream
        self._name = name
        self._next = first
        self._delivered = 0
        self._asked = 0
        self._inbox = ""
        self._client: Client | None = None
        self._timers: list[asyncio.TimerHandle] = []

    def ask(self, client: Client, inbox: str, pull: dict[str, int]) -> None:
        self._client, self._inbox, self._asked = client, inbox, pull["batch"]
        for timer in self._timers:
            timer.cancel()
        loop, seconds = asyncio.get_running_loop(), pull["idle_heartbeat"] / 1e9
        self._timers = [loop.call_later(pull["expires"] / 1e9, self._expire),
                        loop.call_later(seconds, self._beat, seconds)]
        self.deliver()

    def _beat(self, seconds: float) -> None:
        if self._asked:
            self._say(_HEARTBEAT)
            self._timers[1] = asyncio.get_running_loop().call_later(seconds, self._beat, seconds)

    def _expire(self) -> None:
        if self._asked:
            self._asked = 0
            self._say(_TIMEOUT)

    def _say(self, header: bytes) -> None:
        assert self._client is not None
        self._client.send(self._inbox, "", header, b"")

    def deliver(self) -> None:
        while self._asked and self._client is not None and self._next <= self._stream.last:
            message = self._stream.messages.get(self._next)
            if message is not None:
                self._asked -= 1
                self._delivered += 1
                numbers = f"1.{self._next}.{self._delivered}.0.{self._stream.last - self._next}"
                reply = f"$JS.ACK.{self._stream.name}.{self._name}.{numbers}"
                self._client.send(self._inbox, reply, message.header, message.payload, message.subject)
            self._next += 1


class Streams:
    """The streams of all clients; ``seconds`` is what a write takes."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._streams: dict[str, _Stream] = {}

    def stream(self, name: str) -> _Stream:
        return self._streams.setdefault(name, _Stream(name))

    def publish(self, message: _Message, answer: Callable[[object], None]) -> None:
        words = message.subject.split(".")
        stream = self.stream(f"PYD2-{words[1].upper()}-{words[2]}-{words[3]}")
        loop = asyncio.get_running_loop()
        stream.free_at = max(stream.free_at, loop.time()) + self._seconds

        def written() -> None:
            answer(stream.add(message))
            for consumer in stream.consumers.values():
                consumer.deliver()

        loop.call_at(stream.free_at, written)

    def call(self, client: Client, subject: str, body: dict[str, Any], reply: str) -> object:
        """Carry out a call of JetStream; return its answer, or None if that is no message of its own."""
        kind, _, rest = subject.removeprefix("$JS.API.").partition("PYD2-")
        name, _, consumer = f"PYD2-{rest}".partition(".")
        stream = self.stream(name)
        if kind == "STREAM.INFO.":
            return {"state": stream.state()}
        if kind == "STREAM.MSG.GET.":
            found = stream.find(body)
            return _NO_MESSAGE if found is None else {"message": _shown(found, stream.messages[found])}
        if kind == "STREAM.PURGE.":
            for sequence in [one for one in stream.messages if one < body["seq"]]:
                del stream.messages[sequence]
            return {"success": True}
        if kind == "CONSUMER.CREATE.":
            first = body["config"]["opt_start_seq"]
            stream.consumers = {consumer: _Consumer(stream, consumer, first)}
            return {"num_pending": sum(one >= first for one in stream.messages)}
        assert kind == "CONSUMER.MSG.NEXT.", subject
        if consumer in stream.consumers:
            stream.consumers[consumer].ask(client, reply, body)
        return None


def _shown(sequence: int, message: _Message) -> dict[str, object]:
    return {"subject": message.subject, "seq": sequence, "hdrs": base64.b64encode(message.header).decode(),
            "data": base64.b64encode(message.payload).decode()}


class Client(asyncio.Protocol):
    """A connection."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._buffer = bytearray()
        self._subscribed: dict[str, int] = {}
        self._head: list[bytes] | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(_INFO)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._step():
            pass

    def _step(self) -> bool:
        if self._head is None:
            line, end, _ = self._buffer.partition(_CRLF)
            if not end:
                return False
            del self._buffer[: len(line) + len(end)]
            self._command(bytes(line).split(b" "))
            return True
        size = int(self._head[-1])
        if len(self._buffer) < size + len(_CRLF):
            return False
        words, self._head = self._head, None
        header_size = int(words[-2]) if words[0] == b"HPUB" else 0
        header, payload = bytes(self._buffer[:header_size]), bytes(self._buffer[header_size:size])
        del self._buffer[: size + len(_CRLF)]
        subject = words[1].decode()
        reply = words[2].decode() if len(words) == (5 if header_size else 4) else ""
        self._published(subject, reply, header, payload)
        return True

    def _command(self, words: list[bytes]) -> None:
        if words[0] in (b"PUB", b"HPUB"):
            self._head = words
        elif words[0] == b"SUB":
            self._subscribed[words[1].decode()] = int(words[2])
        elif words[0] == b"PING":
            self._transport.write(b"PONG\r\n")

    def _published(self, subject: str, reply: str, header: bytes, payload: bytes) -> None:
        def answer(value: object) -> None:
            self.send(reply, "", b"", json.dumps(value).encode())

        if subject.startswith("$JS.API."):
            body = json.loads(payload) if payload else {}
            answered = self._streams.call(self, subject, body, reply)
            if answered is not None:
                answer(answered)
        else:
            self._streams.publish(_Message(subject, header, payload), answer)

    def send(self, to: str, reply: str, header: bytes, payload: bytes, subject: str = "") -> None:
        """Send a message to a subscription."""
        sid = self._subscribed.get(to) or self._subscribed.get(f"{to.rpartition('.')[0]}.*")
        if sid is None or self._transport.is_closing():
            return
        words = [subject or to, str(sid), *([reply] if reply else [])]
        sizes = f"{len(header)} {len(header) + len(payload)}" if header else str(len(payload))
        head = f"{'HMSG' if header else 'MSG'} {' '.join(words)} {sizes}\r\n".encode()
        self._transport.write(b"".join((head, header, payload, _CRLF)))


async def serve(port: int, milliseconds: float) -> None:
    """Answer until this is cancelled."""
    streams = Streams(milliseconds / 1000)
    server = await asyncio.get_running_loop().create_server(lambda: Client(streams), "127.0.0.1", port)
    print("it listens", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), float(sys.argv[2])))
