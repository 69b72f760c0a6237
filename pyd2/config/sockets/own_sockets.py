"""The HTTP control sockets in the global ``user-context``, under ``pyd2``: for every release of Kea.

Kea 2.6 has no such sockets. Here the entries are those of ``control-sockets`` of Kea 3.0; Kea's grammar does
not see them, so unknown keys are found here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pyd2.config.sockets.http_socket import http_socket
from pyd2.config.switches import own_sockets
from pyd2.errors import ConfigError, ElementTypeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pyd2.config.model import HttpSocket
    from pyd2.data.element import Element

_CONTEXT: Final = frozenset({"user-context", "comment"})
SOCKET_KEYS: Final = _CONTEXT | {
    "socket-type",
    "socket-address",
    "socket-port",
    "trust-anchor",
    "cert-file",
    "key-file",
    "cert-required",
    "authentication",
}
AUTHENTICATION_KEYS: Final = _CONTEXT | {"type", "realm", "directory", "clients"}
CLIENT_KEYS: Final = _CONTEXT | {"user", "user-file", "password", "password-file"}

_PLACE: Final = re.compile(r"\([^()]*:\d+:\d+\)$")


def parse_own_sockets(
    user_context: Element | None, read_secret: Callable[[str], str]
) -> tuple[HttpSocket, ...]:
    """Return the sockets. Raises ConfigError with the place of the fault."""
    return tuple(_socket(entry, read_secret) for entry in own_sockets(user_context))


def _socket(entry: Element, read_secret: Callable[[str], str]) -> HttpSocket:
    _check_keys(entry, "http", SOCKET_KEYS)
    kind = entry.get("socket-type")
    if kind is not None and kind.value not in {"http", "https"}:
        raise ConfigError(
            f"unsupported 'socket-type': '{kind.value}' not 'http' or 'https' ({kind.position})"
        )
    authentication = entry.get("authentication")
    if authentication is not None:
        _check_keys(authentication, "authentication", AUTHENTICATION_KEYS)
        clients = authentication.get("clients")
        if clients is not None and isinstance(clients.value, list):
            for client in clients.value:
                _check_keys(client, "clients", CLIENT_KEYS)
    try:
        return http_socket(entry, "http" if kind is None else kind.string_value(), read_secret)
    except (ConfigError, ElementTypeError) as error:
        if _PLACE.search(str(error)):
            raise
        raise ConfigError(f"{error} ({entry.position})") from None  # Kea's text, which has no place


def _check_keys(element: Element, name: str, known: Iterable[str]) -> None:
    if not isinstance(element.value, dict):
        raise ConfigError(f"an entry of {name} must be a map ({element.position})")
    for key, member in element.value.items():
        if key not in known:
            raise ConfigError(f"unknown parameter '{key}' in {name} map ({member.position})")
