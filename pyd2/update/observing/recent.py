"""What has failed lately: for the web page, which shows failures as they come, and what fails how often."""

from __future__ import annotations

from collections import deque
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from pyd2.update.model.faults import Fault, Result

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyd2.update.model.transaction import Transaction
    from pyd2.update.observing.requests import End, EventSink

MOST_RECENT: Final = 64
"""Failures that are kept one by one, the newest."""
MOST_CAUSES: Final = 256
"""Causes that are counted one by one."""
_FAILURES: Final = frozenset({Result.FAILED, Result.EXPIRED, Result.UNMATCHED, Result.RETRYING})


class Cause(NamedTuple):
    """What fails, and where."""

    zone: str
    server: str
    fault: str
    """A name of the table of reasons."""


class Failures(NamedTuple):
    """What has failed in a while."""

    recent: Sequence[tuple[float, End]] = ()
    """The newest ones, with their times in seconds since the epoch."""
    causes: Mapping[Cause, tuple[int, End]] = MappingProxyType({})
    """How often each cause was there, and the last request that it hit."""
    total: int = 0
    """How many failures there were."""


class RecentFailures:
    """Collects failures until ``take``, which bounds how much that is. All is for the update thread."""

    def __init__(self) -> None:
        self.then: EventSink | None = None
        """What gets the same as this: the history."""
        self._recent: deque[tuple[float, End]] = deque(maxlen=MOST_RECENT)
        self._causes: dict[Cause, tuple[int, End]] = {}
        self._count = 0

    def add(self, wall: float, now: float, done: Sequence[Transaction], ends: Sequence[End]) -> None:
        """Take what has ended in a turn of the engine."""
        for end in ends:
            if end.result in _FAILURES:
                self._count += 1
                self._recent.append((wall, end))
                cause = cause_of(end)
                count, _ = self._causes.get(cause, (0, end))
                if count or len(self._causes) < MOST_CAUSES:
                    self._causes[cause] = count + 1, end
        if self.then is not None:
            self.then.add(wall, now, done, ends)

    def take(self) -> Failures:
        """Return what was collected, and begin again."""
        taken = Failures(tuple(self._recent), self._causes, self._count)
        self._recent.clear()
        self._causes = {}
        self._count = 0
        return taken


def cause_of(end: End) -> Cause:
    """Return what has failed, and where."""
    server = getattr(end.transaction, "server", None)
    return Cause(end.failed_zone, "" if server is None else server.text, fault_of(end))


def fault_of(end: End) -> str:
    """Return the name of what has failed in the table of reasons."""
    if end.result is Result.UNMATCHED:
        return Fault.UNMATCHED
    return end.fault or (Fault.EXPIRED if end.result is Result.EXPIRED else "")
