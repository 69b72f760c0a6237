"""What a Kea release demands of a configuration and fills in."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pyd2.config.defaults import Defaults
    from pyd2.config.grammar import Map
    from pyd2.config.paths import PathRules
    from pyd2.config.sockets.rules import ControlSocketRules


class ConfigRules(NamedTuple):
    """The part of a profile (``pyd2.profiles``) that reads configurations."""

    grammar: Map
    """The map ``DhcpDdns`` of a file. Commands do not go through it."""
    defaults: Defaults
    paths: PathRules
    sockets: ControlSocketRules
