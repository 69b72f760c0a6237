"""The only directories where Kea accepts hook libraries, log files and control sockets.

Contract, section 1 (environment) and section 2.2 (the path rule).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from pyd2.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

_BLANKS: Final = " \t\n"


def _default_hooks() -> str:
    """Return where the distributions install the hook libraries of Kea on this kind of machine."""
    triplet = getattr(sys.implementation, "_multiarch", "")  # sysconfig takes long to import
    return f"/usr/lib/{triplet}/kea/hooks" if triplet else "/usr/lib/kea/hooks"


class PathRules(NamedTuple):
    """How strictly a Kea release checks paths."""

    name_below_root: bool = False
    """Whether ``/name`` means the same as ``name``."""
    libraries_as_typed: bool = False
    """Whether config-get shows hook libraries as typed, and not with their full paths."""
    restricted: bool = True
    """Whether files must lie in the supported directories; ``-X`` lifts that."""


class Directories(NamedTuple):
    """The three supported directories, without trailing slashes, and the rules for paths in them."""

    hooks: str
    logs: str
    sockets: str
    rules: PathRules = PathRules()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], rules: PathRules) -> Self:
        """Return the directories that the variables name; a variable that is set but empty counts."""
        return cls(
            rules=rules,
            hooks=environment.get("KEA_HOOKS_PATH", _default_hooks()).rstrip("/"),
            logs=environment.get("KEA_LOG_FILE_DIR", "/var/log/kea").rstrip("/"),
            sockets=environment.get("KEA_CONTROL_SOCKET_DIR", "/run/kea").rstrip("/"),
        )


def confine(path: str, directory: str, rules: PathRules) -> str:
    """Return the full path of a file that may lie in this one directory only.

    A name alone is joined to the directory; a path must name exactly this directory, unless the rules are not
    restricted. Raises ConfigError with Kea's reason, without a position.
    """
    trimmed = path.strip(_BLANKS)
    parent, slash, name = trimmed.rpartition("/")
    if not name:
        raise ConfigError(f"path: '{trimmed}' has no filename")
    if slash and not rules.restricted:
        return path
    if slash and not (parent == directory if parent else rules.name_below_root):
        raise ConfigError(f"invalid path specified: '{parent or slash}', supported path is '{directory}'")
    return f"{directory}/{name}"
