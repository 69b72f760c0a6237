"""The control sockets of a configuration: in Kea 2.6 the ``control-socket`` (contract, sections 2.2 and 8).

Kea finds most faults only when it opens the socket. Here each configuration is checked for all that can be
known without opening it, and a check (``-t``, ``config-test``) also for the mode of the sockets' directory.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from pyd2.config.model import UnixSocket
from pyd2.config.paths import confine
from pyd2.config.values import reason
from pyd2.errors import ConfigError

if TYPE_CHECKING:
    from pyd2.config.model import ControlSocket
    from pyd2.config.paths import Directories
    from pyd2.data.element import Element

MAX_PATH: Final = 107
"""Bytes of a socket's path (``sun_path`` without its final NUL)."""
PERMISSIONS: Final = 0o750
"""The mode that the socket's directory must have."""
_MAX_FILE_NAME: Final = 255


def check_type(dhcp_ddns: Element) -> None:
    """Check the one thing that Kea checks while it reads a configuration: that the socket is a map.

    Raises ConfigError.
    """
    element = dhcp_ddns.get("control-socket")
    if element is not None and not isinstance(element.value, dict):
        raise ConfigError(
            "Specified control-socket is expected to be a map, i.e. a structure defined within { }"
        )


def parse_control_sockets(dhcp_ddns: Element, directories: Directories) -> tuple[ControlSocket, ...]:
    """Return the control sockets of the DhcpDdns map, which has passed ``check_type``.

    Raises ConfigError or ElementTypeError with the text of Kea's start.
    """
    element = dhcp_ddns.get("control-socket")
    return () if element is None else (parse_unix_socket(element, directories),)


def parse_unix_socket(element: Element, directories: Directories) -> UnixSocket:
    """Return the socket of a map. Raises ConfigError or ElementTypeError with the text of Kea's start."""
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
    return UnixSocket(path, element)


def directory_mode(directory: str) -> int | None:
    """Return the permissions of the directory of sockets; None when it is missing."""
    try:
        return os.stat(directory).st_mode & 0o777  # noqa: PTH116  Path takes an empty name for "."
    except OSError:
        return None


def check_directory(directory: str, *, must_exist: bool = True) -> None:
    """Check the permissions of the directory of sockets. Raises ConfigError with the text of Kea's start.

    Without ``must_exist`` it may be missing: the service manager, for example, makes it before the start.
    """
    mode = directory_mode(directory)
    if mode != PERMISSIONS and (must_exist or mode is not None):
        raise ConfigError(
            f"'socket-name' is invalid: socket path:{directory} does not exist "
            f"or does not have permssions = {PERMISSIONS:o}"
        )
