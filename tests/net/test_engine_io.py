"""The shell around the engine, with real sockets on the loopback."""

import asyncio
import contextlib
import itertools
import socket
import time
from collections.abc import Iterator

import pytest
import uvloop

import pyd2.net.engine_io
from pyd2.backend import make_backend
from pyd2.counters import Counters
from pyd2.net.dns import ServerSockets
from pyd2.net.engine_io import CLOSE_AT_A_TIME, EngineIO
from pyd2.net.read_turns import ReadTurns
from pyd2.net.troubles import Troubles
from pyd2.packets.compiled import SLOW_READS, slowness
from pyd2.update.engine import Engine, Outgoing, Output
from tests.net import chosen
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

pytestmark = pytest.mark.usefixtures("datagrams")


def test_a_reply_that_came_during_a_stall_counts(packet_layer: str) -> None:
    """A process that was stopped finds both a reply and its timeout waiting; its loop runs timers first."""

    async def scenario() -> None:
        counters, log, ended = Counters(), MemoryLog(), asyncio.Event()
        engine = Engine(counters, log, make_backend(packet_layer))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("127.0.0.1", 0))
            server.settimeout(10)
            zone = domain("example.com.", server.getsockname()[1])
            config = make_config(simple_map([zone], settings={"dns-server-timeout": 2}))
            engine.configure(config, None, time.monotonic(), time.time())
            engine_io = EngineIO(asyncio.get_running_loop(), engine,
                        lambda _: None if engine.active else ended.set(), chosen.datagrams, no_hook_jobs,
                        Troubles(counters, log), ReadTurns(asyncio.get_running_loop()))
            engine_io.requests([datagram(request(reverse_change=False))])
            engine_io.flush()
            update, client = server.recvfrom(65535)
            server.sendto(answer(update), client)
            while not engine.overdue(time.monotonic()):
                pass
            engine_io._wake()
            async with asyncio.timeout(10):
                await ended.wait()
            engine_io.close()
        assert log.ids[-1] == "DHCP_DDNS_ADD_SUCCEEDED"
        assert (counters.update_sent.value, counters.update_timeout.value) == (1, 0)

    uvloop.run(scenario())


class Clock:
    """The clocks of the shell, which a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    time = monotonic


def test_a_reply_that_came_right_after_the_last_reading_counts(
    packet_layer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another server's timeout has just had all sockets read, but before this reply came."""
    clock = Clock()
    monkeypatch.setattr(pyd2.net.engine_io, "time", clock)

    async def scenario() -> None:
        counters, log = Counters(), MemoryLog()
        engine = Engine(counters, log, make_backend(packet_layer))
        with contextlib.ExitStack() as stack:
            silent, server = (stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(2))
            for sock in (silent, server):
                sock.bind(("127.0.0.1", 0))
                sock.settimeout(10)
            zones = [domain(name, sock.getsockname()[1])
                     for name, sock in (("silent.test.", silent), ("example.com.", server))]
            config = make_config(simple_map(zones, settings={"dns-server-timeout": 60_000}))
            engine.configure(config, None, clock.now, clock.now)
            engine_io = EngineIO(asyncio.get_running_loop(), engine, lambda _: None, chosen.datagrams,
                                 no_hook_jobs, Troubles(counters, log), ReadTurns(asyncio.get_running_loop()))
            engine_io.requests([datagram(request(fqdn="h.silent.test.", dhcid="AA", reverse_change=False))])
            engine_io.flush()
            clock.now = 1000.005
            engine_io.requests([datagram(request(dhcid="BB", reverse_change=False))])
            engine_io.flush()
            update, client = server.recvfrom(65535)
            clock.now = 1060.001
            engine_io._wake()
            assert counters.update_timeout.value == 1
            server.sendto(answer(update), client)
            for clock.now in (1060.006, 1060.02):
                engine_io._wake()
            engine_io.close()
        assert (counters.tally.done, counters.update_timeout.value) == (1, 1)

    uvloop.run(scenario())


