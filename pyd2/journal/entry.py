"""What the durable queue holds, and what it may say: all that is needed where there is none."""

from __future__ import annotations

from typing import Final, NamedTuple

from pyd2.errors import Pyd2Error

DATABASE: Final = "pyd2-queue.sqlite3"
"""The file's name in its directory."""


class Entry(NamedTuple):
    """A request that is not yet done."""

    number: int
    """Its place in the order of arrival, from 1."""
    taken: float
    """When it was read from the socket: seconds since the epoch."""
    datagram: bytes


class DeadLetter(NamedTuple):
    """A request that has failed for good though such are tried again."""

    number: int
    """Its own, counted from 1; 0 before it is in the file."""
    taken: float
    """When it was read from the socket: seconds since the epoch."""
    died: float
    """When it was given up."""
    reason: str
    datagram: bytes


class StoreError(Pyd2Error):
    """The file cannot be used; the text says why, and what to do."""

    def __init__(self, text: str, *, damaged: bool = False, foreign: bool = False) -> None:
        super().__init__(text)
        self.damaged = damaged
        """Its content is broken: no waiting will mend it."""
        self.foreign = foreign
        """It is none of ours, or of a later version: hands off."""
