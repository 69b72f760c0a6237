"""A library that takes 100 ms to choose a key for one server, the one on ``port``, at most twice a second."""

from __future__ import annotations

import time

from pyd2.hooks import VERSION, CalloutHandle, LibraryHandle

BUSY_SECONDS = 0.1
EVERY_SECONDS = 0.5


class _Slow:
    port = 0
    next = 0.0


def version() -> int:
    """Say for which version of the hooks this library was written."""
    return VERSION


def load(handle: LibraryHandle) -> None:
    """Learn whose keys take long."""
    _Slow.port = handle.get_parameter("port", 0)


def select_key(handle: CalloutHandle) -> None:
    """Leave the key as it is, and take long for it now and then."""
    if handle.get_argument("current_server").port == _Slow.port and time.monotonic() >= _Slow.next:
        _Slow.next = time.monotonic() + EVERY_SECONDS
        time.sleep(BUSY_SECONDS)
