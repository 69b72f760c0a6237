"""Where late requests wait for time and for servers: in the room of the servers that they need."""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Final

from pyd2.update.late import PARKED, READY, Late

if TYPE_CHECKING:
    from pyd2.update.lane import Lane

CROWD: Final = 64
"""Transactions waiting for room in a lane from which on no late ones join them."""


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


class Rooms:
    """All of them. ``now`` is monotonic seconds."""

    def __init__(self) -> None:
        self._rooms: dict[tuple[Lane, ...], Room] = {}
        self._open: dict[Room, None] = {}
        """Rooms with some that are ready."""
        self._heap: list[tuple[float, int, Late | Room]] = []
        """When which pause ends, and when to look at a room whose servers are down."""
        self._serial = count()

    @property
    def any_ready(self) -> bool:
        """Whether some wait only for room in a lane."""
        return bool(self._open)

    def find(self, lanes: tuple[Lane, ...]) -> Room:
        """Return where those wait who need these servers."""
        found = self._rooms.get(lanes)
        if found is None:
            found = self._rooms[lanes] = Room(lanes)
        return found

    def wait(self, late: Late, lanes: tuple[Lane, ...], due: float) -> None:
        """Let a request wait until a time, in monotonic seconds, or until its servers answer again."""
        room = self.find(lanes)
        late.state = PARKED
        late.due = due
        late.room = room
        room.timed[late] = None
        heappush(self._heap, (due, next(self._serial), late))
        self._watch(room)

    def make_ready(self, late: Late, lanes: tuple[Lane, ...]) -> None:
        """Let a request wait for room in the lanes only."""
        room = self.find(lanes)
        late.state = READY
        late.room = room
        room.ready.append(late)
        self._open[room] = None

    def take_due(self, now: float) -> Late | None:
        """Return one whose time has come, or that is to find out whether its servers are back."""
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
            elif target.state == PARKED and target.due == due:
                assert target.room is not None
                del target.room.timed[target]
                return target
        return None

    def take_ready(self) -> Late | None:
        """Return one that there is room for now."""
        for room in list(self._open):
            while room.ready and not room.crowded:
                late = room.ready.popleft()
                if late.state == READY:
                    return late
            if not room.ready:
                del self._open[room]
        return None

    def deadline(self) -> float | None:
        """Return when ``take_due`` may have something, in monotonic seconds; None: not before one comes."""
        return self._heap[0][0] if self._heap else None

    def server_up(self, lane: Lane) -> None:
        """Let those begin who wait for a server that answers again."""
        for room in self._rooms.values():
            if lane in room.lanes and room.timed:
                for late in room.timed:
                    late.state = READY
                room.ready.extend(room.timed)
                room.timed.clear()
                self._open[room] = None

    def server_down(self, lane: Lane) -> None:
        """Look out for the return of a server that is down."""
        for room in self._rooms.values():
            if lane in room.lanes:
                self._watch(room)

    def clear(self) -> None:
        """Forget all: the servers are other ones now."""
        self._rooms.clear()
        self._open.clear()
        self._heap.clear()

    def _watch(self, room: Room) -> None:
        if not room.watched and room.timed and room.down:
            room.watched = True
            heappush(self._heap, (room.probe_at, next(self._serial), room))
