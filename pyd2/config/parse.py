"""From a file or a command to the checked configuration, in Kea's order of checks (contract, section 2).

``read_file`` does what Kea's grammar does, for files only; ``parse_element`` does the rest for files and
commands. What Kea logs on the way goes to ``notify`` at once, so it is logged also when an error follows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyd2.config import hooks_libraries
from pyd2.config.defaults import with_defaults
from pyd2.config.domains import parse_domains
from pyd2.config.grammar import PORT_FAULT, PORTS
from pyd2.config.lexer import read_config_file
from pyd2.config.loggers import check_severities, check_sizes, parse_loggers
from pyd2.config.model import Config
from pyd2.config.reader import Reader
from pyd2.config.sockets.own_sockets import parse_own_sockets
from pyd2.config.switches import parse_switches
from pyd2.config.tsig_keys import parse_tsig_keys, read_secret_file
from pyd2.config.values import get_address, get_uint32, position_of, reason
from pyd2.data.element import NOWHERE, Element
from pyd2.errors import ConfigError, ConfigParserError, ElementTypeError, SocketError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.config.hooks_libraries import LibraryValidator
    from pyd2.config.model import HookLibrary
    from pyd2.config.paths import Directories
    from pyd2.config.rules import ConfigRules
    from pyd2.config.tsig_keys import SecretReader
    from pyd2.config.values import Notify

DEFAULT_SUMMARY = "listening on 127.0.0.1, port 53001, using UDP"
"""What Kea reports of a configuration that it refuses (DCTL_CONFIG_CHECK_COMPLETE)."""


def _ignore(*_: object) -> None:
    """Log nothing."""


def _nothing_wrong(_: object) -> list[str]:
    """Accept all libraries."""
    return []


def read_file(
    path: str, rules: ConfigRules, *,
    notify: Notify = _ignore, read: Callable[[str], bytes] = read_config_file,
) -> Element:
    """Return the DhcpDdns map of a configuration file.

    Messages: DHCP_DDNS_CONFIG_SYNTAX_WARNING. Raises ConfigSyntaxError.
    """
    def warn(text: str) -> None:
        notify("DHCP_DDNS_CONFIG_SYNTAX_WARNING", text)

    return Reader(path, rules.grammar, read, warn).dhcp_ddns()


def parse_element(
    dhcp_ddns: Element,
    rules: ConfigRules,
    directories: Directories,
    *,
    verbose: bool = False,
    notify: Notify = _ignore,
    read_secret: SecretReader = read_secret_file,
    validate_libraries: LibraryValidator = _nothing_wrong,
    on_filled: Callable[[Element], None] = _ignore,
) -> Config:
    """Return the configuration of the DhcpDdns map, which stays as it is.

    ``verbose`` is the -d of the command line. ``validate_libraries`` gets the libraries, if any, and returns
    the names of those that can not be used. ``on_filled`` gets the map with all defaults.

    Raises ConfigParserError for what Kea logs as DCTL_PARSER_FAIL, ConfigError for what it logs as
    DHCP_DDNS_CONFIG_CHECK_FAIL or DHCP_DDNS_CONFIG_FAIL. The texts are Kea's.
    """
    loggers = parse_loggers(dhcp_ddns, directories, notify, verbose=verbose)
    try:
        filled = with_defaults(dhcp_ddns, rules.defaults)
    except ElementTypeError as error:
        raise ConfigParserError(reason(error)) from None
    on_filled(filled)
    try:
        config = _parse(filled, rules, directories, notify, read_secret, validate_libraries)
        own = parse_own_sockets(config.user_context, read_secret)
    except (ConfigError, ElementTypeError) as error:
        raise ConfigError(reason(error)) from None
    check_sizes(loggers)
    check_severities(loggers)
    try:
        sockets = rules.sockets.check_names(filled, directories, config.control_sockets)
    except SocketError:
        raise
    except (ConfigError, ElementTypeError) as error:
        raise ConfigParserError(reason(error)) from None
    shown = rules.sockets.shown(sockets)
    return config._replace(loggers=loggers, control_sockets=(*sockets, *own), sockets_shown=shown)


def _parse(
    filled: Element,
    rules: ConfigRules,
    directories: Directories,
    notify: Notify,
    read_secret: SecretReader,
    validate_libraries: LibraryValidator,
) -> Config:
    """Check all but the loggers and what Kea finds when it opens the control sockets.

    The map has its defaults, so what is read here without asking is there.
    """
    members = filled.map_value()
    user_context = members.get("user-context")
    switches = parse_switches(user_context)
    keys = parse_tsig_keys(members["tsig-keys"], read_secret)
    forward = parse_domains(members["forward-ddns"], keys, switches.servers, notify)
    reverse = parse_domains(members["reverse-ddns"], keys, switches.servers, notify)
    ip_address = get_address(filled, "ip-address")
    port = get_uint32(filled, "port")
    timeout = get_uint32(filled, "dns-server-timeout")
    ncr_protocol = _keyword(members["ncr-protocol"], "ncr-protocol", "protocol", ("UDP", "TCP"))
    if ncr_protocol != "UDP":
        raise ConfigError(f"ncr-protocol : TCP is not yet supported ({position_of(filled, 'ncr-protocol')})")
    ncr_format = _keyword(members["ncr-format"], "ncr-format", "format", ("JSON",))
    sockets = rules.sockets.parse(filled, directories, read_secret)
    libraries: tuple[HookLibrary, ...] = ()
    libraries_position = NOWHERE
    if (element := members.get("hooks-libraries")) is not None:
        own_gss_tsig = switches.gss_tsig == "builtin"
        libraries = hooks_libraries.parse_hooks_libraries(element, directories, own_gss_tsig=own_gss_tsig)
        libraries_position = element.position
        hooks_libraries.validate(libraries, libraries_position, validate_libraries)
    if port == 0:
        raise ConfigError("D2Params: port cannot be 0")
    if port not in PORTS:
        raise ConfigError(f"{PORT_FAULT} ({position_of(filled, 'port')})")
    if timeout == 0:
        raise ConfigError("D2Params: DNS server timeout must be larger than 0")
    return Config(
        ip_address=ip_address,
        port=port,
        dns_server_timeout=timeout,
        ncr_protocol=ncr_protocol,
        ncr_format=ncr_format,
        tsig_keys=tuple(keys.values()),
        forward_domains=forward,
        reverse_domains=reverse,
        control_sockets=sockets,
        hooks_libraries=libraries,
        loggers=(),
        user_context=user_context,
        hooks_position=libraries_position,
        switches=switches,
    )


def _keyword(element: Element, name: str, what: str, known: tuple[str, ...]) -> str:
    text = element.string_value()
    if text.upper() not in known:
        raise ConfigError(
            f"invalid NameChangeRequest {what} ({text}) specified for parameter '{name}' ({element.position})"
        )
    return text.upper()
