"""How many updates may be under way to one DNS server: a window that adapts by delay, like TCP Vegas.

The window starts at Kea's 32. Once per round trip it compares the least reply time of the round:

- ``queued = size * (1 - base / least)`` is what waits at the server all the time. ``base`` is what a reply
  takes, on average, when hardly anything is under way: it is measured now and then with 4 updates under way;
- little queued and the window used up: the server could do more, so grow, quickly at first;
- much queued: shrink to what keeps the server busy;
- a reply missed, though what went out with it or later was answered: the server drops what is too much, so
  halve.

What takes up to 2.5 times the base is not taken for a queue while the window is below 96. Knot DNS takes 10
ms for each commit of a zone, whatever is in it; an update waits for the one under way, and then for its own.
With 96 under way it does three times as much as with 32, and each takes hardly longer. Where updates really
queue, 32 of them take eight times as long as the 4 of the measurement. Now and then a commit takes no time at
all, as do the first ones of a zone at rest; beside these, 10 ms would look like a queue. So the base is an
average, and a measurement continues until two rounds in a row take about as long: neither such commits nor
a pause of the server, or of our own process, count for what a reply always takes.

Beside batches no path is empty: an update waits until those before it are carried out. So nothing is measured
meanwhile, and what takes less than a small part of the timeout is not taken for a queue (``batch/size.py``).

A window above 96 towards a distant server is paced: a whole window let go at once would arrive as a burst.

A server that answers nothing at all is dead, not congested. It keeps the 32 that Kea would have under way,
so that a zone whose first server is dead is served no slower than with Kea.

``cbridge/wire/window.c`` is the same in C, for the compiled tries; the tests run both side by side.

The figures were found by measuring against BIND, near and 20 ms away. BIND drops what exceeds its
``update-quota`` (100) in silence; only a cap below that is a guarantee
(docs/differences.md, 12).
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyd2.counters import Histogram
    from pyd2.packets.wire import WireLane

START: Final = 32
"""Updates under way at first, and after a pause: what Kea allows in all."""
CAP: Final = 96
"""The largest window without being asked: below BIND's ``update-quota`` of 100."""
FLOOR: Final = 4
"""The smallest window, and the one that measures the empty path."""

_QUEUED_LOW: Final = 8.0
_QUEUED_SPAN: Final = 24.0
_QUEUED_TIME: Final = 0.002
"""Seconds of a server's work that may stand before it. A part of what is measured is our own turn: with
less, a fast server near by is kept at 32 updates, and each turn of the loop carries half of what it could.
"""
_COMMITS: Final = 2.5
"""Replies that take less than so many times the base come from no queue, if CAP or less are under way."""
_LONG: Final = 0.125
"""Seconds, a quarter of Kea's timeout: nothing that takes longer is excused in this way."""
_GROWTH: Final = 32.0
_REMEASURE: Final = 10.0
_STEADY: Final = 2.0
"""A measurement ends when none of two rounds in a row takes so many times what the other takes, ..."""
_MOST_ROUNDS: Final = 6
"""... or after so many: there are servers whose replies never take the same time."""
_RECOVER: Final = 5.0
_IDLE: Final = 0.05
_SHORTEST: Final = 1e-6
_ROUND_REPLIES: Final = 3
_PACED_BASE: Final = 0.001
"""Seconds of the shortest way that is paced; on a shorter one the replies themselves are the pace."""
_PACE: Final = 1.25
"""How much faster than a window per round trip updates may go out."""
_BURST: Final = 32.0
"""Updates that may go out together all the same."""
_BURST_TIME: Final = 0.002
"""Seconds of the pace that may go out together: as often as the loop's timer can wake us."""


