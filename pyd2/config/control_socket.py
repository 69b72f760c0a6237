"""The ``control-socket`` (contract, sections 2.2 and 8).

Kea finds these faults only when it opens the socket. Here each configuration is checked for those that can be
known without opening it; whether the directory exists with mode 0750 can not: on many systems the service
manager makes it at start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyd2.config.model import ControlSocket
from pyd2.config.paths import confine
from pyd2.config.values import reason
from pyd2.errors import ConfigError

if TYPE_CHECKING:
    from pyd2.config.paths import Directories
    from pyd2.data.element import Element

MAX_PATH: Final = 107
"""Bytes of a socket's path (``sun_path`` without its final NUL)."""
_MAX_FILE_NAME: Final = 255


def parse_control_socket(element: Element) -> ControlSocket:
    """Return the socket as configured; raises ConfigError only if it is no map."""
    if not isinstance(element.value, dict):
        raise ConfigError(
            "Specified control-socket is expected to be a map, i.e. a structure defined within { }"
        )
    members = element.value
    return ControlSocket(_text(members.get("socket-type")), _text(members.get("socket-name")), element)


def socket_path(socket: ControlSocket, directories: Directories) -> str:
    """Return the path to open; raises ConfigError or ElementTypeError with the text of Kea's start."""
    kind = socket.element.get("socket-type")
    if kind is None:
        raise ConfigError("Mandatory 'socket-type' parameter missing")
    if kind.string_value() != "unix":
        raise ConfigError(f"Invalid 'socket-type' parameter value {kind.value}")
    name = socket.element.get("socket-name")
    if name is None:
        raise ConfigError("Mandatory 'socket-name' parameter missing")
    if not isinstance(name.value, str):
        raise ConfigError("'socket-name' parameter expected to be a string")
    try:
        path = confine(name.value, directories.sockets)
    except ConfigError as error:
        raise ConfigError(f"'socket-name' is invalid: {reason(error)}") from None
    if "\0" in path:
        raise ConfigError(f"'socket-name' is invalid: it must not hold a NUL ({name.position})")
    encoded = path.encode("utf-8", "surrogateescape")
    if len(encoded.rpartition(b"/")[2] + b".lock") > _MAX_FILE_NAME:
        raise ConfigError(f"cannot create socket lockfile, {path}.lock, : File name too long")
    if len(encoded) > MAX_PATH:
        raise ConfigError("File name too long [system:36]")
    return path


def _text(element: Element | None) -> str | None:
    return element.value if element is not None and isinstance(element.value, str) else None
