"""The servers of NATS as a configuration names them."""

from __future__ import annotations

import ipaddress
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from pyd2.errors import Pyd2Error

PORT: Final = 4222


class AddressError(Pyd2Error):
    """This is no server of NATS, or none that may be used; the text says why."""


class Server(NamedTuple):
    """Where a server of NATS listens."""

    host: str
    """A name or an address."""
    port: int
    tls: bool

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'tls' if self.tls else 'nats'}://{host}:{self.port}"


def read_server(url: str) -> Server:
    """Read ``tls://host:port`` or ``nats://host:port``; without a port it is 4222. Raises AddressError.

    ``nats://``, which is plain text, is for the loopback only: requests change zones.
    """
    try:
        parts = urlsplit(url)
        port = PORT if parts.port is None else parts.port
    except ValueError as error:
        raise AddressError(f"'{url}': {error}") from error
    host = parts.hostname or ""
    if parts.scheme not in ("tls", "nats") or not host:
        raise AddressError(f"'{url}' is not of the form tls://host:port")
    if parts.username is not None or parts.path or parts.query or parts.fragment:
        # Not the whole text: it may hold a password.
        text = "must have a host and a port only; a certificate shows who a client is"
        raise AddressError(f"the URL of server '{host}' {text}")
    if not port:
        raise AddressError(f"'{url}': the port must not be 0")
    server = Server(host, port, tls=parts.scheme == "tls")
    if not server.tls and not _is_loopback(host):
        raise AddressError(f"'{url}': nats:// is not encrypted and for 127.0.0.1 and ::1 only; use tls://")
    return server


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
