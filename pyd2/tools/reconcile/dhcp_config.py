"""What of a DHCP server's configuration says which records may be its own: subnets, reservations, TTLs."""

from __future__ import annotations

import os
from bisect import bisect_right
from dataclasses import dataclass, field
from ipaddress import ip_network
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pyd2.config.lexer import COMMA, END, STRING, Lexer, read_first_config_file
from pyd2.dns.names import lower, parse_name
from pyd2.errors import ConfigSyntaxError, DomainNameError
from pyd2.ncr import ConflictResolutionMode
from pyd2.tools.reconcile.errors import ReconcileError
from pyd2.tools.reconcile.lease import pack_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pyd2.config.lexer import Token
    from pyd2.data.element import Plain

_DATA_DIRECTORY: Final = "/var/lib/kea"
_DEEPEST: Final = 100
_SHORTEST_TTL: Final = 600
_THIRD: Final = 0.33333
"""Kea 3.0's idea of a third of the lifetime."""
_INHERITED: Final = ("ddns-conflict-resolution-mode", "ddns-use-conflict-resolution",
                     "ddns-qualifying-suffix", "ddns-ttl", "ddns-ttl-percent", "ddns-ttl-min", "ddns-ttl-max")


class Subnet(NamedTuple):
    """A subnet, and how its server makes requests for it."""

    number: int
    text: str
    first: bytes
    last: bytes
    settings: Mapping[str, Any]
    """What is in force of _INHERITED."""
    exact: bool
    """Whether no pool has settings of its own."""

    @property
    def mode(self) -> ConflictResolutionMode:
        """The mode of requests."""
        text = self.settings.get("ddns-conflict-resolution-mode")
        if isinstance(text, str) and text in set(ConflictResolutionMode):
            return ConflictResolutionMode(text)
        if self.settings.get("ddns-use-conflict-resolution") is False:
            return ConflictResolutionMode.NO_CHECK_WITH_DHCID
        return ConflictResolutionMode.CHECK_WITH_DHCID

    def ttls(self, lifetime: int) -> frozenset[int]:
        """Return the TTLs that Kea 2.6 and 3.0 give to the records of a lease; empty: unknown."""
        if not self.exact:
            return frozenset()
        fixed = self._positive("ddns-ttl")
        percent = self._positive("ddns-ttl-percent")
        least, most = self._positive("ddns-ttl-min"), self._positive("ddns-ttl-max")
        of_2_6 = round(percent * lifetime) or lifetime // 3 if percent else max(_SHORTEST_TTL, lifetime // 3)
        of_3_0 = max(round((percent or _THIRD) * lifetime), int(least) or _SHORTEST_TTL)
        if most and of_3_0 > most:
            of_3_0 = int(most)
        return frozenset({int(fixed)} if fixed else {of_2_6, of_3_0})

    def _positive(self, name: str) -> float:
        value = self.settings.get(name, 0)
        return value if isinstance(value, (int, float)) and value > 0 else 0


@dataclass
class DhcpConfig:
    """The configuration of one DHCP server, as far as it matters."""

    family: int
    subnets: list[Subnet] = field(default_factory=list)
    reserved_addresses: set[bytes] = field(default_factory=set)
    reserved_names: set[bytes] = field(default_factory=set)
    lease_file: str = ""
    """Empty: leases are not in a file."""
    lease_database: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The ``lease-database`` as it is, where leases are not in a file. It may have a password."""
    hosts_elsewhere: bool = False
    """Whether further reservations are in a database."""


class Subnets:
    """The subnets of several servers, found by address."""

    def __init__(self, configs: Iterable[DhcpConfig]) -> None:
        """Raises ReconcileError where subnets of two servers overlap."""
        self._sorted: dict[int, list[Subnet]] = {4: [], 16: []}
        for config in configs:
            for subnet in config.subnets:
                self._sorted[len(subnet.first)].append(subnet)
        for subnets in self._sorted.values():
            subnets.sort(key=lambda subnet: subnet.first)
            for one, other in pairwise(subnets):
                if other.first <= one.last:
                    raise ReconcileError(f"the subnets {one.text} and {other.text} overlap: whose leases "
                                         "count there is unknown; compare these servers one by one")

    def find(self, address: bytes) -> Subnet | None:
        """Return the subnet that an address is in."""
        subnets = self._sorted[len(address)]
        at = bisect_right(subnets, address, key=lambda subnet: subnet.first)
        return subnets[at - 1] if at and address <= subnets[at - 1].last else None


def read_dhcp_file(path: str, family: int) -> DhcpConfig:
    """Return the configuration of a file in Kea's dialect. Raises ReconcileError."""
    try:
        lexer = Lexer(path, read_first_config_file)
        whole = _value(lexer, lexer.next({}), 0)
        token = lexer.next({})
    except ConfigSyntaxError as error:
        raise ReconcileError(str(error)) from None
    if token.kind != END:
        raise ReconcileError(f"{lexer.place(token)}: text behind the configuration")
    return dhcp_config(whole, family, path)


