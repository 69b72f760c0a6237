"""The first steps of every start: hold the signals, open the standard descriptors that are closed."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Any, Final

STDOUT: Final = 1
STDERR: Final = 2

SIGNALS: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
"""The signals that the daemon acts on."""

_held: Final[set[int]] = set()
"""The signals that came before the daemon could act on them."""


def hold_signals() -> dict[signal.Signals, Any]:
    """Note the signals until ``deliver_signals``; return their previous handlers.

    They are not blocked, because programs that hook libraries start would inherit that.
    """
    return {number: signal.signal(number, lambda number, _: _held.add(number)) for number in SIGNALS}


def deliver_signals() -> None:
    """Send the noted signals again. They must be blocked, or their handlers ready."""
    while _held:
        os.kill(os.getpid(), _held.pop())


def open_closed() -> None:
    """Open /dev/null where a standard descriptor is closed.

    The next file or socket would get its number, and the event loop ends the process on such a descriptor.
    """
    for descriptor in (0, STDOUT, STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one


def write(descriptor: int, text: str) -> None:
    """Write a text with its bytes unchanged. If writing fails, the rest is lost, as in Kea."""
    data = text.encode("utf-8", "surrogateescape")
    with suppress(OSError):
        while data:
            data = data[os.write(descriptor, data) :]
