"""What is compared: D2s, each with its switches."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Variant:
    """A D2 with a configuration."""

    name: str
    subject: str = "pyd2"
    """``pyd2``, or ``kea`` for the real server."""
    switches: dict[str, Any] = field(default_factory=dict)
    """What stands under ``"pyd2"`` in the configuration; ``@DIRECTORY@`` is a directory for it."""
    batches: bool = False
    """Whether it sends batches, as large as docs/batches.md advises for the DNS server."""

    @property
    def retries(self) -> bool:
        """Whether it may go on after a pause."""
        return bool(self.switches.get("retry", {}).get("enabled"))

    def switches_before(self, server: str) -> dict[str, Any]:
        """Return the switches before a DNS server, one of ``BATCHES``."""
        return self.switches | ({"lanes": {"batch": BATCHES[server]}} if self.batches else {})


BATCHES: Final = {"bind": 50, "knot": 200, "pdns": 50}
"""The updates in a batch, by DNS server."""
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
