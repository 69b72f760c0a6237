"""What is compared: D2s, each with its switches."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, Final

from benchmarks.settings import Settings


@dataclass(frozen=True, slots=True)
class Variant:
    """A D2 with a configuration."""

    name: str
    subject: str = "pyd2"
    """``pyd2``, or ``kea`` for the real server."""
    switches: dict[str, Any] = field(default_factory=dict)
    """What stands under ``"pyd2"`` in the configuration; ``@DIRECTORY@`` is a directory for it."""
    batches: bool = False
    """Whether it sends batches, with what docs/batches.md advises for the DNS server."""

    @property
    def retries(self) -> bool:
        """Whether it may go on after a pause."""
        return bool(self.switches.get("retry", {}).get("enabled"))

    def settings_before(self, server: str) -> Settings:
        """Return the configuration before a DNS server, one of ``ADVISED``."""
        if not self.batches:
            return replace(SETTINGS, user_context=self.switches)
        batch, timeout_ms = ADVISED[server]
        switches = self.switches | {"lanes": {"batch": batch}}
        return replace(SETTINGS, timeout_ms=timeout_ms, user_context=switches)


SETTINGS: Final = Settings(algorithm="HMAC-SHA256")
ADVISED: Final = {"bind": (50, 500), "knot": (200, 2000), "pdns": (50, 500)}
"""The updates in a batch, and dns-server-timeout in ms, by DNS server."""
_DURABLE: Final = {"queue": {"type": "durable", "directory": "@DIRECTORY@"}}

VARIANTS: Final = (
    Variant("kea", "kea"),
    Variant("pyd2"),
    Variant("pyd2-batches", batches=True),
    Variant("pyd2-durable", switches=_DURABLE),
    Variant("pyd2-retry", switches=_DURABLE | {"retry": {"enabled": True}}),
)


def parse(text: str) -> Variant:
    """Return the variant that is meant by a name of VARIANTS, or by ``NAME=SWITCHES`` with JSON.

    Raises ValueError.
    """
    name, equals, switches = text.partition("=")
    if equals:
        value = json.loads(switches)
        if not isinstance(value, dict):
            raise ValueError(f"the switches of {name} are no map")
        return Variant(name, switches=value)
    for variant in VARIANTS:
        if variant.name == name:
            return variant
    raise ValueError(f"there is no variant {name}: {', '.join(variant.name for variant in VARIANTS)}")
