"""The last look before updates leave: what may not go out stays, and goes out later if it still may."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import time
from ipaddress import IPv4Address
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from pyd2.backend import NAMES, make_backend
from pyd2.cluster.fence import FencedDatagrams, FencedEngineIO
from pyd2.counters import Counters
from pyd2.net.datagrams import PythonDatagrams
from pyd2.net.outbox import EMPTY, PythonOutbox
from pyd2.net.read_turns import ReadTurns
from pyd2.net.troubles import Troubles
from pyd2.update.engine import Engine
from pyd2.update.server.lane import Lane
from tests.cluster.played import until
from tests.kit.ports import PortLease
from tests.update.support import (
    MemoryLog,
    answer,
    datagram,
    domain,
    make_config,
    no_hook_jobs,
    request,
    simple_map,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


@pytest.mark.parametrize("name", NAMES)
def test_nothing_leaves_without_a_lease_and_nothing_fails(name: str) -> None:
    allowed = True
    datagrams = FencedDatagrams(make_backend(name).datagrams, lambda: allowed)
    sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with sender, receiver:
        receiver.setblocking(False)
        outbox = PythonOutbox(datagrams.send)
        for text in (b"a", b"b"):
            outbox.add(message(text))
        allowed = False
        assert outbox.send(sender) == (0, errno.EAGAIN)
        assert outbox.slot == 3
        with pytest.raises(BlockingIOError):
            receiver.recv(10)
        allowed = True
        assert outbox.send(sender) == (2, 0)
        assert [receiver.recv(10), receiver.recv(10)] == [b"a", b"b"]
        assert outbox.slot == EMPTY


def test_what_the_tries_have_posted_stays_too() -> None:
    allowed = True
    datagrams = FencedDatagrams(PythonDatagrams(), lambda: allowed)
    posted = datagrams.posted(Lane(IPv4Address("192.0.2.1"), 53), lambda _: None)
    sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with sender, receiver:
        assert posted.slot == EMPTY
        assert posted.send(sender) == (0, 0)
        allowed = False
        assert posted.send(sender) == (0, errno.EAGAIN)


class Shell:
    """The shell of an engine with a DNS server, which is allowed to send until a test says otherwise."""

    def __init__(self, name: str, stack: contextlib.ExitStack, **settings: Any) -> None:
        loop, backend = asyncio.get_running_loop(), make_backend(name)
        self.allowed = True
        self.looks = -1
        """After so many looks more nothing may be sent."""
        self.counters, log = Counters(), MemoryLog()
        self.finished: list[int] = []
        self.server = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        self.server.bind(("127.0.0.1", stack.enter_context(PortLease()).take()))  # free for TCP, too
        self.server.setblocking(False)
        engine = Engine(self.counters, log, backend)
        zone = domain("example.com.", self.server.getsockname()[1])
        config = make_config(simple_map([zone], settings={"dns-server-timeout": 60_000, **settings}))
        engine.configure(config, None, time.monotonic(), time.time())
        self.io = FencedEngineIO(
            loop, engine, lambda output: self.finished.extend(output.finished), backend.datagrams,
            no_hook_jobs, Troubles(self.counters, log), ReadTurns(loop), self.may_send, 100.0, 6.0,
        )
        stack.callback(self.io.close)

    def may_send(self) -> bool:
        self.allowed = self.allowed and self.looks != 0
        self.looks -= 1
        return self.allowed

    def ask(self, number: int) -> None:
        self.io.requests([datagram(request(dhcid=f"{number:02X}", fqdn=f"h{number}.example.com.",
                                           reverse_change=False))], [number])

    def received(self) -> list[tuple[bytes, Any]]:
        """Return what has come to the server."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(self.server.recvfrom(65535))
        return found

    async def until_received(self) -> tuple[bytes, Any]:
        found: list[tuple[bytes, Any]] = []

        def some() -> bool:
            found.extend(self.received())
            return bool(found)

        await until(some, "an update")
        return found[0]

    async def until_finished(self, *numbers: int) -> None:
        await until(lambda: self.finished == [*numbers], "requests to end")


def play(scenario: Callable[[contextlib.ExitStack], Awaitable[None]]) -> None:
    async def run() -> None:
        with contextlib.ExitStack() as stack:
            async with asyncio.timeout(20):
                await scenario(stack)

    uvloop.run(run())