def test_what_has_ended_right_before_the_end_is_passed_on(packet_layer: str) -> None:
    """Else the durable queue keeps a request that has been carried out, and the next start does it again."""

    async def scenario() -> None:
        counters, log, finished = Counters(), MemoryLog(), list[int]()
        engine = Engine(counters, log, make_backend(packet_layer))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("127.0.0.1", 0))
            server.settimeout(10)
            zone = domain("example.com.", server.getsockname()[1])
            engine.configure(make_config(simple_map([zone])), None, time.monotonic(), time.time())
            engine_io = EngineIO(asyncio.get_running_loop(), engine,
                        lambda output: finished.extend(output.finished), chosen.datagrams, no_hook_jobs,
                        Troubles(counters, log), ReadTurns(asyncio.get_running_loop()))
            engine_io.requests([datagram(request(reverse_change=False))], [7])
            engine_io.flush()
            update, client = server.recvfrom(65535)
            server.sendto(answer(update), client)
            while engine.active:  # in one turn of the loop, with what follows
                for sockets in engine_io._servers.values():
                    list(sockets.read())
            engine_io.close()
        assert finished == [7]

    uvloop.run(scenario())


def test_sends_that_all_fail_leave_the_loop_its_turns(packet_layer: str) -> None:
    """Without a route each goes on to its next server at once: the listener must be read meanwhile."""
    count = 300  # with all their tries fewer than the breaker takes

    async def scenario() -> None:
        loop, counters, ended = asyncio.get_running_loop(), Counters(), asyncio.Event()
        log = MemoryLog(0)
        engine = Engine(counters, log, make_backend(packet_layer))
        # EACCES, as for any broadcast.
        servers = [
            {"ip-address": "255.255.255.255", "port": 53 + number,
             "user-context": {"pyd2": {"lanes": {"max-in-flight": limit}}}}
            for number, limit in enumerate((1, 32))
        ]
        failover = {"enabled": True, "breaker-threshold": 1000}
        config = make_config(simple_map(
            [{"name": "example.com.", "dns-servers": servers}],
            settings={"dns-server-timeout": 20, "user-context": {"pyd2": {"failover": failover}}},
        ))
        engine.configure(config, None, time.monotonic(), time.time())
        engine_io = EngineIO(loop, engine, lambda _: None if engine.active else ended.set(),
                             chosen.datagrams, no_hook_jobs, Troubles(counters, log), ReadTurns(loop))
        left = []

        def look() -> None:
            left.append(engine.queued)
            if engine.queued:
                loop.call_soon(look)

        engine_io.requests([
            datagram(request(fqdn=f"h{number}.example.com.", dhcid=f"{number:08X}", reverse_change=False))
            for number in range(count)
        ])
        look()
        async with asyncio.timeout(60):
            await ended.wait()
        engine_io.close()
        assert len(left) > 5
        assert max(before - after for before, after in itertools.pairwise(left)) < count / 5
        # One that waits longer than its timeout to be sent is tried at the first server again.
        assert counters.update_sent.value == counters.update_timeout.value >= 4 * count

    uvloop.run(scenario())


def test_an_answer_that_the_kernel_drops_is_logged_when_its_try_times_out(packet_layer: str) -> None:
    async def scenario() -> None:
        counters, log, ended = Counters(), MemoryLog(0), asyncio.Event()
        engine = Engine(counters, log, make_backend(packet_layer))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("127.0.0.1", 0))
            server.settimeout(10)
            zone = domain("example.com.", server.getsockname()[1])
            config = make_config(simple_map([zone], settings={"dns-server-timeout": 300}))
            engine.configure(config, None, time.monotonic(), time.time())
            loop = asyncio.get_running_loop()
            engine_io = EngineIO(loop, engine, lambda _: None if engine.active else ended.set(),
                             chosen.datagrams, no_hook_jobs, Troubles(counters, log), ReadTurns(loop))
            engine_io.requests([datagram(request(reverse_change=False))])
            engine_io.flush()
            update, client = server.recvfrom(65535)
            for _ in range(4000):
                server.sendto(bytes(12), client)
            server.sendto(answer(update), client)
            loop.add_reader(server.fileno(), _answer_one, server)
            async with asyncio.timeout(10):
                await ended.wait()
            loop.remove_reader(server.fileno())
            engine_io.close()
        assert log.ids[-1] == "DHCP_DDNS_ADD_SUCCEEDED"
        assert counters.replies_dropped.value > 0
        assert log.ids.count("PYD2_REPLIES_DROPPED") == 1

    uvloop.run(scenario())


