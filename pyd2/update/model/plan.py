"""A configuration made ready for work: zones, keys, domains and servers, prepared once."""

from __future__ import annotations

from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.config.policy import PolicySwitches
from pyd2.config.switches import Switches
from pyd2.dns.tsig import HmacKey
from pyd2.errors import DomainNameError
from pyd2.interpreter import free_in_parts
from pyd2.packets.layer import DomainNumbers
from pyd2.update.model.zones import Matcher, ReverseMatcher
from pyd2.update.server.breaker import CircuitBreaker
from pyd2.update.server.lane import UNKNOWN, Lane
from pyd2.update.server.window import CAP, PythonWindow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pyd2.config.model import Config, DdnsDomain, DnsServer, TsigKey
    from pyd2.config.switches import FailoverSwitches, RetrySwitches
    from pyd2.counters import Counters, KeyCounters
    from pyd2.dns.update import Zone
    from pyd2.packets.layer import Index, PacketLayer
    from pyd2.update.model.kinds import Kind, Step
    from pyd2.update.model.policies import Policy
    from pyd2.update.model.route import Route
    from pyd2.update.server.doubts import Doubts
    from pyd2.update.server.window import InFlightWindow

MAX_TIMEOUT: Final = 2**31 - 1
"""Milliseconds; Kea accepts longer ones in a configuration and then cannot send (contract, section 2.2)."""


def _if_enabled(retry: RetrySwitches) -> RetrySwitches | None:
    return retry if retry.enabled else None


def make_policy(switches: PolicySwitches) -> Policy | None:
    """Return the policies of a domain; None: it has none, and all is done as by Kea."""
    if switches == PolicySwitches():
        return None
    from pyd2.update.model.policies import Policy

    return Policy(switches)


class Limits(NamedTuple):
    """What a lane keeps to. Lanes outlive configurations: a switch that a lane follows belongs here."""

    cap: int
    """Updates under way at most."""
    threshold: int | None
    """Tries without an answer after which the server counts as down; None: no circuit breaker."""
    batch: int
    """Updates in one message at most; 1: no batches."""
    passed_over: bool
    """Whether other servers are asked in its stead while it is down."""

    def and_also(self, other: Limits) -> Limits:
        """Return what suits both: several domains may name one server, and the most careful is safe."""
        thresholds = [limits.threshold for limits in (self, other) if limits.threshold is not None]
        return Limits(
            min(self.cap, other.cap), min(thresholds, default=None), min(self.batch, other.batch),
            self.passed_over and other.passed_over,
        )


def _set_threshold(lane: Lane, threshold: int | None) -> None:
    """Set after how many tries without an answer a lane's circuit breaker opens; None: it has none."""
    if threshold is None:
        lane.breaker = None
    elif lane.breaker is None:
        lane.breaker = CircuitBreaker(threshold)
    else:
        lane.breaker.threshold = threshold


def _keep_to(lane: Lane, limits: Limits) -> None:
    lane.window.set_cap(limits.cap)
    lane.batch = limits.batch
    lane.passed_over = limits.passed_over
    lane.free_places = UNKNOWN
    _set_threshold(lane, limits.threshold)


class Server:
    """A DNS server of a domain, ready to be sent to."""

    __slots__ = (
        "config", "doubts", "failover", "key", "key_counters", "lane", "offered_key", "retry", "routes",
        "tcp", "text",
    )

    def __init__(
        self, config: DnsServer, lane: Lane, key: HmacKey | None, offered_key: HmacKey | None,
        key_counters: KeyCounters | None, *, tcp: bool,
    ) -> None:
        self.config = config
        self.lane = lane
        self.key = key
        self.offered_key = offered_key
        """The same key as libraries get it: they may sign with it in their thread while this one does with
        ``key``, whose work in C has one buffer.
        """
        self.key_counters = key_counters
        self.tcp = tcp
        """Whether all goes over TCP, also what UDP could carry."""
        failover = config.switches.failover
        self.failover: FailoverSwitches | None = failover if failover.enabled else None
        """When another server is asked in its stead, where Kea would give up."""
        self.retry = _if_enabled(config.switches.retry)
        """How a request is tried again that has failed there; None: not at all."""
        self.text = lane.text
        """``ADDRESS port:PORT``, as the log names it."""
        self.routes: dict[Step, Route] = {}
        """How the updates of each step that was needed so far go there."""
        self.doubts: Doubts | None = None
        """What is known of it if updates with DHCIDs fail there; None: none has."""

    def usable(self, now: float) -> bool:
        """Whether the server is not passed over: it is up, or may be asked whether it is."""
        lane = self.lane
        return self.failover is None or not lane.down or lane.may_probe(now)


