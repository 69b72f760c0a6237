"""The rules of ``pyd2ctl lint``: each a function from a configuration to its findings."""

from __future__ import annotations

import stat
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from string import hexdigits
from typing import TYPE_CHECKING, NamedTuple

from pyd2.config.hooks_libraries import GSS_TSIG
from pyd2.config.model import UnixSocket
from pyd2.config.sockets.authentication import below
from pyd2.config.sockets.unix_rules import DIRECTORY_MODE, directory_mode
from pyd2.dns.names import parse_name
from pyd2.dns.tsig import HmacKey
from pyd2.errors import ConfigError, DomainNameError, HookError
from pyd2.hooks.gss.matching import match
from pyd2.hooks.gss.parameters import parse_parameters
from pyd2.messages import ROOT_LOGGER
from pyd2.update.model.plan import MAX_TIMEOUT
from pyd2.update.model.zones import WILDCARD, fold, with_final_dot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyd2.config.model import Config, DdnsDomain, Logger, TsigKey
    from pyd2.config.paths import Directories
    from pyd2.config.sockets.unix_rules import UnixSocketRules
    from pyd2.data.element import Element, Position

_SHORT_TIMEOUT = 100
_LONG_TIMEOUT = 10_000
"""Milliseconds; three tries with each server."""
_BROADCAST = IPv4Address("255.255.255.255")
_PRIVATE = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
_FEW_ENTRIES = 1024
"""The length of Kea's queue."""


class Finding(NamedTuple):
    """Something doubtful and its place."""

    position: Position
    text: str


@dataclass(frozen=True, slots=True)
class Subject:
    """A configuration to be checked."""

    config: Config
    root: Element
    """The map ``DhcpDdns`` of the file, without defaults."""
    directories: Directories
    unix_sockets: UnixSocketRules

    @property
    def domains(self) -> tuple[DdnsDomain, ...]:
        """All domains, forward ones first."""
        return (*self.config.forward_domains, *self.config.reverse_domains)

    def place(self, key: str) -> Position:
        """Return the place of a member of ``DhcpDdns``, or that of the map when it has none."""
        member = self.root.get(key)
        return self.root.position if member is None else member.position


def domain_names(subject: Subject) -> Iterator[Finding]:
    """Domains that match no name, or other names than meant."""
    for domain in subject.domains:
        if domain.name == WILDCARD:
            yield Finding(domain.position, "domain * matches every name, and its updates name the zone '*.', "
                                           "which hardly any server has")
            continue
        if (fault := _name_fault(domain.name)) is not None:
            text = f"domain {domain.name} is no domain name, so each update of it fails: {fault}"
            yield Finding(domain.position, text)
        elif domain.name == ".":
            yield Finding(domain.position, "domain . matches no name: name the domains that updates go to")
        elif not domain.name.endswith("."):
            yield Finding(domain.position, f"domain {domain.name} has no final dot: Kea never matches it")


def domain_directions(subject: Subject) -> Iterator[Finding]:
    """Directions that are missing or mixed up."""
    config = subject.config
    if not subject.domains:
        yield Finding(subject.root.position, "there are no domains: every request is dropped")
    elif not config.reverse_domains:
        yield Finding(subject.place("reverse-ddns"), "there is no reverse domain: no PTR is ever added")
    elif not config.forward_domains:
        yield Finding(subject.place("forward-ddns"), "there is no forward domain: no A or AAAA is ever added")
    for domain in config.forward_domains:
        if _is_reverse(domain.name):
            text = f"{domain.name} is a reverse domain, but is listed in forward-ddns: move it"
            yield Finding(domain.position, text)
    for domain in config.reverse_domains:
        named = domain.name != WILDCARD and _name_fault(domain.name) is None
        if named and not _is_reverse(domain.name):
            text = f"{domain.name} is no reverse domain, but is listed in reverse-ddns: move it"
            yield Finding(domain.position, text)
        elif named and not _holds_addresses(domain.name):
            text = (f"no address is in {domain.name}: the names of PTRs are made from whole octets "
                    "(RFC 1035) or nibbles (RFC 3596), never as in RFC 2317")
            yield Finding(domain.position, text)
        elif named and (right := _reversed(domain.name)) is not None:
            text = (f"{domain.name} has no private addresses, but {right} has: the last octet comes first; "
                    f"did you mean {right}?")
            yield Finding(domain.position, text)


