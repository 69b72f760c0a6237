"""Which Kea release pyd2 behaves like, and what the command line says of it.

This module imports little, so that ``-v`` answers at once. All else that depends on the release is in its
profile (``profiles/installed.py``).
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Release(NamedTuple):
    """A release of Kea as its command line shows it."""

    version: str
    """What ``-v`` prints, such as ``2.6.3``; printed wherever tools read a number."""
    package_type: str
    """``stable`` or ``development``, as DCTL_STARTING says."""
    flags: str
    """The options without an argument, one character each; ``pyd2.cli.parse`` has a case for each."""
    usage: str
    """What follows a usage error, without the empty line at the end."""


KEA_2_6_3: Final = Release(
    version="2.6.3",
    package_type="stable",
    flags="dvVW",
    usage="""\
Usage: kea-dhcp-ddns
  -v: print version number and exit
  -V: print extended version information and exit
  -W: display the configuration report and exit
  -d: optional, verbose output \n\
  -c <config file name> : mandatory, specify name of configuration file
  -t <config file name> : check the configuration file and exit
""",
)


def installed() -> Release:
    """Return the release that pyd2 behaves like on this machine."""
    return KEA_2_6_3
