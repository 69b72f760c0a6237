"""Requests that wait to be tried again, and what must wait behind them.

Theory of operation
-------------------
A request that has failed for a reason that may pass becomes a *late* one: it gives its client (its DHCID)
free and waits here, longer each time, or until a server that was down answers again. Late ones stand in the
room of the servers that they need; all of a room come back together when one of these servers does.

Nothing may be applied out of order, so a request that comes meanwhile is looked at (``admit``):

- Forward changes at one name keep their order: the newer request waits behind the late one, whoever its
  client is. If it makes the older one superfluous, the older one ends instead: it is *superseded*. That is so
  if the zones end up the same without it, see ``late.makes_superfluous``.
- Reverse changes at one address do not wait for each other, for the newer one overwrites what the older one
  would do: that loses its reverse change. Those removals that look for their own name in the PTR first
  (*guarded* ones) are safe beside changes for other names.

What touches neither the same name nor the same address goes on at once.

Whoever waits for a late try counts as queued. The engine begins late requests; this is who tells it which.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from pyd2.update.late import (
    BEHIND,
    ENDED,
    FREE,
    PARKED,
    READY,
    UNDER_WAY,
    Hold,
    Late,
    LateTransaction,
    makes_superfluous,
)
from pyd2.update.lines import Lines
from pyd2.update.rooms import Room, Rooms

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.config.switches import RetrySwitches
    from pyd2.counters import Counters
    from pyd2.messages import Log
    from pyd2.packets.layer import Request
    from pyd2.update.lane import Lane

__all__ = ["Hold", "Late", "LateTransaction", "Retries"]


class Retries:
    """All late requests. ``now`` is monotonic seconds, ``wall`` seconds since the epoch."""

    def __init__(
        self, counters: Counters, log: Log, draw: Callable[[], int], finish: Callable[[Request], None]
    ) -> None:
        """``draw`` draws 16 random bits; ``finish`` takes a request that has ended without a transaction."""
        self._counters = counters
        self._log = log
        self._draw = draw
        self._finish = finish
        self.waiting = 0
        """Late requests that are not under way."""
        self.octets = 0
        """Of these."""
        self.any = False
        """Whether there are late requests, those under way included."""
        self.amended: list[Late] = []
        """Those that have less to do than they came for, until the engine takes them out."""
        self.pressing = False
        """Whether some may begin at once."""
        self._all: dict[Late, None] = {}
        self._lines = Lines()
        self._rooms = Rooms()
        self._free: deque[Late] = deque()
        """Those who have to find their room."""

    # What the operator is told.

    def oldest(self) -> float | None:
        """Return when the one that waits longest began to, in seconds since the epoch."""
        first = next(iter(self._all), None)
        return None if first is None else first.since

    # Requests that come.

    def admit(self, ncr: Request, dhcid: int, wall: float) -> bool:
        """Whether a request may begin; if not, it waits here from now on.

        Older ones end that it makes superfluous.
        """
        name = ncr.fqdn_wire.lower()
        line = self._lines.at_name(name) if ncr.forward_change else None
        while line and makes_superfluous(ncr, line[-1]):
            self._supersede(line[-1])
            line = self._lines.at_name(name)
        if ncr.reverse_change:
            self._overwrite(ncr, name)
        if not line:
            return True
        self._enter(Late(ncr, dhcid, wall))
        return False

    def _overwrite(self, ncr: Request, name: bytes) -> None:
        """Take the reverse change from older requests that a newer one overwrites."""
        for late in self._lines.at_address(ncr, name):
            if late.name == name and late.forward_left and ncr.forward_change:
                continue  # the newer one waits for its end
            self._lines.leave_address(late)
            late.reverse_left = False
            self._amend(late)
            if late.state == UNDER_WAY:
                continue
            if late.forward_left:
                self._log.emit("PYD2_PTR_SUPERSEDED", late.ncr.request_id, late.ncr.address_text)
            else:
                self._supersede(late)

    def _amend(self, late: Late) -> None:
        """Let it be known what is left of a request: after a restart it must not do more than that."""
        if late.ncr.number and (late.forward_left or late.reverse_left):
            self.amended.append(late)

    def _supersede(self, late: Late) -> None:
        self._counters.tally.superseded += 1
        self._log.emit("PYD2_REQUEST_SUPERSEDED", late.ncr.request_id, late.ncr.text())
        self._finish(late.ncr)
        self.leave(late)

    # Requests that have failed.

    def park(self, late: Late, lanes: tuple[Lane, ...], retry: RetrySwitches, now: float) -> float:
        """Let a request wait for its next try; return how many seconds at most.

        What is left of it to do must be up to date.
        """
        pause = self._pause(late, retry)
        if (late.forward_left, late.reverse_left) != (late.ncr.forward_change, late.ncr.reverse_change):
            self._amend(late)
        if late not in self._all:
            self._enter(late)
        else:
            self._return(late)
        if late.state != ENDED and late.state != BEHIND:
            self._rooms.wait(late, lanes, now + pause)
        return pause

    def put_off(self, late: Late, lanes: tuple[Lane, ...], retry: RetrySwitches, now: float) -> None:
        """Let a request that could not begin wait on."""
        self._rooms.wait(late, lanes, now + self._pause(late, retry))

    def make_ready(self, late: Late, lanes: tuple[Lane, ...]) -> None:
        """Let a request begin when there is room in the lanes."""
        self._rooms.make_ready(late, lanes)
        self.pressing = True

    def _pause(self, late: Late, retry: RetrySwitches) -> float:
        """Draw how many seconds to wait: each time up to twice as long."""
        longest = min(retry.max_delay, retry.initial_delay * 2.0 ** min(late.pauses + 1, 32))
        late.pauses += 1
        return max(retry.initial_delay, longest * (0.5 + self._draw() / 131072))

    def _enter(self, late: Late) -> None:
        """Take in a request that was none of ours."""
        self._all[late] = None
        self.any = True
        self._count(late, 1)
        self._lines.enter(late)

    def _return(self, late: Late) -> None:
        """Take back a request that was under way and first in its line."""
        self._count(late, 1)
        late.state = FREE
        if not late.reverse_left:
            self._lines.leave_address(late)
        line = self._lines.at_name(late.name)
        if line is not None and line[0] is late:
            if not late.forward_left:
                self._leave_name(late)
            elif len(line) > 1 and makes_superfluous(line[1].ncr, late):
                self._supersede(late)
        if late.state == FREE:
            self.emptied(late)

    # Requests that begin and end.

    def take(self, now: float) -> Late | None:
        """Return a request that may be tried now, if there is one."""
        while self._free:
            late = self._free.popleft()
            if late.state == FREE:
                return late
        found = self._rooms.take_due(now) or self._rooms.take_ready()
        if found is None:
            self.pressing = self._rooms.any_ready
        return found

    def start(self, late: Late) -> None:
        """Take it that a request is under way."""
        self._count(late, -1)
        late.state = UNDER_WAY
        late.room = None

    def leave(self, late: Late) -> None:
        """Take it that a request has ended."""
        if late.state == UNDER_WAY:
            self._count(late, 1)
        elif late.state == PARKED and late.room is not None:
            late.room.timed.pop(late, None)
        self._count(late, -1)
        late.state = ENDED
        del self._all[late]
        self.any = bool(self._all)
        if late.reverse_left:
            self._lines.leave_address(late)
        if late.forward_left:
            self._leave_name(late)

    def emptied(self, late: Late) -> bool:
        """Whether newer requests have left nothing of one that was under way; then it ends."""
        if late.forward_left or late.reverse_left:
            return False
        self._supersede(late)
        return True

    def under_way(self, late: Late) -> bool:
        """Whether a request has begun and neither ended nor come back."""
        return late.state == UNDER_WAY

    def _leave_name(self, late: Late) -> None:
        follower = self._lines.leave_name(late)
        if follower is not None:
            self._free.append(follower)
            self.pressing = True

    def _count(self, late: Late, by: int) -> None:
        self.waiting += by
        self.octets += by * late.size

    # Time, servers, configurations.

    def deadline(self) -> float | None:
        """Return when ``take`` has something, in monotonic seconds; None: not before something comes."""
        if self._free:
            return 0.0
        return self._rooms.deadline()

    def room(self, lanes: tuple[Lane, ...]) -> Room:
        """Return where those wait who need these servers."""
        return self._rooms.find(lanes)

    def server_up(self, lane: Lane) -> None:
        """Let those begin who wait for a server that answers again."""
        self._rooms.server_up(lane)
        self.pressing |= self._rooms.any_ready

    def server_down(self, lane: Lane) -> None:
        """Look out for the return of a server that is down."""
        self._rooms.server_down(lane)

    def match_again(self) -> None:
        """Let all begin that wait for servers: there is a new configuration."""
        self._rooms.clear()
        self._free = deque(late for late in self._all if late.state in (PARKED, READY, FREE))
        for late in self._free:
            late.state = FREE
            late.room = None
        self.pressing = bool(self._free)