def duplicates(subject: Subject) -> Iterator[Finding]:
    """Names that differ for Kea and are the same in the DNS; servers named twice."""
    for domains in (subject.config.forward_domains, subject.config.reverse_domains):
        seen: dict[str, DdnsDomain] = {}
        for domain in sorted(domains, key=lambda domain: domain.position):
            first = seen.setdefault(fold(with_final_dot(domain.name)), domain)
            if first is not domain:
                text = f"domain {domain.name} is the same as {first.name} ({first.position})"
                yield Finding(domain.position, text)
    keys: dict[str, TsigKey] = {}
    for key in sorted(subject.config.tsig_keys, key=lambda key: key.position):
        first_key = keys.setdefault(fold(with_final_dot(key.name)), key)
        if first_key is not key:
            yield Finding(key.position, f"key {key.name} is the same in the DNS as {first_key.name} "
                                        f"({first_key.position}): they share their statistics")
    for domain in subject.domains:
        places = set()
        for server in domain.servers:
            place = (server.address, server.port)
            if place in places:
                text = f"server {server.address} port {server.port} is listed twice in domain {domain.name}"
                yield Finding(server.position, text)
            places.add(place)


def servers(subject: Subject) -> Iterator[Finding]:
    """Servers at addresses from which no reply can come."""
    for domain in subject.domains:
        for server in domain.servers:
            address = server.address
            if address.is_unspecified or address.is_multicast or address == _BROADCAST:
                yield Finding(server.position, f"server {address} of domain {domain.name}: no server answers "
                                               "from such an address, so each update to it times out")


def keys(subject: Subject) -> Iterator[Finding]:
    """Keys that are weak or not used."""
    used = {server.key.name for domain in subject.domains for server in domain.servers if server.key}
    for key in subject.config.tsig_keys:
        where, name = key.position, key.name
        if name not in used:
            yield Finding(where, f"key {name} is not used")
        if key.algorithm.upper() in {"HMAC-MD5", "HMAC-SHA1"}:
            text = f"key {name}: {key.algorithm} is outdated; use HMAC-SHA256 (RFC 8945, section 6)"
            yield Finding(where, text)
        try:
            digest_size = HmacKey(name, key.algorithm, key.secret).digest_size
        except DomainNameError:
            continue  # the reader of configurations has refused it already
        if len(key.secret) < digest_size:
            lengths = f"{len(key.secret)} bytes is shorter than the digest's {digest_size}"
            yield Finding(where, f"key {name}: a secret of {lengths} (RFC 8945, section 8)")
        if key.digest_bits:
            effect = "has no effect" if key.digest_bits >= 8 * digest_size else "cuts the signature"
            yield Finding(where, f"key {name}: digest-bits {key.digest_bits} {effect}; leave it out")


def unsigned(subject: Subject) -> Iterator[Finding]:
    """Servers on other machines that get unsigned updates."""
    with_gss_tsig = _gss_tsig(subject)
    for domain in subject.domains:
        for server in domain.servers:
            if server.key is None and not server.address.is_loopback and id(server) not in with_gss_tsig:
                yield Finding(server.position, f"updates of {domain.name} to {server.address} are not signed")


def gss_tsig(subject: Subject) -> Iterator[Finding]:
    """Parameters of GSS-TSIG that the daemon refuses when it starts, and doubtful ones."""
    for entry in subject.config.hooks_libraries:
        if entry.library != GSS_TSIG:
            continue
        try:
            parameters = parse_parameters(entry.parameters)
            match(subject.config, parameters.servers)
        except (ConfigError, HookError) as error:
            yield Finding(entry.position, f"the parameters of GSS-TSIG are refused: {error}")
            continue
        if parameters.client_keytab and parameters.credentials_cache:
            yield Finding(entry.position, "GSS-TSIG has both client-keytab and credentials-cache: with the "
                                          "keytab alone, pyd2 gets and renews the tickets itself")


def _gss_tsig(subject: Subject) -> set[int]:
    """Return the servers whose updates GSS-TSIG signs, by identity."""
    found: set[int] = set()
    for entry in subject.config.hooks_libraries:
        if entry.library == GSS_TSIG:
            with suppress(ConfigError, HookError):
                means = match(subject.config, parse_parameters(entry.parameters).servers)
                found.update(identity for identity, server in means.items() if server is not None)
    return found


