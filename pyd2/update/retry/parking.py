"""Parking groups: where retries wait for time and for servers, those that need the same servers together.

A group keeps those whose pause is not over in *slots*, by the time when it is. Times are rounded up, by a
32nd of the pause at most, so that there are few slots however much waits. All of a slot, and all of a group
when its servers answer again, are woken at once by moving whole slots: that takes the same time for one
request and for a million. The scheduler then takes them out one by one, as many in a turn as it has time for,
from each group in turn. A request that ends before leaves its slot, and nothing refers to it any more.

There may be a group for each domain, so a call looks at some of them only, and the rest waits for the next
calls: see ``LOOKS``.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from itertools import count
from math import ceil, frexp, ldexp
from typing import TYPE_CHECKING, Final

from pyd2.update.containers import Chain
from pyd2.update.retry.request import PARKED, RetryRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeAlias

    from pyd2.update.server.lane import Lane

LARGE_GROUP: Final = 64
"""Transactions waiting for room in a lane from which on no late ones join them."""

GRAIN_BITS: Final = 5
"""Pauses are rounded up by a part of 2**GRAIN_BITS at most."""

LOOKS: Final = 4
"""Slots and groups that one search for a request looks at, of those that may be very many at a time."""

PROBE_SECONDS: Final = 1.0
"""How long after a request has been taken to find out about the servers the next one may be."""

Slot: TypeAlias = "Chain[RetryRequest]"


def rounded(pause: float, now: float) -> float:
    """Return when a pause of so many seconds from ``now`` on is over, rounded up."""
    grain = ldexp(1.0, frexp(pause)[1] - 1 - GRAIN_BITS)
    return ceil((now + pause) / grain) * grain


def enter_slot(late: RetryRequest, slot: Slot) -> None:
    """Let a request wait in a slot."""
    late.slot = slot
    if late.in_slot is None:
        late.in_slot = slot.append(late)
    else:
        # Used again: the garbage collector counts new objects less those that end, and would look at none
        # while very many requests change their slots, and then at the links of all in one go.
        slot.append_link(late.in_slot)


def leave_slot(late: RetryRequest) -> None:
    """Let a request wait in no slot any more."""
    if late.slot is not None and late.in_slot is not None:
        late.slot.remove(late.in_slot)
        late.slot = None


class ParkingGroup:
    """Those who wait for the same servers."""

    __slots__ = ("lanes", "open", "slots", "watched", "woken")

    def __init__(self, lanes: tuple[Lane, ...]) -> None:
        self.lanes = lanes
        self.slots: dict[float, Slot] = {}
        """Those whose pause is not over, by the end of it; a slot that is empty stays until then."""
        self.woken: deque[Slot] = deque()
        """Those who may begin when there is room in the lanes."""
        self.open = False
        """Whether the scheduler looks here for some who may begin."""
        self.watched = False
        """Whether the heap has an entry to try one of them while all servers are down."""

    @property
    def down(self) -> bool:
        """Whether none of the servers answers."""
        return all(lane.breaker is not None and lane.breaker.down for lane in self.lanes)

    @property
    def probe_at(self) -> float:
        """When one of the servers, all of which are down, may be tried, in monotonic seconds."""
        return min(lane.breaker.probe_at for lane in self.lanes if lane.breaker is not None)

    @property
    def crowded(self) -> Lane | None:
        """The lane for which there is no point in beginning more, if there is one."""
        return next((lane for lane in self.lanes if len(lane.ready) >= LARGE_GROUP), None)

    def add_ready(self, late: RetryRequest) -> None:
        """Let a request wait for room in the lanes only."""
        if not self.woken:
            self.woken.append(Chain())
        enter_slot(late, self.woken[-1])

    def wake(self) -> None:
        """Let all begin when there is room in the lanes."""
        for due, slot in self.slots.items():
            if slot:
                self.woken.append(slot)
                self.slots[due] = Chain()

    def take(self) -> RetryRequest | None:
        """Take out the first of those who may begin."""
        woken = self.woken
        while woken:
            first = woken[0].first
            if first is not None:
                leave_slot(first.item)
                return first.item
            woken.popleft()
        return None

    def take_any(self) -> RetryRequest | None:
        """Take out one, the first whose pause ends if none may begin."""
        late = self.take()
        if late is None:
            due = min((due for due, slot in self.slots.items() if slot), default=None)
            if due is not None and (first := self.slots[due].first) is not None:
                late = first.item
                leave_slot(late)
        return late


class ParkingGroups:
    """All of them. ``now`` is monotonic seconds."""

    def __init__(self) -> None:
        self._groups: dict[tuple[Lane, ...], ParkingGroup] = {}
        self._by_lane: dict[Lane, list[ParkingGroup]] = {}
        self._open: deque[ParkingGroup] = deque()
        """Groups with some who may begin; they have their turns one after the other."""
        self._crowded: dict[Lane, dict[ParkingGroup, None]] = {}
        """By lane, groups that wait until fewer transactions wait for room there."""
        self._changed: deque[tuple[Iterator[ParkingGroup], Callable[[ParkingGroup], None]]] = deque()
        """Groups whose servers have changed their state, with what is still to be done for each."""
        self._released: deque[dict[tuple[Lane, ...], ParkingGroup]] = deque()
        """Those of configurations before: all in them may begin, wherever that is now."""
        self._heap: list[tuple[float, int, ParkingGroup, bool]] = []
        """When the pause of a slot ends, or (True) when to look at a group whose servers are down."""
        self._serial = count()

    @property
    def any_ready(self) -> bool:
        """Whether ``take`` may have something at once, or has more to look at."""
        return bool(self._open or self._changed or self._released)

    def find(self, lanes: tuple[Lane, ...]) -> ParkingGroup:
        """Return where those wait who need these servers."""
        found = self._groups.get(lanes)
        if found is None:
            found = self._groups[lanes] = ParkingGroup(lanes)
            for lane in lanes:
                self._by_lane.setdefault(lane, []).append(found)
        return found

    def wait(self, late: RetryRequest, lanes: tuple[Lane, ...], pause: float, now: float) -> float:
        """Let a request wait for so many seconds at least, or until its servers answer again.

        Returns how many seconds that are at most.
        """
        room = self.find(lanes)
        due = rounded(pause, now)
        slot = room.slots.get(due)
        if slot is None:
            slot = room.slots[due] = Chain()
            heappush(self._heap, (due, next(self._serial), room, False))
        late.state = PARKED
        enter_slot(late, slot)
        self._watch(room)
        return due - now

    def make_ready(self, late: RetryRequest, lanes: tuple[Lane, ...]) -> None:
        """Let a request wait for room in the lanes only."""
        room = self.find(lanes)
        late.state = PARKED
        room.add_ready(late)
        self._let_begin(room)

    def take(self, now: float) -> RetryRequest | None:
        """Take out one that may begin, or that is to find out whether its servers are back.

        None while ``any_ready``: there is more to look at.
        """
        return self._take_released() or self._take_due(now) or self._take_ready()

    def _take_released(self) -> RetryRequest | None:
        while self._released:
            rooms = self._released[0]
            for _ in range(LOOKS):
                if not rooms:
                    break
                lanes, room = rooms.popitem()
                room.wake()
                late = room.take()
                if late is not None:
                    rooms[lanes] = room
                    return late
            if rooms:
                break
            self._released.popleft()
        return None

    def _take_due(self, now: float) -> RetryRequest | None:
        """Wake those whose pause is over; take one that is to find out whether its servers are back."""
        heap = self._heap
        for _ in range(LOOKS):
            if not heap or heap[0][0] > now:
                break
            due, _, room, watching = heappop(heap)
            if not watching:
                slot = room.slots.pop(due)
                if slot:
                    room.woken.append(slot)
                    self._let_begin(room)
                continue
            room.watched = False
            if not room.down:
                continue
            if room.probe_at > now:
                self._watch(room)
            elif (late := room.take_any()) is not None:
                heappush(heap, (now + PROBE_SECONDS, next(self._serial), room, True))
                room.watched = True
                return late
        return None

    def _take_ready(self) -> RetryRequest | None:
        self._note_changes()
        for _ in range(LOOKS):
            if not self._open:
                break
            room = self._open.popleft()
            lane = room.crowded
            if lane is not None:
                self._crowded.setdefault(lane, {})[room] = None
            elif (late := room.take()) is not None:
                self._open.append(room)
                return late
            room.open = False
        return None

    def _note_changes(self) -> None:
        for _ in range(LOOKS):
            if not self._changed:
                break
            rooms, change = self._changed[0]
            room = next(rooms, None)
            if room is None:
                self._changed.popleft()
            else:
                change(room)

    def _change(self, rooms: Iterable[ParkingGroup], change: Callable[[ParkingGroup], None]) -> None:
        """Do something for each of what may be very many groups, some now and the others in later calls."""
        self._changed.append((iter(rooms), change))
        self._note_changes()

    def has_free_place(self, lane: Lane) -> None:
        """Look again at groups that were left since very many transactions waited for room in a lane."""
        if lane in self._crowded:
            self._change(self._crowded.pop(lane), self._let_begin)

    def _let_begin(self, room: ParkingGroup) -> None:
        if not room.open:
            room.open = True
            self._open.append(room)

    def deadline(self) -> float | None:
        """Return when ``take`` may have something, in monotonic seconds; None: not before one comes."""
        if self._changed or self._released:
            return 0.0
        return self._heap[0][0] if self._heap else None

    def server_up(self, lane: Lane) -> None:
        """Let those begin who wait for a server that answers again."""
        self._change(self._by_lane.get(lane, ()), self._wake)

    def _wake(self, room: ParkingGroup) -> None:
        room.wake()
        if room.woken:
            self._let_begin(room)

    def server_down(self, lane: Lane) -> None:
        """Look out for the return of a server that is down."""
        self._change(self._by_lane.get(lane, ()), self._watch)

    def release(self) -> None:
        """Let all begin: the servers are other ones now."""
        if self._groups:
            self._released.append(self._groups)
        self._groups = {}
        self._by_lane = {}
        self._open = deque()
        self._crowded = {}
        self._changed.clear()
        self._heap = []

    def _watch(self, room: ParkingGroup) -> None:
        if not room.watched and room.down:
            room.watched = True
            heappush(self._heap, (room.probe_at, next(self._serial), room, True))
