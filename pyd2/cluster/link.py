"""The connection of a member to the shared queue, for receiver and owner alike."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, TypeVar

from pyd2.queue.nats.jetstream import JetStream
from pyd2.queue.nats.session import Session
from pyd2.queue.nats.site import Site, SiteQueue
from pyd2.queue.shared.interface import UnansweredError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from pyd2.config.nats.servers import Server
    from pyd2.messages import Log
    from pyd2.queue.nats.connection import Client, Connection
    from pyd2.queue.shared.interface import QueuedBatch, SharedQueue

T = TypeVar("T")

ANSWER_SECONDS: Final = 1.0
"""How long servers may take to show a batch, at each try."""
_PAUSE: Final = 0.1
"""Seconds before they are asked again."""

STAYS_SECONDS: Final = 2.0
"""A connection is not given up before: servers that choose a leader do not answer, whichever is asked."""
LASTS_SECONDS: Final = 10.0
"""The end of a connection is logged if it has lasted so long: without a quorum none of them does."""

_VIOLATION: Final = "permissions violation"
"""What a server says of rights that do not suffice."""


async def in_time(call: Awaitable[T], seconds: float) -> T:
    """Return what a call returns. Raises UnansweredError after so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            return await call
    except TimeoutError:
        raise UnansweredError(f"no server has answered within {seconds:g} s") from None


async def find_batch(
    link: Link, sequence: int, lag: float = 0.0, leaderless: float = 0.0
) -> QueuedBatch | None:
    """Return the batch with a sequence; None if the servers do not have it. Raises SharedQueueError.

    A leader that was just chosen may lag behind: who does not have it is asked again for ``lag`` seconds.
    What is asked before there is a leader is lost, and asked again for ``leaderless`` seconds.
    """
    begun = time.monotonic()
    answered: float | None = None
    while True:
        try:
            found = await in_time(link.queue.batch(sequence), ANSWER_SECONDS)
        except UnansweredError:
            if time.monotonic() - begun >= leaderless:
                raise
            answered = None
        else:
            now = time.monotonic()
            answered = now if answered is None else answered
            if found is not None or now - answered >= lag:
                return found
        await asyncio.sleep(_PAUSE)


class Link:
    """See SessionListener."""

    def __init__(self, client: Client, servers: Sequence[Server], site: Site, log: Log) -> None:
        self._site = site
        self._log = log
        self._session = Session(client, servers, self)
        self._queue: SiteQueue | None = None
        self._unreachable: dict[Server, str] = {}
        """Why servers could not be reached when they were tried last, as it was logged."""
        self._since = 0.0
        """When the connection was made, by the clock of the loop."""
        self._logged = True
        """Whether the end of the connection before was logged, or there was none."""
        self._refused = False
        """Whether the connection before has ended because the rights do not suffice."""
        self.server = ""
        """The server that the connection leads to; empty: there is none."""

    @property
    def queue(self) -> SharedQueue:
        """The shared queue. Raises UnansweredError while there is no connection."""
        if self._queue is None:
            raise UnansweredError("there is no connection to a server")
        return self._queue

    async def run(self) -> None:
        """Keep a connection, until this is cancelled."""
        await self._session.run()

    def go_to_next(self, reason: str) -> None:
        """Give the connection up and go to the next server, if it has lasted: this one does not answer."""
        if asyncio.get_running_loop().time() - self._since >= STAYS_SECONDS:
            self._session.go_to_next(reason)

    def connected(self, connection: Connection) -> None:
        """See SessionListener."""
        self._unreachable.pop(connection.server, None)
        self.server = str(connection.server)
        self._queue = SiteQueue(JetStream(connection), self._site)
        self._since = asyncio.get_running_loop().time()
        if self._logged:
            self._log.emit("PYD2_CLUSTER_CONNECTED", self._site.name, self.server)

    def disconnected(self, server: Server, reason: str) -> None:
        """See SessionListener."""
        self.server, self._queue = "", None
        self._logged = asyncio.get_running_loop().time() - self._since >= LASTS_SECONDS
        before, self._refused = self._refused, _VIOLATION in reason.lower()
        if self._refused and not before:
            self._log.emit("PYD2_CLUSTER_REFUSED", self._site.name, server, reason)
        elif self._logged:
            self._log.emit("PYD2_CLUSTER_DISCONNECTED", self._site.name, server, reason)

    def unreachable(self, server: Server, reason: str) -> None:
        """See SessionListener."""
        if self._unreachable.get(server) != reason:
            self._unreachable[server] = reason
            self._log.emit("PYD2_CLUSTER_UNREACHABLE", self._site.name, reason)
