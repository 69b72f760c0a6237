"""Whether another Kea would accept a configuration: it may be for 3.0, and pyd2 behaves like 2.6.3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyd2.config.model import UnixSocket
from pyd2.config.parse import parse_element, read_file
from pyd2.errors import ConfigError
from pyd2.profiles.installed import VERSION_FILE
from pyd2.profiles.known import profiles

if TYPE_CHECKING:
    from pyd2.config.paths import Directories
    from pyd2.config.rules import ConfigRules
    from pyd2.profiles.profile import Profile


def hint(profile: Profile, path: str, directories: Directories) -> str:
    """Return what to do if a file is wrong for this profile's Kea and right for another; else nothing.

    The file is read again, unless it is a pipe. Nothing is logged. (In a command no Kea refuses unknown keys,
    so its configuration does not show which Kea it is for.)
    """
    if _accepts(profile.config, path, directories):
        return ""
    for other in profiles():
        release = other.release
        if release.series != profile.release.series and _accepts(other.config, path, directories):
            return (
                f"this configuration is right for Kea {release.series}, but pyd2 behaves like Kea "
                f"{profile.release.version}: to change that, write the release that you had, such as "
                f"{release.version}, into {VERSION_FILE} and restart pyd2"
            )
    return ""


def _accepts(rules: ConfigRules, path: str, directories: Directories) -> bool:
    """Return whether a file is right by these rules, its hook libraries left aside."""
    places = directories._replace(rules=rules.paths)
    try:
        config = parse_element(read_file(path, rules), rules, places)
        if any(isinstance(socket, UnixSocket) for socket in config.control_sockets):
            rules.sockets.unix.check_directory(places.sockets, must_exist=False)
    except ConfigError:
        return False
    return True
