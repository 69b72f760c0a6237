"""A library that keeps the event loop of the server busy for 100 ms, twice a second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pyd2.hooks import VERSION, CalloutHandle

if TYPE_CHECKING:
    import asyncio

BUSY_SECONDS = 0.1
PAUSE_SECONDS = 0.4

timers: list[asyncio.TimerHandle] = []


def version() -> int:
    """Say for which version of the hooks this library was written."""
    return VERSION


def d2_srv_configured(handle: CalloutHandle) -> None:
    """Begin."""
    _plan(handle.get_argument("io_context"))


def unload() -> None:
    """End."""
    while timers:
        timers.pop().cancel()


def _plan(loop: asyncio.AbstractEventLoop) -> None:
    timers[:] = [loop.call_later(PAUSE_SECONDS, _block, loop)]


def _block(loop: asyncio.AbstractEventLoop) -> None:
    time.sleep(BUSY_SECONDS)
    _plan(loop)
