"""What every start begins with: the signals, and standard descriptors that are there in any case."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Any, Final

STDOUT: Final = 1
STDERR: Final = 2

SIGNALS: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
"""Those that the daemon acts on."""

_held: Final[set[int]] = set()
"""Those that have come before the daemon could."""


def hold_signals() -> dict[signal.Signals, Any]:
    """Note the signals until ``deliver_signals``; return what was done at them.

    They are not blocked: that would be so in programs, too, that hook libraries start meanwhile.
    """
    return {number: signal.signal(number, lambda number, _: _held.add(number)) for number in SIGNALS}


def deliver_signals() -> None:
    """Let the noted ones come once more. They are blocked, or whoever is to act on them is ready."""
    while _held:
        os.kill(os.getpid(), _held.pop())


def open_closed() -> None:
    """Open /dev/null where a standard descriptor is closed.

    The next file or socket would get its number, and the event loop ends the process when it meets that.
    """
    for descriptor in (0, STDOUT, STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one


def write(descriptor: int, text: str) -> None:
    """Write a text, bytes as they are; what cannot be written is lost, as in Kea."""
    data = text.encode("utf-8", "surrogateescape")
    with suppress(OSError):
        while data:
            data = data[os.write(descriptor, data) :]