@pytest.mark.parametrize("name", NAMES)
def test_what_was_begun_before_a_pause_goes_on_after_it(name: str) -> None:
    """No try is over for that, and none is made twice."""
    async def scenario(stack: contextlib.ExitStack) -> None:
        shell = Shell(name, stack)
        shell.ask(1)
        update, client = await shell.until_received()
        shell.allowed = False
        assert shell.io.hold()
        shell.ask(2)
        shell.io._wake()
        shell.io.flush()
        shell.server.sendto(answer(update), client)
        assert (shell.received(), shell.finished) == ([], [])
        shell.allowed = True
        assert shell.io.resume(99.0)
        update, client = await shell.until_received()
        shell.server.sendto(answer(update), client)
        await shell.until_finished(1, 2)
        assert (shell.counters.update_sent.value, shell.counters.update_timeout.value) == (2, 0)

    play(scenario)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seconds", [99.0, 101.0])
def test_what_was_prepared_before_a_pause_is_sent_if_it_is_not_too_old(name: str, seconds: float) -> None:
    async def scenario(stack: contextlib.ExitStack) -> None:
        shell = Shell(name, stack)
        shell.looks = 2  # the look right before the system call
        shell.ask(1)
        await until(lambda: not shell.allowed, "the last look")
        assert shell.io.hold()
        assert shell.received() == []
        shell.allowed, shell.looks = True, -1
        assert shell.io.resume(seconds) is (seconds < 100.0)
        if seconds < 100.0:
            await shell.until_received()
        else:
            assert shell.received() == []

    play(scenario)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seconds", [99.0, 101.0])
def test_what_was_prepared_in_a_pause_is_sent_if_it_is_not_too_old(name: str, seconds: float) -> None:
    """The queue is read on, and what the engine makes of it is signed at once."""
    async def scenario(stack: contextlib.ExitStack) -> None:
        shell = Shell(name, stack)
        shell.allowed = False
        assert shell.io.hold()
        shell.ask(1)
        shell.allowed = True
        assert shell.io.resume(seconds) is (seconds < 100.0)

    play(scenario)


@pytest.mark.parametrize("name", NAMES)
def test_what_has_waited_for_a_connection_does_not_leave_without_a_lease(name: str) -> None:
    """As after a standstill: the kernel has made the connection, the end of the lease is not noticed."""
    async def scenario(stack: contextlib.ExitStack) -> None:
        tcp = {"user-context": {"pyd2": {"lanes": {"transport": "tcp"}}}}
        shell = Shell(name, stack, **tcp)
        listener = stack.enter_context(socket.create_server(shell.server.getsockname()))
        shell.ask(1)

        def connecting() -> bool:
            return any(sockets._tcp and sockets._tcp._connecting for sockets in shell.io._servers.values())

        while not connecting():  # noqa: ASYNC110  no turn later than that
            await asyncio.sleep(0)
        shell.allowed = False
        loop = asyncio.get_running_loop()
        connection, _ = await loop.run_in_executor(None, listener.accept)
        with connection:
            connection.settimeout(10)
            with contextlib.suppress(ConnectionResetError):
                assert await loop.run_in_executor(None, connection.recv, 100) == b""
        assert not shell.io.hold()
        shell.allowed = True
        connection, _ = await loop.run_in_executor(None, listener.accept)
        with connection:
            connection.settimeout(10)
            assert await loop.run_in_executor(None, connection.recv, 100)

    play(scenario)


@pytest.mark.parametrize("name", NAMES)
def test_what_tcp_has_cannot_be_held_back(name: str) -> None:
    async def scenario(stack: contextlib.ExitStack) -> None:
        tcp = {"user-context": {"pyd2": {"lanes": {"transport": "tcp"}}}}
        shell = Shell(name, stack, **tcp)
        listener = stack.enter_context(socket.create_server(shell.server.getsockname()))
        assert shell.io.hold()
        shell.ask(1)
        connection, _ = await asyncio.get_running_loop().run_in_executor(None, listener.accept)
        stack.enter_context(connection)
        assert not shell.io.hold()
        (sockets,) = shell.io._servers.values()
        link = sockets._tcp
        assert link is not None
        await until(lambda: link._connection, "the connection")
        assert link._connection is not None
        sock = link._connection.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 6000

    play(scenario)


@pytest.mark.parametrize("name", NAMES)
def test_what_tcp_was_to_get_in_a_pause_is_not_kept(name: str) -> None:
    async def scenario(stack: contextlib.ExitStack) -> None:
        tcp = {"user-context": {"pyd2": {"lanes": {"transport": "tcp"}}}}
        shell = Shell(name, stack, **tcp)
        shell.looks = 1  # the look at the beginning of the turn
        shell.ask(1)
        await until(lambda: not shell.allowed, "the last look")
        assert not shell.io.hold()
        assert not any(sockets._tcp for sockets in shell.io._servers.values())

    play(scenario)


def message(text: bytes) -> Any:
    return SimpleNamespace(message=text, slot=3)