def listener(subject: Subject) -> Iterator[Finding]:
    """A port that other hosts can reach."""
    address = subject.config.ip_address
    if not address.is_loopback:
        text = (f"requests are accepted at {address} without authentication: every host that reaches it can "
                "change the DNS")
        yield Finding(subject.place("ip-address"), text)


def timeout(subject: Subject) -> Iterator[Finding]:
    """Timeouts that lose updates or delay them."""
    value = subject.config.dns_server_timeout
    where = subject.place("dns-server-timeout")
    if value > MAX_TIMEOUT:
        text = f"with dns-server-timeout {value} nothing is ever sent: it must not exceed {MAX_TIMEOUT}"
        yield Finding(where, text)
    elif value > _LONG_TIMEOUT:
        text = f"dns-server-timeout is {value / 1000:g} s: a dead server delays a request by three times that"
        yield Finding(where, text)
    elif value < _SHORT_TIMEOUT:
        text = f"dns-server-timeout is {value} ms: a server that is slow for a moment counts as dead"
        yield Finding(where, text)


def loggers(subject: Subject) -> Iterator[Finding]:
    """Logs that go nowhere, or never end."""
    element = subject.root.get("loggers")
    if element is None:
        yield Finding(subject.root.position, "there are no loggers: the log goes to stderr")
        return
    for logger, entry in zip(subject.config.loggers, element.list_value(), strict=True):
        yield from (Finding(entry.position, f"logger {logger.name} {text}") for text in _of_logger(logger))


def _of_logger(logger: Logger) -> Iterator[str]:
    if logger.severity == "DEBUG":
        yield f"is at DEBUG, level {logger.debuglevel}: use that to find a fault, not permanently"
    elif logger.debuglevel:
        yield f"has a debuglevel, which has no effect at severity {logger.severity}"
    if logger.severity == "NONE":
        yield "writes nothing, not even errors"
    if logger.name == ROOT_LOGGER and not logger.outputs:
        yield "has no output-options"
    for output in logger.outputs:
        if output.maxsize == 0 and output.is_file:
            yield f"never rolls {output.output}: it grows until the disk is full"


def control(subject: Subject) -> Iterator[Finding]:
    """A daemon without control socket, or one that cannot open it."""
    key = "control-socket" if subject.root.get("control-socket") is not None else "control-sockets"
    if not subject.config.control_sockets:
        yield Finding(subject.root.position, "there is no control-socket: statistics cannot be read")
        return
    if not any(isinstance(socket, UnixSocket) for socket in subject.config.control_sockets):
        return
    directory, rules = subject.directories.sockets, subject.unix_sockets
    mode = directory_mode(directory)
    most = f"{'' if rules.exact_mode else 'at most '}{DIRECTORY_MODE:o}"
    if mode is None:
        text = (f"the control socket's directory {directory} is missing: the daemon does not start until it "
                f"exists, with mode {most}")
        yield Finding(subject.place(key), text)
    elif not rules.fits(mode):
        text = (f"the control socket's directory {directory} has mode {mode:o}: the daemon does not start "
                f"unless it is {most}")
        yield Finding(subject.place(key), text)


def secrets(subject: Subject) -> Iterator[Finding]:
    """Files with secrets that every user can read."""
    inline = [entry.get("secret") for entry in _entries(subject.root.get("tsig-keys"))]
    for key in subject.config.tsig_keys:
        if key.secret_file is not None and _readable_by_all(key.secret_file):
            yield Finding(key.position, f"every user can read {key.secret_file}")
    for socket in _http_sockets(subject.root):
        if (file := socket.get("key-file")) is not None and _readable_by_all(file.string_value()):
            yield Finding(file.position, f"every user can read {file.value}, the key of TLS")
        authentication = socket.get("authentication")
        if authentication is None:
            continue
        directory = authentication.get("directory")
        for client in _entries(authentication.get("clients")):
            inline.append(client.get("password"))
            if (file := client.get("password-file")) is not None:
                path = below("" if directory is None else directory.string_value(), file.string_value())
                if _readable_by_all(path):
                    yield Finding(file.position, f"every user can read {path}")
    places = {secret.position.file: secret.position for secret in reversed(inline) if secret is not None}
    for file_name, place in places.items():
        if _readable_by_all(file_name):
            yield Finding(place, f"every user can read {file_name}, which holds secrets")


def _entries(element: Element | None) -> list[Element]:
    """Return the entries of a list; none if it is absent."""
    return [] if element is None else element.list_value()


