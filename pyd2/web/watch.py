"""Looks at the daemon now and then: what the overview, and the stream of events, show.

It runs in the main thread while some control socket has the page, and ends when none has it any more.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pyd2.web.config_index import ConfigIndex
from pyd2.web.events import failure_map, reason_of

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from pyd2.metrics.reading import Facts
    from pyd2.update.model.reasons import Reason
    from pyd2.update.observing.recent import Cause, Failures

SECONDS: Final = 1.0
"""Between two readings while a client reads the stream of events."""
SELDOM: Final = 5.0
"""The same while there is no reader."""
MINUTES: Final = 60
"""Of which the overview shows what became of requests."""
CAUSE_MINUTES: Final = 10
"""For which a cause of failures is shown."""
MOST_ZONES: Final = 10_000
"""Zones whose last failure is remembered."""
MOST_CAUSES: Final = 256
_NONE: Final = (0.0, "")


class Minute(NamedTuple):
    """What was counted at the end of a minute, since the start."""

    number: int
    """Of the minute, since the epoch."""
    received: int
    done: int
    failed: int


class CauseCount:
    """How often a cause of failures was there, in each of the last minutes."""

    def __init__(self, why: Reason) -> None:
        self.why = why
        self.minutes: deque[tuple[int, int]] = deque()

    def add(self, minute: int, count: int) -> None:
        """Count failures."""
        self.minutes.append((minute, count))

    def total(self, minute: int) -> int:
        """Return how many there were in the last minutes, and forget those before.

        Those that would be to come are also forgotten: the clock was set back.
        """
        while self.minutes and not minute - CAUSE_MINUTES < self.minutes[0][0] <= minute:
            self.minutes.popleft()
        return sum(count for _, count in self.minutes)


class Watch:
    """``before`` is called before each look; ``wall`` returns the seconds since the epoch."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        facts: Facts,
        before: Callable[[], None],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.facts: Final = facts
        self.wall: Final = wall
        self.on_look: Callable[[list[dict[str, Any]], int], bool] = lambda _, __: False
        """Gets the newest failures since the last look, and how many there were in all; returns whether
        there is a reader.
        """
        self.on_end: Callable[[], None] = lambda: None
        """Called when no socket has the page any more."""
        self._loop = loop
        self._before = before
        self._timer: asyncio.Handle | None = None
        self._index: ConfigIndex | None = None
        self._minutes: deque[Minute] = deque(maxlen=MINUTES + 1)
        self._causes: OrderedDict[Cause, CauseCount] = OrderedDict()
        self._last_failures: OrderedDict[str, tuple[float, str]] = OrderedDict()

    # Looking.

    def begin(self) -> None:
        """Look from now on."""
        if self._timer is None:
            self._timer = self._loop.call_later(SECONDS, self._look)

    def hurry(self) -> None:
        """Look soon: a client reads the stream of events now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._loop.call_soon(self._look)

    def _look(self) -> None:
        self._timer = None
        if not self.facts.config().config.web:
            self._minutes.clear()
            self.on_end()
            return
        self._before()
        looks_on = False
        try:
            failures = self.facts.failures()
            self._note_minute()
            newest, count = ([], 0) if failures is None else (self._note(failures), failures.total)
            looks_on = self.on_look(newest, count)
        finally:
            self._timer = self._loop.call_later(SECONDS if looks_on else SELDOM, self._look)

    def _note(self, failures: Failures) -> list[dict[str, Any]]:
        """Take over what has failed; return the newest as the stream shows it."""
        minute = int(self.wall() // 60)
        for cause, (count, end) in failures.causes.items():
            found = self._causes.pop(cause, None) or CauseCount(reason_of(end))
            found.add(minute, count)
            self._causes[cause] = found
            if len(self._causes) > MOST_CAUSES:
                self._causes.popitem(last=False)
            if cause.zone:
                self._last_failures.pop(cause.zone, None)
                self._last_failures[cause.zone] = self.wall(), cause.fault
                if len(self._last_failures) > MOST_ZONES:
                    self._last_failures.popitem(last=False)
        return [failure_map(at, end) for at, end in failures.recent]

    def _note_minute(self) -> None:
        number = int(self.wall() // 60)
        if self._minutes and self._minutes[-1].number == number:
            self._minutes.pop()
        tally = self.facts.counters.tally
        self._minutes.append(Minute(number, tally.received, tally.done, tally.failed))

    # What it knows.

    def index(self) -> ConfigIndex:
        """Return what there is to say of the configuration in force."""
        config = self.facts.config().config
        if self._index is None or self._index.config is not config:
            self._index = ConfigIndex(config)
        return self._index

    def minutes(self) -> list[tuple[int, int, int, int]]:
        """Return the last minutes: seconds since the epoch, and how many were received, done and failed."""
        samples = list(self._minutes)
        return [
            (
                60 * after.number,
                after.received - before.received,
                after.done - before.done,
                after.failed - before.failed,
            )
            for before, after in pairwise(samples)
        ]

    def causes(self) -> list[tuple[Cause, int, Reason]]:
        """Return what has failed in the last minutes, how often and why: the most frequent first."""
        minute = int(self.wall() // 60)
        for cause in [cause for cause, found in self._causes.items() if not found.total(minute)]:
            del self._causes[cause]
        counted = [(cause, found.total(minute), found.why) for cause, found in self._causes.items()]
        return sorted(counted, key=lambda entry: -entry[1])

    def last_failure(self, zone: str) -> tuple[float, str]:
        """Return when something last failed in a zone, in seconds since the epoch, and what; 0.0: nothing."""
        return self._last_failures.get(zone, _NONE)
