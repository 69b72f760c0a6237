"""What tests of HTTP channels share: a channel in a loop, and clients of it."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pyd2.control.http_session import HttpService
from pyd2.data.element import Element
from pyd2.net.control_http import HttpChannel
from tests.control.http_fakes import HttpLines, http_socket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from pyd2.config.model import HttpSocket

SOON = 20  # seconds after which a test gives up


def answer(request: Element) -> Element:
    """Answer a command with its own name."""
    return Element({"result": Element(0), "text": request.map_value()["command"]})


def make(
    log: HttpLines, config: HttpSocket | None = None, process: Callable[[Element], Element | None] = answer
) -> HttpChannel:
    """Return a channel, not yet open."""
    config = config or http_socket()
    return HttpChannel(asyncio.get_running_loop(), config, HttpService(config, process, log), log)


@asynccontextmanager
async def channel(
    log: HttpLines, config: HttpSocket | None = None, process: Callable[[Element], Element | None] = answer
) -> AsyncIterator[HttpChannel]:
    """An open channel."""
    made = make(log, config, process)
    made.open()
    try:
        async with asyncio.timeout(SOON):
            yield made
    finally:
        made.close()


class Client:
    """A connection to a channel."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(
        cls, port: int, context: ssl.SSLContext | None = None, host: str = "127.0.0.1"
    ) -> Client:
        return cls(*await asyncio.open_connection(host, port, ssl=context))

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def response(self) -> bytes:
        """Return the next response."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        (length,) = (int(line[16:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length: "))
        return head + await self.reader.readexactly(length)

    async def ask(self, request: bytes) -> bytes:
        """Return the response to a request."""
        self.send(request)
        return await self.response()

    async def ended(self) -> bytes:
        """Return what comes until the server closes the connection."""
        try:
            return await self.reader.read()
        except ConnectionResetError:
            return b"reset"

    def close(self) -> None:
        self.writer.close()


async def ask(port: int, request: bytes, context: ssl.SSLContext | None = None) -> bytes:
    """Return the response to a request on a connection of its own."""
    client = await Client.connect(port, context)
    response = await client.ask(request)
    client.close()
    return response


def client_context(authority: Path, cert: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """Return the context of a client that trusts an authority, and has a certificate or none."""
    context = ssl.create_default_context(cafile=str(authority))
    context.check_hostname = False
    if cert is not None:
        context.load_cert_chain(cert, key)
    return context
