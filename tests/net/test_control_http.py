"""The sockets of HTTP control channels, with real clients: requests, time, limits, successors."""

from __future__ import annotations

import asyncio
import errno
import gc
import resource
import socket
import weakref
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from pyd2.data.element import Element
from pyd2.errors import ConfigError
from pyd2.net import control, control_http_connection
from pyd2.net.control_http import MAX_CONNECTIONS, HttpChannel
from tests.control.http_fakes import ADMIN, HttpLines, basic, body_of, command, http_socket, post, status_of
from tests.kit.ports import PortLease
from tests.kit.waiting import until
from tests.net.http_ends import Client, answer, ask, channel, make

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.net.conftest import Run


@pytest.fixture
def log() -> HttpLines:
    return HttpLines()


@pytest.fixture
def port() -> Iterator[int]:
    with PortLease() as lease:
        yield lease.take()


def test_one_exchange(log: HttpLines, run: Run) -> None:
    async def main() -> None:
        async with channel(log) as made:
            client = await Client.connect(made.port)
            assert body_of(await client.ask(command("one"))) == '[ { "result": 0, "text": "one" } ]'
            client.close()
            await until(lambda: log.texts("HTTP_CONNECTION_STOP"))

    run(main())
    assert [line for line in log.lines if "DETAILS" not in line[0] and "PYD2" not in line[0]] == [
        ("HTTP_COMMAND_MGR_SERVICE_STARTED", "started HTTP service bound to address: 127.0.0.1 port: 0"),
        ("HTTP_REQUEST_RECEIVE_START", "start receiving request from 127.0.0.1 with timeout 10"),
        ("HTTP_DATA_RECEIVED", f"received {len(command('one'))} bytes from 127.0.0.1"),
        ("HTTP_CLIENT_REQUEST_RECEIVED", "received HTTP request from 127.0.0.1"),
        ("HTTP_SERVER_RESPONSE_SEND", "sending HTTP response HTTP/1.1 200 OK to 127.0.0.1"),
        ("HTTP_CONNECTION_STOP", "stopping HTTP connection from 127.0.0.1"),
        ("HTTP_CONNECTION_STOP", "stopping HTTP connection from (unknown address)"),
        (
            "HTTP_COMMAND_MGR_SERVICE_STOPPING",
            "Server is stopping HTTP service bound to address 127.0.0.1 port 0",
        ),
    ]


def test_over_ipv6(log: HttpLines, run: Run) -> None:
    async def main() -> None:
        async with channel(log, http_socket(address="::1")) as made:
            client = await Client.connect(made.port, host="::1")
            assert status_of(await client.ask(command("one"))) == 200
            client.close()

    run(main())
    assert log.texts("HTTP_CLIENT_REQUEST_RECEIVED") == ["received HTTP request from ::1"]


def test_an_address_is_shown_as_kea_shows_it(log: HttpLines, run: Run) -> None:
    async def main() -> None:
        async with channel(log, http_socket(address="::ffff:127.0.0.1")):
            pass

    run(main())
    assert log.texts("HTTP_COMMAND_MGR_SERVICE_STARTED") == [
        "started HTTP service bound to address: ::ffff:127.0.0.1 port: 0"
    ]


def test_the_interface_of_an_address_belongs_to_its_place(log: HttpLines, run: Run) -> None:
    async def main() -> None:
        lo = socket.if_nametoindex("lo")
        addresses = ("fe80::1", "fe80::1%lo", f"fe80::1%{lo}", f"fe80::1%{lo + 1}")
        none, named, numbered, other = (
            make(log, http_socket(8000, address=address)).place for address in addresses
        )
        assert named == numbered
        assert len({none, named, other}) == 3

    run(main())


def test_a_connection_carries_many_requests_until_one_of_them_ends_it(log: HttpLines, run: Run) -> None:
    async def main() -> None:
        async with channel(log) as made:
            client = await Client.connect(made.port)
            for number in range(20):
                assert f'"{number}"' in body_of(await client.ask(command(str(number))))
            assert status_of(await client.ask(post("{"))) == 400
            assert status_of(await client.ask(command("last", "Connection: close"))) == 200
            assert await client.ended() == b""
            client.close()

    run(main())


