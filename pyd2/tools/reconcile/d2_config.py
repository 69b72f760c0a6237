"""What of the daemon's own configuration counts: zones with their servers and keys, and where it listens."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import dns.exception
import dns.name
import dns.tsig

from pyd2.config.addresses import address_text
from pyd2.config.parse import parse_element, read_file
from pyd2.config.paths import Directories
from pyd2.config.policy import PolicySwitches
from pyd2.data.element import Element
from pyd2.dns.names import lower, parse_name
from pyd2.dns.tsig import ALGORITHMS
from pyd2.errors import ConfigError, DomainNameError
from pyd2.tools.endpoint import Endpoint
from pyd2.tools.reconcile.errors import ReconcileError
from pyd2.update.model.policies import Policy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyd2.config.model import Config, DdnsDomain, DnsServer, TsigKey
    from pyd2.config.rules import ConfigRules

_OF_ITS_MACHINE = frozenset({"control-socket", "control-sockets", "hooks-libraries", "loggers"})
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  where a daemon listens, not this tool


class Server(NamedTuple):
    """A DNS server of a zone."""

    endpoint: Endpoint
    key: dns.tsig.Key | None


class Zone(NamedTuple):
    """A zone that the daemon changes."""

    name: bytes
    """On the wire, in lower case."""
    text: str
    reverse: bool
    servers: tuple[Server, ...]
    policy: Policy = Policy(PolicySwitches())
    """What the daemon does beyond Kea's conflict resolution."""


class D2Config(NamedTuple):
    """What the tool needs of the daemon's configuration."""

    zones: tuple[Zone, ...]
    listens: Endpoint
    control: str
    """A control channel, such as ``unix:/run/kea/kea-ddns-ctrl-socket``; empty: none."""


def read_d2_config(path: str, rules: ConfigRules, only: Sequence[str], axfr_key: str) -> D2Config:
    """Return the configuration; ``only`` names the zones that count, if any.

    ``axfr_key`` names the key that signs all queries; empty: each server's own. Raises ReconcileError.
    """
    try:
        whole = read_file(path, rules)
        members = whole.map_value()
        kept = {name: value for name, value in members.items() if name not in _OF_ITS_MACHINE}
        directories = Directories.from_environment(os.environ, rules.paths)
        config = parse_element(Element(kept, whole.position), rules, directories)
    except ConfigError as error:
        raise ReconcileError(str(error)) from None
    zones = _zones(config, axfr_key)
    if only:
        zones = _chosen(zones, only)
    if not zones:
        raise ReconcileError(f"{path}: there are no ddns-domains, so there is nothing to compare")
    address = address_text(config.ip_address)
    control = _control_channel({name: value.plain() for name, value in members.items()}, directories.sockets)
    return D2Config(zones, Endpoint(_LOOPBACK.get(address, address), config.port), control)


def _zones(config: Config, axfr_key: str) -> tuple[Zone, ...]:
    forced = None
    if axfr_key:
        wanted = axfr_key.lower().rstrip(".")
        forced = next((key for key in config.tsig_keys if key.name.lower().rstrip(".") == wanted), None)
        if forced is None:
            raise ReconcileError(f"--axfr-key {axfr_key}: there is no such key among the tsig-keys")
    domains = [(domain, False) for domain in config.forward_domains]
    domains += [(domain, True) for domain in config.reverse_domains]
    return tuple(_zone(domain, forced, reverse=reverse) for domain, reverse in domains if domain.name != "*")


def _zone(domain: DdnsDomain, forced: TsigKey | None, *, reverse: bool) -> Zone:
    try:
        name = lower(parse_name(domain.name))
    except DomainNameError as error:
        raise ReconcileError(f"{domain.position}: {domain.name} is no domain name: {error}") from None
    servers = tuple(_server(server, forced) for server in domain.servers)
    if not servers:
        raise ReconcileError(f"{domain.position}: {domain.name} has no dns-servers")
    policy = Policy(domain.switches.policy)
    return Zone(name, f"{domain.name.rstrip('.')}.", reverse, servers, policy)


def _server(server: DnsServer, forced: TsigKey | None) -> Server:
    if server.switches.lanes.transport == "tls":
        raise ReconcileError(f"{server.position}: reconcile cannot ask DNS servers over TLS")
    key = forced or server.key
    endpoint = Endpoint(address_text(server.address), server.port)
    return Server(endpoint, _key(key) if key is not None else None)


def _key(key: TsigKey) -> dns.tsig.Key:
    """Return a key as dnspython has it, which knows no short MACs. Raises ReconcileError."""
    algorithm = ALGORITHMS[key.algorithm.lower()]
    if key.digest_bits not in {0, 8 * hashlib.new(algorithm.digest, usedforsecurity=False).digest_size}:
        raise ReconcileError(f"{key.position}: reconcile cannot use the key {key.name} with digest-bits "
                             f"{key.digest_bits}; name another one with --axfr-key")
    try:
        return dns.tsig.Key(key.name, key.secret, algorithm.wire_name)
    except dns.exception.DNSException as error:
        raise ReconcileError(f"{key.position}: the name of the key {key.name}: {error}") from None


def _chosen(zones: Sequence[Zone], only: Sequence[str]) -> tuple[Zone, ...]:
    known = {zone.name: zone for zone in zones}
    chosen = []
    for text in only:
        try:
            zone = known.get(lower(parse_name(text)))
        except DomainNameError as error:
            raise ReconcileError(f"--zone {text}: {error}") from None
        if zone is None:
            listed = ", ".join(zone.text for zone in zones)
            raise ReconcileError(f"--zone {text}: the daemon does not change it; it changes {listed}")
        chosen.append(zone)
    return tuple(chosen)


def _control_channel(members: dict[str, Any], directory: str) -> str:
    """Return the first control socket of type unix, else the first one without authentication and TLS."""
    one = members.get("control-socket")
    sockets = [one] if one else members.get("control-sockets", [])
    for entry in sockets:
        if entry.get("socket-type") == "unix" and entry.get("socket-name"):
            return f"unix:{Path(directory, entry['socket-name'])}"  # of an absolute name, only that counts
    for entry in sockets:
        if entry.get("socket-type") == "http" and not {"authentication", "cert-file"} & set(entry):
            endpoint = Endpoint(entry.get("socket-address", "127.0.0.1"), entry.get("socket-port", 8000))
            return f"http://{endpoint}"
    return ""
