"""NameChangeRequests as kea-dhcp4 and kea-dhcp6 send them (contract, section 3)."""

import hashlib
import json
import socket
import struct
from collections.abc import Mapping
from typing import Any

ADD, REMOVE = 0, 1
MODES = ("check-with-dhcid", "no-check-with-dhcid", "check-exists-with-dhcid", "no-check-without-dhcid")


def dhcid(identifier: bytes, fqdn: str) -> str:
    """Return a DHCID for a client as upper-case hex: type 1 (DUID), SHA-256 (RFC 4701, section 3.5)."""
    labels = [label.encode("ascii").lower() for label in fqdn.rstrip(".").split(".")]
    wire = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return (b"\x00\x01\x01" + hashlib.sha256(identifier + wire).digest()).hex().upper()


def request(fqdn: str, address: str, client: str, *, change: int = ADD, forward: bool = True,
            reverse: bool = True, mode: str = MODES[0], ttl: int = 3600) -> dict[str, Any]:
    """Return a request in the form of its JSON. `client` is a DHCID in hex."""
    return {"change-type": change, "forward-change": forward, "reverse-change": reverse, "fqdn": fqdn,
            "ip-address": address, "dhcid": client, "lease-expires-on": "20400102030405",
            "lease-length": ttl, "conflict-resolution-mode": mode}


def datagram(ncr: Mapping[str, Any] | bytes) -> bytes:
    """Return a request, or any text in its place, behind its two-byte length."""
    text = ncr if isinstance(ncr, bytes) else json.dumps(ncr, separators=(",", ":")).encode()
    return struct.pack("!H", len(text)) + text


def send(payload: bytes, port: int, address: str = "127.0.0.1") -> None:
    """Send one datagram to a D2."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.sendto(payload, (address, port))
