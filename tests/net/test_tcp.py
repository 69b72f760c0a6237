"""The TCP connection to a DNS server, against a scripted server on the loopback."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Self

import uvloop

from pyd2.net.tcp import TcpLink

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def message(query_id: int, body: bytes = b"body") -> bytes:
    return query_id.to_bytes(2, "big") + body


async def read_message(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))


def framed(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


class Rig:
    """A link to a server that ``serve`` plays; collects replies and failures by what was sent."""

    def __init__(self, serve: Serve, patience: float = 10.0) -> None:
        self.serve = serve
        self.patience = patience
        self.connections = 0
        self.accepted = asyncio.Event()
        self.open: set[asyncio.Task[None] | None] = set()
        self.events: asyncio.Queue[tuple[str, str, bytes | str]] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        self.server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        self.link: TcpLink[str] = TcpLink(
            asyncio.get_running_loop(), "127.0.0.1", self.port,
            lambda sent, reply: self.events.put_nowait(("reply", sent or "nothing", reply)),
            lambda sent, reason: self.events.put_nowait(("failure", sent, reason)),
            lambda: self.patience,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self.link.close()
        self.server.close()
        await self.server.wait_closed()
        await asyncio.gather(*(task for task in self.open if task is not None), return_exceptions=True)

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
                rig.link.send(message(number), f"sent {number}")
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
                rig.link.send(message(number), str(number))
                assert await rig.event() == ("reply", str(number), message(number))
            rig.link.send(message(3), "3")
            kind, sent, reason = await rig.event()
            assert (kind, sent) == ("failure", "3")
            assert reason
            rig.link.send(message(4), "4")
            assert await rig.event() == ("reply", "4", message(4))
            assert rig.connections == 2

    asyncio.run(run())


def test_nobody_listens() -> None:
    async def serve(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        raise AssertionError

    async def run() -> None:
        async with Rig(serve) as rig:
            rig.server.close()
            await rig.server.wait_closed()
            rig.link.send(message(1), "one")
            rig.link.send(message(2), "two")
            assert {(await rig.event())[:2] for _ in range(2)} == {("failure", "one"), ("failure", "two")}

    asyncio.run(run())


def test_a_reply_to_nothing_is_told_as_such_and_an_id_in_use_fails_alone() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        query = await read_message(reader)
        writer.write(framed(message(99)) + framed(b"") + framed(query))
        await reader.read()

    async def run() -> None:
        async with Rig(serve) as rig:
            rig.link.send(message(7), "first")
            rig.link.send(message(7), "second")
            kind, sent, _ = await rig.event()
            assert (kind, sent) == ("failure", "second")
            assert await rig.event() == ("reply", "nothing", message(99))
            assert await rig.event() == ("reply", "nothing", b"")
            assert await rig.event() == ("reply", "first", message(7))

    uvloop.run(run())


def test_a_stuck_connection_is_given_up_with_what_is_queued_in_it() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if rig.connections == 1:
            await reader.read()
        else:
            writer.write(framed(await read_message(reader)))
            await reader.read()

    rig = Rig(serve, patience=0.2)

    async def run() -> None:
        async with rig:
            rig.link.send(message(1), "into the void")
            async with asyncio.timeout(10):
                await rig.accepted.wait()
                await asyncio.wait({task for task in rig.open if task is not None})
            rig.patience = 10.0
            rig.link.send(message(2), "anew")
            assert await rig.event() == ("reply", "anew", message(2))
            assert rig.connections == 2

    uvloop.run(run())
