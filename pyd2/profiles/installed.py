"""The profile of the release that pyd2 behaves like on this machine. Loading it takes time."""

from __future__ import annotations

from typing import Final

from pyd2.profiles.kea_2_6 import KEA_2_6
from pyd2.profiles.release import installed

PROFILE: Final = KEA_2_6

assert PROFILE.release == installed()
