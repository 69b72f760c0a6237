"""How subcommands read a configuration: by the rules of which Kea, and without what they do not use."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Final

from pyd2.config.parse import parse_element, read_file
from pyd2.config.paths import Directories
from pyd2.data.element import Element
from pyd2.profiles.installed import VersionFileError, installed
from pyd2.profiles.known import profile_of
from pyd2.profiles.profile import Profile
from pyd2.profiles.release import NEWEST, UnknownReleaseError, release_of

if TYPE_CHECKING:
    from pyd2.config.model import Config
    from pyd2.config.rules import ConfigRules

_OF_ITS_MACHINE: Final = frozenset({"control-socket", "control-sockets", "hooks-libraries", "loggers"})


def read_portable(file: str, rules: ConfigRules) -> tuple[Config, bool]:
    """Return a configuration without the parts that only its own machine can check, such as log files.

    The second value is whether it has hook libraries. Raises ConfigError.
    """
    whole = read_file(file, rules)
    members = whole.map_value()
    kept = {name: value for name, value in members.items() if name not in _OF_ITS_MACHINE}
    directories = Directories.from_environment(os.environ, rules.paths)
    config = parse_element(Element(kept, whole.position), rules, directories)
    return config, "hooks-libraries" in members and members["hooks-libraries"].value != []


PACKAGED_CONFIG: Final = "/etc/kea/kea-dhcp-ddns.conf"
"""The configuration of the daemon of the packages."""


def add_kea_option(parser: argparse.ArgumentParser) -> None:
    """Declare ``--kea``; ``kea_profile`` returns what it asks for."""
    parser.add_argument(
        "--kea", type=_profile, metavar="VERSION",
        help="go by this Kea, such as 2.6, 3.0 or 3.0.3 (default: the one that the daemon behaves like here)",
    )


def kea_profile(arguments: argparse.Namespace) -> Profile:
    """Return the profile that the arguments ask for. Raises SystemExit if the default cannot be found out."""
    if isinstance(arguments.kea, Profile):
        return arguments.kea
    try:
        return profile_of(installed().release)
    except VersionFileError as error:
        raise SystemExit(f"pyd2ctl {arguments.command}: {error}") from error


def _profile(text: str) -> Profile:
    versions = {release.series: release for release in NEWEST}
    try:
        return profile_of(versions.get(text) or release_of(text))
    except UnknownReleaseError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
