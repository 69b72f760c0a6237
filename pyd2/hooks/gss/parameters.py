"""The parameters of ``libddns_gss_tsig.so``, checked with Kea's texts and positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from pyd2.config.addresses import Address, address_text, parse_address
from pyd2.data.element import BigInteger, sorted_items
from pyd2.dns.names import name_text, parse_name
from pyd2.errors import ConfigError, DomainNameError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyd2.data.element import Element, Plain, Position

_T = TypeVar("_T", str, bool)

_MOST: Final = 0xFFFFFFFF
_MOST_PORT: Final = 0xFFFF
_DNS_PORT: Final = 53
_LONGEST_NUMBER: Final = "1234567890"
"""The name of a key is a number of 32 bits before the suffix."""

_COMMON: Final = {
    "server-principal": "string", "client-principal": "string", "gss-replay-flag": "boolean",
    "gss-sequence-flag": "boolean", "tkey-lifetime": "integer", "rekey-interval": "integer",
    "retry-interval": "integer", "tkey-protocol": "string", "fallback": "boolean",
    "exchange-timeout": "integer", "user-context": "map", "comment": "string",
}
"""What may stand beside the servers, for all of them, and in each. The types are Kea's names."""
_GLOBAL: Final = {
    **_COMMON, "client-keytab": "string", "credentials-cache": "string", "ignore-bad-direction": "boolean",
    "servers": "list",
}
_SERVER: Final = {
    **_COMMON, "id": "string", "domain-names": "list", "ip-address": "string", "port": "integer",
}


@dataclass(frozen=True)
class GssServer:
    """An entry of ``servers``: a DNS server that takes updates with GSS-TSIG."""

    id: str
    domains: tuple[str, ...]
    """The names of its domains, sorted; empty: all domains that the server serves."""
    address: Address
    port: int
    server_principal: str
    key_name_suffix: str
    """What the names of its keys end with, final dot included."""
    client_principal: str = ""
    """Empty: whoever the credentials are for."""
    replay_flag: bool = True
    sequence_flag: bool = False
    lifetime: int = 3600
    """Seconds that a key is used for; so are the two intervals."""
    rekey_interval: int = 2700
    retry_interval: int = 120
    protocol: str = "TCP"
    """``TCP`` or ``UDP``: how keys are agreed on. It says nothing about updates."""
    fallback: bool = False
    """Whether updates go out with the configured key, or none, while there is no key here."""
    exchange_timeout: int = 3000
    """Milliseconds that the server has to answer a message about a key."""

    def plain(self) -> dict[str, Plain]:
        """Return the server as the commands show it, without its keys."""
        shown: dict[str, Plain] = {"id": self.id}
        if self.domains:
            shown["domain-names"] = list(self.domains)
        shown |= {
            "ip-address": address_text(self.address), "port": self.port,
            "server-principal": self.server_principal, "key-name-suffix": self.key_name_suffix,
        }
        if self.client_principal:
            shown["client-principal"] = self.client_principal
        return shown | {
            "gss-replay-flag": self.replay_flag, "gss-sequence-flag": self.sequence_flag,
            "tkey-lifetime": self.lifetime, "rekey-interval": self.rekey_interval,
            "retry-interval": self.retry_interval, "tkey-protocol": self.protocol,
            "fallback": self.fallback, "exchange-timeout": self.exchange_timeout,
        }


@dataclass(frozen=True, slots=True)
class Parameters:
    """All parameters."""

    client_keytab: str = ""
    """The keytab that credentials come from, such as ``FILE:/etc/dhcp.keytab``; empty: the system's."""
    credentials_cache: str = ""
    """The cache of credentials, such as ``FILE:/etc/ccache``; empty: the system's."""
    ignore_bad_direction: bool = False
    """Whether a refusal counts whose signature is a copy of the request's."""
    servers: tuple[GssServer, ...] = ()

    @property
    def longest_lifetime(self) -> int:
        """Seconds: the longest that a key of any server is used for."""
        return max((server.lifetime for server in self.servers), default=0)


class _Seconds(NamedTuple):
    """A number of seconds, and where it comes from, for the texts."""

    value: int
    place: str = ""
    """`` (file:line:column)``; empty for a default."""


