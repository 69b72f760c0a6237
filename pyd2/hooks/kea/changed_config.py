"""The configuration as compiled libraries changed Kea's objects of it in d2_srv_configured.

It is taken over field by field, not parsed again: a server that was added without a key gets unsigned
updates, whatever the domain's ``key-name`` says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyd2.config.addresses import parse_address
from pyd2.config.grammar import PORT_FAULT, PORTS
from pyd2.config.model import DdnsDomain, DnsServer, Logger, OutputOption, TsigKey
from pyd2.config.switches import override_switches
from pyd2.config.tsig_keys import decode_base64
from pyd2.config.values import get_integer, get_string, get_uint32
from pyd2.data.text import to_text
from pyd2.errors import ConfigError

if TYPE_CHECKING:
    from pyd2.config.model import Config
    from pyd2.config.switches import ServerSwitches
    from pyd2.data.element import Element

_UNUSABLE = "a hook library has made the configuration unusable: "


def changed(config: Config, described: Element) -> Config:
    """Return a configuration with the changes that ``describe`` (cbridge/kea/configuration.h) found.

    As in Kea, control socket and libraries stay: both are in force before libraries see the configuration.
    So do the switches, which Kea does not know. Raises ConfigError when the result is not usable.
    """
    try:
        return _changed(config, described)
    except ConfigError as error:
        raise ConfigError(f"{_UNUSABLE}{error}") from error


def _changed(config: Config, described: Element) -> Config:
    members = described.map_value()
    shown = members["shown"].map_value()["DhcpDdns"]
    made = _Made(config)
    loggers = members.get("loggers")
    return config._replace(
        ip_address=parse_address(get_string(shown, "ip-address")),
        port=_port(shown),
        dns_server_timeout=get_uint32(shown, "dns-server-timeout"),
        tsig_keys=tuple(made.key(key) for key in members["keys"].list_value()),
        forward_domains=tuple(made.domain(domain) for domain in members["forward"].list_value()),
        reverse_domains=tuple(made.domain(domain) for domain in members["reverse"].list_value()),
        loggers=config.loggers if loggers is None else tuple(map(_logger, loggers.list_value())),
        user_context=shown.get("user-context"),
    )


def _logger(entry: Element) -> Logger:
    outputs = entry.get("output-options")
    return Logger(
        get_string(entry, "name"),
        get_string(entry, "severity"),
        get_integer(entry, "debuglevel"),
        () if outputs is None else tuple(map(_output, outputs.list_value())),
        entry.get("user-context"),
    )


def _output(entry: Element) -> OutputOption:
    plain = OutputOption(get_string(entry, "output"))
    return plain._replace(
        flush=entry.map_value()["flush"].bool_value(),
        pattern=get_string(entry, "pattern"),
        maxsize=get_integer(entry, "maxsize") if "maxsize" in entry.map_value() else plain.maxsize,
        maxver=get_integer(entry, "maxver") if "maxver" in entry.map_value() else plain.maxver,
    )


class _Made:
    """Makes the objects of descriptions; equal keys become one object."""

    def __init__(self, config: Config) -> None:
        self._switches = config.switches.servers
        self._keys: dict[str, TsigKey] = {}

    def domain(self, entry: Element) -> DdnsDomain:
        name, context = get_string(entry, "name"), entry.get("user-context")
        switches = override_switches(context, self._switches)
        listed = entry.map_value()["servers"].list_value()
        servers = tuple(self._server(server, switches) for server in listed)
        if not servers:
            raise ConfigError(f"domain {name} has no DNS server")
        return DdnsDomain(name, get_string(entry, "key-name"), servers, context, switches=switches)

    def _server(self, entry: Element, inherited: ServerSwitches) -> DnsServer:
        context, key_name, key = entry.get("user-context"), entry.get("key-name"), entry.get("key")
        return DnsServer(
            parse_address(get_string(entry, "ip-address")),
            _port(entry),
            "" if key_name is None else key_name.string_value(),
            None if key is None else self.key(key),
            context,
            switches=override_switches(context, inherited),
        )

    def key(self, entry: Element) -> TsigKey:
        text = to_text(entry)
        if text not in self._keys:
            secret, file = get_string(entry, "secret"), get_string(entry, "secret-file")
            self._keys[text] = TsigKey(
                name=get_string(entry, "name"),
                algorithm=get_string(entry, "algorithm"),
                digest_bits=get_integer(entry, "digest-bits"),
                secret=decode_base64(secret),
                secret_text=None if file else secret,
                secret_file=file or None,
                user_context=entry.get("user-context"),
            )
        return self._keys[text]


def _port(entry: Element) -> int:
    port = get_integer(entry, "port")
    if port not in PORTS:
        raise ConfigError(f"port {port}: {PORT_FAULT}")
    return port
