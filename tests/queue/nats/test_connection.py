"""A connection to a real server of NATS, and to one that does what no server should."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from pyd2.config.nats.servers import Server
from pyd2.config.tls import ContextReader, TlsSwitches
from pyd2.queue.nats.commands import write_header
from pyd2.queue.nats.connection import Client, connect
from pyd2.queue.nats.errors import ConnectError, NoAnswerError, ProtocolError, RefusedError
from pyd2.queue.nats.parser import Message, read_header
from tests.kit.certificates import Certificate, make_authority, make_certificate
from tests.kit.nats_servers import NatsServer, nats_servers, tls_block
from tests.kit.ports import PortLease
from tests.queue.nats.played import INFO, TIMEOUT, Peer, connected, of_real, played

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLIENT = Client("test", "pyd2.inbox.test")


@pytest.fixture(scope="module")
def server() -> Iterator[NatsServer]:
    with nats_servers() as (one,):
        yield one


@pytest.mark.peers
def test_a_real_server_answers_requests_and_delivers_messages(server: NatsServer) -> None:
    async def scenario() -> None:
        async with connected(of_real(server)) as one, connected(of_real(server)) as two:
            assert one.info["version"]
            arrived: asyncio.Queue[Message] = asyncio.Queue()
            sid = one.subscribe("greetings.*", arrived.put_nowait)
            await one.ping(TIMEOUT)
            header = write_header({"A": "b"})
            question = two.request("greetings.x", b"hello", seconds=TIMEOUT, header=header)
            asking = asyncio.ensure_future(question)
            message = await arrived.get()
            assert (message.subject, message.payload) == ("greetings.x", b"hello")
            assert read_header(message.header).fields == {"A": "b"}
            one.publish(message.reply, b"and you")
            assert (await asking).payload == b"and you"
            one.unsubscribe(sid)
            await one.ping(TIMEOUT)
            with pytest.raises(NoAnswerError, match=r"nothing that serves greetings\.x"):
                await two.request("greetings.x", seconds=TIMEOUT)
            assert arrived.empty()

    asyncio.run(scenario())


@pytest.mark.peers
def test_many_messages_of_all_sizes_arrive_as_they_were_sent(server: NatsServer) -> None:
    payloads = [bytes([size % 251]) * size for size in (*range(300), 65535, 65536, 500_000)]

    async def scenario() -> None:
        async with connected(of_real(server)) as one:
            arrived: list[bytes] = []
            one.subscribe("sizes", lambda message: arrived.append(message.payload))
            for payload in payloads:
                one.publish("sizes", payload)
            await one.ping(TIMEOUT)
            assert arrived == payloads

    asyncio.run(scenario())


@pytest.mark.peers
def test_all_calls_under_way_fail_when_the_server_dies() -> None:
    async def scenario() -> None:
        with nats_servers() as (one,):
            async with connected(of_real(one)) as connection:
                connection.subscribe("silence", lambda message: None)
                asking = asyncio.ensure_future(connection.request("silence", seconds=TIMEOUT))
                await connection.ping(TIMEOUT)
                one.process.kill()
                with pytest.raises(NoAnswerError, match=r"the connection to nats://127.0.0.1:\d+ has ended"):
                    await asking
                assert await connection.ended
                with pytest.raises(NoAnswerError, match="there is no connection"):
                    await connection.request("silence", seconds=TIMEOUT)
                with pytest.raises(ConnectError, match="refused"):
                    await connect(CLIENT, of_real(one), TIMEOUT)

    asyncio.run(scenario())


# TLS and rights

USERS = """
    authorization { users: [
      { user: "all@pyd2" }
      { user: "r1@pyd2", permissions: { publish: ["own.r1"], subscribe: ["pyd2.inbox.r1.>"] } }
    ] }
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def certificates(authority: Certificate) -> dict[str, Certificate]:
    folder = authority.cert.parent
    names = {"server": "IP:127.0.0.1", "all": "email:all@pyd2", "r1": "email:r1@pyd2", "x": "email:x@pyd2"}
    return {name: make_certificate(folder, authority, others, name) for name, others in names.items()}


@pytest.fixture(scope="module")
def tls_server(authority: Certificate, certificates: dict[str, Certificate]) -> Iterator[NatsServer]:
    with nats_servers(blocks=tls_block(certificates["server"], authority) + USERS) as (one,):
        yield one


