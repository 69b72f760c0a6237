"""The directories that Kea confines hook libraries, log files and control sockets to.

Contract, section 1 (environment) and section 2.2 (the path rule).
"""

from __future__ import annotations

import sysconfig
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from pyd2.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

_BLANKS: Final = " \t\n"


def _default_hooks() -> str:
    """Return where the distributions install Kea's hook libraries on this kind of machine."""
    triplet = sysconfig.get_config_var("MULTIARCH")
    return f"/usr/lib/{triplet}/kea/hooks" if triplet else "/usr/lib/kea/hooks"


@dataclass(frozen=True, slots=True)
class Directories:
    """The three supported directories, without trailing slashes."""

    hooks: str
    logs: str
    sockets: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Return the directories that the variables name; a variable that is set but empty counts."""
        return cls(
            hooks=environment.get("KEA_HOOKS_PATH", _default_hooks()).rstrip("/"),
            logs=environment.get("KEA_LOG_FILE_DIR", "/var/log/kea").rstrip("/"),
            sockets=environment.get("KEA_CONTROL_SOCKET_DIR", "/run/kea").rstrip("/"),
        )


def confine(path: str, directory: str) -> str:
    """Return the full path of a file that may stand in this one directory only.

    A bare name is joined to the directory; a path must name exactly this directory, or be a name behind
    the root's slash. Raises ConfigError with Kea's reason, which has no position yet.
    """
    path = path.strip(_BLANKS)
    parent, _, name = path.rpartition("/")
    if not name:
        raise ConfigError(f"path: '{path}' has no filename")
    if parent and parent != directory:
        raise ConfigError(f"invalid path specified: '{parent}', supported path is '{directory}'")
    return f"{directory}/{name}"
