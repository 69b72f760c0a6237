"""Connections to NATS for tests: to real servers, and to one that says what a test wants."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from pyd2.config.nats.servers import Server
from pyd2.queue.nats.connection import Client, Connection, connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.kit.nats_servers import NatsServer

TIMEOUT = 20.0
"""Seconds for an answer that is sure to come."""

INFO = b'INFO {"server_id":"X","version":"2.10.27","headers":true,"max_payload":1048576} \r\n'


def of_real(server: NatsServer, *, tls: bool = False) -> Server:
    """Return where a real server listens."""
    return Server("127.0.0.1", server.port, tls=tls)


@contextlib.asynccontextmanager
async def connected(server: Server, client: Client | None = None) -> AsyncIterator[Connection]:
    """Yield a connection that is closed at the end."""
    connection = await connect(client or Client("test", "pyd2.inbox.test"), server, TIMEOUT)
    try:
        yield connection
    finally:
        connection.end("the test is over")
        await asyncio.sleep(0)  # the transport closes in the next turn of the loop


class Peer:
    """A server of NATS, played by the test."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def line(self) -> bytes:
        """Return the next line of the client without its end; empty when the client has gone."""
        return (await self._reader.readline()).removesuffix(b"\r\n")

    async def greet(self) -> str:
        """Carry the handshake out; return the subject of the client's answers."""
        await self.send(INFO)
        assert (await self.line()).startswith(b"CONNECT {")
        subscription = await self.line()
        assert await self.line() == b"PING"
        await self.send(b"PONG\r\n")
        return subscription.split()[1].decode().removesuffix(".*")


@contextlib.asynccontextmanager
async def played(play: Callable[[Peer], Awaitable[None]]) -> AsyncIterator[Server]:
    """Run a server that plays something to each client and then closes the connection."""
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(ConnectionError):
                await play(Peer(reader, writer))
        finally:
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield Server("127.0.0.1", server.sockets[0].getsockname()[1], tls=False)
    finally:
        server.close()
        await server.wait_closed()
