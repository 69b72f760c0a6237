"""A configuration made ready for work: zones, keys, domains and servers, prepared once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyd2.config.switches import Switches, override_switches, parse_switches
from pyd2.dns.tsig import HmacKey
from pyd2.dns.update import Zone
from pyd2.errors import DomainNameError
from pyd2.update.lane import Lane
from pyd2.update.match import Matcher
from pyd2.update.window import CAP

if TYPE_CHECKING:
    from pyd2.config.model import Address, Config, DdnsDomain, DnsServer
    from pyd2.config.switches import ServerSwitches
    from pyd2.counters import Counters, KeyCounters

MAX_TIMEOUT: Final = 2**31 - 1
"""Milliseconds; Kea accepts longer ones in a configuration and then cannot send (contract, section 2.2)."""


class Server:
    """A DNS server of a domain, ready to be sent to."""

    __slots__ = ("config", "key", "key_counters", "lane", "tcp", "text")

    def __init__(
        self, config: DnsServer, lane: Lane, key: HmacKey | None, key_counters: KeyCounters | None, *,
        tcp: bool,
    ) -> None:
        self.config = config
        self.lane = lane
        self.key = key
        self.key_counters = key_counters
        self.tcp = tcp
        """Whether all goes over TCP, also what UDP could carry."""
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

    __slots__ = ("forward", "lanes", "reverse", "switches")

    def __init__(
        self, forward: Matcher[Domain], reverse: Matcher[Domain], lanes: frozenset[Lane], switches: Switches
    ) -> None:
        self.forward = forward
        self.reverse = reverse
        self.lanes = lanes
        self.switches = switches


EMPTY_PLAN: Final = Plan(Matcher(()), Matcher(()), frozenset(), Switches())
"""What holds before the first configuration."""


def make_plan(
    config: Config, lanes: dict[tuple[Address, int], Lane], counters: Counters, wall: float
) -> Plan:
    """Prepare a configuration.

    ``lanes`` holds the lanes there are, by address and port; new ones are added to it. Statistics of new
    keys are made in ``counters`` (contract, section 9); those of keys that are gone stay (decision 14).
    """
    switches = parse_switches(config.user_context)
    keys: dict[str, HmacKey] = {}
    for entry in config.tsig_keys:
        key = keys[entry.name] = HmacKey(entry.name, entry.algorithm, entry.secret, entry.digest_bits)
        counters.key(key.name, wall)
    caps: dict[Lane, int] = {}

    def make_server(entry: DnsServer, inherited: ServerSwitches) -> Server:
        own = override_switches(entry.user_context, inherited).lanes
        place = (entry.address, entry.port)
        lane = lanes.get(place)
        if lane is None:
            lane = lanes[place] = Lane(entry.address, entry.port)
        # Several domains may name one server; what the most careful of them says is safe for all.
        caps[lane] = min(caps.get(lane, own.max_in_flight or CAP), own.max_in_flight or CAP)
        key = keys[entry.key.name] if entry.key is not None else None
        key_counters = counters.key(key.name, wall) if key is not None else None
        return Server(entry, lane, key, key_counters, tcp=own.transport == "tcp")

    def make_domain(entry: DdnsDomain) -> Domain:
        own = override_switches(entry.user_context, switches.servers)
        return Domain(entry.name, tuple(make_server(server, own) for server in entry.servers))

    forward = Matcher([(entry.name, make_domain(entry)) for entry in config.forward_domains])
    reverse = Matcher([(entry.name, make_domain(entry)) for entry in config.reverse_domains])
    for lane, cap in caps.items():
        lane.window.set_cap(cap)
    return Plan(forward, reverse, frozenset(caps), switches)