def _http_sockets(root: Element) -> list[Element]:
    """Return the HTTP control sockets as they are written."""
    one = root.get("control-socket")
    sockets = _entries(root.get("control-sockets")) if one is None else [one]
    return [socket for socket in sockets if socket.map_value()["socket-type"].value != "unix"]


def switches(subject: Subject) -> Iterator[Finding]:
    """pyd2's own switches that do harm or nothing."""
    context = subject.root.get("user-context")
    if context is not None and isinstance(context.value, dict):
        for name, value in context.value.items():
            if name != "pyd2" and name.lower() == "pyd2":
                yield Finding(value.position, f"{name} in user-context is ignored: write pyd2")
    entries = subject.config.switches.queue.max_entries
    if entries < _FEW_ENTRIES:
        text = f"a queue of {entries} requests is shorter than Kea's {_FEW_ENTRIES}: bursts are lost"
        yield Finding(subject.place("user-context"), text)
    domains = (*subject.config.forward_domains, *subject.config.reverse_domains)
    if subject.config.switches.queue.type == "memory" and any(
        server.switches.retry.enabled for domain in domains for server in domain.servers
    ):
        text = "retry without a durable queue: requests that wait for a retry are lost when the daemon stops"
        yield Finding(subject.place("user-context"), text)


def policies(subject: Subject) -> Iterator[Finding]:
    """Policies that have no effect, or that should not stay on."""
    config = subject.config
    common = config.switches.servers.policy
    found = {domain.switches.policy for domain in config.forward_domains}
    place = subject.place("user-context")
    if any(policy.adopt != "never" for policy in found):
        text = ("the policy adopt gives names without DHCID to the clients that have their addresses: use it "
                "while you migrate, then set it to never")
        yield Finding(place, text)
    if any(policy.dual_stack != "off" for policy in found):
        text = ("the policy dual-stack gives names two DHCIDs, which Kea's own D2 can neither change nor "
                "remove: take one of each away before it takes the zone over again")
        yield Finding(place, text)
    for domain in config.reverse_domains:
        if domain.switches.policy._replace(keep=common.keep) != common:
            text = f"the policies of {domain.name} have no effect: they belong to the domain of the host name"
            yield Finding(domain.position, text)
    for domain in config.forward_domains:
        zone = f".{fold(with_final_dot(domain.name))}"
        for name in () if domain.switches.policy.keep == common.keep else domain.switches.policy.keep:
            if not f".{fold(with_final_dot(name))}".endswith(zone):
                yield Finding(domain.position, f"the policy keep of {domain.name} has {name}: not in it")


def _name_fault(name: str) -> str | None:
    """Return why a text is no domain name; None when it is one."""
    try:
        parse_name(name)
    except DomainNameError as error:
        return str(error)
    return None


def _is_reverse(name: str) -> bool:
    return f".{fold(with_final_dot(name))}".endswith((".in-addr.arpa.", ".ip6.arpa."))


def _holds_addresses(name: str) -> bool:
    """Return whether the reverse name of an address can end in a reverse domain."""
    name = fold(with_final_dot(name))
    labels = name.split(".")[:-3]
    if name.endswith("ip6.arpa."):
        return len(labels) <= 32 and all(len(label) == 1 and label in hexdigits for label in labels)
    return len(labels) <= 4 and labels == [str(int(label)) for label in labels if label.isdecimal()
                                           and int(label) < 256]


def _reversed(name: str) -> str | None:
    """Return a reverse domain with its octets reversed, if only these are those of a private network."""
    name = fold(with_final_dot(name))
    octets = name.removesuffix("in-addr.arpa.").split(".")[:-1]
    if not name.endswith(".in-addr.arpa.") or _is_private(octets[::-1]) or not _is_private(octets):
        return None
    return ".".join([*octets[::-1], "in-addr.arpa."])


def _is_private(octets: list[str]) -> bool:
    """Return whether the addresses that begin so are private (RFC 1918)."""
    address = IPv4Address(".".join([*octets, "0", "0", "0", "0"][:4]))
    return any(address in network for network in _PRIVATE)


def _readable_by_all(file: str) -> bool:
    try:
        return bool(Path(file).stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


RULES: tuple[Callable[[Subject], Iterator[Finding]], ...] = (
    domain_names, domain_directions, duplicates, servers, keys, unsigned, gss_tsig, listener, timeout,
    loggers, control, secrets, switches, policies,
)
