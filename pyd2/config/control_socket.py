"""The ``control-socket`` (contract, sections 2.2 and 8).

Kea finds these faults only when it opens the socket. Here each configuration is checked for those that can be
known without opening it, and a check tells of a directory with a wrong mode.
"""

from __future__ import annotations

import os
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
PERMISSIONS: Final = 0o750
"""The mode that the socket's directory must have."""
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
        path = confine(name.value, directories.sockets, directories.rules)
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


def directory_mode(directory: str) -> int | None:
    """Return the permissions of the directory of sockets; None when it is missing."""
    try:
        return os.stat(directory).st_mode & 0o777  # noqa: PTH116  Path takes an empty name for "."
    except OSError:
        return None


def check_directory(directory: str, *, must_exist: bool = True) -> None:
    """Check the permissions of the directory of sockets. Raises ConfigError with the text of Kea's start.

    One that is missing may be made before the start, by the service manager for example.
    """
    mode = directory_mode(directory)
    if mode != PERMISSIONS and (must_exist or mode is not None):
        raise ConfigError(
            f"'socket-name' is invalid: socket path:{directory} does not exist "
            f"or does not have permssions = {PERMISSIONS:o}"
        )


def _text(element: Element | None) -> str | None:
    return element.value if element is not None and isinstance(element.value, str) else None
