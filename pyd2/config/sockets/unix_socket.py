"""The path of a UNIX control socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyd2.config.model import UnixSocket
from pyd2.config.paths import confine
from pyd2.config.values import reason
from pyd2.errors import ConfigError, SocketError

if TYPE_CHECKING:
    from pyd2.config.paths import Directories
    from pyd2.config.sockets.unix_rules import UnixSocketRules
    from pyd2.data.element import Element

MAX_PATH: Final = 107
"""Bytes of a socket's path (``sun_path`` without its final NUL)."""
_MAX_FILE_NAME: Final = 255


def unix_socket(
    entry: Element, name: Element, directories: Directories, rules: UnixSocketRules
) -> UnixSocket:
    """Return the socket of a map whose ``socket-name`` is a string. Raises ConfigError."""
    try:
        path = confine(name.string_value(), directories.sockets, directories.rules)
    except ConfigError as error:
        raise ConfigError(f"'socket-name' is invalid: {reason(error)}") from None
    if "\0" in path:
        raise ConfigError(f"'socket-name' is invalid: it must not contain a NUL character ({name.position})")
    return UnixSocket(path, entry, directories.sockets, rules)


def check_length(path: str) -> None:
    """Check that the system takes the path. Raises SocketError with the text of Kea's start."""
    encoded = path.encode("utf-8", "surrogateescape")
    if len(encoded.rpartition(b"/")[2] + b".lock") > _MAX_FILE_NAME:
        raise SocketError(f"cannot create socket lockfile, {path}.lock, : File name too long")
    if len(encoded) > MAX_PATH:
        raise SocketError("File name too long [system:36]")
