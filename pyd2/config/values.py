"""Reading members of a map, with Kea's texts for what is missing or of another type."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from pyd2.config.addresses import parse_address
from pyd2.errors import ConfigError

if TYPE_CHECKING:
    from pyd2.config.addresses import Address
    from pyd2.data.element import Element, Position

Notify: TypeAlias = Callable[..., None]
"""Logs a message at once: gets its ID and its arguments, as ``Log.emit`` does."""

UINT32_MAX = 0xFFFFFFFF


class Number(NamedTuple):
    """A number within a range, both ends included."""

    least: float
    most: float
    whole: bool = True


class Choice(NamedTuple):
    """One of some values."""

    values: tuple[str | bool, ...]


Rule: TypeAlias = "Number | Choice | type[str]"
"""``str``: any text."""


def _of_type(scope: Element, name: str, type_: type) -> Element:
    element = scope.get(name)
    if element is None:
        raise ConfigError(f"missing parameter '{name}' ({scope.position})")
    if type(element.value) is not type_:
        raise invalid_type(element, name)
    return element


def get_string(scope: Element, name: str) -> str:
    """Return a member that must be a string; raises ConfigError."""
    return _of_type(scope, name, str).string_value()


def get_integer(scope: Element, name: str) -> int:
    """Return a member that must be an integer of 64 bits; raises ConfigError."""
    return _of_type(scope, name, int).int_value()


def get_uint32(scope: Element, name: str) -> int:
    """Return a member that must be an integer from 0 to 2**32-1; raises ConfigError."""
    value = get_integer(scope, name)
    if not 0 <= value <= UINT32_MAX:
        raise out_of_range(scope, name, value)
    return value


def get_address(scope: Element, name: str) -> Address:
    """Return a member that must be the text of an IP address; raises ConfigError."""
    text = get_string(scope, name)
    try:
        return parse_address(text)
    except ConfigError as error:
        raise ConfigError(
            f"Failed to convert '{text}' to address: {reason(error)}({position_of(scope, name)})"
        ) from None


def reason(error: Exception) -> str:
    """Return an error's text up to its first NUL, where Kea's C string ends."""
    return str(error).partition("\0")[0]


def position_of(scope: Element, name: str) -> Position:
    """Return the place of a member, or that of the map when it is absent."""
    element = scope.get(name)
    return scope.position if element is None else element.position


def invalid_type(element: Element, name: str) -> ConfigError:
    """Return the error for a member of another type."""
    return ConfigError(f"invalid type specified for parameter '{name}' ({element.position})")


def out_of_range(scope: Element, name: str, value: float) -> ConfigError:
    """Return the error for a number outside its range."""
    return ConfigError(
        f"out of range value ({value}) specified for parameter '{name}' ({position_of(scope, name)})"
    )


def read_value(scope: Element, name: str, rule: Rule) -> str | bool | float:
    """Return the value of a member of a map. Raises ConfigError."""
    element = scope.map_value()[name]
    value = element.value
    if isinstance(rule, Number):
        return _number(scope, name, rule)
    if isinstance(rule, Choice):
        if type(value) not in map(type, rule.values):
            raise invalid_type(element, name)
        if value in rule.values:
            return value
        raise ConfigError(
            f"invalid value '{_shown(value)}' specified for parameter '{name}', "
            f"expected {' or '.join(map(_shown, rule.values))} ({element.position})"
        )
    if not isinstance(value, str):
        raise invalid_type(element, name)
    if "\0" in value:  # these texts are paths and names for the system and for OpenSSL
        raise ConfigError(f"'{name}' must not contain a NUL character ({element.position})")
    return value


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(scope: Element, name: str, rule: Number) -> float:
    element = scope.map_value()[name]
    value = element.value
    if type(value) is not int and (rule.whole or type(value) is not float):
        raise invalid_type(element, name)
    assert isinstance(value, int | float)
    if not rule.least <= value <= rule.most:
        raise out_of_range(scope, name, value)
    return value
