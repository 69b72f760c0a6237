"""The configuration without its secrets, for messages (contract, section 2.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyd2.data.element import Element
from pyd2.data.secrets import HIDDEN, is_secret_name, may_be_secret
from pyd2.errors import without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable

_KEY_MEMBERS: Final = frozenset({"algorithm", "digest-bits", "secret-file", "user-context", "comment"})
"""The members of a TSIG key that are shown with its name. Any other may be a secret under a mistyped name."""
_CLIENT_MEMBERS: Final = frozenset({"user", "user-file", "password-file", "user-context", "comment"})
"""The members of a client of an HTTP control socket that are shown."""


def redact(dhcp_ddns: Element) -> Element:
    """Return the DhcpDdns map with ``*****`` for the secrets of keys, hook parameters and HTTP clients.

    The value need not be a valid configuration. Every member with the name of a secret is hidden, at any
    depth, and so is every text of a key or a client that may be its secret. As in Kea, a user-context is not
    changed. The result shares all other elements with the given map.
    """
    for name, change in _PLACES:
        dhcp_ddns = _changed(dhcp_ddns, name, change)
    return _redacted(dhcp_ddns)


def redact_request(request: Element) -> Element:
    """Return a whole command with the secrets of the configuration in its arguments hidden."""
    return _redacted(_changed(request, "arguments", lambda members: _changed(members, "DhcpDdns", redact)))


def redact_for_reader(answer: Element) -> Element:
    """Return the answer to a command without secrets, and without the parameters of hook libraries.

    Which of the parameters are secrets, only the library knows.
    """

    def redact_all(dhcp_ddns: Element) -> Element:
        return _changed(redact(dhcp_ddns), "hooks-libraries", lambda entries: _each(entries, _redact_library))

    return _redacted(_changed(answer, "arguments", lambda members: _changed(members, "DhcpDdns", redact_all)))


def _redact_library(library: Element) -> Element:
    return _changed(library, "parameters", lambda parameters: Element(HIDDEN, parameters.position))


def _changed(element: Element, name: str, change: Callable[[Element], Element]) -> Element:
    """Return a copy of a map with one member changed; the element itself if it has no such member."""
    if not isinstance(element.value, dict) or name not in element.value:
        return element
    return Element({**element.value, name: change(element.value[name])}, element.position)


def _each(element: Element, change: Callable[[Element], Element]) -> Element:
    if not isinstance(element.value, list):
        return element
    return Element([change(item) for item in element.value], element.position)


def _redact_key(key: Element) -> Element:
    if not isinstance(key.value, dict):
        return Element(HIDDEN, key.position) if isinstance(key.value, str) else key
    members = {HIDDEN if may_be_secret(name) else name:
               Element(HIDDEN, item.position) if _hides_secret(name, item) else item
               for name, item in key.value.items()}
    return Element(members, key.position)


def _redact_socket(socket: Element) -> Element:
    return _changed(socket, "authentication", lambda members: _changed(members, "clients", _redact_clients))


def _redact_clients(clients: Element) -> Element:
    return _each(clients, _redact_client)


def _redact_client(client: Element) -> Element:
    if not isinstance(client.value, dict):
        return Element(HIDDEN, client.position) if isinstance(client.value, str) else client
    members = {name: item if name in _CLIENT_MEMBERS else Element(HIDDEN, item.position)
               for name, item in client.value.items()}
    return Element(members, client.position)


def _redact_sockets(sockets: Element) -> Element:
    return _each(sockets, _redact_socket)


def _redact_context(context: Element) -> Element:
    """Hide what pyd2's own sockets hold; as in Kea, nothing else of a user-context is changed."""
    return _changed(context, "pyd2", lambda own: _changed(own, "http", _redact_sockets))


_PLACES: Final[tuple[tuple[str, Callable[[Element], Element]], ...]] = (
    ("tsig-keys", lambda keys: _each(keys, _redact_key)),
    ("control-sockets", _redact_sockets),
    ("control-socket", _redact_socket),
    ("user-context", _redact_context),
)
"""The members that hold secrets, and how they are hidden."""


def _hides_secret(name: str, item: Element) -> bool:
    """Return whether a member of a key may be its secret, also where it was written in the wrong place."""
    if name in _KEY_MEMBERS:
        return isinstance(item.value, str) and may_be_secret(item.value)
    return name != "name"


def _redacted(element: Element) -> Element:
    value = element.value
    if isinstance(value, str):
        shown = without_secrets(value)
        return element if shown == value else Element(shown, element.position)
    if isinstance(value, list):
        items = [_redacted(item) for item in value]
        same = all(new is old for new, old in zip(items, value, strict=True))
        return element if same else Element(items, element.position)
    if not isinstance(value, dict):
        return element
    members = {without_secrets(name): _redacted_member(name, item) for name, item in value.items()}
    same = all(members.get(name) is item for name, item in value.items())
    return element if same else Element(members, element.position)


def _redacted_member(name: str, item: Element) -> Element:
    if name == "user-context":
        return item
    return Element(HIDDEN, item.position) if is_secret_name(name) else _redacted(item)