class InFlightWindow(Protocol):
    """Flow control towards one server: how many updates may be under way. All times are monotonic seconds."""

    @property
    def native(self) -> WireLane | None:
        """What C knows of the lane whose window this is; None: nothing."""

    def count_replies(self, bounds: Sequence[float]) -> None:
        """Have C count replies, by RCODE and by these bounds of seconds; without bounds, no more."""

    def replies_counted(self) -> tuple[list[int], Histogram] | None:
        """Return what C has counted: by RCODE, and the seconds; None: it does not count."""

    @property
    def in_flight(self) -> int:
        """Updates under way."""

    @property
    def limit(self) -> int:
        """How many may be."""

    @property
    def cap(self) -> int:
        """The largest window."""

    @property
    def size(self) -> int:
        """How many updates may be under way when nothing is measured: ``limit`` or more."""

    def set_cap(self, cap: int) -> None:
        """Change the largest window; updates already under way stay."""

    def set_beside_batches(self, seconds: float) -> None:
        """Say that batches go out, too: no reply within so many seconds comes from a queue; 0: none do."""

    def free_places(self, now: float) -> int:
        """Return how many updates may go out now; asked before the first of those that go out together."""

    def paced_until(self) -> float:
        """Return when pacing frees a place again; infinity: not before a reply."""

    def sent(self) -> None:
        """Count an update that goes out."""

    def replied(self, sent_at: float, now: float) -> None:
        """Count the reply to an update that went out at ``sent_at``, and adapt."""

    def timed_out(self, sent_at: float, now: float) -> None:
        """Count an update that was not answered in time; what went out before the last cut is one loss."""

    def withdrawn(self, now: float) -> None:
        """Count an update that could not be sent after all, or a batch: it says nothing about the server."""


