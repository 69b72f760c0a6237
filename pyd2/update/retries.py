"""Requests that wait to be tried again, and what must wait behind them.

Theory of operation
-------------------
A request that has failed for a reason that may pass becomes a *late* one: it gives its client (its DHCID)
free and waits here, longer each time, or until a server that was down answers again. Late ones stand in the
room of the servers that they need; all of a room come back together when one of these servers does.

Nothing may be applied out of order, so a request that comes meanwhile is looked at (``admit``):

- Forward changes at one name keep their order: the newer request waits behind the late one, whoever its
  client is. If it makes the older one superfluous, the older one ends instead: it is *superseded*. That is so
  if the zones end up the same without it, see ``_makes_superfluous``.
- Reverse changes at one address do not wait for each other, for the newer one overwrites what the older one
  would do: that loses its reverse change. Those removals that look for their own name in the PTR first
  (*guarded* ones) are safe beside changes for other names.

What touches neither the same name nor the same address goes on at once.

Whoever waits for a late try counts as queued. The engine begins late requests; this is who tells it which.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Final

from pyd2.ncr import ChangeType
from pyd2.update.transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyd2.config.switches import RetrySwitches
    from pyd2.counters import Counters
    from pyd2.messages import Log
    from pyd2.packets.layer import Request
    from pyd2.update.kinds import Kind
    from pyd2.update.lane import Lane
    from pyd2.update.plan import Domain, Plan
    from pyd2.update.transaction import Failure

REMOVAL_SECONDS: Final = 86400.0
"""How long a removal is tried at least: its record is wrong as long as it stands, and no lease ends that."""

CROWD: Final = 64
"""Transactions waiting for room in a lane from which on no late ones join them."""

_PARKED, _READY, _FREE, _BEHIND, _UNDER_WAY, _ENDED = range(6)
_GUARDED: Final = frozenset({4, 6})
"""Kinds of requests, by number, that remove a PTR only if it holds their own name."""


class Late:
    """A request that waits to be tried again, or behind one that does."""

    __slots__ = ("dhcid", "due", "forward_failure", "forward_left", "name", "ncr", "pauses", "reason",
                 "reverse_left", "room", "since", "state")

    def __init__(self, ncr: Request, dhcid: int, wall: float) -> None:
        self.ncr = ncr
        self.dhcid = dhcid
        """What holds the client."""
        self.name = ncr.fqdn_wire.lower()
        self.forward_left = ncr.forward_change
        """Whether the forward change is still to be made."""
        self.forward_failure: Failure | None = None
        """How it has failed for good, if it has."""
        self.reverse_left = ncr.reverse_change
        self.reason = ""
        """Why it failed last; empty if it never began."""
        self.since = wall
        """When it began to wait, in seconds since the epoch."""
        self.pauses = 0
        self.due = 0.0
        """When its pause is over, in monotonic seconds."""
        self.room: Room | None = None
        """Where it waits, while it does so."""
        self.state = _BEHIND

    @property
    def size(self) -> int:
        """How much room it takes up in a queue, about, in octets."""
        return self.ncr.size

    @property
    def guarded(self) -> bool:
        """Whether it removes a PTR, and only if that holds its own name."""
        return self.ncr.kind in _GUARDED

    def over(self, wall: float) -> str:
        """Return why it must not be tried any more; empty: it may be."""
        if self.ncr.change_type is ChangeType.ADD:
            now = f"{datetime.fromtimestamp(wall, UTC):%Y%m%d%H%M%S}"
            return "its lease has ended" if self.ncr.lease_expires_on < now else ""
        if wall < self.since + REMOVAL_SECONDS:
            return ""
        try:
            expires = datetime.strptime(self.ncr.lease_expires_on, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
            end = (expires + timedelta(seconds=self.ncr.lease_length)).timestamp()
        except (OverflowError, ValueError):  # beyond what a date can say
            return ""
        return "" if wall < end else "it has been tried for long enough"


class Room:
    """Those who wait for the same servers."""

    __slots__ = ("lanes", "ready", "timed", "watched")

    def __init__(self, lanes: tuple[Lane, ...]) -> None:
        self.lanes = lanes
        self.timed: dict[Late, None] = {}
        """Those whose pause is not over, in the order in which they came."""
        self.ready: deque[Late] = deque()
        """Those who may begin when there is room in the lanes."""
        self.watched = False
        """Whether the heap has an entry to try one of them while all servers are down."""

    @property
    def down(self) -> bool:
        """Whether none of the servers answers."""
        return all(lane.health is not None and lane.health.down for lane in self.lanes)

    @property
    def probe_at(self) -> float:
        """When one of the servers, all of which are down, may be tried, in monotonic seconds."""
        return min(lane.health.probe_at for lane in self.lanes if lane.health is not None)

    @property
    def crowded(self) -> bool:
        """Whether there is no point in beginning more."""
        return any(len(lane.ready) >= CROWD for lane in self.lanes)


class LateTransaction(Transaction):
    """A transaction that goes on with what an earlier one has left over."""

    __slots__ = ("late",)

    def __init__(
        self, late: Late, ncr: Request, kind: Kind, plan: Plan, forward: Domain | None, reverse: Domain | None
    ) -> None:
        super().__init__(ncr, late.dhcid, kind, plan, forward, reverse)
        self.late = late
        self.forward_done = not late.forward_left and late.forward_failure is None
        self.forward_failure = late.forward_failure
        self.reverse_done = not late.reverse_left


class Hold(deque["Request | Late"]):
    """What queues behind a client's late request that is under way."""

    late: Late | None
    """None: it has ended."""

    def __init__(self, late: Late, followers: deque[Request | Late] | None) -> None:
        super().__init__(followers or ())
        self.late = late


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
        self._names: dict[bytes, deque[Late]] = {}
        """Those with a forward change left, by name; only the first of each line may begin."""
        self._addresses: dict[bytes | tuple[bytes, bytes], list[Late]] = {}
        """Those with a reverse change left, by address; guarded ones by address and name."""
        self._rooms: dict[tuple[Lane, ...], Room] = {}
        self._open: dict[Room, None] = {}
        """Rooms with some that are ready."""
        self._free: deque[Late] = deque()
        """Those who have to find their room."""
        self._heap: list[tuple[float, int, Late | Room]] = []
        """When which pause ends, and when to look at a room whose servers are down."""
        self._serial = count()

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
        line = self._names.get(name) if ncr.forward_change else None
        while line and _makes_superfluous(ncr, line[-1]):
            self._supersede(line[-1])
            line = self._names.get(name)
        if ncr.reverse_change:
            self._overwrite(ncr, name)
        if not line:
            return True
        self._enter(Late(ncr, dhcid, wall))
        return False

    def _overwrite(self, ncr: Request, name: bytes) -> None:
        """Take the reverse change from older requests that a newer one overwrites."""
        guarded = ncr.kind in _GUARDED
        others = [
            *self._addresses.get((ncr.address, name), ()),
            *(late for late in self._addresses.get(ncr.address, ()) if late.name == name or not guarded),
        ]
        for late in others:
            if late.name == name and late.forward_left and ncr.forward_change:
                continue  # the newer one waits for its end
            self._leave_address(late)
            late.reverse_left = False
            self._amend(late)
            if late.state == _UNDER_WAY:
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
        if late.state != _ENDED and late.state != _BEHIND:
            self._time(late, self.room(lanes), now + pause)
        return pause

    def put_off(self, late: Late, lanes: tuple[Lane, ...], retry: RetrySwitches, now: float) -> None:
        """Let a request that could not begin wait on."""
        self._time(late, self.room(lanes), now + self._pause(late, retry))

    def make_ready(self, late: Late, lanes: tuple[Lane, ...]) -> None:
        """Let a request begin when there is room in the lanes."""
        room = self.room(lanes)
        late.state = _READY
        late.room = room
        room.ready.append(late)
        self._open[room] = None
        self.pressing = True

    def _pause(self, late: Late, retry: RetrySwitches) -> float:
        """Draw how many seconds to wait: each time up to twice as long."""
        longest = min(retry.max_delay, retry.initial_delay * 2.0 ** min(late.pauses + 1, 32))
        late.pauses += 1
        return max(retry.initial_delay, longest * (0.5 + self._draw() / 131072))

    def _time(self, late: Late, room: Room, due: float) -> None:
        late.state = _PARKED
        late.due = due
        late.room = room
        room.timed[late] = None
        heappush(self._heap, (due, next(self._serial), late))
        self._watch(room)

    def _watch(self, room: Room) -> None:
        if not room.watched and room.timed and room.down:
            room.watched = True
            heappush(self._heap, (room.probe_at, next(self._serial), room))

    def _enter(self, late: Late) -> None:
        """Take in a request that was none of ours."""
        self._all[late] = None
        self.any = True
        self._count(late, 1)
        late.state = _FREE
        if late.forward_left:
            line = self._names.get(late.name)
            if line is None:
                self._names[late.name] = deque((late,))
            else:
                line.append(late)
                late.state = _BEHIND
        if late.reverse_left:
            self._addresses.setdefault(_address_key(late), []).append(late)

    def _return(self, late: Late) -> None:
        """Take back a request that was under way and first in its line."""
        self._count(late, 1)
        late.state = _FREE
        if not late.reverse_left:
            self._leave_address(late)
        line = self._names.get(late.name)
        if line is not None and line[0] is late:
            if not late.forward_left:
                self._leave_name(late)
            elif len(line) > 1 and _makes_superfluous(line[1].ncr, late):
                self._supersede(late)
        if late.state == _FREE and not late.forward_left and not late.reverse_left:
            self._supersede(late)

    # Requests that begin and end.

    def take(self, now: float) -> Late | None:
        """Return a request that may be tried now, if there is one."""
        while self._free:
            late = self._free.popleft()
            if late.state == _FREE:
                return late
        late_due = self._take_due(now)
        if late_due is not None:
            return late_due
        for room in list(self._open):
            while room.ready and not room.crowded:
                late = room.ready.popleft()
                if late.state == _READY:
                    return late
            if not room.ready:
                del self._open[room]
        self.pressing = bool(self._open)
        return None

    def _take_due(self, now: float) -> Late | None:
        heap = self._heap
        while heap and heap[0][0] <= now:
            due, _, target = heappop(heap)
            if isinstance(target, Room):
                target.watched = False
                first = next(iter(target.timed), None)
                if first is None or not target.down:
                    continue
                if target.probe_at <= now:
                    del target.timed[first]
                    heappush(heap, (now + 1.0, next(self._serial), target))
                    target.watched = True
                    return first
                self._watch(target)
            elif target.state == _PARKED and target.due == due:
                assert target.room is not None
                del target.room.timed[target]
                return target
        return None

    def start(self, late: Late) -> None:
        """Take it that a request is under way."""
        self._count(late, -1)
        late.state = _UNDER_WAY
        late.room = None

    def leave(self, late: Late) -> None:
        """Take it that a request has ended."""
        if late.state == _UNDER_WAY:
            self._count(late, 1)
        elif late.state == _PARKED and late.room is not None:
            late.room.timed.pop(late, None)
        self._count(late, -1)
        late.state = _ENDED
        del self._all[late]
        self.any = bool(self._all)
        if late.reverse_left:
            self._leave_address(late)
        if late.forward_left:
            self._leave_name(late)

    def under_way(self, late: Late) -> bool:
        """Whether a request has begun and neither ended nor come back."""
        return late.state == _UNDER_WAY

    def _leave_name(self, late: Late) -> None:
        line = self._names[late.name]
        first = line[0] is late
        if first:
            line.popleft()
        elif line[-1] is late:
            line.pop()
        else:
            line.remove(late)
        if not line:
            del self._names[late.name]
        elif first and line[0].state == _BEHIND:
            line[0].state = _FREE
            self._free.append(line[0])
            self.pressing = True

    def _leave_address(self, late: Late) -> None:
        key = _address_key(late)
        others = self._addresses.get(key)
        if others is not None and late in others:
            others.remove(late)
            if not others:
                del self._addresses[key]

    def _count(self, late: Late, by: int) -> None:
        self.waiting += by
        self.octets += by * late.size

    # Time, servers, configurations.

    def deadline(self) -> float | None:
        """Return when ``take`` has something, in monotonic seconds; None: not before something comes."""
        if self._free:
            return 0.0
        return self._heap[0][0] if self._heap else None

    def room(self, lanes: tuple[Lane, ...]) -> Room:
        """Return where those wait who need these servers."""
        found = self._rooms.get(lanes)
        if found is None:
            found = self._rooms[lanes] = Room(lanes)
        return found

    def server_up(self, lane: Lane) -> None:
        """Let those begin who wait for a server that answers again."""
        for room in self._rooms.values():
            if lane in room.lanes and room.timed:
                for late in room.timed:
                    late.state = _READY
                room.ready.extend(room.timed)
                room.timed.clear()
                self._open[room] = None
                self.pressing = True

    def server_down(self, lane: Lane) -> None:
        """Look out for the return of a server that is down."""
        for room in self._rooms.values():
            if lane in room.lanes:
                self._watch(room)

    def match_again(self) -> None:
        """Let all begin that wait for servers: there is a new configuration."""
        self._rooms.clear()
        self._open.clear()
        self._heap.clear()
        self._free = deque(late for late in self._all if late.state in (_PARKED, _READY, _FREE))
        for late in self._free:
            late.state = _FREE
            late.room = None
        self.pressing = bool(self._free)


def _address_key(late: Late) -> bytes | tuple[bytes, bytes]:
    address = late.ncr.address
    return (address, late.name) if late.guarded else address


def _makes_superfluous(ncr: Request, late: Late) -> bool:
    """Whether the zones end up the same without an older request at the same name, now the last before this.

    It must be the same client's, for the same address and by the same rules, and the newer one must make all
    changes that the older one has left. A removal does not make an addition superfluous: that would also have
    taken away the address that the client had before.
    """
    older = late.ncr
    return (
        late.state != _UNDER_WAY
        and older.address == ncr.address
        and older.dhcid == ncr.dhcid
        and older.kind & 3 == ncr.kind & 3
        and (ncr.change_type is ChangeType.ADD or older.change_type is ChangeType.REMOVE)
        and (ncr.forward_change or not late.forward_left)
        and (ncr.reverse_change or not late.reverse_left)
    )