def test_a_client_that_sends_all_the_time_is_read_once_on_each_pass_of_the_loop(
    log: HttpLines, run: Run
) -> None:
    async def main() -> None:
        received: list[int] = []
        """How many parts have come, at each pass."""

        def look() -> None:
            received.append(len(log.texts("HTTP_DATA_RECEIVED")))
            loop.call_soon(look)

        loop = asyncio.get_running_loop()
        async with channel(log) as made:
            client = await Client.connect(made.port)
            look()
            response = await client.ask(post(b" " * (4 << 20) + b'{"command": "one"}'))
            assert status_of(response) == 200
            client.close()
        assert received[-1] > 100
        assert max(later - before for before, later in pairwise(received)) == 1

    run(main())


@pytest.mark.parametrize("sent", [b"", command("one")[:50], command("one")])
def test_nothing_stays_of_a_closed_connection(log: HttpLines, run: Run, sent: bytes) -> None:
    """The garbage collector looks at lasting objects rarely: rings of references would use up the memory."""

    async def main() -> None:
        async with channel(log) as made:
            client = await Client.connect(made.port)
            client.send(sent)
            await until(lambda: log.texts("HTTP_DATA_RECEIVED") or (not sent and made._connections))
            if sent == command("one"):
                await client.response()
            (connection,) = made._connections
            left: list[weakref.ref[object]] = [weakref.ref(connection), weakref.ref(connection.session)]
            del connection
            client.close()
            await until(lambda: [found() for found in left] == [None, None])

    gc.disable()
    try:
        run(main())
    finally:
        gc.enable()


def test_pipelined_requests(log: HttpLines, run: Run) -> None:
    async def main() -> None:
        async with channel(log) as made:
            client = await Client.connect(made.port)
            client.send(b"".join(command(str(number)) for number in range(1000)))
            for number in range(1000):
                assert f'"{number}"' in body_of(await client.response())
            client.close()

    run(main())


def test_requests_and_the_end_of_sending_in_one_go(log: HttpLines, run: Run) -> None:
    """A client that has said all it wants to say still reads."""

    async def main() -> None:
        async with channel(log) as made:
            client = await Client.connect(made.port)
            client.send(command("1") + command("2"))
            client.writer.write_eof()
            assert [status_of(await client.response()) for _ in range(2)] == [200, 200]
            assert await client.ended() == b""
            client.close()

    run(main())


def test_single_bytes(log: HttpLines, run: Run) -> None:
    async def main() -> None:
        async with channel(log) as made:
            client = await Client.connect(made.port)
            sock = client.writer.get_extra_info("socket")
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in command("slow"):
                client.send(bytes([byte]))
                await client.writer.drain()
                await asyncio.sleep(0)
            assert '"slow"' in body_of(await client.response())
            client.close()

    run(main())


@pytest.mark.parametrize("sent", [b"", b"POST / HT", command("x")[:-1]])
def test_a_client_that_leaves_half_way_gets_nothing(log: HttpLines, run: Run, sent: bytes) -> None:
    async def main() -> None:
        async with channel(log) as made:
            client = await Client.connect(made.port)
            client.send(sent)
            client.writer.write_eof()
            assert await client.ended() == b""
            client.close()

    run(main())
    assert log.texts("HTTP_SERVER_RESPONSE_SEND") == []


def test_a_long_response_goes_out_in_pieces(log: HttpLines, run: Run) -> None:
    text = "x" * 3_000_000

    async def main() -> None:
        async with channel(log, process=lambda _: Element(text)) as made:
            assert body_of(await ask(made.port, command("long"))) == f'[ "{text}" ]'

    run(main())


def test_a_client_that_leaves_before_its_response(log: HttpLines, run: Run) -> None:
    async def main() -> None:
        async with channel(log, process=lambda _: Element("x" * 9_000_000)) as made:
            client = await Client.connect(made.port)
            client.send(command("long"))
            await client.reader.read(1)
            client.writer.transport.abort()
            await until(lambda: log.texts("HTTP_CONNECTION_STOP"))
            assert status_of(await ask(made.port, b"x\r")) == 400

    run(main())


@pytest.mark.parametrize("sent", [b"", b"POST / HT", command("x")[:-1]])
def test_a_client_that_resets_is_noticed_at_once(
    log: HttpLines, run: Run, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    """And not when its time is up; uvloop reports a reset behind unread data only once."""
    monkeypatch.setattr(control_http_connection, "TIMEOUT", 3600)

    async def main() -> None:
        async with channel(log) as made:
            with socket.create_connection(("127.0.0.1", made.port)) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                client.sendall(sent)
            await until(lambda: log.texts("HTTP_CONNECTION_STOP"))

    run(main())


def test_a_fault_of_the_server_costs_one_connection(log: HttpLines, run: Run) -> None:
    faults: list[object] = []

    def process(request: Element) -> Element:
        if request.map_value()["command"].value == "bad":
            raise ZeroDivisionError
        return answer(request)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: faults.append(context.get("exception")))
        async with channel(log, process=process) as made:
            client = await Client.connect(made.port)
            client.send(command("bad"))
            assert await client.ended() == b""
            client.close()
            assert status_of(await ask(made.port, command("good"))) == 200

    run(main())
    assert [type(fault) for fault in faults] == [ZeroDivisionError]


