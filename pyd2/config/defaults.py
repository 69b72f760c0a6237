"""Fills in defaults before the check (contract, section 2.2). The values are in the profile."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.data.element import Element, Position
from pyd2.errors import ElementTypeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_DEFAULT: Final = Position("<default-value>", 0, 0)
_NO_PLACE: Final = Position("", 0, 0)


class Defaults(NamedTuple):
    """The values of keys that are absent, by the map that they belong to."""

    dhcp_ddns: Mapping[str, str | int]
    tsig_key: Mapping[str, str | int]
    domain: Mapping[str, str | int]
    server: Mapping[str, str | int]


def with_defaults(dhcp_ddns: Element, defaults: Defaults) -> Element:
    """Return the DhcpDdns map with all defaults; the given map stays as it is.

    The hook point d2_srv_configured gets this configuration. Raises ElementTypeError for a value that should
    be a list or map with defaults of its own, and is not.
    """
    result = _filled(dhcp_ddns, defaults.dhcp_ddns)
    members = result.map_value()
    keys = members.get("tsig-keys")
    members["tsig-keys"] = (
        Element([]) if keys is None else _each(keys, partial(_filled, defaults=defaults.tsig_key))
    )
    for name in ("forward-ddns", "reverse-ddns"):
        members[name] = _direction(members[name], defaults) if name in members else Element({}, _NO_PLACE)
    if "loggers" in members:
        members["loggers"] = _each(members["loggers"], _logger)
    return result


def _filled(scope: Element, defaults: Mapping[str, str | int]) -> Element:
    """Return a copy of a map with the defaults of the keys that it lacks."""
    for name in defaults:
        scope.get(name)  # raises if the scope is no map
    members = {name: Element(value, _DEFAULT) for name, value in defaults.items()}
    return Element(members | scope.map_value(), scope.position)


def _each(entries: Element, change: Callable[[Element], Element]) -> Element:
    return Element([change(entry) for entry in entries.list_value()], entries.position)


def _direction(direction: Element, defaults: Defaults) -> Element:
    if not isinstance(direction.value, dict):
        raise ElementTypeError(f"find(string) called on a non-map Element in ({direction.position})")
    members = dict(direction.value)
    if "ddns-domains" in members:
        members["ddns-domains"] = _each(members["ddns-domains"], partial(_domain, defaults=defaults))
    return Element(members, direction.position)


def _domain(domain: Element, defaults: Defaults) -> Element:
    result = _filled(domain, defaults.domain)
    members = result.map_value()
    if "dns-servers" in members:
        servers = members["dns-servers"]
        members["dns-servers"] = _each(servers, partial(_filled, defaults=defaults.server))
    return result


def _logger(logger: Element) -> Element:
    """Return a logger's map with the old spelling of output-options replaced."""
    members = dict(logger.map_value())
    if "output_options" in members:
        members["output-options"] = members.pop("output_options")
    return Element(members, logger.position)