def client(
    authority: Certificate | None, own: Certificate | None, name: str = "test", hostname: str = ""
) -> Client:
    files = (str(authority.cert) if authority else "", *((str(own.cert), str(own.key)) if own else ("", "")))
    switches = TlsSwitches("strict", "", *files)
    return Client(name, f"pyd2.inbox.{name}", ContextReader(switches, ()), hostname)


@pytest.mark.peers
def test_a_client_with_a_certificate_has_the_rights_of_its_name(
    tls_server: NatsServer, authority: Certificate, certificates: dict[str, Certificate]
) -> None:
    async def scenario() -> None:
        server = of_real(tls_server, tls=True)
        async with (connected(server, client(authority, certificates["all"])) as everyone,
                    connected(server, client(authority, certificates["r1"], "r1")) as r1):
            everyone.subscribe("own.>", lambda message: everyone.publish(message.reply, b"!"))
            await everyone.ping(TIMEOUT)
            assert (await r1.request("own.r1", seconds=TIMEOUT)).payload == b"!"
            with pytest.raises(RefusedError, match=r'Permissions Violation for Publish to "own\.r2"'):
                await r1.request("own.r2", seconds=TIMEOUT)
            assert (await r1.request("own.r1", seconds=TIMEOUT)).payload == b"!"
            r1.subscribe("own.>", lambda message: None)
            assert 'Permissions Violation for Subscription to "own.>"' in await r1.ended

    asyncio.run(scenario())


@pytest.mark.peers
@pytest.mark.parametrize(("own", "trusted", "hostname", "fault"), [
    ("", True, "", "certificate"),
    ("x", True, "", "Authorization Violation"),
    ("all", False, "", "its certificate is not valid"),
    ("all", True, "other.example.com", "its certificate is not valid: Hostname mismatch"),
])
def test_whoever_is_not_known_gets_no_connection(
    tls_server: NatsServer, authority: Certificate, certificates: dict[str, Certificate],
    own: str, trusted: bool, hostname: str, fault: str,
) -> None:
    stranger = client(authority if trusted else None, certificates.get(own), hostname=hostname)

    async def scenario() -> None:
        with pytest.raises(ConnectError, match=f"^tls://127.0.0.1:{tls_server.port}: .*{fault}"):
            await connect(stranger, of_real(tls_server, tls=True), TIMEOUT)

    asyncio.run(scenario())


@pytest.mark.peers
def test_a_renewed_certificate_is_used_for_the_next_connection(
    tls_server: NatsServer, authority: Certificate, certificates: dict[str, Certificate], tmp_path: Path
) -> None:
    """A daemon had read its certificate at its start, and nothing reached the servers when that expired."""
    own = Certificate(tmp_path / "own.crt", tmp_path / "own.key")
    there = of_real(tls_server, tls=True)

    def renew(name: str) -> None:
        own.cert.write_bytes(certificates[name].cert.read_bytes())
        own.key.write_bytes(certificates[name].key.read_bytes())

    async def scenario() -> None:
        renew("x")
        known = client(authority, own)
        with pytest.raises(ConnectError, match="Authorization Violation"):
            await connect(known, there, TIMEOUT)
        own.cert.unlink()
        with pytest.raises(ConnectError, match=f"^tls://.*'tls-cert-file' {own.cert} cannot be used"):
            await connect(known, there, TIMEOUT)
        renew("all")
        async with connected(there, known) as connection:
            await connection.ping(TIMEOUT)

    asyncio.run(scenario())


@pytest.mark.peers
def test_a_server_that_begins_without_tls_is_found_out(
    authority: Certificate, certificates: dict[str, Certificate]
) -> None:
    known = client(authority, certificates["all"])

    async def scenario() -> None:
        blocks = tls_block(certificates["server"], authority, handshake_first=False) + USERS
        with nats_servers(blocks=blocks) as (one,):
            with pytest.raises(ConnectError, match="set 'handshake_first: true'"):
                await connect(known, of_real(one, tls=True), TIMEOUT)
            with pytest.raises(ConnectError, match="the server wants TLS: use tls://"):
                await connect(known, of_real(one), TIMEOUT)

    asyncio.run(scenario())


def test_tls_needs_certificates() -> None:
    with pytest.raises(ConnectError, match="there are no certificates"):
        asyncio.run(connect(CLIENT, Server("127.0.0.1", 4222, tls=True)))


# What no server should do.

