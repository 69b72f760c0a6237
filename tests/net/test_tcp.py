"""The TCP connection to a DNS server, against a scripted server on the loopback."""

import asyncio
import itertools
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest
import uvloop

from pyd2.config.tls import TlsSwitches
from pyd2.net import tcp
from pyd2.net.descriptors import Descriptors
from pyd2.net.tcp import TcpLink
from pyd2.regular import open_regular

Run = Callable[[Coroutine[None, None, None]], None]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def message(query_id: int, body: bytes = b"body of it") -> bytes:
    return query_id.to_bytes(2, "big") + body


async def read_message(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))


def framed(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


class Rig:
    """A link to a server that ``serve`` plays; collects replies and failures by what was sent."""

    def __init__(self, serve: Serve, timeout: float = 10.0, tls: TlsSwitches | None = None) -> None:
        self.serve = serve
        self.tls = tls
        self.timeout = timeout
        self.connections = 0
        self.accepted = asyncio.Event()
        self.open: set[asyncio.Task[None] | None] = set()
        self.events: asyncio.Queue[tuple[str, str, bytes | str]] = asyncio.Queue()
        self.sent: dict[bytes, str] = {}
        self.closings: list[str] = []
        self.descriptors = Descriptors(lambda: False)

    async def __aenter__(self) -> Self:
        self.server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        self.link: TcpLink[str] = TcpLink(
            asyncio.get_running_loop(), "127.0.0.1", self.port, self._replied,
            lambda sent, reason: self.events.put_nowait(("failure", sent, reason)),
            self.closings.append, lambda: self.timeout, self.descriptors, self.tls,
        )  # fmt: skip
        return self

    def _replied(self, answers: Sequence[bytes], others: Sequence[bytes]) -> None:
        for answer in answers:
            self.events.put_nowait(("reply", self.sent.pop(answer[:2]), answer))
        for other in others:
            self.events.put_nowait(("reply", "nothing", other))

    def send(self, message: bytes, sent: str) -> None:
        self.sent[message[:2]] = sent
        self.link.send(message, sent)

    async def __aexit__(self, *_: object) -> None:
        self.link.close()
        self.server.close()
        await self.server.wait_closed()
        await asyncio.gather(*(task for task in self.open if task is not None), return_exceptions=True)
        async with asyncio.timeout(10):
            while self.descriptors._used:  # noqa: ASYNC110  the loop closes a connection in its next turns
                await asyncio.sleep(0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.accepted.set()
        self.open.add(asyncio.current_task())
        try:
            await self.serve(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def event(self) -> tuple[str, str, bytes | str]:
        async with asyncio.timeout(10):
            return await self.events.get()


def test_pipelined_and_answered_out_of_order_byte_by_byte() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        queries = [await read_message(reader) for _ in range(3)]
        for query in reversed(queries):
            for octet in framed(query + b" answered"):
                writer.write(bytes([octet]))
                await writer.drain()
        await reader.read()

    async def run() -> None:
        async with Rig(serve) as rig:
            for number in (1, 2, 3):
                rig.send(message(number), f"sent {number}")
            for number in (3, 2, 1):
                assert await rig.event() == ("reply", f"sent {number}", message(number) + b" answered")
            assert rig.connections == 1

    asyncio.run(run())


def test_one_connection_serves_until_the_server_closes_it_then_a_new_one() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            writer.write(framed(await read_message(reader)))
        await read_message(reader)

    async def run() -> None:
        async with Rig(serve) as rig:
            for number in (1, 2):
                rig.send(message(number), str(number))
                assert await rig.event() == ("reply", str(number), message(number))
            rig.send(message(3), "3")
            kind, sent, reason = await rig.event()
            assert (kind, sent) == ("failure", "3")
            assert reason
            rig.send(message(4), "4")
            assert await rig.event() == ("reply", "4", message(4))
            assert rig.connections == 2

    asyncio.run(run())


def test_no_server_listens() -> None:
    async def serve(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        raise AssertionError

    async def run() -> None:
        async with Rig(serve) as rig:
            rig.server.close()
            await rig.server.wait_closed()
            rig.send(message(1), "one")
            rig.send(message(2), "two")
            assert {(await rig.event())[:2] for _ in range(2)} == {("failure", "one"), ("failure", "two")}

    asyncio.run(run())


def test_a_reply_to_nothing_is_reported_as_such() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        query = await read_message(reader)
        writer.write(framed(message(99)) + framed(query))
        await reader.read()

    async def run() -> None:
        async with Rig(serve) as rig:
            rig.send(message(7), "first")
            events = [await rig.event(), await rig.event()]
            assert sorted(events) == [("reply", "first", message(7)), ("reply", "nothing", message(99))]

    uvloop.run(run())


def test_a_stuck_connection_is_given_up_with_what_is_queued_in_it() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if rig.connections == 1:
            await reader.read()
        else:
            writer.write(framed(await read_message(reader)))
            await reader.read()

    rig = Rig(serve, timeout=0.2)

    async def run() -> None:
        async with rig:
            rig.send(message(1), "into the void")
            async with asyncio.timeout(10):
                await rig.accepted.wait()
                await asyncio.wait({task for task in rig.open if task is not None})
            rig.timeout = 10.0
            rig.send(message(2), "anew")
            assert await rig.event() == ("reply", "anew", message(2))
            assert rig.connections == 2

    uvloop.run(run())


def answering(*faulty: Serve) -> Serve:
    """Return a server whose first connections are faulty, each in its way; the others answer."""
    left = list(faulty)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if left:
            await left.pop(0)(reader, writer)
            return
        with suppress(asyncio.IncompleteReadError):
            while True:
                writer.write(framed(await read_message(reader)))

    return serve


async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def reset_in_mid_message(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    query = await read_message(reader)
    writer.write(framed(query)[:-2])
    await writer.drain()
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def half_closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_message(reader)
    writer.write_eof()
    await reader.read()


@pytest.mark.parametrize("fault", [reset_in_mid_message, half_closed])
def test_what_a_broken_connection_leaves_fails_and_the_next_is_none_the_worse(fault: Serve) -> None:
    async def run() -> None:
        async with Rig(answering(fault)) as rig:
            rig.send(message(1), "one")
            rig.send(message(2), "two")
            assert {(await rig.event())[:2] for _ in range(2)} == {("failure", "one"), ("failure", "two")}
            rig.send(message(3), "three")
            assert await rig.event() == ("reply", "three", message(3))
            assert rig.connections == 2

    uvloop.run(run())


def test_what_is_sent_while_a_stuck_connection_is_given_up_takes_a_new_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the engine does: its timer for a try is the same, and so the next try comes in the same turn."""
    async def run() -> None:
        async with Rig(answering(silent), timeout=0.2) as rig:
            expire = rig.link._expire

            def expire_and_send() -> None:
                expire()
                rig.timeout = 10.0
                rig.send(message(2), "anew")

            monkeypatch.setattr(rig.link, "_expire", expire_and_send)
            rig.send(message(1), "into the void")
            assert await rig.event() == ("reply", "anew", message(2))

    uvloop.run(run())


def test_a_message_that_never_ends_does_not_keep_a_connection_alive() -> None:
    async def endless(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\xff\xff")
        with suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(b"drop")
                await writer.drain()
                await asyncio.sleep(0.01)

    async def run() -> None:
        async with Rig(answering(endless), timeout=0.2) as rig:
            rig.send(message(1), "into the void")
            await rig.accepted.wait()
            await asyncio.wait({task for task in rig.open if task is not None}, timeout=10)
            rig.timeout = 10.0
            rig.send(message(2), "anew")
            assert await rig.event() == ("reply", "anew", message(2))

    uvloop.run(run())


def test_a_reply_that_takes_longer_than_a_connection_may_idle_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pyd2.net.tcp.IDLE_SECONDS", 0.05)

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        query = await read_message(reader)
        await asyncio.sleep(0.3)
        writer.write(framed(query))
        await reader.read()  # until the connection has been idle

    async def run() -> None:
        async with Rig(slow) as rig:
            rig.send(message(1), "slow")
            assert await rig.event() == ("reply", "slow", message(1))
            await asyncio.wait({task for task in rig.open if task is not None}, timeout=10)

    uvloop.run(run())


def test_a_message_has_all_its_time_once_the_connection_is_there() -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        query = await read_message(reader)
        await asyncio.sleep(1.5)
        writer.write(framed(query))
        await reader.read()

    async def run() -> None:
        async with Rig(slow, timeout=1.0) as rig:
            rig.send(message(1), "far away")
            rig.timeout = 10.0
            assert await rig.event() == ("reply", "far away", message(1))
            assert rig.connections == 1

    uvloop.run(run())


def _deaf_listener() -> tuple[socket.socket, list[socket.socket]]:
    """Return a listener that takes no connection more: the kernel drops who asks, until one is accepted."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    asking = []
    for _ in range(2):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(listener.getsockname())
        asking.append(client)
    return listener, asking


def test_a_host_that_does_not_even_refuse_is_asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyd2.net.tcp.CONNECT_SECONDS", 0.4)

    async def run() -> None:
        listener, asking = _deaf_listener()
        async with Rig(silent, timeout=0.3) as rig:
            rig.link._port = listener.getsockname()[1]
            expired = asyncio.Event()
            expire = rig.link._expire

            def expire_and_tell() -> None:
                expire()
                expired.set()

            monkeypatch.setattr(rig.link, "_expire", expire_and_tell)
            rig.send(message(1), "expires")
            async with asyncio.timeout(10):
                await expired.wait()
            rig.send(message(2), "too early")
            assert await rig.event() == ("failure", "too early", "no connection in time")
            rig.link._port = rig.port
            rig.timeout = 10.0
            rig.serve = answering()
            rig.send(message(3), "back")
            assert await rig.event() == ("reply", "back", message(3))
        for sock in (listener, *asking):
            sock.close()

    uvloop.run(run())


OPPORTUNISTIC = TlsSwitches("opportunistic")


def test_a_handshake_that_stalls_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyd2.net.tcp.CONNECT_SECONDS", 0.2)

    async def run() -> None:
        async with Rig(silent, tls=OPPORTUNISTIC) as rig:
            rig.send(message(1), "one")
            rig.timeout = 0.1
            assert await rig.event() == ("failure", "one", "no connection in time")

    uvloop.run(run())


@pytest.mark.parametrize("hostname", [".", "x" * 70, "ns..example.com"])
def test_a_name_that_no_certificate_can_have_is_a_failure(hostname: str) -> None:
    async def run() -> None:
        async with Rig(silent, tls=TlsSwitches(hostname=hostname)) as rig:
            rig.send(message(1), "one")
            assert (await rig.event())[:2] == ("failure", "one")

    uvloop.run(run())


def test_certificates_that_cannot_be_read_are_waited_for_in_one_thread(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """However often a connection is tried meanwhile: other servers' certificates are to be read, too."""
    monkeypatch.setattr("pyd2.net.tcp.CONNECT_SECONDS", 0.01)
    monkeypatch.setattr("pyd2.net.tcp.AGAIN_SECONDS", 0.0)
    stalled = str(tmp_path / "trusted.pem")
    answers = threading.Event()

    def open_slowly(file: str) -> int:
        """Open a file on a disk that does not answer for a while."""
        if file == stalled:
            answers.wait(60)
        return open_regular(file)

    monkeypatch.setattr("pyd2.config.tls.open_regular", open_slowly)

    async def run() -> None:
        before = threading.active_count()
        async with Rig(silent, timeout=0.01, tls=TlsSwitches(ca_file=stalled)) as rig:
            for number in range(40):
                rig.send(message(number), "one")
                assert rig.link._connecting is not None
                await rig.link._connecting
            try:
                assert threading.active_count() == before + 1
                assert not rig.accepted.is_set()
                async with Rig(silent, tls=OPPORTUNISTIC) as other, asyncio.timeout(10):
                    other.link.send(message(1), "one")
                    await other.accepted.wait()
            finally:
                answers.set()
            rig.timeout = 10
            rig.send(message(1), "one")
            _, _, reason = await rig.event()
            assert "'tls-ca-file'" in str(reason)

    uvloop.run(run())


@pytest.mark.parametrize("tls", [None, OPPORTUNISTIC], ids=["answer", "handshake"])
def test_the_end_does_not_wait_for_what_is_under_way(tls: TlsSwitches | None) -> None:
    async def run() -> None:
        async with Rig(silent, tls=tls) as rig:
            rig.send(message(1), "one")
            await rig.accepted.wait()
            rig.link.close()
            done, _ = await asyncio.wait({task for task in rig.open if task is not None}, timeout=10)
            assert done
            assert rig.events.empty()

    uvloop.run(run())


def test_a_server_that_reads_slowly_gets_all_and_answers_all() -> None:
    """Far more than the kernel's buffers hold."""
    count = 200

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in range(count):
            query = await read_message(reader)
            if number % 20 == 0:
                await asyncio.sleep(0.005)
            writer.write(framed(query[:12]))
        await reader.read()

    async def run() -> None:
        async with Rig(slow) as rig:
            for number in range(count):
                rig.send(message(number, bytes(60_000)), str(number))
            for number in range(count):
                assert await rig.event() == ("reply", str(number), message(number, bytes(10)))

    uvloop.run(run())


@pytest.mark.parametrize("size", range(12))
def test_a_message_that_is_too_short_closes_the_connection(size: int) -> None:
    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        query = await read_message(reader)
        writer.write(framed(query) + framed(bytes(size)) * 1000)
        await reader.read()

    async def run() -> None:
        async with Rig(answering(rude)) as rig:
            rig.send(message(1), "answered")
            rig.send(message(2), "not answered")
            events = sorted([await rig.event(), await rig.event()])
            reason = f"the server has sent a message of {size} bytes, which is no DNS message"
            assert events == [("failure", "not answered", reason), ("reply", "answered", message(1))]
            assert rig.closings == [reason]
            rig.send(message(3), "anew")
            assert await rig.event() == ("reply", "anew", message(3))

    uvloop.run(run())


def test_answers_allow_for_as_many_messages_that_answer_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyd2.net.tcp.MOST_UNASKED", 3)

    async def chatty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(10):
            query = await read_message(reader)
            writer.write(framed(message(99)) + framed(query))
        writer.write(framed(message(99)) * 4)
        await reader.read()

    async def run() -> None:
        async with Rig(chatty) as rig:
            for number in range(10):
                rig.send(message(number), str(number))
                events = sorted([await rig.event(), await rig.event()])
                assert events == [("reply", str(number), message(number)), ("reply", "nothing", message(99))]
            for _ in range(4):
                assert await rig.event() == ("reply", "nothing", message(99))
            assert rig.closings == ["the server has sent more than 3 messages that answer no update"]

    uvloop.run(run())


def test_many_answers_at_once_leave_the_loop_its_turns() -> None:
    count = 2000

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        queries = [await read_message(reader) for _ in range(count)]
        writer.write(b"".join(map(framed, queries)))
        await reader.read()

    async def run() -> None:
        async with Rig(serve) as rig:
            batches: list[int] = []
            replied = rig.link._on_replies

            def count_and_reply(answers: Sequence[bytes], others: Sequence[bytes]) -> None:
                batches.append(len(answers))
                replied(answers, others)

            rig.link._on_replies = count_and_reply
            for number in range(count):
                rig.send(message(number), str(number))
            for number in range(count):
                assert await rig.event() == ("reply", str(number), message(number))
            assert sum(batches) == count
            assert max(batches) <= tcp.BATCH

    uvloop.run(run())


def test_a_server_that_does_not_read_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    async def deaf(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await release.wait()

    release = asyncio.Event()
    monkeypatch.setattr("pyd2.net.tcp.MOST_UNREAD", 1 << 20)

    async def run() -> None:
        async with Rig(answering(deaf)) as rig:
            number = 0
            while not rig.closings:
                rig.send(message(number, bytes(60_000)), str(number))
                number += 1
                await asyncio.sleep(0)
                assert number < 1000
            assert rig.closings == ["the server does not read what it is sent"]
            assert {(await rig.event())[:2] for _ in range(number)} == \
                {("failure", str(failed)) for failed in range(number)}
            release.set()

    uvloop.run(run())


def test_a_server_that_ends_each_connection_is_not_asked_all_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is sent in the pause waits for the next connection."""
    monkeypatch.setattr("pyd2.net.tcp.AGAIN_SECONDS", 0.2)

    async def end(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        pass

    async def run() -> None:
        async with Rig(answering(end)) as rig:
            rig.send(message(0), "0")
            assert (await rig.event())[:2] == ("failure", "0")
            for number in range(1, 20):
                rig.send(message(number), str(number))
                await asyncio.sleep(0)
            assert rig.connections == 1
            for number in range(1, 20):
                assert await rig.event() == ("reply", str(number), message(number))
            assert rig.connections == 2

    uvloop.run(run())


def test_many_messages_that_fail_at_once_leave_the_loop_its_turns() -> None:
    """A server that ends its connection with a wide window of updates under way."""
    count = 10 * tcp.BATCH

    async def scenario() -> None:
        async with Rig(silent) as rig:
            for number in range(count):
                rig.send(message(number), str(number))
            async with asyncio.timeout(10):
                await rig.accepted.wait()
                connection = rig.link._connection
                assert connection is not None
                rig.link._ended(connection, "connection closed")
                seen = [rig.events.qsize()]
                while seen[-1] < count:
                    await asyncio.sleep(0)
                    seen.append(rig.events.qsize())
                connection.transport.abort()
            assert max(after - before for before, after in itertools.pairwise([0, *seen])) <= tcp.BATCH
            assert [(await rig.event())[1] for _ in range(count)] == [str(number) for number in range(count)]

    uvloop.run(scenario())


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
@pytest.mark.parametrize("quick", [True, False])
def test_what_comes_is_acknowledged_at_once_where_that_is_asked_for(run: Run, quick: bool) -> None:
    """The kernel takes the option with each read; it forgets it by itself."""
    taken: list[int] = []

    class Watched(socket.socket):
        def setsockopt(self, level: int, name: int, value: int) -> None:  # type: ignore[override]
            super().setsockopt(level, name, value)
            taken.append(name)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            writer.write(framed(await read_message(reader)))
        await reader.read()

    async def exchange() -> None:
        async with Rig(serve) as rig:
            rig.link._quick_acks = lambda: quick
            for number in (1, 2):
                rig.send(message(number), str(number))
                assert await rig.event() == ("reply", str(number), message(number))
                connection = rig.link._connection
                assert connection is not None
                assert (connection.socket is not None) == quick
                if connection.socket is not None and number == 1:
                    duplicate = connection.socket.dup()
                    connection.socket = Watched(fileno=duplicate.detach())
            if connection is not None and connection.socket is not None:
                connection.socket.close()
                assert taken == [socket.TCP_QUICKACK]

    run(exchange())
