"""The configuration as config-get and config-write show it (contract, section 2.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyd2.config.addresses import address_text
from pyd2.config.model import NO_FILES, SYSLOG_PREFIX
from pyd2.config.redact import redact
from pyd2.data.element import Element
from pyd2.interpreter import sorted_in_parts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyd2.config.model import (
        Config,
        DdnsDomain,
        DnsServer,
        HookLibrary,
        Logger,
        OutputOption,
        TsigKey,
    )


def to_element(config: Config) -> Element:
    """Return the map with the only member ``DhcpDdns``, all defaults filled in."""
    members = {
        "ip-address": Element(address_text(config.ip_address)),
        "port": Element(config.port),
        "dns-server-timeout": Element(config.dns_server_timeout),
        "ncr-protocol": Element(config.ncr_protocol),
        "ncr-format": Element(config.ncr_format),
        "forward-ddns": Element({"ddns-domains": _domains(config.forward_domains)}),
        "reverse-ddns": Element({"ddns-domains": _domains(config.reverse_domains)}),
        "tsig-keys": _list(_key(key) for key in sorted(config.tsig_keys, key=_raw_name)),
        "hooks-libraries": _list(_library(library) for library in config.hooks_libraries),
    }
    members.update(config.sockets_shown)
    if config.loggers:
        members["loggers"] = _list(_logger(logger) for logger in config.loggers)
    return Element({"DhcpDdns": _map(members, config.user_context)})


def to_shown_element(config: Config) -> Element:
    """Return the map that config-get shows: to_element, with secrets hidden if so configured."""
    whole = to_element(config)
    if not config.switches.redact_secrets:
        return whole
    return Element({"DhcpDdns": redact(whole.map_value()["DhcpDdns"])})


def _domains(domains: tuple[DdnsDomain, ...]) -> Element:
    return _list(_domain(domain) for domain in sorted_in_parts(domains, _raw_name))


def _domain(domain: DdnsDomain) -> Element:
    servers = _list(_server(server) for server in domain.servers)
    members = {"name": Element(domain.name), "dns-servers": servers}
    if domain.key_name:
        members["key-name"] = Element(domain.key_name)
    return _map(members, domain.user_context)


def _server(server: DnsServer) -> Element:
    members = {
        "hostname": Element(""),
        "ip-address": Element(address_text(server.address)),
        "port": Element(server.port),
    }
    if server.key_name:
        members["key-name"] = Element(server.key_name)
    return _map(members, server.user_context)


def _key(key: TsigKey) -> Element:
    members = {
        "name": Element(key.name),
        "algorithm": Element(key.algorithm),
        "digest-bits": Element(key.digest_bits),
    }
    if key.secret_file is not None:
        members["secret-file"] = Element(key.secret_file)
    else:
        members["secret"] = Element(key.secret_text)
    return _map(members, key.user_context)


def _library(library: HookLibrary) -> Element:
    members = {"library": Element(library.shown or library.library)}
    if library.parameters is not None:
        members["parameters"] = library.parameters
    return Element(members)


def _logger(logger: Logger) -> Element:
    members = {
        "name": Element(logger.name),
        "severity": Element(logger.severity),
        "debuglevel": Element(logger.debuglevel),
    }
    if logger.outputs:
        members["output-options"] = _list(_output(output) for output in logger.outputs)
    return _map(members, logger.user_context)


def _output(output: OutputOption) -> Element:
    members = {
        "output": Element(output.output),
        "flush": Element(output.flush),
        "pattern": Element(output.pattern),
    }
    # Here, Kea treats every output with "syslog:" anywhere in it as no file.
    if output.output not in NO_FILES and SYSLOG_PREFIX not in output.output:
        members["maxver"] = Element(output.maxver)
        members["maxsize"] = Element(output.maxsize)
    return Element(members)


def _list(items: Iterable[Element]) -> Element:
    return Element(list(items))


def _map(members: dict[str, Element], user_context: Element | None) -> Element:
    return Element(members if user_context is None else {**members, "user-context": user_context})


def _raw_name(named: DdnsDomain | TsigKey) -> bytes:
    return named.name.encode("utf-8", "surrogateescape")