# Time.


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"", "HTTP/1.0 408"),
        (b"POST / HTTP/1.1\r\n", "HTTP/1.1 408"),
    ],
)
def test_a_head_that_does_not_come(
    log: HttpLines,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    sent: bytes,
    status: str,
) -> None:
    monkeypatch.setattr(control_http_connection, "TIMEOUT", 0.05)

    async def main() -> None:
        async with channel(log) as made:
            client = await Client.connect(made.port)
            client.send(sent)
            assert (await client.response()).decode().startswith(status)
            assert await client.ended() == b""
            client.close()

    run(main())
    assert len(log.texts("HTTP_CLIENT_REQUEST_TIMEOUT_OCCURRED")) == 1


def test_a_head_that_drips_is_given_up(log: HttpLines, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_http_connection, "TIMEOUT", 0.2)

    async def main() -> None:
        async with channel(log) as made:
            client = await Client.connect(made.port)
            assert status_of(await client.ask(command("x"))) == 200  # the second head has as much time
            client.send(b"POST / HTTP/1.1\r\nX: ")

            async def drip() -> None:
                while not log.texts("HTTP_CLIENT_REQUEST_TIMEOUT_OCCURRED"):
                    client.send(b"a")
                    await asyncio.sleep(0.01)

            await drip()
            assert status_of(await client.response()) == 408
            client.close()

    run(main())
    assert len(log.texts("HTTP_DATA_RECEIVED")) > 2


