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

    @property
    def retries(self) -> bool:
        """Whether it may go on after a pause."""
        return bool(self.switches.get("retry", {}).get("enabled"))


_DURABLE: Final = {"queue": {"type": "durable", "directory": "@DIRECTORY@"}}

VARIANTS: Final = (
    Variant("kea", "kea"),
    Variant("pyd2"),
    Variant("pyd2-batches", switches={"lanes": {"batch": 50}}),
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