class Domain:
    """A DDNS domain: its zone and its servers, in the order they are tried."""

    __slots__ = ("lanes", "name", "policy", "retry", "servers", "zone", "zone_error")

    def __init__(
        self, name: str, servers: tuple[Server, ...], packets: PacketLayer,
        retry: RetrySwitches | None = None, policy: Policy | None = None,
    ) -> None:
        self.name = name
        self.servers = servers
        self.lanes = tuple(dict.fromkeys(server.lane for server in servers))
        self.retry = retry
        """How a request is tried again that no server was chosen for; None: not at all."""
        self.policy = policy
        """What is done there beyond Kea's kinds; None: nothing."""
        self.zone: Zone | None = None
        """None if the name is no domain name: Kea accepts such a configuration, and the updates fail."""
        self.zone_error = ""
        try:
            self.zone = packets.zone(name)
        except DomainNameError as error:
            self.zone_error = str(error)


class Destination:
    """Where requests go that have the same kind, and the same changes in the same domains."""

    __slots__ = ("domain", "forward", "kind", "lane", "reverse")

    def __init__(self, forward: Domain | None, reverse: Domain | None, kind: Kind | None) -> None:
        self.forward = forward
        self.reverse = reverse
        self.kind = kind
        """The kind of their transactions; None: each of them has to be looked at."""
        self.domain = forward or reverse
        """Where they begin; None: no domain fits."""
        self.lane = None if self.domain is None else self.domain.servers[0].lane
        """The same, if no server is down."""


class Plan:
    """What the engine works by from one reconfiguration to the next; at first, nothing."""

    __slots__ = (
        "_changed", "_limits", "active", "batches", "begins_at_several", "destinations", "domains", "forward",
        "index", "keys", "lanes", "policies", "retries", "reverse", "switches",
    )

    def __init__(
        self,
        forward: Matcher[Domain] = Matcher(()),  # noqa: B008  never changes
        reverse: ReverseMatcher[Domain] = ReverseMatcher(()),  # noqa: B008  never changes
        limits: Mapping[Lane, Limits] = MappingProxyType({}),
        switches: Switches = Switches(),  # noqa: B008  frozen
        packets: PacketLayer | None = None,
        keys: frozenset[str] = frozenset(),
    ) -> None:
        self.keys = keys
        """The names of the configured keys, as their statistics have them."""
        self.forward = forward
        self.reverse = reverse
        self._limits = limits
        self._changed = dict(limits)
        """Those of lanes that have others at present."""
        self.lanes = tuple(limits)
        first = {domain.lanes[:1] for domain in (*forward.domains, *reverse.domains)}
        self.begins_at_several = len(first) > 1
        """Whether requests begin at several servers: the domains do not all name the same server first."""
        self.switches = switches
        self.retries = any(
            server.retry is not None
            for domain in (*forward.domains, *reverse.domains) for server in domain.servers
        )
        """Whether requests are tried again in any domain."""
        self.batches = any(each.batch > 1 for each in limits.values())
        """Whether updates for any server go in batches."""
        self.policies = any(domain.policy is not None for domain in (*forward.domains, *reverse.domains))
        """Whether any domain has a policy."""
        numbers: dict[Domain, int] = {}
        for domain in (*forward.domains, *reverse.domains):
            numbers.setdefault(domain, len(numbers) + 1)
        self.domains: tuple[Domain | None, ...] = (None, *numbers)
        """By the numbers that packed requests have."""
        self.destinations: dict[bytes | None, Destination] = {}
        """Those that were needed so far, by what requests with the same one have in common (``alike``)."""
        self.index: Index = None
        """The same domains, as the packet layer finds them."""
        if packets is not None:
            names, forward_wildcard = forward.numbers(numbers.__getitem__)
            octets, nibbles, reverse_wildcard = reverse.address_numbers(numbers.__getitem__)
            self.index = packets.make_index(
                DomainNumbers(names, octets, nibbles, forward_wildcard, reverse_wildcard)
            )
        self.active = 0
        """Transactions that began under this plan and have not ended: any of its lanes may be theirs."""

    def prepare_lanes(self, before: Plan, lanes: Iterable[Lane]) -> None:
        """Do beforehand what can be done: ``put_in_force`` keeps the updates waiting.

        ``before`` is the plan in force, ``lanes`` are those that are at work; others get their limits now.
        """
        at_work = set(lanes)
        self._changed = {}
        for lane, limits in self._limits.items():
            if lane not in at_work:
                _keep_to(lane, limits)
            elif before._limits.get(lane) != limits:
                self._changed[lane] = limits

    def put_in_force(self) -> None:
        """Let its lanes keep to its limits."""
        for lane, limits in self._changed.items():
            _keep_to(lane, limits)
        self._changed = {}

    def take_apart(self) -> None:
        """Drop the domains when another plan is in force; transactions keep those that they have.

        Some at a time, since to drop many at once no other thread gets the interpreter.
        """
        parts = [*self.destinations.values(), *self.forward.names, *self.reverse.names, *self.domains]
        self.domains, self.forward, self.reverse, self.index = (), Matcher(()), ReverseMatcher(()), None
        self.destinations = {}
        free_in_parts(parts)


