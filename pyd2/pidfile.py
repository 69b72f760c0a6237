"""The PID file (contract, section 1): ``<dir>/<stem>.kea-dhcp-ddns.pid``, one for each configuration name."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyd2.errors import Pyd2Error
from pyd2.regular import UnfitFileError, open_regular

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_DIRECTORY: Final = "/run/kea"
_PROCESS_NAME: Final = "kea-dhcp-ddns"
_READ_LIMIT: Final = 100
_LARGEST_PID: Final = 0x7FFFFFFF
# A number and one more character, usually the newline: what a C++ stream reads as a good number.
_CONTENT: Final = re.compile(rb"\s*([+-]?\d+)[^\d]")


class PidFileError(Pyd2Error):
    """The PID file cannot be read or written."""


class AlreadyRunningError(PidFileError):
    """The PID file names a running process."""


def file_stem(path: str) -> str:
    """Return the last part of a path without its last extension, maybe empty.

    ``d2.json`` gives ``d2``, ``my.d2.conf`` gives ``my.d2``; ``/`` and ``.json`` have none.
    """
    name = path.rpartition("/")[2]
    return name.rpartition(".")[0] if "." in name else name


class PidFile:
    """The PID file of the server that runs with a configuration file."""

    def __init__(self, config_file: str, environ: Mapping[str, str] = os.environ) -> None:
        directory = environ.get("KEA_PIDFILE_DIR", DEFAULT_DIRECTORY)
        self.path = f"{directory}/{file_stem(config_file)}.{_PROCESS_NAME}.pid"
        self._created = False

    def create(self) -> None:
        """Write this process's PID, unless the file names another running process.

        A file with this process's own PID is stale: in a container the server has the same PID at each start.

        Raises AlreadyRunningError or PidFileError, with Kea's texts.
        """
        other = self._read()
        if other > 0 and other != os.getpid() and _lives(other):
            raise AlreadyRunningError(f"Daemon::createPIDFile: PID: {other} exists, PID file: {self.path}")
        try:
            # No link is followed: a user that may write to the directory must not choose the file to empty.
            fd = open_regular(self.path, os.O_WRONLY | os.O_CREAT, follow=False)
        except OSError as error:
            raise PidFileError(f"Unable to open PID file '{self.path}' for write") from error
        self._created = True
        try:
            with os.fdopen(fd, "wb") as file:
                file.truncate(0)
                file.write(b"%d\n" % os.getpid())
        except OSError as error:
            raise PidFileError(f"Unable to write to PID file '{self.path}'") from error

    def remove(self) -> None:
        """Remove the file if ``create`` made it."""
        if self._created:
            self._created = False
            with contextlib.suppress(OSError):
                Path(self.path).unlink()

    def _read(self) -> int:
        """Return the PID in the file; 0 if no file can be opened."""
        try:
            with os.fdopen(open_regular(self.path, follow=False), "rb") as file:
                content = file.read(_READ_LIMIT)
        except (IsADirectoryError, UnfitFileError):
            content = b""
        except OSError:
            return 0
        found = _CONTENT.match(content)
        if found is None or abs(int(found[1])) > _LARGEST_PID:
            raise PidFileError(f"Unable to read PID from file '{self.path}'")
        return int(found[1])


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
