"""A configuration made ready for work: zones, keys, domains and servers, prepared once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyd2.dns.tsig import HmacKey
from pyd2.dns.update import Zone
from pyd2.errors import DomainNameError
from pyd2.update.lane import Lane
from pyd2.update.match import WILDCARD, Matcher, with_final_dot

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyd2.config.model import Address, Config, DdnsDomain, DnsServer
    from pyd2.counters import Counters, KeyCounters
    from pyd2.messages import Log

MAX_TIMEOUT: Final = 2**31 - 1
"""Milliseconds; Kea accepts longer ones in a configuration and then cannot send (contract, section 2.2)."""


class Server:
    """A DNS server of a domain, ready to be sent to."""

    __slots__ = ("config", "key", "key_counters", "lane", "text")

    def __init__(
        self, config: DnsServer, lane: Lane, key: HmacKey | None, key_counters: KeyCounters | None
    ) -> None:
        self.config = config
        self.lane = lane
        self.key = key
        self.key_counters = key_counters
        self.text = lane.text
        """``ADDRESS port:PORT``, as the log names it."""


class Domain:
    """A DDNS domain: its zone and its servers, in the order they are tried."""

    __slots__ = ("name", "servers", "zone", "zone_error")

    def __init__(self, name: str, servers: tuple[Server, ...]) -> None:
        self.name = name
        self.servers = servers
        self.zone: Zone | None = None
        """None if the name is no domain name: Kea accepts such a configuration, and the updates fail."""
        self.zone_error = ""
        try:
            self.zone = Zone(name)
        except DomainNameError as error:
            self.zone_error = str(error)


class Plan:
    """What the engine works by from one reconfiguration to the next."""

    __slots__ = ("forward", "lanes", "reverse", "timeout_ms")

    def __init__(
        self, forward: Matcher[Domain], reverse: Matcher[Domain], lanes: frozenset[Lane], timeout_ms: int
    ) -> None:
        self.forward = forward
        self.reverse = reverse
        self.lanes = lanes
        self.timeout_ms = timeout_ms


EMPTY_PLAN: Final = Plan(Matcher(()), Matcher(()), frozenset(), 500)
"""What holds before the first configuration."""


def make_plan(
    config: Config, lanes: dict[tuple[Address, int], Lane], counters: Counters, wall: float
) -> Plan:
    """Prepare a configuration.

    ``lanes`` holds the lanes there are, by address and port; new ones are added to it. Statistics of new
    keys are made in ``counters`` (contract, section 9); those of keys that are gone stay (decision 14).
    """
    keys: dict[str, HmacKey] = {}
    for key in config.tsig_keys:
        keys[key.name] = HmacKey(key.name, key.algorithm, key.secret, key.digest_bits)
        counters.key(keys[key.name].name, wall)
    used: set[Lane] = set()

    def server(entry: DnsServer) -> Server:
        place = (entry.address, entry.port)
        lane = lanes.get(place)
        if lane is None:
            lane = lanes[place] = Lane(entry.address, entry.port)
        used.add(lane)
        if entry.key is None:
            return Server(entry, lane, None, None)
        key = keys[entry.key.name]
        return Server(entry, lane, key, counters.key(key.name, wall))

    def matcher(domains: Iterable[DdnsDomain]) -> Matcher[Domain]:
        return Matcher([
            (domain.name, Domain(domain.name, tuple(map(server, domain.servers)))) for domain in domains
        ])

    forward, reverse = matcher(config.forward_domains), matcher(config.reverse_domains)
    return Plan(forward, reverse, frozenset(used), config.dns_server_timeout)


def warn_of_names(config: Config, log: Log) -> None:
    """Say which domains are matched in another way than Kea would, or can hardly work (decision 19)."""
    for domain in (*config.forward_domains, *config.reverse_domains):
        matched = with_final_dot(domain.name)
        if matched != domain.name:
            log.emit("PYD2_DOMAIN_NO_FINAL_DOT", domain.name, matched, domain.position)
        elif domain.name == WILDCARD:
            log.emit("PYD2_DOMAIN_WILDCARD_ZONE", domain.position)