class _Intervals:
    """Reads the three numbers of seconds, of which each must be smaller than the next."""

    def __init__(self) -> None:
        self.inherited = {
            "retry-interval": _Seconds(GssServer.retry_interval),
            "rekey-interval": _Seconds(GssServer.rekey_interval),
            "tkey-lifetime": _Seconds(GssServer.lifetime),
        }
        # As in Kea, once a server has a number of its own, the texts call that of every later server so.
        self._origins = dict.fromkeys(self.inherited, "default")

    def read(self, scope: Element, origin: str) -> dict[str, _Seconds]:
        """Return the numbers of a map, else those that it inherits; raises ConfigError."""
        found = {name: self._read(scope, name, origin) for name in self.inherited}
        retry, rekey, lifetime = found.values()
        of_retry, of_rekey, of_lifetime = self._origins.values()
        if retry.value >= rekey.value:
            # The place behind rekey-interval is that of retry-interval, as in Kea.
            raise ConfigError(
                f"the {of_retry} 'retry-interval' parameter{retry.place} must be smaller then the {of_rekey}"
                f" 'rekey-interval' parameter{retry.place}: range [0..{rekey.value}]"
            )
        if rekey.value >= lifetime.value:
            raise ConfigError(
                f"the {of_rekey} 'rekey-interval' parameter{rekey.place} must be smaller than the"
                f" {of_lifetime} 'tkey-lifetime' parameter{lifetime.place}: range [0..{lifetime.value}]"
            )
        return found

    def _read(self, scope: Element, name: str, origin: str) -> _Seconds:
        element = scope.get(name)
        if element is None:
            return self.inherited[name]
        self._origins[name] = origin
        return _Seconds(_uint32(element, name), f" ({element.position})")


def parse_parameters(parameters: Element | None) -> Parameters:
    """Return the checked parameters; raises ConfigError with the text and the position that Kea gives."""
    if parameters is None:
        raise ConfigError("gss_tsig parameters entry is mandatory")
    if not isinstance(parameters.value, dict):
        raise ConfigError("gss_tsig parameters entry must be a map")
    _check_keywords(parameters, _GLOBAL, "gss_tsig ")
    intervals = _Intervals()
    intervals.inherited = intervals.read(parameters, "global")
    _protocol(parameters.get("tkey-protocol"))
    timeout = parameters.get("exchange-timeout")
    if timeout is not None:
        _uint32(timeout, "exchange-timeout")
    listed = parameters.get("servers")
    servers: dict[str, GssServer] = {}
    for entry in [] if listed is None else listed.list_value():
        server = _server(entry, parameters, intervals, servers)
        servers[server.id] = server
    return Parameters(
        client_keytab=_given(parameters, "client-keytab", ""),
        credentials_cache=_given(parameters, "credentials-cache", ""),
        ignore_bad_direction=_given(parameters, "ignore-bad-direction", False),  # noqa: FBT003  the default
        servers=tuple(servers.values()),
    )


def _server(
    entry: Element, parameters: Element, intervals: _Intervals, known: Mapping[str, GssServer]
) -> GssServer:
    """Return a server; what its map lacks comes from ``parameters``, which are for all servers."""
    if not isinstance(entry.value, dict):
        raise ConfigError(f"'servers' parameter must be a list of maps ({entry.position})")
    _check_keywords(entry, _SERVER, "gss_tsig server ")
    name = _required(entry, "id").string_value()
    if not name:
        raise _wrong("'id' parameter must be not empty in", entry)
    if name in known:
        raise _wrong(f"'{name}' id is already used in", entry)
    domains = _domains(entry)
    address, port = _endpoint(entry)
    principal, suffix = _principal(entry, parameters)
    seconds = intervals.read(entry, "server")
    timeout = _either(entry, parameters, "exchange-timeout")
    return GssServer(
        id=name, domains=domains, address=address, port=port, server_principal=principal,
        key_name_suffix=suffix,
        client_principal=_inherited(entry, parameters, "client-principal", GssServer.client_principal),
        replay_flag=_inherited(entry, parameters, "gss-replay-flag", GssServer.replay_flag),
        sequence_flag=_inherited(entry, parameters, "gss-sequence-flag", GssServer.sequence_flag),
        lifetime=seconds["tkey-lifetime"].value,
        rekey_interval=seconds["rekey-interval"].value,
        retry_interval=seconds["retry-interval"].value,
        protocol=_protocol(_either(entry, parameters, "tkey-protocol")),
        fallback=_inherited(entry, parameters, "fallback", GssServer.fallback),
        exchange_timeout=(
            GssServer.exchange_timeout if timeout is None else _uint32(timeout, "exchange-timeout")
        ),
    )


