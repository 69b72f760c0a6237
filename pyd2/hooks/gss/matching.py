"""Which DNS servers of a configuration the parameters mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyd2.errors import HookError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyd2.config.model import Config, DdnsDomain, DnsServer
    from pyd2.hooks.gss.parameters import GssServer


def match(config: Config, servers: Sequence[GssServer]) -> dict[int, GssServer | None]:
    """Return for each DNS server of the configuration, by its identity, its entry; None: it has none.

    Raises HookError with Kea's text if an entry means no server, or two mean the same.
    """
    found: dict[int, GssServer | None] = {id(server): None for _, server in _servers(config)}
    for entry in servers:
        seen = set()
        means_one = False
        for domain, server in _servers(config):
            if entry.domains and domain.name not in entry.domains:
                continue
            seen.add(domain.name)
            if (server.address, server.port) != (entry.address, entry.port):
                continue
            if found[id(server)] is not None:
                raise HookError("duplicate")
            found[id(server)] = entry
            means_one = True
        if not means_one:
            raise HookError("server info can't be found")
        for name in entry.domains:
            if name not in seen:
                raise HookError(f"domain '{name}' can't be found")
    return found


def _servers(config: Config) -> Iterator[tuple[DdnsDomain, DnsServer]]:
    """Return the DNS servers in the order in which Kea matches them."""
    for domains in (config.forward_domains, config.reverse_domains):
        for domain in sorted(domains, key=lambda domain: domain.name.encode("utf-8", "surrogateescape")):
            for server in domain.servers:
                yield domain, server
