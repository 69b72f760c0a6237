"""``pyd2ctl dns-server``: the small primary of :mod:`pyd2.tools.primary` on UDP and TCP."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from typing import TYPE_CHECKING, cast

import dns.exception
import dns.name
import dns.rdatatype
import dns.tsig
import dns.tsigkeyring
import dns.zone

from pyd2.tools.endpoint import Endpoint
from pyd2.tools.primary import Primary, Received

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator

    from dns.name import Name

_PORTS = 16
"""How many ports of the system's choice are tried."""
_MINIMAL_ZONE = """
@ 3600 IN SOA ns hostmaster 1 3600 600 86400 60
@ 3600 IN NS ns
"""


def make_zone(origin: str) -> dns.zone.Zone:
    """Return a zone with its SOA and one NS; the serial is 1."""
    return dns.zone.from_text(_MINIMAL_ZONE, origin=dns.name.from_text(origin), relativize=False,
                              check_origin=True)


def parse_key(text: str) -> dns.tsig.Key:
    """Return the key of ``[ALGORITHM:]NAME:SECRET``, as ``dig -y`` writes it.

    Raises ValueError.
    """
    algorithm, name, secret = (["hmac-sha256", *text.split(":")])[-3:] if ":" in text else ("", "", "")
    if not name or not secret or text.count(":") > 2:
        raise ValueError(f"not a key ([ALGORITHM:]NAME:SECRET): {text}")
    try:
        return dns.tsig.Key(name, secret, f"{algorithm.rstrip('.').lower()}.")
    except (dns.exception.DNSException, ValueError, NotImplementedError) as error:
        raise ValueError(f"not a key: {text}: {error}") from error


@contextlib.asynccontextmanager
async def serving(primary: Primary, address: str, port: int) -> AsyncIterator[int]:
    """Serve on UDP and TCP while the context lasts; gives the port, which the system chose if it was 0.

    Raises OSError when the address or port cannot be used.
    """
    loop = asyncio.get_running_loop()
    conversations: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        conversations[task] = writer
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                length = int.from_bytes(await reader.readexactly(2), "big")
                for reply in primary.handle(await reader.readexactly(length), over_tcp=True):
                    writer.write(len(reply).to_bytes(2, "big") + reply)
                await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        del conversations[task]

    tries = 1 if port else _PORTS
    while True:
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(primary), local_addr=(address, port)
        )
        chosen = transport.get_extra_info("sockname")[1]
        tries -= 1
        try:
            stream = await asyncio.start_server(converse, address, chosen)
        except OSError:  # a port that is free for UDP may be in use for TCP
            transport.close()
            if not tries:
                raise
        else:
            break
    try:
        yield chosen
    finally:
        transport.close()
        stream.close()
        for writer in conversations.values():
            writer.close()
        if conversations:
            await asyncio.wait(list(conversations))
        await stream.wait_closed()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, primary: Primary) -> None:
        self._primary = primary

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not checked with isinstance: in Python 3.11 the loop's own transport is no DatagramTransport.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        for reply in self._primary.handle(data, over_tcp=False):
            self._transport.sendto(reply, addr)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``pyd2ctl dns-server``."""
    parser.add_argument("zones", nargs="+", metavar="ZONE", help="a zone to serve, such as example.com")
    parser.add_argument("--listen", type=Endpoint.parse, default=Endpoint("127.0.0.1", 0),
                        metavar="ADDRESS:PORT", help="default: 127.0.0.1 and a free port")
    parser.add_argument("--key", type=parse_key, action="append", default=[], metavar="[ALG:]NAME:SECRET",
                        help="a TSIG key; with any, every update has to be signed with the first")


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM; print each update at once."""
    keys = {key.name: key for key in arguments.key}
    zones = {zone.origin: zone for zone in map(make_zone, arguments.zones) if zone.origin is not None}
    required: dict[Name, Name] = dict.fromkeys(zones, arguments.key[0].name) if keys else {}
    primary = Primary(zones, keys, required, report=_print)
    try:
        asyncio.run(_serve_until_signal(primary, arguments.listen))
    except OSError as error:
        print(f"pyd2ctl dns-server: {arguments.listen}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def _print(update: Received) -> None:
    signed = f" signed by {update.key}" if update.key else ""
    print(f"{update.text.zone} {update.rcode}{signed}")
    for line in update.text.prerequisites:
        print(f"  if   {line}")
    for line in update.text.updates:
        print(f"  then {line}")
    sys.stdout.flush()


async def _serve_until_signal(primary: Primary, listen: Endpoint) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(primary, listen.address, listen.port) as port:
        print(f"listening on {Endpoint(listen.address, port)}", flush=True)
        await stop.wait()
