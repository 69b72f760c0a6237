"""The option ``--kea`` of the subcommands that read a configuration: by the rules of which Kea."""

from __future__ import annotations

import argparse

from pyd2.profiles.installed import VersionFileError, installed
from pyd2.profiles.known import profile_of
from pyd2.profiles.profile import Profile
from pyd2.profiles.release import NEWEST, UnknownReleaseError, release_of


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
