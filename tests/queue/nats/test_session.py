"""A session goes from server to server, and says so."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING

import pytest

from pyd2.config.nats.servers import Server
from pyd2.queue.nats import session as module
from pyd2.queue.nats.connection import Client, Connection
from pyd2.queue.nats.session import Session
from tests.kit.nats_servers import nats_servers
from tests.kit.ports import PortLease
from tests.queue.nats.played import TIMEOUT, Peer, of_real, played

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence


class Events:
    """What a session has reported."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[tuple[str, int, str]] = asyncio.Queue()

    def connected(self, connection: Connection) -> None:
        self.queue.put_nowait(("connected", connection.server.port, ""))

    def disconnected(self, server: Server, reason: str) -> None:
        self.queue.put_nowait(("disconnected", server.port, reason))

    def unreachable(self, server: Server, reason: str) -> None:
        self.queue.put_nowait(("unreachable", server.port, reason))

    async def next(self) -> tuple[str, int, str]:
        async with asyncio.timeout(TIMEOUT):
            return await self.queue.get()

    async def next_connected(self) -> int:
        """Return the port of the server of the next connection."""
        while True:
            event, port, _ = await self.next()
            if event == "connected":
                return port


@contextlib.asynccontextmanager
async def running(servers: Sequence[Server]) -> AsyncIterator[tuple[Session, Events]]:
    """Run a session until the end of the block."""
    events = Events()
    session = Session(Client("test", "pyd2.inbox.test"), servers, events)
    task = asyncio.ensure_future(session.run())
    try:
        yield session, events
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)
    assert session.connection is None


@pytest.mark.peers
def test_a_session_finds_a_server_and_leaves_one_that_dies_or_stops() -> None:
    async def scenario() -> None:
        with nats_servers() as (one,), nats_servers() as (two,), PortLease() as lease:
            closed = Server("127.0.0.1", lease.take(), tls=False)
            async with running([closed, of_real(one), of_real(two)]) as (session, events):
                assert (await events.next())[:2] == ("unreachable", closed.port)
                assert await events.next() == ("connected", one.port, "")
                assert session.connection is not None
                one.process.kill()
                assert (await events.next())[:2] == ("disconnected", one.port)
                assert await events.next() == ("connected", two.port, "")
                one.start()
                one.wait_until_ready()
                two.process.send_signal(signal.SIGUSR2)  # lame duck mode: it stops, and says so before
                event, port, reason = await events.next()
                assert (event, port) == ("disconnected", two.port)
                assert "lame duck mode" in reason
                assert await events.next_connected() == one.port

    asyncio.run(scenario())


@pytest.mark.peers
def test_whoever_waits_in_vain_sends_it_to_the_next_server() -> None:
    async def scenario() -> None:
        with nats_servers() as (one,), nats_servers() as (two,):
            async with running([of_real(one), of_real(two)]) as (session, events):
                session.go_to_next("there is none")
                assert await events.next_connected() == one.port
                session.go_to_next("no answer")
                assert await events.next() == ("disconnected", one.port, "no answer")
                assert await events.next_connected() == two.port

    asyncio.run(scenario())


def test_a_server_that_does_not_answer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PING_SECONDS", 0.02)

    async def play(peer: Peer) -> None:
        await peer.greet()
        while await peer.line():
            pass  # it reads, and says nothing

    async def scenario() -> None:
        async with played(play) as server, running([server]) as (_, events):
            assert await events.next() == ("connected", server.port, "")
            event, _, reason = await events.next()
            assert event == "disconnected"
            assert "has not answered for" in reason

    asyncio.run(scenario())


def test_a_server_that_answers_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PING_SECONDS", 0.05)
    pinged = asyncio.Event()

    async def play(peer: Peer) -> None:
        await peer.greet()
        for _ in range(5):
            assert await peer.line() == b"PING"
            await peer.send(b"PONG\r\n")
        pinged.set()
        await peer.line()

    async def scenario() -> None:
        monkeypatch.setattr(module, "_LONGEST_PAUSE", 0.001)
        async with played(play) as server, running([server]) as (_, events):
            assert await events.next() == ("connected", server.port, "")
            await pinged.wait()
            assert events.queue.empty()

    asyncio.run(scenario())


def test_a_connection_that_does_not_last_is_not_made_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a server that refuses what every client does first would be flooded."""
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def scenario() -> None:
        async def noted(pause: float) -> None:
            pauses.append(pause)
            await sleep(0)

        async def play(peer: Peer) -> None:
            await peer.greet()

        async with played(play) as server, running([server]) as (_, events):
            monkeypatch.setattr(asyncio, "sleep", noted)
            for _ in range(7):
                assert await events.next_connected() == server.port
            monkeypatch.undo()

    asyncio.run(scenario())
    assert pauses[:6] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0]
