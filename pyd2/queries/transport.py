"""One message to a DNS server and its reply: over UDP with retries, TCP or TLS, as the daemon sends it."""

from __future__ import annotations

import asyncio
import socket
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.config.addresses import address_text
from pyd2.config.tls import TlsError, TlsSwitches

if TYPE_CHECKING:
    from ssl import SSLContext

    from pyd2.config.model import DnsServer

TRIES: Final = 3
"""How often a message is sent over UDP, as by the daemon."""
_TRUNCATED: Final = 0x02
_HEADER: Final = 12


class SilenceError(Exception):
    """No reply came; the text says what happened instead."""


class Route(NamedTuple):
    """How a server is reached."""

    address: str
    """As Kea prints it."""
    port: int
    transport: str
    """``udp``, ``tcp`` or ``tls``."""
    tls: TlsSwitches | None

    @classmethod
    def to(cls, server: DnsServer) -> Route:
        """Return the route to a server of a configuration."""
        lanes = server.switches.lanes
        return cls(address_text(server.address), server.port, lanes.transport, lanes.tls)

    def __str__(self) -> str:
        over = "" if self.transport == "udp" else f" over {self.transport.upper()}"
        return f"{self.address} port {self.port}{over}"


async def exchange(route: Route, message: bytes, timeout: float) -> bytes:  # noqa: ASYNC109
    """Return the reply to a message: the first one with its query ID; it may be any octets behind that.

    A try may take ``timeout`` seconds. Over UDP there are three; a truncated reply is asked for again over
    TCP. Raises SilenceError.
    """
    try:
        if route.transport == "udp":
            reply = await _over_udp(route, message, timeout)
            if len(reply) < _HEADER or not reply[2] & _TRUNCATED:
                return reply
        async with asyncio.timeout(TRIES * timeout):
            return await _over_tcp(route, message)
    except ConnectionRefusedError:
        raise SilenceError("no program listens there: connection refused") from None
    except TimeoutError:
        raise SilenceError(f"no reply within {TRIES * timeout:g} s") from None
    except asyncio.IncompleteReadError:
        raise SilenceError("it closes the connection without a reply") from None
    except OSError as error:
        raise SilenceError(error.strerror or str(error)) from None
    except TlsError as error:
        raise SilenceError(str(error)) from None


async def _over_udp(route: Route, message: bytes, timeout: float) -> bytes:  # noqa: ASYNC109
    loop = asyncio.get_running_loop()
    family, kind, protocol, _, place = socket.getaddrinfo(
        route.address, route.port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
    )[0]
    with socket.socket(family, kind, protocol) as sock:
        sock.setblocking(False)  # noqa: FBT003  socket defines it
        sock.connect(place)  # so that only its replies come, and ICMP errors
        for _ in range(TRIES):
            await loop.sock_sendall(sock, message)
            try:
                async with asyncio.timeout(timeout):
                    while True:
                        reply = await loop.sock_recv(sock, 65535)
                        if reply[:2] == message[:2]:
                            return reply
            except TimeoutError:
                continue
    raise TimeoutError


async def _over_tcp(route: Route, message: bytes) -> bytes:
    tls = route.tls
    reader, writer = await asyncio.open_connection(
        route.address, route.port,
        ssl=tls and _context(tls), server_hostname=tls and (tls.hostname or route.address),
    )
    try:
        writer.write(len(message).to_bytes(2, "big") + message)
        await writer.drain()
        return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
    finally:
        writer.transport.abort()


@cache
def _context(tls: TlsSwitches) -> SSLContext:
    """Return the context of TLS, made once for all servers that share it. Raises TlsError."""
    return tls.make_context()


def read_certificates_again() -> None:
    """Read the certificates of TLS afresh from now on: a daemon lives longer than they do."""
    _context.cache_clear()
