"""The Kea releases that pyd2 can behave like, and what the command line says of each.

This module imports little, so that ``-v`` answers at once. All else that depends on the release is in its
profile (``profiles/known.py``).
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Release(NamedTuple):
    """A release of Kea as its command line shows it."""

    version: str
    """What ``-v`` prints, such as ``2.6.3``; printed wherever tools read a number."""
    series: str
    """The releases that have one profile, such as ``2.6``."""
    package_type: str
    """``stable`` or ``development``, as DCTL_STARTING says."""
    flags: str
    """The options without an argument, one character each."""
    usage: str
    """What follows a usage error, without the empty line at the end."""

    @property
    def number(self) -> tuple[int, ...]:
        """The parts of the version, such as (2, 6, 3)."""
        return tuple(map(int, self.version.split(".")))

    @property
    def hooks_version(self) -> int:
        """What a hook library of this release says that it is for, such as 20603."""
        major, minor, patch = self.number
        return (major * 100 + minor) * 100 + patch


class UnknownReleaseError(ValueError):
    """pyd2 has no profile of a release."""


_USAGE: Final = """\
Usage: kea-dhcp-ddns
  -v: print version number and exit
  -V: print extended version information and exit
  -W: display the configuration report and exit
  -d: optional, verbose output \n\
  -c <config file name> : mandatory, specify name of configuration file
  -t <config file name> : check the configuration file and exit
"""

KEA_2_6_3: Final = Release("2.6.3", "2.6", "stable", flags="dvVW", usage=_USAGE)
KEA_3_0_4: Final = Release(
    "3.0.4", "3.0", "stable", flags="dvVWX", usage=f"{_USAGE}  -X: disables security restrictions\n"
)

NEWEST: Final = (KEA_2_6_3, KEA_3_0_4)
"""Of each series that pyd2 knows, the release that it was compared with last; the oldest series first."""

DEFAULT: Final = KEA_2_6_3
"""The release where nothing says which one is wanted."""


def release_of(version: str) -> Release:
    """Return the release of a version such as ``3.0.3``; every one of a known series is known.

    Raises UnknownReleaseError.
    """
    for release in NEWEST:
        patch = version.removeprefix(f"{release.series}.")
        if patch != version and patch.isascii() and patch.isdigit() and patch == str(int(patch)):
            return release._replace(version=version)
    raise UnknownReleaseError(f"pyd2 knows Kea {known_series()}, but not {version or 'an empty version'}")


def nearest(version: str) -> Release:
    """Return the newest release that pyd2 knows and that is not newer than this one, else the oldest.

    ``version`` is three numbers with dots between them.
    """
    wanted = tuple(map(int, version.split(".")))
    return next((release for release in reversed(NEWEST) if release.number <= wanted), NEWEST[0])


def known_series() -> str:
    """Return the names of all known releases, such as ``2.6.x and 3.0.x``."""
    return " and ".join(f"{release.series}.x" for release in NEWEST)
