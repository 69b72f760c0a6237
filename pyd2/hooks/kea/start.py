"""Starts the bridge to Kea, once in a process."""

from __future__ import annotations

import atexit
from typing import TYPE_CHECKING

from pyd2.errors import BridgeError
from pyd2.hooks.kea.bridge import extension, rebuild, versions

if TYPE_CHECKING:
    from pyd2.hooks.kea.bridge import Shim


class _State:
    shim: Shim | None = None


def started() -> Shim | None:
    """Return the bridge if it was started; do not start it."""
    return _State.shim


def shim(hooks_version: int) -> Shim:
    """Return the bridge to the Kea of a hooks version, started at the first call.

    Raises BridgeError when it is absent or unfit, or another one was started.
    """
    made = extension(hooks_version)
    if _State.shim is not None:
        return _State.shim
    built, present = versions(made)
    if present not in {"", built}:
        raise BridgeError(f"the bridge was built for Kea {built}, but Kea is {present}: {rebuild(present)}")
    from pyd2.hooks.kea import callbacks

    made.check(made.lib.kb_start(callbacks.table(made)))
    # C's own exit is too late: libraries are unloaded while Python still works.
    atexit.register(callbacks.end)
    _State.shim = made
    return made
