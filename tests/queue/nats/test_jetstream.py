"""The calls of JetStream, on a real server: what is stored, read in order, refused."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from pyd2.queue.nats import reader as reader_module
from pyd2.queue.nats.errors import ApiError, NoAnswerError, ProtocolError, WrongSequenceError
from pyd2.queue.nats.jetstream import JetStream, Stored, StreamState
from pyd2.queue.nats.parser import read_header
from pyd2.queue.nats.reader import PULL, Reader, ReaderError
from tests.kit.nats_servers import NatsServer, nats_servers
from tests.queue.nats.played import TIMEOUT, Peer, connected, of_real, played

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

STREAM = "S"


@pytest.fixture(scope="module")
def server() -> Iterator[NatsServer]:
    with nats_servers() as (one,):
        yield one


def config(**more: object) -> dict[str, object]:
    return {"name": STREAM, "subjects": ["s.>"], "storage": "file", "num_replicas": 1, **more}


def on_stream(server: NatsServer, scenario: Callable[[JetStream], Awaitable[None]], **more: object) -> None:
    """Run a scenario with an empty stream of its own."""
    async def run() -> None:
        async with connected(of_real(server)) as connection:
            jetstream = JetStream(connection)
            await jetstream.create_stream(config(**more))
            try:
                await scenario(jetstream)
            finally:
                await connection.request(f"$JS.API.STREAM.DELETE.{STREAM}", seconds=TIMEOUT)

    asyncio.run(run())


async def put(jetstream: JetStream, count: int, subject: str = "s.a") -> list[int]:
    """Store some messages, whose payloads are their numbers; return their sequences."""
    return [await jetstream.publish(subject, b"%d" % number, {}, seconds=TIMEOUT) for number in range(count)]


def sequences(messages: Sequence[Stored]) -> list[int]:
    return [message.sequence for message in messages]


async def read_all(reader: Reader, count: int) -> list[Stored]:
    """Return so many messages."""
    messages: list[Stored] = []
    while len(messages) < count:
        some = await reader.read(TIMEOUT)
        assert some
        messages += some
    return messages


@pytest.mark.peers
def test_messages_are_stored_with_their_headers_and_found(server: NatsServer) -> None:
    async def scenario(jetstream: JetStream) -> None:
        assert await jetstream.stream_state(STREAM) == StreamState(0, 0, 0, 0)
        assert await jetstream.publish("s.a", b"1", {"Pyd2-Format": "1"}, seconds=TIMEOUT) == 1
        assert await jetstream.publish("s.b", b"", {}, seconds=TIMEOUT) == 2
        first = await jetstream.message(STREAM, 1)
        assert first is not None
        assert (first.subject, first.sequence, first.payload) == ("s.a", 1, b"1")
        assert read_header(first.header).fields == {"Pyd2-Format": "1"}
        assert await jetstream.last_message(STREAM, "s.b") == Stored("s.b", 2, b"", b"")
        assert await jetstream.last_message(STREAM, "s.c") is None
        assert await jetstream.message(STREAM, 3) is None
        state = await jetstream.stream_state(STREAM)
        assert state is not None
        assert (state.messages, state.first, state.last) == (2, 1, 2)
        assert await jetstream.stream_state("T") is None

    on_stream(server, scenario)


@pytest.mark.peers
def test_a_write_names_the_last_sequence_of_its_stream(server: NatsServer) -> None:
    async def scenario(jetstream: JetStream) -> None:
        async def write(expected: int) -> int:
            fields = {"Nats-Expected-Last-Sequence": str(expected)}
            return await jetstream.publish("s.a", b"x", fields, seconds=TIMEOUT)

        assert await write(0) == 1
        with pytest.raises(WrongSequenceError):
            await write(0)
        assert await write(1) == 2
        assert await jetstream.publish("s.b", b"y", {}, seconds=TIMEOUT) == 3
        with pytest.raises(WrongSequenceError):
            await write(2)
        assert sequences(await read_all(await Reader.open(jetstream, STREAM, 0), 3)) == [1, 2, 3]

    on_stream(server, scenario)


@pytest.mark.peers
def test_of_many_writers_at_once_each_sequence_has_one(server: NatsServer) -> None:
    async def scenario(jetstream: JetStream) -> None:
        async with connected(of_real(server)) as other:
            won = 0
            for expected in range(10):
                fields = {"Nats-Expected-Last-Sequence": str(expected)}
                writes = [one.publish("s.a", b"", fields, seconds=TIMEOUT)
                          for one in (jetstream, JetStream(other)) for _ in range(5)]
                outcomes = await asyncio.gather(*writes, return_exceptions=True)
                won += outcomes.count(expected + 1)
                assert sum(isinstance(outcome, WrongSequenceError) for outcome in outcomes) == 9
            assert won == 10

    on_stream(server, scenario)


@pytest.mark.peers
def test_a_purge_removes_up_to_a_sequence_and_a_late_one_does_no_harm(server: NatsServer) -> None:
    async def scenario(jetstream: JetStream) -> None:
        await put(jetstream, 10)
        await jetstream.purge(STREAM, 6)
        await jetstream.purge(STREAM, 3)
        await jetstream.purge(STREAM, 0)
        state = await jetstream.stream_state(STREAM)
        assert state is not None
        assert (state.messages, state.first, state.last) == (4, 7, 10)
        await jetstream.purge(STREAM, 10)
        state = await jetstream.stream_state(STREAM)
        assert state is not None
        assert (state.messages, state.first, state.last) == (0, 11, 10)
        assert await put(jetstream, 1) == [11]

    on_stream(server, scenario)


@pytest.mark.peers
def test_a_reader_begins_behind_a_sequence_and_gets_what_comes(server: NatsServer) -> None:
    async def scenario(jetstream: JetStream) -> None:
        await put(jetstream, 3 * PULL)
        reader = await Reader.open(jetstream, STREAM, 5)
        assert sequences(await read_all(reader, 3 * PULL - 5)) == list(range(6, 3 * PULL + 1))
        assert await reader.read(0.01) == []
        waiting = asyncio.ensure_future(reader.read(TIMEOUT))
        await put(jetstream, 1)
        assert sequences(await waiting) == [3 * PULL + 1]
        reader.close()

    on_stream(server, scenario)


@pytest.mark.peers
def test_a_reader_begins_at_the_first_message_when_earlier_ones_are_purged(server: NatsServer) -> None:
    async def scenario(jetstream: JetStream) -> None:
        await put(jetstream, 10)
        await jetstream.purge(STREAM, 7)
        reader = await Reader.open(jetstream, STREAM, 2)
        assert sequences(await read_all(reader, 3)) == [8, 9, 10]
        reader.close()

    on_stream(server, scenario)


@pytest.mark.peers
def test_a_reader_goes_on_when_nothing_came_for_a_whole_pull(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "PULL_SECONDS", 0.05)
    monkeypatch.setattr(reader_module, "HEARTBEAT_SECONDS", 0.02)

    async def scenario(jetstream: JetStream) -> None:
        reader = await Reader.open(jetstream, STREAM, 0)
        assert await reader.read(0.3) == []  # some pulls end meanwhile
        await put(jetstream, 1)
        assert sequences(await reader.read(TIMEOUT)) == [1]
        reader.close()

    on_stream(server, scenario)


@pytest.mark.peers
def test_a_reader_says_when_its_consumer_is_gone(server: NatsServer) -> None:
    async def scenario(jetstream: JetStream) -> None:
        await put(jetstream, 1)
        reader = await Reader.open(jetstream, STREAM, 0)
        assert sequences(await reader.read(TIMEOUT)) == [1]
        listed = json.loads((await jetstream.connection.request(
            f"$JS.API.CONSUMER.NAMES.{STREAM}", seconds=TIMEOUT)).payload)
        (name,) = listed["consumers"]
        await jetstream.connection.request(f"$JS.API.CONSUMER.DELETE.{STREAM}.{name}", seconds=TIMEOUT)
        with pytest.raises(ReaderError, match="was answered by: 409 Consumer Deleted"):
            await reader.read(TIMEOUT)

    on_stream(server, scenario)


@pytest.mark.peers
def test_a_reader_says_when_its_connection_has_ended(server: NatsServer) -> None:
    async def scenario(jetstream: JetStream) -> None:
        await put(jetstream, 1)
        async with connected(of_real(server)) as other:
            reader = await Reader.open(JetStream(other), STREAM, 0)
            assert sequences(await reader.read(TIMEOUT)) == [1]
            waiting = asyncio.ensure_future(reader.read(TIMEOUT))
            await asyncio.sleep(0)
            other.end("cut")
            with pytest.raises(ReaderError, match="cut"):
                await waiting
            with pytest.raises(NoAnswerError):
                await Reader.open(JetStream(other), STREAM, 0)

    on_stream(server, scenario)


@pytest.mark.peers
def test_a_full_stream_refuses_and_keeps_what_it_has(server: NatsServer) -> None:
    async def scenario(jetstream: JetStream) -> None:
        await put(jetstream, 3)
        with pytest.raises(ApiError, match="maximum messages exceeded") as caught:
            await put(jetstream, 1)
        assert caught.value.number == 10077
        with pytest.raises(ApiError, match="message size exceeds maximum allowed") as caught:
            await jetstream.publish("s.a", bytes(101), {}, seconds=TIMEOUT)
        assert caught.value.number == 10054
        await jetstream.purge(STREAM, 1)
        assert await put(jetstream, 1) == [4]

    on_stream(server, scenario, max_msgs=3, discard="new", max_msg_size=100)


@pytest.mark.peers
def test_a_stream_is_made_once(server: NatsServer) -> None:
    async def scenario(jetstream: JetStream) -> None:
        await put(jetstream, 1)
        await jetstream.create_stream(config())
        with pytest.raises(ApiError, match="different configuration"):
            await jetstream.create_stream(config(max_msgs=5))
        state = await jetstream.stream_state(STREAM)
        assert state is not None
        assert state.messages == 1

    on_stream(server, scenario)


@pytest.mark.peers
def test_a_message_that_is_a_duplicate_by_its_id_does_not_count_as_stored(server: NatsServer) -> None:
    async def scenario(jetstream: JetStream) -> None:
        same = {"Nats-Msg-Id": "x"}
        assert await jetstream.publish("s.a", b"", same, seconds=TIMEOUT) == 1
        with pytest.raises(ProtocolError, match="does not say that the message is stored"):
            await jetstream.publish("s.a", b"", same, seconds=TIMEOUT)

    on_stream(server, scenario)


@pytest.mark.peers
def test_without_a_stream_nothing_is_stored(server: NatsServer) -> None:
    async def scenario() -> None:
        async with connected(of_real(server)) as connection:
            with pytest.raises(NoAnswerError, match="nothing that serves nowhere"):
                await JetStream(connection).publish("nowhere", b"", {}, seconds=TIMEOUT)

    asyncio.run(scenario())


# Answers that no JetStream should give.

@pytest.mark.parametrize(("answer", "fault"), [
    (b"nonsense", "is not JSON"),
    (b"[]", "is no JSON object"),
    (b"{}", "does not say that the message is stored"),
    (b'{"stream":"S","seq":0}', "does not say that the message is stored"),
    (b'{"stream":"S","seq":"1"}', "does not say that the message is stored"),
    (b'{"stream":"S","seq":0,"duplicate":true}', "does not say that the message is stored"),
])
def test_an_answer_counts_only_if_it_has_a_sequence(answer: bytes, fault: str) -> None:
    async def ask(jetstream: JetStream) -> None:
        with pytest.raises(ProtocolError, match=fault):
            await jetstream.publish("s.a", b"", {"A": "b"}, seconds=TIMEOUT)

    answered_by(answer, ask)


@pytest.mark.parametrize("answer", [
    b"{}", b'{"message":1}', b'{"message":{"subject":"s","seq":"x"}}',
    b'{"message":{"subject":"s","seq":1,"data":"!"}}',
])
def test_a_message_of_another_form_is_refused(answer: bytes) -> None:
    async def ask(jetstream: JetStream) -> None:
        with pytest.raises(ProtocolError, match="another form than expected"):
            await jetstream.message(STREAM, 1)

    answered_by(answer, ask)


@pytest.mark.parametrize("answer", [b"{}", b'{"state":[]}', b'{"state":{"messages":null}}'])
def test_a_state_of_another_form_is_refused(answer: bytes) -> None:
    async def ask(jetstream: JetStream) -> None:
        with pytest.raises(ProtocolError, match="another form than expected"):
            await jetstream.stream_state(STREAM)

    answered_by(answer, ask)


@pytest.mark.parametrize(("answer", "kind"), [
    (b'{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 4"}}', WrongSequenceError),
    (b'{"error":{"code":400,"err_code":10164,"description":"wrong last sequence"}}', WrongSequenceError),
    (b'{"error":{"code":503,"err_code":10077,"description":"full"}}', ApiError),
    (b'{"error":"odd"}', ApiError),
])
def test_a_refusal_has_its_kind(answer: bytes, kind: type[ApiError]) -> None:
    async def ask(jetstream: JetStream) -> None:
        with pytest.raises(ApiError) as caught:
            await jetstream.publish("s.a", b"", {}, seconds=TIMEOUT)
        assert type(caught.value) is kind

    answered_by(answer, ask)


def answered_by(answer: bytes, ask: Callable[[JetStream], Awaitable[None]]) -> None:
    """Have the first request of a connection answered by these octets."""
    async def play(peer: Peer) -> None:
        inbox = await peer.greet()
        await peer.line()
        await peer.send(f"MSG {inbox}.2 1 {len(answer)}\r\n".encode() + answer + b"\r\n")
        while await peer.line():
            pass

    async def scenario() -> None:
        async with played(play) as server, connected(server) as connection:
            await ask(JetStream(connection))

    asyncio.run(scenario())


@pytest.mark.parametrize(("reply", "payload", "fault"), [
    ("$JS.ACK.S.c.1.7.3.0.0", b"", "message 2 of .* is missing"),
    ("$JS.ACK.S.c", b"", "has the reply subject"),
    ("$JS.ACK.S.c.1.x.1.0.0", b"", "has the reply subject"),
    ("a.b.c.d.e.f.g.h.i", b"", "has the reply subject"),
    ("", b"NATS/1.0 503\r\n\r\n", "was answered by: 503"),
    ("", b"NATS/1.0 409 Server Shutdown\r\n\r\n", "was answered by: 409 Server Shutdown"),
    ("", b"HTTP", "a header does not end"),
])
def test_a_reader_returns_nothing_that_may_be_incomplete(reply: str, payload: bytes, fault: str) -> None:
    """Of the two messages the first is good, and the other is not."""
    async def play(peer: Peer) -> None:
        inbox = await peer.greet()
        line = await peer.line()
        await peer.line()
        await peer.send(f"MSG {line.split()[2].decode()} 1 17\r\n{{\"num_pending\":0}}\r\n".encode())
        _, subject, sid = (await peer.line()).decode().split()
        # Else the subscription for answers would bring each message once more.
        assert subject.count(".") == inbox.count(".") + 2
        pull = (await peer.line()).split()
        assert pull[1] == b"$JS.API.CONSUMER.MSG.NEXT.S." + line.split()[1].rsplit(b".", 1)[1]
        assert json.loads(await peer.line())["batch"] == PULL
        good = f"MSG s.a {sid} $JS.ACK.S.c.1.5.1.0.0 1\r\nx\r\n"
        bad = f"MSG s.a {sid} {reply} 0\r\n\r\n" if reply else \
            f"HMSG {inbox}.x {sid} {len(payload)} {len(payload)}\r\n{payload.decode()}\r\n"
        await peer.send((good + bad).encode())
        while await peer.line():
            pass

    async def scenario() -> None:
        async with played(play) as server, connected(server) as connection:
            reader = await Reader.open(JetStream(connection), STREAM, 4)
            assert await reader.read(TIMEOUT) == [Stored("s.a", 5, b"", b"x")]
            with pytest.raises(ReaderError, match=fault):
                await reader.read(TIMEOUT)
            reader.close()

    asyncio.run(scenario())


def test_a_reply_subject_with_domain_and_account_is_read() -> None:
    assert reader_module._read_numbers("$JS.ACK.S.c.1.7.2.0.4") == (7, 2, 4)
    long = "$JS.ACK.domain.hash.S.c.1.7.2.0.4.token"
    assert reader_module._read_numbers(long) == (7, 2, 4)
    assert reader_module._read_numbers(long.removesuffix(".token")) == (7, 2, 4)


@pytest.mark.peers
def test_a_reader_that_hears_that_there_is_nothing_new_waits_on(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "HEARTBEAT_SECONDS", 0.1)
    deadlines: list[Reader] = []
    set_deadline = Reader._set_deadline

    def note(reader: Reader) -> None:
        deadlines.append(reader)
        set_deadline(reader)

    monkeypatch.setattr(Reader, "_set_deadline", note)

    async def scenario() -> None:
        async with connected(of_real(server)) as connection:
            jetstream = JetStream(connection)
            await jetstream.create_stream({"name": "QUIET", "subjects": ["quiet"], "storage": "file"})
            reader = await Reader.open(jetstream, "QUIET", 0)
            while len(deadlines) < 4:  # that of the pull, and one for each that it hears
                assert await reader.read(0.05) == []
            await jetstream.publish("quiet", b"x", {}, seconds=TIMEOUT)
            (found,) = await reader.read(TIMEOUT)
            assert found.payload == b"x"
            reader.close()

    asyncio.run(scenario())


def test_a_reader_that_hears_nothing_any_more_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "DEADLINE_SECONDS", 0.02)

    async def play(peer: Peer) -> None:
        await peer.greet()
        line = await peer.line()
        await peer.line()
        await peer.send(f"MSG {line.split()[2].decode()} 1 17\r\n{{\"num_pending\":0}}\r\n".encode())
        while await peer.line():
            pass

    async def scenario() -> None:
        async with played(play) as server, connected(server) as connection:
            reader = await Reader.open(JetStream(connection), STREAM, 0)
            with pytest.raises(ReaderError, match="has not been answered"):
                await reader.read(TIMEOUT)

    asyncio.run(scenario())
