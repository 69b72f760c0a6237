"""Starts the bridge to the installed Kea, once in a process."""

from __future__ import annotations

import atexit
from functools import cache
from typing import TYPE_CHECKING

from pyd2.errors import BridgeError
from pyd2.hooks.kea.bridge import REBUILD, extension, versions

if TYPE_CHECKING:
    from pyd2.hooks.kea.bridge import Shim


def started() -> Shim | None:
    """Return the bridge if it was started; do not start it."""
    return shim() if shim.cache_info().currsize else None


@cache
def shim() -> Shim:
    """Return the bridge, started at the first call. Raises BridgeError when it is absent or unfit."""
    made = extension()
    built, present = versions(made)
    if present not in {"", built}:
        raise BridgeError(f"the bridge was built for Kea {built}, but Kea is {present}: {REBUILD}")
    from pyd2.hooks.kea import callbacks

    made.check(made.lib.kb_start(callbacks.table(made)))
    # C's own exit is too late: libraries are unloaded while Python still works.
    atexit.register(callbacks.end)
    return made
