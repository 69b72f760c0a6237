"""The demo's DNS server on real sockets, with dnspython as its client."""

from __future__ import annotations

import asyncio
import socket
from argparse import ArgumentTypeError
from typing import Any

import dns.asyncquery
import dns.message
import dns.name
import dns.rcode
import dns.tsig
import dns.update
import dns.zone
import pytest

from pyd2.tools.dns_server import make_zone, parse_key, serving
from pyd2.tools.endpoint import Endpoint
from pyd2.tools.primary import Primary

ORIGIN = dns.name.from_text("example.com.")
SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQ="


async def update_and_transfer(over_tcp: bool) -> tuple[dns.rcode.Rcode, dns.zone.Zone]:
    primary = Primary({ORIGIN: make_zone("example.com.")})
    async with serving(primary, "127.0.0.1", 0) as port:
        message = dns.update.UpdateMessage("example.com.")
        message.add("host", 60, "A", "192.0.2.1")
        ask = dns.asyncquery.tcp if over_tcp else dns.asyncquery.udp
        reply = await ask(message, "127.0.0.1", port=port, timeout=10)
        copy = dns.zone.Zone(ORIGIN, relativize=False)
        await dns.asyncquery.inbound_xfr("127.0.0.1", copy, port=port, timeout=10)
    assert copy == primary.zones[ORIGIN]
    return reply.rcode(), copy


@pytest.mark.parametrize("over_tcp", [False, True])
def test_an_update_is_carried_out_and_can_be_transferred(over_tcp: bool) -> None:
    rcode, zone = asyncio.run(update_and_transfer(over_tcp))
    assert rcode == dns.rcode.NOERROR
    assert zone.find_rdataset("host.example.com.", "A")[0].to_text() == "192.0.2.1"


def test_a_port_that_is_free_for_udp_only_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time that it happened the server ended; a port that was asked for is no other."""
    real = asyncio.start_server
    others: list[socket.socket] = []

    async def start_server(converse: Any, address: str, port: int) -> asyncio.Server:
        if len(others) < 2:
            others.append(socket.create_server((address, port)))
        return await real(converse, address, port)

    monkeypatch.setattr(asyncio, "start_server", start_server)

    async def serve(port: int = 0) -> int:
        async with serving(Primary({}), "127.0.0.1", port) as chosen:
            return chosen

    try:
        chosen = asyncio.run(serve())
        taken = [other.getsockname()[1] for other in others]
        assert len(taken) == 2
        assert chosen not in taken
        with pytest.raises(OSError, match="address already in use"):
            asyncio.run(serve(taken[0]))
    finally:
        for other in others:
            other.close()


async def talk_in_pieces() -> int:
    primary = Primary({ORIGIN: make_zone("example.com.")})
    async with serving(primary, "127.0.0.1", 0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        query = dns.message.make_query(ORIGIN, "SOA").to_wire()
        for byte in len(query).to_bytes(2, "big") + query:
            writer.write(bytes([byte]))
            await writer.drain()
        length = int.from_bytes(await reader.readexactly(2), "big")
        reply = dns.message.from_wire(await reader.readexactly(length))
        writer.close()
        await writer.wait_closed()
    return len(reply.answer)


def test_a_port_that_is_in_use_for_tcp_only_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    start = asyncio.start_server
    taken: list[socket.socket] = []

    async def taken_meanwhile(converse: Any, address: str, port: int) -> asyncio.Server:
        if not taken:
            taken.append(socket.create_server((address, port)))
        return await start(converse, address, port)

    async def serve() -> int:
        async with serving(Primary({}), "127.0.0.1", 0) as port:
            return port

    monkeypatch.setattr(asyncio, "start_server", taken_meanwhile)
    port = asyncio.run(serve())
    (other,) = taken
    assert port != other.getsockname()[1]
    other.close()


def test_a_message_over_tcp_may_come_in_pieces() -> None:
    assert asyncio.run(talk_in_pieces()) == 1


def test_keys_are_written_as_for_dig() -> None:
    assert parse_key(f"k.example:{SECRET}") == dns.tsig.Key("k.example.", SECRET, "hmac-sha256.")
    assert parse_key(f"HMAC-SHA512:k:{SECRET}") == dns.tsig.Key("k.", SECRET, "hmac-sha512.")


@pytest.mark.parametrize("text", ["", "k", ":x", "k:", "a:b:c:d", "k:not base64", "hmac-sha256:a..b:AAAA"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a key"):
        parse_key(text)


@pytest.mark.parametrize(("text", "endpoint"), [
    ("192.0.2.1:53", Endpoint("192.0.2.1", 53)), ("[2001:DB8::1]:53", Endpoint("2001:db8::1", 53)),
])
def test_endpoints(text: str, endpoint: Endpoint) -> None:
    assert Endpoint.parse(text) == endpoint
    assert Endpoint.parse(str(endpoint)) == endpoint


@pytest.mark.parametrize("text", ["", "53", "192.0.2.1", "192.0.2.1:", "192.0.2.1:65536", "host:53",
                                  "1.2.3.4:-1", "::1"])
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="not ADDRESS:PORT"):
        Endpoint.parse(text)
