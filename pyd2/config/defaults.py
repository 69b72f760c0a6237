"""What Kea fills in before it checks a configuration (contract, section 2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyd2.data.element import Element, Position
from pyd2.errors import ElementTypeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_DEFAULT: Final = Position("<default-value>", 0, 0)
_NO_PLACE: Final = Position("", 0, 0)

GLOBAL_DEFAULTS: Final[Mapping[str, str | int]] = {
    "ip-address": "127.0.0.1",
    "port": 53001,
    "dns-server-timeout": 500,
    "ncr-protocol": "UDP",
    "ncr-format": "JSON",
}
TSIG_KEY_DEFAULTS: Final[Mapping[str, str | int]] = {"digest-bits": 0}
DOMAIN_DEFAULTS: Final[Mapping[str, str | int]] = {"key-name": ""}
SERVER_DEFAULTS: Final[Mapping[str, str | int]] = {"hostname": "", "port": 53, "key-name": ""}


def with_defaults(dhcp_ddns: Element) -> Element:
    """Return the DhcpDdns map with all defaults; the given one stays as it is.

    This is the configuration that the hook point d2_srv_configured gets. Raises ElementTypeError for a value
    that is no list or map where defaults go into one.
    """
    result = _filled(dhcp_ddns, GLOBAL_DEFAULTS)
    members = result.map_value()
    keys = members.get("tsig-keys")
    members["tsig-keys"] = (
        Element([]) if keys is None else _each(keys, lambda key: _filled(key, TSIG_KEY_DEFAULTS))
    )
    for name in ("forward-ddns", "reverse-ddns"):
        members[name] = _direction(members[name]) if name in members else Element({}, _NO_PLACE)
    if "loggers" in members:
        members["loggers"] = _each(members["loggers"], _logger)
    return result


def _filled(scope: Element, defaults: Mapping[str, str | int]) -> Element:
    """Return a copy of a map with what it lacks."""
    for name in defaults:
        scope.get(name)  # raises if it is no map
    members = {name: Element(value, _DEFAULT) for name, value in defaults.items()}
    return Element(members | scope.map_value(), scope.position)


def _each(entries: Element, change: Callable[[Element], Element]) -> Element:
    return Element([change(entry) for entry in entries.list_value()], entries.position)


def _direction(direction: Element) -> Element:
    if not isinstance(direction.value, dict):
        raise ElementTypeError(f"find(string) called on a non-map Element in ({direction.position})")
    members = dict(direction.value)
    if "ddns-domains" in members:
        members["ddns-domains"] = _each(members["ddns-domains"], _domain)
    return Element(members, direction.position)


def _domain(domain: Element) -> Element:
    result = _filled(domain, DOMAIN_DEFAULTS)
    members = result.map_value()
    if "dns-servers" in members:
        servers = members["dns-servers"]
        members["dns-servers"] = _each(servers, lambda server: _filled(server, SERVER_DEFAULTS))
    return result


def _logger(logger: Element) -> Element:
    """Return a logger's map with the old spelling of output-options replaced."""
    members = dict(logger.map_value())
    if "output_options" in members:
        members["output-options"] = members.pop("output_options")
    return Element(members, logger.position)
