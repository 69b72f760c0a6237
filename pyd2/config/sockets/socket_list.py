"""The list ``control-sockets`` of Kea 3.0, and the older ``control-socket``, which is a list of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyd2.config.model import HttpSocket, UnixSocket
from pyd2.config.sockets.http_socket import http_socket
from pyd2.config.sockets.unix_socket import check_length, unix_socket
from pyd2.config.values import invalid_type
from pyd2.data.element import Element, Position, from_plain
from pyd2.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pyd2.config.model import ControlSocket
    from pyd2.config.paths import Directories
    from pyd2.config.sockets.unix_rules import UnixSocketRules

_NO_PLACE: Final = Position("", 0, 0)


class ControlSocketList:
    """Reads ``control-sockets``; a ``ControlSocketRules``."""

    def __init__(self, unix: UnixSocketRules) -> None:
        self.unix: Final = unix

    def parse(
        self, dhcp_ddns: Element, directories: Directories, read_secret: Callable[[str], str]
    ) -> tuple[ControlSocket, ...]:
        """Return all sockets; see ``ControlSocketRules``."""
        one, several = dhcp_ddns.get("control-socket"), dhcp_ddns.get("control-sockets")
        if one is not None:
            # Kea makes a list of a copy, which has lost its places.
            return tuple(self._sockets((from_plain(one.plain(), _NO_PLACE),), directories, read_secret))
        if several is None:
            return ()
        if not isinstance(several.value, list):
            raise ConfigError("Specified control-sockets is expected to be a list")
        sockets = self._sockets(several.value, directories, read_secret)
        entries = Element([socket.element for socket in sockets], several.position)
        dhcp_ddns.map_value()["control-sockets"] = entries
        return tuple(sockets)

    def _sockets(
        self, entries: Iterable[Element], directories: Directories, read_secret: Callable[[str], str]
    ) -> list[ControlSocket]:
        sockets: list[ControlSocket] = []
        for entry in entries:
            kind = _kind(entry)
            if kind != "unix":
                sockets.append(http_socket(entry, kind, read_secret))
            elif any(isinstance(socket, UnixSocket) for socket in sockets):
                raise ConfigError("control socket of type 'unix' already configured")
            else:
                sockets.append(self._unix_socket(entry, directories))
        return sockets

    def _unix_socket(self, entry: Element, directories: Directories) -> UnixSocket:
        if entry.get("socket-address") is not None:
            raise ConfigError("parameter 'socket-address' is not supported by UNIX control sockets")
        name = entry.get("socket-name")
        if name is None:
            raise ConfigError("Mandatory 'socket-name' parameter missing")
        if not isinstance(name.value, str):
            raise invalid_type(name, "socket-name")
        socket = unix_socket(entry, name, directories, self.unix)
        self.unix.check_directory(directories.sockets)
        return socket

    def check_names(
        self, dhcp_ddns: Element, directories: Directories, parsed: tuple[ControlSocket, ...]
    ) -> tuple[ControlSocket, ...]:
        """Check the length of a UNIX socket's path; see ``ControlSocketRules``."""
        del dhcp_ddns, directories
        for socket in parsed:
            if isinstance(socket, UnixSocket):
                check_length(socket.path)
        return parsed

    def shown(self, sockets: tuple[ControlSocket, ...]) -> Mapping[str, Element]:
        """Return the list, the UNIX socket first; see ``ControlSocketRules``."""
        if not sockets:
            return {}
        ordered = sorted(sockets, key=lambda socket: isinstance(socket, HttpSocket))
        return {"control-sockets": Element([socket.element for socket in ordered])}


def _kind(entry: Element) -> str:
    """Return the ``socket-type`` of an entry. Raises ConfigError."""
    if not isinstance(entry.value, dict):
        raise ConfigError("Specified control-sockets is expected to be a list of maps")
    kind = entry.get("socket-type")
    if kind is None:
        raise ConfigError("'socket-type' parameter is mandatory in control-sockets items")
    if not isinstance(kind.value, str):
        raise ConfigError("'socket-type' parameter is expected to be a string")
    if kind.value not in {"unix", "http", "https"}:
        raise ConfigError(f"unsupported 'socket-type': '{kind.value}' not 'unix', 'http' or 'https'")
    return kind.value
