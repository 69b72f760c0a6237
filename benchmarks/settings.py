"""What a case asks of a D2's configuration, and the text that comes of it."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Final

ALGORITHMS: Final = ("HMAC-MD5", "HMAC-SHA1", "HMAC-SHA224", "HMAC-SHA256", "HMAC-SHA384", "HMAC-SHA512")
KEY_NAME: Final = "bench-key."
SECRET: Final = base64.b64encode(hashlib.sha256(b"not a secret").digest()).decode()


@dataclass(frozen=True, slots=True)
class Settings:
    """The configuration of a case, for all D2s alike."""

    algorithm: str = ""
    """That of the TSIG key of all updates; empty for unsigned ones."""
    domains: int = 1
    """Forward and reverse zones each; see load/hosts.h."""
    ipv6: bool = False
    """Requests for IPv6 addresses, and all datagrams over ::1."""
    beside: bool = False
    """One more reverse zone, that of IPv6, whose server has a port of its own."""
    severity: str = "WARN"
    timeout_ms: int = 500
    user_context: dict[str, Any] = field(default_factory=dict)
    """The switches under ``"pyd2"``, with @DIRECTORY@ for the D2's; Kea accepts and ignores it."""

    @property
    def address(self) -> str:
        """The loopback address of everything."""
        return "::1" if self.ipv6 else "127.0.0.1"


IPV4_ZONE: Final = "10.in-addr.arpa."
IPV6_ZONE: Final = "8.b.d.0.1.0.0.2.ip6.arpa."


def zones(settings: Settings) -> tuple[list[str], list[str]]:
    """Return the forward and the reverse zones."""
    if settings.domains == 1:
        return ["bench.example."], [IPV6_ZONE if settings.ipv6 else IPV4_ZONE]
    numbers = range(settings.domains)
    forward = [f"d{number:05}.bench.example." for number in numbers]
    if settings.ipv6:
        return forward, [f"{'.'.join(f'{number:04x}'[::-1])}.{IPV6_ZONE}" for number in numbers]
    return forward, [f"{number & 255}.{number >> 8}.10.in-addr.arpa." for number in numbers]


def fill(template: str, settings: Settings, *, ncr_port: int, dns_port: int, beside_port: int,
         directory: str, libraries: list[dict[str, Any]]) -> str:
    """Return a configuration: the template with each @NAME@ replaced."""
    key = {"key-name": KEY_NAME} if settings.algorithm else {}
    servers = [{"ip-address": settings.address, "port": dns_port}]
    forward, reverse = ([{"name": zone, "dns-servers": servers} | key for zone in group]
                        for group in zones(settings))
    if settings.beside:
        other = [{"ip-address": settings.address, "port": beside_port}]
        reverse.append({"name": IPV6_ZONE, "dns-servers": other} | key)
    keys = [{"name": KEY_NAME, "algorithm": settings.algorithm, "secret": SECRET}] if key else []
    context = {"pyd2": settings.user_context} if settings.user_context else {}
    values = {
        "ADDRESS": settings.address, "NCR_PORT": str(ncr_port), "DNS_PORT": str(dns_port),
        "TIMEOUT_MS": str(settings.timeout_ms), "SOCKET": f"{directory}/socket", "LOG": f"{directory}/log",
        "SEVERITY": settings.severity, "KEYS": json.dumps(keys), "FORWARD": json.dumps(forward),
        "REVERSE": json.dumps(reverse), "LIBRARIES": json.dumps(libraries),
        "USER_CONTEXT": json.dumps(context), "DIRECTORY": directory,
    }
    for name, value in values.items():
        template = template.replace(f"@{name}@", value)
    return template