class PythonWindow:
    """The window of one server; see InFlightWindow."""

    native = None

    __slots__ = (
        "_answered", "_base", "_base_at", "_beside_batches", "_cap", "_count", "_cut_at", "_growth",
        "_idle_since", "_least", "_measured", "_measuring", "_path", "_round_start", "_rounds",
        "_shortest", "_size", "_slow_start", "_start", "_sum", "_tokens", "_tokens_at", "_used_up",
        "in_flight", "limit",
    )

    def __init__(self, cap: int = CAP) -> None:
        """Make a window of at most ``cap`` (1 or more)."""
        self.in_flight = 0
        self._base = inf
        self._base_at = -inf
        self._path = 0.0
        """The least reply time of the last measurement."""
        self._cut_at = -inf
        self._answered = -inf
        """When the update went out, the latest of all, that was answered."""
        self._idle_since = inf
        self._measuring = False
        self._measured = 0.0
        """What the last round of the measurement took, on average; 0: there was none."""
        self._rounds = 0
        """Rounds of the measurement that have ended."""
        self._shortest = inf
        """The least reply time of these."""
        self._slow_start = True
        self._growth = 0.0
        self._cap = float(cap)
        self._start = self._size = float(min(START, cap))
        self._tokens = self._tokens_at = 0.0
        """Updates that the pace allows, and since when."""
        self.limit = int(self._size)
        self._round_start = -inf
        self._least = inf
        self._sum = 0.0
        self._count = 0
        self._used_up = False
        self._beside_batches = 0.0

    def count_replies(self, bounds: Sequence[float]) -> None:
        """See InFlightWindow: in Python, the tries count."""

    def replies_counted(self) -> tuple[list[int], Histogram] | None:
        """See InFlightWindow."""
        return None

    @property
    def cap(self) -> int:
        """The largest window."""
        return int(self._cap)

    @property
    def size(self) -> int:
        """See InFlightWindow."""
        return int(self._size)

    def set_cap(self, cap: int) -> None:
        """Change the largest window; updates already under way stay."""
        self._cap = float(cap)
        self._start = float(min(START, cap))
        self._resize(min(self._size, self._cap))

    def set_beside_batches(self, seconds: float) -> None:
        """See InFlightWindow."""
        self._beside_batches = seconds
        if seconds:
            self._measuring = False
            self._resize(self._size)

    def free_places(self, now: float) -> int:
        """Return how many updates may go out now; asked before the first of those that go out together."""
        if not self.in_flight and now - self._idle_since > max(_IDLE, 4 * min(self._base, _IDLE)):
            self._after_idle(now)
        free_places = self.limit - self.in_flight
        pace = self._pace()
        if pace and free_places > 0:
            tokens = self._tokens + (now - self._tokens_at) * pace
            self._tokens = min(tokens, max(_BURST, pace * _BURST_TIME))
            self._tokens_at = now
            return int(min(free_places, self._tokens))
        return free_places

    def paced_until(self) -> float:
        """Return when pacing frees a place again; infinity: not before a reply."""
        pace = self._pace()
        if not pace or self.in_flight >= self.limit:
            return inf
        # Half a burst at a time: to wake up for each update would cost more than to send it.
        return self._tokens_at + max(0.0, max(_BURST, pace * _BURST_TIME) / 2 - self._tokens) / pace

    def sent(self) -> None:
        """Count an update that goes out."""
        self.in_flight += 1
        self._tokens = max(0.0, self._tokens - 1)
        if self.in_flight >= self.limit:
            self._used_up = True

    def replied(self, sent_at: float, now: float) -> None:
        """Count the reply to an update that went out at ``sent_at``, and adapt."""
        self.in_flight -= 1
        self._answered = max(sent_at, self._answered)
        if self._growth and self._size < self._cap:
            self._resize(min(self._size + self._growth, self._cap))
        of_this_round = sent_at >= self._round_start
        if of_this_round or not self._measuring:  # earlier ones say nothing about the empty path
            delay = max(now - sent_at, _SHORTEST)
            self._least = min(delay, self._least)
            self._sum += delay
            self._count += 1
            if of_this_round and self._count > _ROUND_REPLIES:
                self._end_round(now)
        if not self.in_flight:
            self._idle_since = now

    def timed_out(self, sent_at: float, now: float) -> None:
        """Count an update that was not answered in time; what went out before the last cut is one loss."""
        self.in_flight -= 1
        if sent_at >= self._cut_at:
            self._measuring = False  # else it would stay at its floor until the server answers again
            congested = self._answered >= sent_at
            if self._size > self._start:
                self._base_at = -inf  # it has let the window grow too far
            self._resize(max(self._size / 2, min(FLOOR, self._cap)) if congested else self._start)
            self._cut_at = now
            self._growth = 0.0
            self._slow_start = False
        if not self.in_flight:
            self._idle_since = now

    def withdrawn(self, now: float) -> None:
        """Count an update that could not be sent after all, or a batch: it says nothing about the server."""
        self.in_flight -= 1
        if not self.in_flight:
            self._idle_since = now

    def _pace(self) -> float:
        """Return how many updates a second may go out, or 0 if they are not paced."""
        paced = self._size > CAP and self._path >= _PACED_BASE
        return _PACE * self._size / self._path if paced else 0.0

    def _resize(self, size: float) -> None:
        self._size = size
        self.limit = min(FLOOR, int(size)) if self._measuring else int(size)

    def _begin_round(self, now: float) -> None:
        self._round_start = now
        self._least = inf
        self._sum = 0.0
        self._count = 0
        self._used_up = False

    def _after_idle(self, now: float) -> None:
        """Begin again: a large window from before would arrive as one burst."""
        self._measuring = False
        self._growth = 0.0
        if self._size > self._start:
            self._slow_start = True
            self._size = self._start
        self._resize(self._size)
        self._begin_round(now)

    def _end_round(self, now: float) -> None:
        mean = self._sum / self._count
        if self._measuring:
            self._measure(mean, now)
        else:
            if self._base == inf:
                self._base = mean
                self._path = self._least
            self._adapt(mean, now)
            self._measured = 0.0
            self._shortest = inf
            self._rounds = 0
        self._begin_round(now)

    def _measure(self, mean: float, now: float) -> None:
        self._rounds += 1
        self._shortest = min(self._shortest, self._least)
        steady = max(mean, self._measured) < _STEADY * min(mean, self._measured)
        if steady or self._rounds >= _MOST_ROUNDS:
            self._base = (self._measured + mean) / 2
            self._path = self._shortest  # the pace would hold the window down if it went by the average
            self._base_at = now
            self._measuring = False
            self._resize(self._size)
        self._measured = mean

    def _adapt(self, mean: float, now: float) -> None:
        size = self._size
        queued = size * (1 - self._base / self._least)
        if mean < (self._beside_batches or min(_COMMITS * self._base, _LONG)):
            queued = min(queued, size - CAP)
        low = max(_QUEUED_LOW, size / mean * _QUEUED_TIME)
        growth = 0.0
        if queued > low + _QUEUED_SPAN:
            size -= queued - low
            self._slow_start = False
        elif queued >= low:
            self._slow_start = False
        elif self._used_up:
            growth = min(size / 2 if self._slow_start else 4 + size / 32, _GROWTH) / size
        old = now - self._base_at > _REMEASURE
        self._measuring = self._used_up and old and not self._beside_batches
        self._growth = 0.0 if self._measuring else growth
        if size < self._start and now - self._cut_at > _RECOVER:
            size = self._start
        self._resize(max(size, min(FLOOR, self._cap)))
