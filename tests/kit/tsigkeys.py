"""TSIG keys for the real servers: one of each algorithm."""

import base64
import hashlib
from dataclasses import dataclass
from typing import Any

ALGORITHMS = ("HMAC-MD5", "HMAC-SHA1", "HMAC-SHA224", "HMAC-SHA256", "HMAC-SHA384", "HMAC-SHA512")


@dataclass(frozen=True)
class TsigKey:
    """A key; `algorithm` as Kea spells it, `secret` in base64."""

    name: str
    algorithm: str
    secret: str

    @classmethod
    def of(cls, algorithm: str) -> "TsigKey":
        """Return the key of an algorithm; the same on every call."""
        name = algorithm.lower() + ".test"
        return cls(name, algorithm, base64.b64encode(hashlib.sha512(name.encode()).digest()).decode())

    @property
    def lower_algorithm(self) -> str:
        """The algorithm as BIND, Knot DNS and PowerDNS spell it."""
        return self.algorithm.lower()

    def kea(self) -> dict[str, Any]:
        """Return the entry for Kea's `tsig-keys`."""
        return {"name": self.name, "algorithm": self.algorithm, "secret": self.secret}