def make_plan(
    config: Config,
    lanes: Iterable[Lane],
    counters: Counters,
    wall: float,
    packets: PacketLayer,
    new_window: Callable[[], InFlightWindow] = PythonWindow,
) -> Plan:
    """Prepare a configuration; nothing works by it before it is put in force.

    ``lanes`` are those there are; servers that have none yet get a new one, with a new window. Statistics of
    new keys are made in ``counters`` (contract, section 9).
    """
    by_place = {(lane.address, lane.port, lane.tls): lane for lane in lanes}
    keys: dict[tuple[str, str, bytes, int], tuple[HmacKey, HmacKey]] = {}
    nats = config.switches.queue.nats

    def make_key(entry: TsigKey) -> tuple[HmacKey, HmacKey]:
        # By all its fields: a hook library may give a server a key that has but the name of a configured one.
        fields = entry.name, entry.algorithm, entry.secret, entry.digest_bits
        if fields not in keys:
            keys[fields] = packets.key(*fields), HmacKey(*fields)
            counters.key(keys[fields][0].name, wall)
            if nats is not None:
                for key in keys[fields]:
                    key.set_fudge(nats.tsig_fudge)
        return keys[fields]

    for entry in config.tsig_keys:
        make_key(entry)
    limits: dict[Lane, Limits] = {}
    policy_of = cache(make_policy)

    def make_server(entry: DnsServer) -> Server:
        switches = entry.switches.lanes
        place = (entry.address, entry.port, switches.tls)
        lane = by_place.get(place)
        if lane is None:
            lane = by_place[place] = Lane(entry.address, entry.port, new_window(), tls=switches.tls)
        asked = entry.switches.retry.enabled or entry.switches.failover.enabled
        own = Limits(
            switches.max_in_flight or CAP,
            entry.switches.failover.breaker_threshold if asked else None, switches.batch,
            entry.switches.failover.enabled,
        )
        limits[lane] = own.and_also(limits.get(lane, own))
        key, offered_key = make_key(entry.key) if entry.key is not None else (None, None)
        key_counters = counters.key(key.name, wall) if key is not None else None
        return Server(entry, lane, key, offered_key, key_counters, tcp=switches.transport != "udp")

    def make_domain(entry: DdnsDomain) -> Domain:
        servers = tuple(map(make_server, entry.servers))
        retry = _if_enabled(entry.switches.retry)
        return Domain(entry.name, servers, packets, retry, policy_of(entry.switches.policy))

    forward = Matcher([(entry.name, make_domain(entry)) for entry in config.forward_domains])
    reverse = ReverseMatcher([(entry.name, make_domain(entry)) for entry in config.reverse_domains])
    names = frozenset(key.name for key, _ in keys.values())
    return Plan(forward, reverse, limits, config.switches, packets, names)