@pytest.mark.parametrize(("said", "fault"), [
    (b"", "the server has closed it"),
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no line of NATS's protocol"),
    (b"INFO nonsense\r\n", "INFO is not JSON"),
    (b"-ERR 'Maximum Connections Exceeded'\r\n", "Maximum Connections Exceeded"),
    (INFO.replace(b'"headers"', b'"ldm":true,"headers"'), "lame duck mode"),
    (INFO.replace(b'"headers"', b'"tls_required":true,"headers"'), "the server wants TLS"),
])
def test_a_server_that_does_not_greet_is_no_server(said: bytes, fault: str) -> None:
    async def scenario() -> None:
        async with played(lambda peer: peer.send(said)) as server:
            with pytest.raises(ConnectError, match=fault):
                await connect(CLIENT, server, TIMEOUT)

    asyncio.run(scenario())


def test_a_server_that_says_nothing_is_left() -> None:
    async def play(peer: Peer) -> None:
        assert await peer.line() == b""  # the client goes

    async def scenario() -> None:
        async with played(play) as server:
            with pytest.raises(ConnectError, match=r"no connection within 0\.05 s"):
                await connect(CLIENT, server, 0.05)

    asyncio.run(scenario())


def test_garbage_in_a_connection_ends_it_and_all_that_wait_get_to_know() -> None:
    async def play(peer: Peer) -> None:
        inbox = await peer.greet()
        await peer.line()  # the first request, twice: its subject, and its payload
        await peer.line()
        await peer.line()
        await peer.line()
        await peer.send(f"MSG {inbox}.3 1 2\r\nok\r\nMSG nonsense\r\n".encode())
        assert await peer.line() == b""

    async def scenario() -> None:
        async with played(play) as server, connected(server) as connection:
            first, second = (
                asyncio.ensure_future(connection.request("a.b", seconds=TIMEOUT)) for _ in range(2))
            with pytest.raises(NoAnswerError, match="wrong number of fields"):
                await first
            assert (await second).payload == b"ok"
            assert "wrong number of fields" in await connection.ended

    asyncio.run(scenario())


def test_answers_without_a_question_are_ignored() -> None:
    async def play(peer: Peer) -> None:
        inbox = await peer.greet()
        messages = f"MSG a 99 0\r\n\r\nMSG {inbox}.99 1 0\r\n\r\n"
        await peer.send(b"PONG\r\n+OK\r\n" + messages.encode() + INFO + b"PING\r\n")
        assert await peer.line() == b"PONG"
        assert await peer.line() == b"PING"
        await peer.send(b"PONG\r\n")
        assert await peer.line() == b""

    async def scenario() -> None:
        async with played(play) as server, connected(server) as connection:
            await connection.ping(TIMEOUT)
            assert not connection.ended.done()

    asyncio.run(scenario())


def test_an_answer_that_comes_too_late_is_ignored() -> None:
    async def play(peer: Peer) -> None:
        inbox = await peer.greet()
        await peer.line()
        await peer.line()
        assert await peer.line() == b"PING"
        await peer.send(f"MSG {inbox}.2 1 4\r\nlate\r\nPONG\r\n".encode())
        assert await peer.line() == b""

    async def scenario() -> None:
        async with played(play) as server, connected(server) as connection:
            with pytest.raises(NoAnswerError, match=r"has not answered a.b within 0.01 s"):
                await connection.request("a.b", seconds=0.01)
            await connection.ping(TIMEOUT)

    asyncio.run(scenario())


def test_an_answer_with_a_broken_header_is_an_error_of_its_request_only() -> None:
    async def play(peer: Peer) -> None:
        inbox = await peer.greet()
        await peer.line()
        await peer.line()
        await peer.send(f"HMSG {inbox}.2 1 4 4\r\nHTTP\r\n".encode())
        assert await peer.line() == b"PING"
        await peer.send(b"PONG\r\n")
        assert await peer.line() == b""

    async def scenario() -> None:
        async with played(play) as server, connected(server) as connection:
            with pytest.raises(ProtocolError, match="a header does not end"):
                await connection.request("a.b", seconds=TIMEOUT)
            await connection.ping(TIMEOUT)

    asyncio.run(scenario())


def test_a_port_without_a_server_is_refused() -> None:
    with PortLease() as lease, pytest.raises(ConnectError, match="refused"):
        asyncio.run(connect(CLIENT, Server("127.0.0.1", lease.take(), tls=False)))