def test_a_body_that_drips_is_given_up(log: HttpLines, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as it comes it has more time, but not without end."""
    monkeypatch.setattr(control_http_connection, "DEADLINE", 0.2)
    monkeypatch.setattr(control_http_connection, "IDLE_TIMEOUT", 0.05)

    async def main() -> None:
        async with channel(log) as made:
            client = await Client.connect(made.port)
            client.send(post(" " * 60000, "Connection: close")[:-59000])
            while not log.texts("HTTP_CLIENT_REQUEST_TIMEOUT_OCCURRED"):
                client.send(b" ")
                await asyncio.sleep(0.01)
            assert status_of(await client.response()) == 408
            assert await client.ended() in {b"", b"reset"}
            client.close()

    run(main())


def test_the_late_rest_of_a_body_is_no_request(
    log: HttpLines, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_http_connection, "TIMEOUT", 0.05)
    monkeypatch.setattr(control_http_connection, "IDLE_TIMEOUT", 0.1)
    seen: list[Element] = []

    def process(request: Element) -> Element:
        seen.append(request)
        return answer(request)

    async def main() -> None:
        async with channel(log, process=process) as made:
            client = await Client.connect(made.port)
            client.send(post("x" * 1000)[:-999])
            assert status_of(await client.response()) == 408
            client.send(command("shutdown"))
            assert await client.ended() == b""
            client.close()

    run(main())
    assert seen == []
    assert len(log.texts("HTTP_IDLE_CONNECTION_TIMEOUT_OCCURRED")) == 1


def test_an_idle_connection_is_closed(log: HttpLines, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_http_connection, "IDLE_TIMEOUT", 0.05)

    async def main() -> None:
        async with channel(log) as made:
            client = await Client.connect(made.port)
            await client.ask(command("x"))
            assert await client.ended() == b""
            client.close()

    run(main())
    assert log.texts("HTTP_IDLE_CONNECTION_TIMEOUT_OCCURRED") == [
        "closing persistent connection with 127.0.0.1 as a result of a timeout"
    ]


@pytest.mark.parametrize("limit", ["TIMEOUT", "DEADLINE"])
def test_a_client_that_does_not_read_its_response_is_given_up(
    log: HttpLines,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
) -> None:
    """One that reads a little at a time has more time, but not without end."""
    monkeypatch.setattr(control_http_connection, limit, 0.3)

    async def main() -> None:
        async with channel(log, process=lambda _: Element("x" * 20_000_000)) as made:
            client = socket.create_connection(("127.0.0.1", made.port))
            client.setblocking(False)
            client.send(command("x"))

            def closed() -> bool:
                if limit == "DEADLINE":
                    with suppress(BlockingIOError, ConnectionResetError):
                        client.recv(1)
                return bool(log.texts("HTTP_CONNECTION_STOP"))

            await until(closed)
            client.close()

    run(main())


# What is too much.


def test_a_body_of_100_mebibytes_is_refused_and_its_client_learns_that(log: HttpLines, run: Run) -> None:
    async def main() -> None:
        async with channel(log) as made:
            client = await Client.connect(made.port)
            client.send(post("x")[:-1].replace(b"Length: 1", b"Length: 104857600") + b"x" * 65536)
            assert status_of(await client.response()) == 413
            client.close()

    run(main())


def test_a_client_that_sends_without_end_after_the_last_response(
    log: HttpLines, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_http_connection, "LINGER", 0.1)

    async def main() -> None:
        async with channel(log) as made:
            client = await Client.connect(made.port)
            client.send(b"GET / HTTP/1.1\r\n\r\n")
            assert status_of(await client.response()) == 400
            with suppress(ConnectionError):
                while not log.texts("HTTP_CONNECTION_STOP"):
                    client.send(b"x" * 1000)
                    await client.writer.drain()
                    await asyncio.sleep(0)
            client.close()

    run(main())
    assert len(log.texts("HTTP_SERVER_RESPONSE_SEND")) == 1


def test_a_new_client_takes_the_place_of_the_one_that_has_waited_longest(log: HttpLines, run: Run) -> None:
    async def main() -> None:
        async with channel(log) as made:
            first = await Client.connect(made.port)
            others = [await Client.connect(made.port) for _ in range(MAX_CONNECTIONS - 1)]
            await until(lambda: len(log.texts("HTTP_REQUEST_RECEIVE_START")) == MAX_CONNECTIONS)
            assert status_of(await first.ask(command("x"))) == 200  # now others wait for longer
            latest = await Client.connect(made.port)
            assert status_of(await latest.ask(command("x"))) == 200
            assert await others[0].ended() == b""
            for client in (first, others[1], others[-1], latest):
                assert status_of(await client.ask(command("x"))) == 200
            for client in (first, latest, *others):
                client.close()

    run(main())
    assert log.texts("PYD2_HTTP_CONNECTION_REPLACED") == [
        (
            "closed an HTTP connection from 127.0.0.1 that sent no request, in favour of a new one: "
            f"{MAX_CONNECTIONS} connections are open, which is the limit. This happened 1 times since the "
            "last such message, which appears at most once a minute. Check which clients leave their "
            "connections open"
        )
    ]


def test_a_thousand_idle_clients_shut_no_other_out(log: HttpLines, run: Run) -> None:
    async def main() -> None:
        async with channel(log) as made:
            idle = [await Client.connect(made.port) for _ in range(1000)]
            assert status_of(await ask(made.port, command("x"))) == 200
            assert len(made._connections) <= MAX_CONNECTIONS
            for client in idle:
                client.close()

    run(main())
    assert len(log.texts("PYD2_HTTP_CONNECTION_REPLACED")) == 1


def test_busy_connections_are_not_given_up_for_new_ones(log: HttpLines, run: Run) -> None:
    async def main() -> None:
        async with channel(log) as made:
            busy = [await Client.connect(made.port) for _ in range(MAX_CONNECTIONS)]
            for client in busy:
                client.send(command("busy")[:-1])
            await until(lambda: len(log.texts("HTTP_DATA_RECEIVED")) == MAX_CONNECTIONS)
            waiting = await Client.connect(made.port)
            waiting.send(command("waiting"))
            await until(lambda: True)
            busy[7].send(command("busy")[-1:])
            assert '"busy"' in body_of(await busy[7].response())
            assert '"waiting"' in body_of(await waiting.response())
            for client in busy[:7]:
                client.send(command("busy")[-1:])
                assert status_of(await client.response()) == 200
            for client in (*busy, waiting):
                client.close()

    run(main())


def test_bodies_of_strangers_shut_no_client_out(log: HttpLines, run: Run) -> None:
    async def main() -> None:
        async with channel(log, http_socket(0, ADMIN)) as made:
            strangers = [await Client.connect(made.port) for _ in range(MAX_CONNECTIONS)]
            for client in strangers:
                client.send(command("x")[:-1])
            await until(lambda: len(log.texts("HTTP_DATA_RECEIVED")) == MAX_CONNECTIONS)
            assert status_of(await ask(made.port, command("x", basic(ADMIN)))) == 200
            for client in strangers:
                client.close()

    run(main())


def test_no_descriptor_is_left(log: HttpLines, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "ACCEPT_PAUSE", 0.01)

    async def main() -> None:
        async with channel(log) as made:
            client = socket.socket()
            client.setblocking(False)
            with suppress(BlockingIOError):
                client.connect(("127.0.0.1", made.port))
            limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno(), limits[1]))
            try:
                await until(lambda: log.texts("PYD2_HTTP_ACCEPT_FAILED"))
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            await until(lambda: log.texts("HTTP_REQUEST_RECEIVE_START"))
            client.close()

    run(main())
    assert log.texts("PYD2_HTTP_ACCEPT_FAILED")[0].startswith(
        "cannot accept connections to the HTTP control socket on 127.0.0.1 port 0: Too many open files."
    )


# Opening, and what follows.


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("127.0.0.1", errno.EADDRINUSE),
        ("192.0.2.1", errno.EADDRNOTAVAIL),
        ("fe80::1%lo", errno.EADDRNOTAVAIL),  # without the interface it would be EINVAL
    ],
)
def test_a_socket_that_cannot_be_opened(log: HttpLines, run: Run, port: int, address: str, code: int) -> None:
    async def main() -> None:
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", port))
            taken.listen()
            with pytest.raises(ConfigError) as caught:
                make(log, http_socket(port, address=address)).open()
        assert str(caught.value).startswith(
            "unable to setup TCP acceptor for listening to the incoming HTTP requests: bind: "
        )
        assert str(caught.value).endswith(f"[system:{code}]")

    run(main())
    assert log.lines == []


def test_a_successor_takes_socket_and_connections_over(log: HttpLines, run: Run, port: int) -> None:
    async def main() -> None:
        old, new = make(log, http_socket(port)), make(log, http_socket(port, ADMIN))
        old.open()
        client, other = await Client.connect(port), await Client.connect(port)
        assert status_of(await client.ask(command("x"))) == 200
        other.send(command("x")[:20])
        await until(lambda: len(log.texts("HTTP_DATA_RECEIVED")) == 2)
        log.take()
        new.open([old])
        assert (old.listening, new.listening) == (False, True)
        assert log.take("HTTP_COMMAND", "PYD2") == [
            (
                "HTTP_COMMAND_MGR_HTTP_SERVICE_UPDATED",
                f"reused HTTP service bound to address: 127.0.0.1 port: {port}",
            )
        ]
        old.close()
        # The new authentication counts at once.
        assert status_of(await client.ask(command("x"))) == 401
        other.send(command("x")[20:])
        assert status_of(await other.response()) == 401
        assert status_of(await ask(port, command("x"))) == 401
        # The old channel gets all back, and says nothing.
        log.take()
        old.open([new])
        new.close()
        assert log.take("HTTP_COMMAND", "PYD2") == []
        assert status_of(await client.ask(command("x"))) == 200
        old.close()
        assert await client.ended() == b""
        client.close()
        other.close()

    run(main())


def test_a_channel_that_leaves_may_come_back(log: HttpLines, run: Run, port: int) -> None:
    async def main() -> None:
        made = make(log, http_socket(port))
        made.open()
        log.take()
        made.leave()
        assert not made.listening
        client = await Client.connect(port)  # it waits in the kernel
        made.open()
        assert status_of(await client.ask(command("x"))) == 200
        assert [line[0] for line in log.take("HTTP_COMMAND", "PYD2")] == [
            "HTTP_COMMAND_MGR_SERVICE_STOPPING",
            "HTTP_COMMAND_MGR_SERVICE_STARTED",
        ]
        client.close()
        made.close()
        with pytest.raises(ConnectionRefusedError):
            await Client.connect(port)

    run(main())


def test_the_response_to_the_command_that_closes_the_channel_is_sent(log: HttpLines, run: Run) -> None:
    channels: list[HttpChannel] = []

    def process(request: Element) -> Element:
        channels[0].close()
        return Element("x" * 3_000_000)

    async def main() -> None:
        async with channel(log, process=process) as made:
            channels.append(made)
            client, idle = await Client.connect(made.port), await Client.connect(made.port)
            await until(lambda: len(log.texts("HTTP_REQUEST_RECEIVE_START")) == 2)
            assert status_of(await client.ask(command("close"))) == 200
            assert await client.ended() == b""
            assert await idle.ended() == b""
            client.close()
            idle.close()

    run(main())
