"""The configuration without its secrets, for messages (contract, section 2.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyd2.data.element import Element

if TYPE_CHECKING:
    from collections.abc import Callable

_REDACTED: Final = "*****"
_SECRET_KEYS: Final = ("password", "secret")
"""What the names of secret members end with."""


def redact(dhcp_ddns: Element) -> Element:
    """Return the DhcpDdns map with ``*****`` for the secrets of TSIG keys and of hook parameters.

    Takes any value, checked or not. What is no secret is shared with the given map.
    """
    return _changed(
        _changed(dhcp_ddns, "tsig-keys", lambda keys: _each(keys, _redact_members)),
        "hooks-libraries",
        lambda libraries: _each(libraries, lambda library: _changed(library, "parameters", _redact_deep)),
    )


def _changed(element: Element, name: str, change: Callable[[Element], Element]) -> Element:
    """Return a copy of a map with one member changed; whatever has no such member stays."""
    if not isinstance(element.value, dict) or name not in element.value:
        return element
    return Element({**element.value, name: change(element.value[name])}, element.position)


def _each(element: Element, change: Callable[[Element], Element]) -> Element:
    if not isinstance(element.value, list):
        return element
    return Element([change(item) for item in element.value], element.position)


def _redact_members(element: Element, change: Callable[[Element], Element] = lambda item: item) -> Element:
    """Return a map without its secrets; ``change`` is applied to the others, save for the user-context."""
    if not isinstance(element.value, dict):
        return element
    members = {
        name: Element(_REDACTED, item.position)
        if name.endswith(_SECRET_KEYS)
        else item
        if name == "user-context"
        else change(item)
        for name, item in element.value.items()
    }
    return Element(members, element.position)


def _redact_deep(element: Element) -> Element:
    return _redact_members(_each(element, _redact_deep), _redact_deep)