def test_sockets_of_idle_servers_give_way(packet_layer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """More servers than there are descriptors: all of their updates are made, one server after the other."""
    count, most = 30, 10
    monkeypatch.setattr("pyd2.net.descriptors._most", lambda: most)

    async def scenario() -> None:
        counters, log, ended = Counters(), MemoryLog(0), asyncio.Event()
        engine = Engine(counters, log, make_backend(packet_layer))
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as stack:
            servers = []
            for _ in range(count):
                server = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                server.bind(("127.0.0.1", 0))
                server.setblocking(False)
                servers.append(server)
                loop.add_reader(server.fileno(), _answer_one, server)
            zones = [domain(f"z{at}.example.", server.getsockname()[1]) for at, server in enumerate(servers)]
            config = make_config(simple_map(zones, settings={"dns-server-timeout": 60_000}))
            engine.configure(config, None, time.monotonic(), time.time())
            engine_io = EngineIO(loop, engine, lambda _: None if engine.active else ended.set(),
                             chosen.datagrams, no_hook_jobs, Troubles(counters, log), ReadTurns(loop))
            for turn in range(3):
                for at in range(count):
                    ended.clear()
                    engine_io.requests([datagram(request(
                        fqdn=f"h.z{at}.example.", dhcid=f"{turn:04X}{at:04X}", reverse_change=False,
                    ))])
                    async with asyncio.timeout(10):
                        await ended.wait()
            assert engine_io._descriptors._used <= most
            for server in servers:
                loop.remove_reader(server.fileno())
            engine_io.close()
        assert log.ids == ["DHCP_DDNS_ADD_SUCCEEDED"] * (3 * count)

    uvloop.run(scenario())


def _answer_one(server: socket.socket) -> None:
    update, client = server.recvfrom(65535)
    server.sendto(answer(update), client)


def test_sockets_are_read_once_for_many_timeouts_that_fail_in_parts(
    packet_layer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading those of all servers before each part would cost more than the part."""
    monkeypatch.setattr(pyd2.net.engine_io, "READ_PAUSE", 0.2)  # longer than the parts on a busy machine
    read, parts = 0, []

    def counted(_sockets: ServerSockets) -> Iterator[None]:
        nonlocal read
        read += 1
        yield

    monkeypatch.setattr(ServerSockets, "read", counted)

    async def scenario() -> None:
        counters, ended = Counters(), asyncio.Event()
        engine = Engine(counters, MemoryLog(-1), make_backend(packet_layer))
        with contextlib.ExitStack() as stack:
            silent = [stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(20)]
            for server in silent:
                server.bind(("127.0.0.1", 0))
            zones = [domain(f"z{number}.test.", server.getsockname()[1])
                     for number, server in enumerate(silent)]
            config = make_config(simple_map(zones, settings={"dns-server-timeout": 2}))
            engine.configure(config, None, time.monotonic(), time.time())

            def report(_: Output) -> None:
                parts.append(counters.update_timeout.value)
                if not engine.active:
                    ended.set()

            engine_io = EngineIO(asyncio.get_running_loop(), engine, report, chosen.datagrams, no_hook_jobs,
                        Troubles(counters, MemoryLog(-1)), ReadTurns(asyncio.get_running_loop()))
            for number in range(400):
                ncr = request(fqdn=f"h{number}.z{number % 20}.test.", dhcid=f"{number:04X}",
                              reverse_change=False)
                engine_io.requests([datagram(ncr)])
            engine_io.flush()
            async with asyncio.timeout(60):
                await ended.wait()
            engine_io.close()

    uvloop.run(scenario())
    busy = sum(before != after for before, after in itertools.pairwise(parts))
    assert parts[-1] == 1200
    assert read <= 20 * busy / 2


def test_sockets_of_servers_that_are_gone_are_closed_in_parts(
    packet_layer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload that removes thousands of servers delays no request while their sockets are closed."""
    count = 3 * CLOSE_AT_A_TIME + 1
    closed = 0
    close = ServerSockets.close

    def counted(sockets: ServerSockets) -> None:
        nonlocal closed
        closed += 1
        close(sockets)

    monkeypatch.setattr(ServerSockets, "close", counted)

    async def scenario() -> list[int]:
        counters, log, ended = Counters(), MemoryLog(0), asyncio.Event()
        engine = Engine(counters, log, make_backend(packet_layer))
        zones = [domain(f"z{at}.example.", 1 + at) for at in range(count)]
        config = make_config(simple_map(zones, settings={"dns-server-timeout": 1}))
        engine.configure(config, None, time.monotonic(), time.time())
        loop = asyncio.get_running_loop()
        engine_io = EngineIO(loop, engine, lambda _: None if engine.active else ended.set(), chosen.datagrams,
                             no_hook_jobs, Troubles(counters, log), ReadTurns(asyncio.get_running_loop()))
        engine_io.requests([
            datagram(request(fqdn=f"h.z{at}.example.", dhcid=f"{at:08X}", reverse_change=False))
            for at in range(count)
        ])
        async with asyncio.timeout(10):
            await ended.wait()
        assert engine_io._descriptors._used >= count
        engine.configure(make_config(simple_map()), None, time.monotonic(), time.time())
        engine_io.forget_unused()
        seen = [closed]
        async with asyncio.timeout(10):
            while closed < count:
                await asyncio.sleep(0)
                seen.append(closed)
        assert engine_io._descriptors._used == 0
        engine_io.close()
        return seen

    seen = uvloop.run(scenario())
    assert max(after - before for before, after in itertools.pairwise([0, *seen])) <= CLOSE_AT_A_TIME
    assert closed == count


def test_sockets_that_are_being_closed_are_closed_at_the_end(packet_layer: str) -> None:
    async def scenario() -> None:
        counters, log = Counters(), MemoryLog(0)
        engine = Engine(counters, log, make_backend(packet_layer))
        zones = [domain(f"z{at}.example.", 1 + at) for at in range(CLOSE_AT_A_TIME + 1)]
        engine.configure(make_config(simple_map(zones)), None, time.monotonic(), time.time())
        engine_io = EngineIO(asyncio.get_running_loop(), engine, lambda _: None, chosen.datagrams,
                             no_hook_jobs, Troubles(counters, log), ReadTurns(asyncio.get_running_loop()))
        for lane in engine.lanes:
            engine_io._sockets(lane).send([Outgoing(lane, 0, 1, False, bytes(12))], time.monotonic())
        engine.configure(make_config(simple_map()), None, time.monotonic(), time.time())
        engine_io.forget_unused()
        assert engine_io._descriptors._used == 1
        engine_io.close()
        assert engine_io._descriptors._used == 0
        await asyncio.sleep(0)

    uvloop.run(scenario())


def test_the_timer_leaves_one_turn_to_sockets_that_wait(packet_layer: str) -> None:
    """Both in one turn of the loop would take too long; the timer is late by one turn, not by more."""
    order: list[str] = []

    async def scenario() -> None:
        counters, log = Counters(), MemoryLog(0)
        engine = Engine(counters, log, make_backend(packet_layer))
        engine.configure(make_config(simple_map()), None, time.monotonic(), time.time())
        loop = asyncio.get_running_loop()
        turns = ReadTurns(loop)
        engine_io = EngineIO(loop, engine, lambda _: order.append("timer"), chosen.datagrams,
                             no_hook_jobs, Troubles(counters, log), turns)
        turns.request_socket_waits = True
        for _ in range(2):
            order.append("due")
            engine_io._due()
            for number in range(3):
                await asyncio.sleep(0)
                order.append(f"turn {number}")
        engine_io.close()

    uvloop.run(scenario())
    once = ["due", "turn 0", "timer", "turn 1", "turn 2"]
    assert order[:-1] == 2 * once


@pytest.mark.parametrize("place", ["handle_timer", "report"])
def test_a_fault_in_a_turn_does_not_leave_the_engine_without_its_timer(
    packet_layer: str, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """A try whose time is up would stay under way until something arrives."""
    monkeypatch.setattr(pyd2.net.engine_io, "FAULT_PAUSE", 0.01)

    async def scenario() -> None:
        counters, log, ended, faults = Counters(), MemoryLog(), asyncio.Event(), 0
        engine = Engine(counters, log, make_backend(packet_layer))
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)

        def fail_twice(*, due: bool) -> None:
            nonlocal faults
            if due and faults < 2:
                faults += 1
                raise RuntimeError("a defect")

        def report(_: Output) -> None:
            fail_twice(due=place == "report" and counters.update_timeout.value > 0)
            if faults and not engine.active:
                ended.set()

        handle_timer = engine.handle_timer

        def wake(now: float, wall: float, *, read_until: float | None = None) -> None:
            fail_twice(due=place == "handle_timer" and engine.overdue(time.monotonic()))
            handle_timer(now, wall, read_until=read_until)

        monkeypatch.setattr(engine, "handle_timer", wake)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("127.0.0.1", 0))
            zone = domain("example.com.", server.getsockname()[1])
            config = make_config(simple_map([zone], settings={"dns-server-timeout": 2}))
            engine.configure(config, None, time.monotonic(), time.time())
            engine_io = EngineIO(loop, engine, report, chosen.datagrams, no_hook_jobs,
                                 Troubles(counters, log), ReadTurns(asyncio.get_running_loop()))
            engine_io.requests([datagram(request(reverse_change=False))])
            async with asyncio.timeout(10):
                await ended.wait()
            engine_io.close()
        assert faults
        assert log.ids[-1] == "DHCP_DDNS_ADD_FAILED"

    uvloop.run(scenario())


def test_requests_that_only_python_reads_are_read_in_parts_and_in_their_order() -> None:
    """A client that sent such ones kept the update thread busy for as long as it wished."""

    async def scenario() -> None:
        counters, log = Counters(), MemoryLog(0)
        engine = Engine(counters, log, make_backend("compiled"))
        engine.configure(make_config(simple_map()), None, time.monotonic(), time.time())
        loop = asyncio.get_running_loop()
        turns = ReadTurns(loop)
        engine_io = EngineIO(loop, engine, lambda _: None, chosen.datagrams, no_hook_jobs,
                             Troubles(counters, log), turns)
        engine_io.requests([b"\0\2{}"] * 40)
        read = [0, counters.ncr_invalid.value]
        assert (engine_io.reading, turns.requests_unread) == (True, True)
        engine_io.requests([datagram(request())])
        received = [counters.ncr_received.value]
        while engine_io.reading:
            await asyncio.sleep(0)
            read.append(counters.ncr_invalid.value)
            received.append(counters.ncr_received.value)
        assert read[-1] == 40
        assert received == [0] * (len(received) - 1) + [1]
        most = max(after - before for before, after in itertools.pairwise(read))
        assert most == SLOW_READS // slowness(b"\0\2{}")
        assert not turns.requests_unread
        engine_io.close()

    uvloop.run(scenario())


def test_a_fault_in_one_part_of_them_leaves_the_others_to_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        counters, log = Counters(), MemoryLog(0)
        engine = Engine(counters, log, make_backend("compiled"))
        engine.configure(make_config(simple_map()), None, time.monotonic(), time.time())
        loop = asyncio.get_running_loop()
        faults: list[str] = []
        loop.set_exception_handler(lambda _, fault: faults.append(str(fault["exception"])))
        turns = ReadTurns(loop)
        engine_io = EngineIO(loop, engine, lambda _: None, chosen.datagrams, no_hook_jobs,
                             Troubles(counters, log), turns)
        engine_io.requests([b"\0\2{}"] * (SLOW_READS + 1))
        engine_io.requests([datagram(request())])

        def fail(*_: object) -> int:
            monkeypatch.undo()
            raise RuntimeError("a defect")

        monkeypatch.setattr(engine, "receive_requests", fail)
        for _ in range(5):
            await asyncio.sleep(0)
        assert faults == ["a defect"]
        assert counters.ncr_received.value == 1
        assert not turns.requests_unread
        engine_io.close()

    uvloop.run(scenario())
