"""The shell around the engine, with real sockets on the loopback."""

import asyncio
import contextlib
import itertools
import socket
import time

import pytest
import uvloop

import pyd2.net.pump
from pyd2.counters import Counters
from pyd2.net.dns import ServerSockets
from pyd2.net.pump import Pump
from pyd2.packets.layer import make_layer
from pyd2.update.engine import Engine
from tests.net import chosen
from tests.update.support import (
    MemoryLog,
    answer,
    datagram,
    domain,
    make_config,
    no_errands,
    request,
    simple_map,
)

pytestmark = pytest.mark.usefixtures("datagrams")


def test_a_reply_that_came_during_a_stall_counts(packet_layer: str) -> None:
    """A process that was stopped finds both a reply and its timeout waiting; its loop runs timers first."""

    async def scenario() -> None:
        counters, log, ended = Counters(), MemoryLog(), asyncio.Event()
        engine = Engine(counters, log, packets=make_layer(packet_layer))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("127.0.0.1", 0))
            server.settimeout(10)
            zone = domain("example.com.", server.getsockname()[1])
            config = make_config(simple_map([zone], settings={"dns-server-timeout": 2}))
            engine.configure(config, None, time.monotonic(), time.time())
            pump = Pump(asyncio.get_running_loop(), engine,
                        lambda: None if engine.active else ended.set(), chosen.datagrams, no_errands)
            pump.requests([datagram(request(reverse_change=False))])
            pump.flush()
            update, client = server.recvfrom(65535)
            server.sendto(answer(update), client)
            while not engine.overdue(time.monotonic()):
                pass
            pump._wake()
            async with asyncio.timeout(10):
                await ended.wait()
            pump.close()
        assert log.ids[-1] == "DHCP_DDNS_ADD_SUCCEEDED"
        assert (counters.update_sent.value, counters.update_timeout.value) == (1, 0)

    uvloop.run(scenario())


def test_what_has_ended_right_before_the_end_is_passed_on(packet_layer: str) -> None:
    """Else the durable queue keeps a request that has been carried out, and the next start does it again."""

    async def scenario() -> None:
        engine, finished = Engine(Counters(), MemoryLog(), packets=make_layer(packet_layer)), list[int]()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("127.0.0.1", 0))
            server.settimeout(10)
            zone = domain("example.com.", server.getsockname()[1])
            engine.configure(make_config(simple_map([zone])), None, time.monotonic(), time.time())
            pump = Pump(asyncio.get_running_loop(), engine,
                        lambda: finished.extend(engine.take_finished()), chosen.datagrams, no_errands)
            pump.requests([datagram(request(reverse_change=False))], [7])
            pump.flush()
            update, client = server.recvfrom(65535)
            server.sendto(answer(update), client)
            while engine.active:  # in one turn of the loop, with what follows
                for sockets in pump._servers.values():
                    sockets.read()
            pump.close()
        assert finished == [7]

    uvloop.run(scenario())


def test_sends_that_all_fail_leave_the_loop_its_turns(packet_layer: str) -> None:
    """Without a route to the server each request fails at once: the listener must be read meanwhile."""
    count = 3000

    async def scenario() -> None:
        loop, counters, ended = asyncio.get_running_loop(), Counters(), asyncio.Event()
        engine = Engine(counters, MemoryLog(0), packets=make_layer(packet_layer))
        servers = [{"ip-address": "255.255.255.255", "port": 53}]  # EACCES, as for any broadcast
        config = make_config(simple_map([{"name": "example.com.", "dns-servers": servers}]))
        engine.configure(config, None, time.monotonic(), time.time())
        pump = Pump(loop, engine, lambda: None if engine.active else ended.set(), chosen.datagrams,
                    no_errands)
        left = []

        def look() -> None:
            left.append(engine.queued)
            if engine.queued:
                loop.call_soon(look)

        pump.requests([
            datagram(request(fqdn=f"h{number}.example.com.", dhcid=f"{number:08X}", reverse_change=False))
            for number in range(count)
        ])
        look()
        async with asyncio.timeout(60):
            await ended.wait()
        pump.close()
        assert len(left) > 10
        assert max(before - after for before, after in itertools.pairwise(left)) < count / 5
        assert (counters.update_sent.value, counters.update_timeout.value) == (3 * count, 3 * count)

    uvloop.run(scenario())


def test_sockets_are_read_once_for_many_timeouts_that_fail_in_parts(
    packet_layer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading those of all servers before each part would cost more than the part."""
    monkeypatch.setattr(pyd2.net.pump, "READ_SECONDS", 60.0, raising=False)
    read, parts = 0, []

    def counted(_sockets: ServerSockets) -> None:
        nonlocal read
        read += 1

    monkeypatch.setattr(ServerSockets, "read", counted)

    async def scenario() -> None:
        counters, ended = Counters(), asyncio.Event()
        engine = Engine(counters, MemoryLog(-1), packets=make_layer(packet_layer))
        with contextlib.ExitStack() as stack:
            silent = [stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(20)]
            for server in silent:
                server.bind(("127.0.0.1", 0))
            zones = [domain(f"z{number}.test.", server.getsockname()[1])
                     for number, server in enumerate(silent)]
            config = make_config(simple_map(zones, settings={"dns-server-timeout": 2}))
            engine.configure(config, None, time.monotonic(), time.time())

            def after() -> None:
                parts.append(counters.update_timeout.value)
                if not engine.active:
                    ended.set()

            pump = Pump(asyncio.get_running_loop(), engine, after, chosen.datagrams, no_errands)
            for number in range(400):
                ncr = request(fqdn=f"h{number}.z{number % 20}.test.", dhcid=f"{number:04X}",
                              reverse_change=False)
                pump.requests([datagram(ncr)])
            pump.flush()
            async with asyncio.timeout(60):
                await ended.wait()
            pump.close()

    uvloop.run(scenario())
    busy = sum(before != after for before, after in itertools.pairwise(parts))
    assert parts[-1] == 1200
    assert read <= 20 * busy / 2
