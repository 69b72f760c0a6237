"""The profile of each release that pyd2 knows. Loading one takes time; the command line loads it last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyd2.profiles.release import NEWEST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyd2.profiles.profile import Profile
    from pyd2.profiles.release import Release


def profile_of(release: Release) -> Profile:
    """Return the profile of a release."""
    if release.series == "2.6":
        from pyd2.profiles import kea_2_6

        return kea_2_6.profile(release)
    from pyd2.profiles import kea_3_0

    return kea_3_0.profile(release)


def profiles() -> Iterator[Profile]:
    """Yield a profile of each series that pyd2 knows, the oldest first."""
    return map(profile_of, NEWEST)
