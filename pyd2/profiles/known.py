"""The profile of each release that pyd2 knows. Loading one takes time; the command line loads it last."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from pyd2.profiles.release import NEWEST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyd2.profiles.profile import Profile
    from pyd2.profiles.release import Release


def profile_of(release: Release) -> Profile:
    """Return the profile of a release. Each series has a module, such as ``kea_3_0``."""
    series = import_module(f"pyd2.profiles.kea_{release.series.replace('.', '_')}")
    profile: Profile = series.profile(release)
    return profile


def profiles() -> Iterator[Profile]:
    """Yield a profile of each series that pyd2 knows, the oldest first."""
    return map(profile_of, NEWEST)