def dhcp_config(whole: object, family: int, place: str) -> DhcpConfig:
    """Return a configuration of plain values; ``place`` is for errors. Raises ReconcileError."""
    body = whole.get(f"Dhcp{family}") if isinstance(whole, dict) else None
    if not isinstance(body, dict):
        raise ReconcileError(f"{place}: not the configuration of kea-dhcp{family}: it has no Dhcp{family}")
    config = DhcpConfig(family)
    try:
        _fill(config, body)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise ReconcileError(f"{place}: {error}") from None
    return config


def _fill(config: DhcpConfig, body: dict[str, Any]) -> None:
    family = config.family
    settings = _inherit({}, body)
    _reserve(config, body.get("reservations", ()), settings)
    scopes = [(body, settings)]
    scopes += [(network, _inherit(settings, network)) for network in body.get("shared-networks", ())]
    for scope, above in scopes:
        for entry in scope.get(f"subnet{family}", ()):
            inherited = _inherit(above, entry)
            network = ip_network(entry["subnet"], strict=False)
            exact = not any(name in pool for pool in entry.get("pools", ()) for name in _INHERITED)
            config.subnets.append(Subnet(int(entry.get("id", 0)), str(network), network[0].packed,
                                         network[-1].packed, inherited, exact))
            _reserve(config, entry.get("reservations", ()), inherited)
    config.hosts_elsewhere = bool(body.get("hosts-database") or body.get("hosts-databases"))
    database = body.get("lease-database", {"type": "memfile"})
    if database.get("type") == "memfile" and database.get("persist", True):
        directory = body.get("data-directory") or os.environ.get("KEA_DHCP_DATA_DIR", _DATA_DIRECTORY)
        # Of an absolute name, only that counts.
        config.lease_file = str(Path(directory, database.get("name") or f"kea-leases{family}.csv"))
    else:
        config.lease_database = database


def _inherit(above: Mapping[str, Any], scope: Mapping[str, Any]) -> Mapping[str, Any]:
    own = {name: scope[name] for name in _INHERITED if name in scope}
    return {**above, **own} if own else above


def _reserve(config: DhcpConfig, entries: Sequence[dict[str, Any]], settings: Mapping[str, Any]) -> None:
    for entry in entries:
        addresses = [entry["ip-address"]] if "ip-address" in entry else entry.get("ip-addresses", ())
        config.reserved_addresses.update(pack_address(config.family, text) for text in addresses)
        config.reserved_names.update(_names(entry.get("hostname", ""), settings))


def _names(hostname: str, settings: Mapping[str, Any]) -> Iterator[bytes]:
    """Return the names on the wire that a reserved hostname may become."""
    if not hostname:
        return
    bare = hostname.rstrip(".")
    suffix = str(settings.get("ddns-qualifying-suffix", "")).rstrip(".")
    for text in (bare, f"{bare}.{suffix}" if suffix else bare):
        try:
            yield lower(parse_name(text))
        except DomainNameError as error:
            raise ValueError(f"the reserved hostname {hostname}: {error}") from None


def _value(lexer: Lexer, token: Token, depth: int) -> Plain:
    """Return the value that begins with a token, without the places. Raises ReconcileError."""
    if depth > _DEEPEST:
        raise ReconcileError(f"{lexer.place(token)}: nested more than {_DEEPEST} times")
    if token.kind == "{":
        members: dict[str, Plain] = {}
        while (token := lexer.next({})).kind != "}":
            if token.kind == COMMA:
                continue  # Kea takes one comma too many
            _expect(lexer, token, STRING)
            _expect(lexer, lexer.next({}), ":")
            members[str(token.value)] = _value(lexer, lexer.next({}), depth + 1)
        return members
    if token.kind == "[":
        items: list[Plain] = []
        while (token := lexer.next({})).kind != "]":
            if token.kind != COMMA:
                items.append(_value(lexer, token, depth + 1))
        return items
    if token.kind in {"}", "]", COMMA, ":", END}:
        raise ReconcileError(f"{lexer.place(token)}: a value is missing")
    return token.value


def _expect(lexer: Lexer, token: Token, kind: str) -> None:
    if token.kind != kind:
        raise ReconcileError(f"{lexer.place(token)}: expected {kind}")
