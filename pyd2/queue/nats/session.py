"""Keeps a connection to one of several servers: when it ends, or does not answer, to the next one."""

from __future__ import annotations

import asyncio
from itertools import cycle
from typing import TYPE_CHECKING, Final, Protocol

from pyd2.queue.nats.connection import connect
from pyd2.queue.nats.errors import ConnectError, NoAnswerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyd2.config.nats.servers import Server
    from pyd2.queue.nats.connection import Client, Connection

PING_SECONDS: Final = 2.0
"""How often a server is asked whether it is there, and how long it may take to answer."""
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0
"""Seconds to the next server when one cannot be reached, or a connection did not last longer than this."""


class SessionListener(Protocol):
    """What a session reports, in the thread of its loop."""

    def connected(self, connection: Connection) -> None:
        """There is a connection."""

    def disconnected(self, server: Server, reason: str) -> None:
        """It has ended."""

    def unreachable(self, server: Server, reason: str) -> None:
        """A server cannot be reached; the next one follows."""


class Session:
    """Whoever has waited in vain for an answer calls ``go_to_next``: the next server may know more."""

    def __init__(self, client: Client, servers: Sequence[Server], listener: SessionListener) -> None:
        self.connection: Connection | None = None
        """The present connection, if there is one."""
        self._client = client
        self._servers = servers
        self._listener = listener

    def go_to_next(self, reason: str) -> None:
        """Give the present connection up."""
        if self.connection is not None:
            self.connection.end(reason)

    async def run(self) -> None:
        """Keep a connection, until this is cancelled."""
        loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE
        for server in cycle(self._servers):
            try:
                connection = await connect(self._client, server)
            except ConnectError as error:
                self._listener.unreachable(server, str(error))
            else:
                since = loop.time()
                await self._use(connection)
                if loop.time() - since >= _LONGEST_PAUSE:
                    pause = _FIRST_PAUSE
                    continue
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _use(self, connection: Connection) -> None:
        """Return when a connection has ended."""
        self.connection = connection
        try:
            self._listener.connected(connection)
            await _watch(connection)
        finally:
            self.connection = None
            connection.end("this client stops")
        self._listener.disconnected(connection.server, connection.ended.result())


async def _watch(connection: Connection) -> None:
    """Return when a connection has ended; end it when its server does not answer."""
    while not connection.ended.done():
        await asyncio.wait((connection.ended,), timeout=PING_SECONDS)
        if not connection.ended.done():
            try:
                await connection.ping(PING_SECONDS)
            except NoAnswerError as error:
                connection.end(str(error))