def _check_keywords(scope: Element, types: Mapping[str, str], before: str) -> None:
    spurious = ""
    for name, element in sorted_items(scope.map_value()):
        expected = types.get(name)
        if expected is None:
            spurious = spurious or name
        elif element.type_name != expected:
            article = "an" if expected == "integer" else "a"
            raise ConfigError(f"{before}'{name}' parameter is not {article} {expected} ({scope.position})")
    if spurious:
        raise ConfigError(f"{before}spurious '{spurious}' parameter ({scope.position})")


def _wrong(what: str, entry: Element) -> ConfigError:
    return ConfigError(f"{what} gss_tsig server entry ({entry.position})")


def _required(entry: Element, name: str) -> Element:
    element = entry.get(name)
    if element is None:
        raise _wrong(f"'{name}' parameter is required in", entry)
    return element


def _domains(entry: Element) -> tuple[str, ...]:
    names = set()
    listed = entry.get("domain-names")
    for element in [] if listed is None else listed.list_value():
        if not isinstance(element.value, str):
            raise ConfigError(
                f"gss_tsig server 'domain-names' list must contain only strings ({element.position})"
            )
        names.add(element.value)
    return tuple(sorted(names))


def _endpoint(entry: Element) -> tuple[Address, int]:
    text = _required(entry, "ip-address").string_value()
    try:
        address = parse_address(text)
    except ConfigError as error:
        raise _bad_entry(str(error), entry.position) from None
    element = entry.get("port")
    port = _DNS_PORT if element is None else element.int_value()
    if not 0 <= port <= _MOST_PORT:
        fault = f"The 'port' value ({port}) is not within expected range: (0 - {_MOST_PORT})"
        raise _bad_entry(fault, entry.position)
    return address, port


def _bad_entry(fault: str, position: Position) -> ConfigError:
    return ConfigError(f"gss_tsig bad server entry: {fault} ({position})")


def _principal(entry: Element, parameters: Element) -> tuple[str, str]:
    """Return the server's principal, and what the names of keys end with because of it."""
    own = entry.get("server-principal")
    element = own or parameters.get("server-principal") or _required(entry, "server-principal")
    principal = element.string_value()
    try:
        return principal, _key_name_suffix(principal)
    except ConfigError as error:
        if own is not None:
            raise _bad_entry(str(error), element.position) from None
        raise ConfigError(f"gss_tsig bad server-principal parameter: {error} ({element.position})") from None


def _key_name_suffix(principal: str) -> str:
    """Return ``sig-HOST.`` of the principal ``SERVICE/HOST@REALM``; raises ConfigError."""
    host = principal[principal.find("/") + 1 :]
    if "@" in host:
        host = host[: host.rfind("@")]
    if not host:
        raise ConfigError(
            f"can't get the GSS-TSIG key name suffix from the DNS server principal '{principal}'"
        )
    try:
        name = name_text(parse_name(f"{_LONGEST_NUMBER}.sig-{host}"))
    except DomainNameError as error:
        raise ConfigError(f"check of the GSS-TSIG key name suffix 'sig-{host}' failed: {error}") from None
    return name[len(_LONGEST_NUMBER) + 1 :]


def _protocol(element: Element | None) -> str:
    if element is None:
        return GssServer.protocol
    if element.value not in {"UDP", "TCP"}:
        raise ConfigError(f"'tkey-protocol' parameter must be UDP or TCP ({element.position})")
    return element.string_value()


def _uint32(element: Element, name: str) -> int:
    value = element.value
    if isinstance(value, int) and not isinstance(value, bool | BigInteger) and 0 <= value <= _MOST:
        return value
    raise ConfigError(f"'{name}' parameter is out of range [0..{_MOST}] ({element.position})")


def _either(entry: Element, parameters: Element, name: str) -> Element | None:
    element = entry.get(name)
    return parameters.get(name) if element is None else element


def _inherited(entry: Element, parameters: Element, name: str, default: _T) -> _T:
    """Return the server's own value, else the one for all servers. Its type has been checked."""
    return _given(entry, name, _given(parameters, name, default))


def _given(scope: Element, name: str, default: _T) -> _T:
    element = scope.get(name)
    if element is None:
        return default
    value = element.value
    assert isinstance(value, type(default))
    return value
