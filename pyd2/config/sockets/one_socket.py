"""The one control socket that Kea 2.6 may have, the map ``control-socket``.

While Kea reads the configuration, it checks only that the socket is a map; it finds other faults when it
opens the socket.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyd2.config.sockets.unix_socket import check_length, unix_socket
from pyd2.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyd2.config.model import ControlSocket
    from pyd2.config.paths import Directories
    from pyd2.config.sockets.unix_rules import UnixSocketRules
    from pyd2.data.element import Element

_KEY = "control-socket"


class OneControlSocket:
    """Reads ``control-socket``; a ``ControlSocketRules``."""

    def __init__(self, unix: UnixSocketRules) -> None:
        self.unix: Final = unix

    def parse(
        self, dhcp_ddns: Element, directories: Directories, read_secret: Callable[[str], str]
    ) -> tuple[ControlSocket, ...]:
        """Check that the socket is a map; see ``ControlSocketRules``."""
        del directories, read_secret
        element = dhcp_ddns.get(_KEY)
        if element is not None and not isinstance(element.value, dict):
            raise ConfigError(
                f"Specified {_KEY} is expected to be a map, i.e. a structure defined within {{ }}"
            )
        return ()

    def check_names(
        self, dhcp_ddns: Element, directories: Directories, parsed: tuple[ControlSocket, ...]
    ) -> tuple[ControlSocket, ...]:
        """Return the socket; see ``ControlSocketRules``."""
        element = dhcp_ddns.get(_KEY)
        if element is None:
            return parsed
        kind = element.get("socket-type")
        if kind is None:
            raise ConfigError("Mandatory 'socket-type' parameter missing")
        if kind.string_value() != "unix":
            raise ConfigError(f"Invalid 'socket-type' parameter value {kind.value}")
        name = element.get("socket-name")
        if name is None:
            raise ConfigError("Mandatory 'socket-name' parameter missing")
        if not isinstance(name.value, str):
            raise ConfigError("'socket-name' parameter expected to be a string")
        socket = unix_socket(element, name, directories, self.unix)
        check_length(socket.path)
        return (socket,)

    def shown(self, sockets: tuple[ControlSocket, ...]) -> Mapping[str, Element]:
        """Return the socket as it was typed; see ``ControlSocketRules``."""
        return {_KEY: sockets[0].element} if sockets else {}
