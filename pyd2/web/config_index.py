"""What the page needs of a configuration: its zones, and what there is to say of its DNS servers.

Made once for each configuration, when the page first asks for it. What is shown of a key is its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.config.addresses import address_text
from pyd2.interpreter import GIVE_WAY_AFTER, give_way
from pyd2.update.model.zones import matchers_of

if TYPE_CHECKING:
    from pyd2.config.model import Config, DdnsDomain
    from pyd2.update.model.zones import DomainMatchers

MOST_LISTED: Final = 8
"""Keys of a server, and servers of a zone, that are listed."""


class Zone(NamedTuple):
    """A domain of the configuration."""

    name: str
    direction: str
    """``forward`` or ``reverse``."""
    servers: tuple[str, ...]


class ServerUse:
    """How the configuration uses a DNS server."""

    __slots__ = ("keys", "transport", "zones")

    def __init__(self, transport: str) -> None:
        self.transport = transport
        self.keys: dict[str, None] = {}
        """The names of its keys; empty: without a key."""
        self.zones = 0


class ConfigIndex:
    """The zones in the order of the configuration, and the servers by address and port."""

    def __init__(self, config: Config) -> None:
        self.config: Final = config
        self.zones: Final[list[Zone]] = []
        self.servers: Final[dict[tuple[str, int], ServerUse]] = {}
        self._matchers: DomainMatchers | None = None
        for direction, domains in (("forward", config.forward_domains), ("reverse", config.reverse_domains)):
            for number, domain in enumerate(domains):
                if number % GIVE_WAY_AFTER == 0:
                    give_way()
                self.zones.append(self._zone(direction, domain))

    @property
    def matchers(self) -> DomainMatchers:
        """What finds its domains by name; with keys, so for the daemon only."""
        if self._matchers is None:
            self._matchers = matchers_of(self.config)
        return self._matchers

    def _zone(self, direction: str, domain: DdnsDomain) -> Zone:
        names = []
        for server in domain.servers:
            place = address_text(server.address), server.port
            use = self.servers.get(place)
            if use is None:
                use = self.servers[place] = ServerUse(server.switches.lanes.transport)
            use.zones += 1
            if server.key is not None and len(use.keys) < MOST_LISTED:
                use.keys[server.key.name] = None
            names.append(server_name(*place))
        return Zone(domain.name, direction, tuple(names[:MOST_LISTED]))


def server_name(host: str, port: int) -> str:
    """Return the name of a DNS server, as metrics have it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
