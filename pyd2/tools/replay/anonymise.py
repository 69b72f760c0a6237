"""Requests without the names, addresses and clients of a site, so that they can be given to others.

Whatever is equal in the original is equal in the copy, so the order of the requests for a client, and two
clients that want the same name, stay what they were. Zones stay readable, since a replay needs them.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b32encode
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any, Final

import orjson

from pyd2.tools.requests import datagram

if TYPE_CHECKING:
    from collections.abc import Iterable

SHORTEST_KEY: Final = 16
"""Octets."""
_LABEL: Final = 10
"""Octets of a digest that make a label of 16 characters."""
_NAME_LIMIT: Final = 253
_KEPT: Final = (
    "change-type",
    "forward-change",
    "reverse-change",
    "lease-expires-on",
    "lease-length",
    "use-conflict-resolution",
    "conflict-resolution-mode",
)
"""The members of a request that say nothing of a host."""


class Anonymiser:
    """``key`` decides what replaces what; ``zones`` are the names that stay as they are."""

    def __init__(self, key: bytes, zones: Iterable[str]) -> None:
        self._key = key
        self._zones = sorted({zone.lower().rstrip(".") for zone in zones}, key=len, reverse=True)
        self._hosts = lru_cache(maxsize=4096)(self._shuffled)

    def request(self, octets: bytes) -> bytes | None:
        """Return the datagram without what names a host; None if it is no request that can be read."""
        length = int.from_bytes(octets[:2], "big")
        try:
            values = orjson.loads(octets[2 : 2 + length])
            if not isinstance(values, dict):
                return None
            found: dict[str, Any] = {name: values[name] for name in _KEPT if name in values}
            if not all(isinstance(value, str | int) and len(str(value)) < 64 for value in found.values()):
                return None
            found["fqdn"] = self.name(values["fqdn"])
            found["ip-address"] = self.address(values["ip-address"])
            found["dhcid"] = self.dhcid(values["dhcid"])
        except (ValueError, LookupError, TypeError, AttributeError):
            return None
        return datagram(orjson.dumps(found))

    def name(self, text: str) -> str:
        """Return a name with other labels before its zone; a name of no zone has only other ones."""
        bare = text.lower().rstrip(".")
        dot = "." if text.endswith(".") else ""
        for zone in self._zones:
            if bare == zone:
                return zone + dot
            if bare.endswith(f".{zone}"):
                below, kept = bare[: -len(zone) - 1], f".{zone}"
                break
        else:
            below, kept = bare, ""
        changed = ".".join(self._label(label) for label in below.split("."))
        if len(changed) + len(kept) > _NAME_LIMIT:
            changed = self._label(below)
        return changed + kept + dot

    def address(self, text: str) -> str:
        """Return another address of the same network, which is a /24 with IPv4 and a /64 with IPv6."""
        address = ip_address(str(text))
        if isinstance(address, IPv4Address):
            network, host = divmod(int(address), 256)
            return str(IPv4Address(network << 8 | self._hosts(network)[host]))
        network = int(address) >> 64
        host = int.from_bytes(self._digest(b"ipv6", address.packed)[:8], "big")
        return str(IPv6Address(network << 64 | host))

    def dhcid(self, text: str) -> str:
        """Return another DHCID of the same type."""
        octets = bytes.fromhex(text)
        if len(octets) < 4:
            raise ValueError("no DHCID")
        digest = self._digest(b"dhcid", octets)
        return (octets[:3] + digest).hex().upper()

    def _shuffled(self, network: int) -> list[int]:
        """Return which host of an IPv4 network stands for which: each for one."""
        return sorted(range(256), key=lambda host: self._digest(b"ipv4", network.to_bytes(3, "big"), host))

    def _label(self, text: str) -> str:
        digest = self._digest(b"label", text.encode("utf-8", "surrogateescape"))
        return b32encode(digest[:_LABEL]).decode().lower()

    def _digest(self, kind: bytes, value: bytes, number: int = 0) -> bytes:
        text = b"%s %d %s" % (kind, number, value)
        return hmac.new(self._key, text, hashlib.sha256).digest()
