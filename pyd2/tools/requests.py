"""NameChangeRequests as a DHCP server sends them (contract, section 3)."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import struct
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Self

import orjson

from pyd2.ncr import ChangeType, ConflictResolutionMode

if TYPE_CHECKING:
    from pyd2.tools.endpoint import Endpoint


class Identifier(IntEnum):
    """What a DHCID is made from: the identifier type codes of RFC 4701, section 3.3."""

    HARDWARE_ADDRESS = 0
    CLIENT_ID = 1
    DUID = 2


def dhcid(kind: Identifier, identifier: bytes, fqdn: str) -> str:
    """Return a client's DHCID for a name as upper-case hex (RFC 4701, section 3.5).

    A hardware address begins with the byte of its type, 1 for Ethernet. Raises ValueError for a label
    that DNS cannot hold.
    """
    wire = bytearray()
    for label in fqdn.rstrip(".").lower().split("."):
        octets = label.encode("ascii")
        if not 0 < len(octets) < 64:
            raise ValueError(f"not a domain name: {fqdn}")
        wire += bytes([len(octets)]) + octets
    digest = hashlib.sha256(identifier + wire + b"\0").digest()
    return (struct.pack("!HB", kind, 1) + digest).hex().upper()


def request(
    change: ChangeType,
    fqdn: str,
    address: str,
    client: str,
    *,
    forward: bool = True,
    reverse: bool = True,
    mode: ConflictResolutionMode = ConflictResolutionMode.CHECK_WITH_DHCID,
    ttl: int = 3600,
) -> dict[str, Any]:
    """Return a request in the form of its JSON; ``client`` is a DHCID in hex, ``ttl`` in seconds."""
    expires = datetime.now(UTC) + timedelta(seconds=ttl)
    return {
        "change-type": int(change),
        "forward-change": forward,
        "reverse-change": reverse,
        "fqdn": fqdn,
        "ip-address": address,
        "dhcid": client,
        "lease-expires-on": expires.strftime("%Y%m%d%H%M%S"),
        "lease-length": ttl,
        "conflict-resolution-mode": str(mode),
    }


def datagram(text: bytes) -> bytes:
    """Return a request's JSON behind its length. Raises ValueError above 65505 bytes, UDP's limit."""
    if len(text) > 65505:
        raise ValueError(f"a request of {len(text)} bytes does not fit into a datagram")
    return struct.pack("!H", len(text)) + text


def encode(values: dict[str, Any]) -> bytes:
    """Return the datagram of a request."""
    return datagram(orjson.dumps(values))


class Sender:
    """A UDP socket towards a daemon, which never answers; the kernel reports ICMP errors."""

    def __init__(self, to: Endpoint) -> None:
        family = socket.AF_INET6 if ":" in to.address else socket.AF_INET
        self._to = to
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.connect((to.address, to.port))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, payload: bytes) -> None:
        """Send a datagram. Raises OSError; ConnectionRefusedError if no program listens on this host."""
        self._socket.send(payload)
        error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            refused = error == errno.ECONNREFUSED
            raise OSError(error, f"no program listens at {self._to}" if refused else os.strerror(error))
