"""What a Kea release demands of the directory of UNIX control sockets, and what it does with their files."""

from __future__ import annotations

import os
from typing import Final, NamedTuple

from pyd2.errors import ConfigError

DIRECTORY_MODE: Final = 0o750
"""The mode of the sockets' directory in every release: exactly, or at most."""


def directory_mode(directory: str) -> int | None:
    """Return the permissions of the directory of sockets; None when it is missing."""
    try:
        return os.stat(directory).st_mode & 0o777  # noqa: PTH116  Path takes an empty name for "."
    except OSError:
        return None


class UnixSocketRules(NamedTuple):
    """The rules of one release."""

    exact_mode: bool
    """Whether the directory must exist, with exactly DIRECTORY_MODE. Else it must not have more than that."""
    file_mode: int | None
    """The mode of a socket's file; None: what the umask leaves."""
    reports_own_end: bool
    """Whether an error is logged when a command has closed the socket that it came over."""
    same_by_path: bool
    """Whether a socket stays open while its path is the same, whatever else of it changes."""

    def fits(self, mode: int | None) -> bool:
        """Return whether the directory may have this mode; None: it is missing."""
        if self.exact_mode:
            return mode == DIRECTORY_MODE
        return mode is None or not mode & ~DIRECTORY_MODE

    def check_directory(self, directory: str, *, must_exist: bool = True) -> None:
        """Check the permissions of the directory of sockets. Raises ConfigError with the text of Kea.

        Without ``must_exist`` it may be missing: the service manager, for example, makes it before the start.
        """
        mode = directory_mode(directory)
        if self.fits(mode) or (mode is None and not must_exist):
            return
        fault = "does not have permssions =" if self.exact_mode else "has more relaxed permissions than"
        raise ConfigError(
            f"'socket-name' is invalid: socket path:{directory} does not exist or {fault} {DIRECTORY_MODE:o}"
        )
