"""The maps ``forward-ddns`` and ``reverse-ddns``: domains and their DNS servers (contract, section 2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyd2.config.addresses import parse_address
from pyd2.config.grammar import BLANK_DOMAIN_FAULT, PORT_FAULT, PORTS
from pyd2.config.model import DdnsDomain, DnsServer
from pyd2.config.switches import domain_switches, override_switches
from pyd2.config.values import get_integer, get_string, position_of
from pyd2.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyd2.config.model import TsigKey
    from pyd2.config.switches import ServerSwitches
    from pyd2.config.values import Notify
    from pyd2.data.element import Element

WILDCARD = "*"
"""The domain that matches every name that no other domain matches."""


def parse_domains(
    direction: Element, keys: Mapping[str, TsigKey], switches: ServerSwitches, notify: Notify
) -> tuple[DdnsDomain, ...]:
    """Return the domains of a direction's map, with all defaults in it, in the order of the list.

    Raises ConfigError, or ElementTypeError with Kea's text for a value of another type.
    """
    domains = direction.get("ddns-domains")
    if domains is None:
        return ()
    result: dict[str, DdnsDomain] = {}
    for entry in domains.list_value():
        domain = _domain(entry, keys, switches)
        if domain.name in result:
            raise ConfigError(f"Duplicate domain specified:{domain.name} ({position_of(entry, 'name')})")
        result[domain.name] = domain
    for domain in result.values():
        if domain.name == WILDCARD:
            notify("PYD2_DOMAIN_WILDCARD_ZONE", domain.position)
        elif not domain.name.endswith("."):
            notify("PYD2_DOMAIN_NO_FINAL_DOT", domain.name, f"{domain.name}.", domain.position)
    return tuple(result.values())


def _domain(entry: Element, keys: Mapping[str, TsigKey], inherited: ServerSwitches) -> DdnsDomain:
    name = get_string(entry, "name")
    key_name = get_string(entry, "key-name")
    context = entry.get("user-context")
    servers = entry.get("dns-servers")
    if not name:
        raise ConfigError(f"{BLANK_DOMAIN_FAULT} ({position_of(entry, 'name')})")
    if servers is None:
        raise ConfigError(f"missing parameter 'dns-servers' ({entry.position})")
    switches = domain_switches(context, inherited)
    parsed = tuple(_server(server, entry, keys, switches) for server in servers.list_value())
    if not parsed:
        raise ConfigError(f"DNS server list cannot be empty{servers.position}")
    return DdnsDomain(name, key_name, parsed, context, entry.position, switches)


def _server(
    entry: Element, domain: Element, keys: Mapping[str, TsigKey], inherited: ServerSwitches
) -> DnsServer:
    hostname = get_string(entry, "hostname")
    ip_address = get_string(entry, "ip-address")
    port = get_integer(entry, "port")
    own_key_name = get_string(entry, "key-name")
    context = entry.get("user-context")
    key = _key(own_key_name, entry, domain, keys)
    if bool(hostname) == bool(ip_address):
        raise ConfigError(
            f"Dns Server must specify one or the other of hostname or IP address ({entry.position})"
        )
    if hostname:
        raise ConfigError(f"Dns Server : hostname is not yet supported ({position_of(entry, 'hostname')})")
    try:
        address = parse_address(ip_address)
    except ConfigError:
        raise ConfigError(
            f"Dns Server : invalid IP address : {ip_address} ({position_of(entry, 'ip-address')})"
        ) from None
    if port not in PORTS:
        raise ConfigError(f"{PORT_FAULT} ({position_of(entry, 'port')})")
    return DnsServer(
        address, port, own_key_name, key, context, entry.position, override_switches(context, inherited)
    )


def _key(own_name: str, server: Element, domain: Element, keys: Mapping[str, TsigKey]) -> TsigKey | None:
    """Return the server's own key, else the domain's, else None."""
    name = own_name or get_string(domain, "key-name")
    if not name:
        return None
    key = keys.get(name)
    if key is None:
        owner, scope = ("Dns Server", server) if own_name else ("DdnsDomain", domain)
        raise ConfigError(f"{owner} : specifies an undefined key: {name} ({position_of(scope, 'key-name')})")
    return key
