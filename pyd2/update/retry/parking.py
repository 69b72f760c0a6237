"""Parking groups: where retries wait for time and for servers, those that need the same servers together.

A group keeps the requests whose pause is not over in *slots*, by the time when it is. Times are rounded up,
by a 32nd of the pause at most, so that there are few slots however much waits. All of a slot, and all of a
group when its servers answer again, are woken at once by moving whole slots: that takes the same time for one
request and for a million. The scheduler then removes them one by one, as many in a turn as it has time for,
from each group in turn. A request that ends before leaves its slot, and nothing refers to it any more.

There may be a group for each domain, so a call examines some of them only, and the rest waits for the next
calls: see ``LOOKS``.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from itertools import count
from math import ceil, frexp, ldexp
from typing import TYPE_CHECKING, Final

from pyd2.update.containers import Chain
from pyd2.update.retry.states import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeAlias

    from pyd2.update.retry.request import RetryRequest
    from pyd2.update.server.lane import Lane

GRAIN_BITS: Final = 5
"""Pauses are rounded up by a part of 2**GRAIN_BITS at most."""

LOOKS: Final = 4
"""Slots and groups that one search for a request examines, of those that may be very many at a time."""

PROBE_SECONDS: Final = 1.0
"""How long after one request was sent to find out about the servers the next one may be."""

Slot: TypeAlias = "Chain[RetryRequest]"


def rounded(pause: float, now: float) -> float:
    """Return when a pause of so many seconds from ``now`` on is over, rounded up."""
    grain = ldexp(1.0, frexp(pause)[1] - 1 - GRAIN_BITS)
    return ceil((now + pause) / grain) * grain


def enter_slot(retry: RetryRequest, slot: Slot) -> None:
    """Add a request to a slot."""
    retry.slot = slot
    if retry.in_slot is None:
        retry.in_slot = slot.append(retry)
    else:
        # Used again: the garbage collector counts new objects less those that end, and would examine none
        # while very many requests change their slots, and then the links of all in one go.
        slot.append_link(retry.in_slot)


def leave_slot(retry: RetryRequest) -> None:
    """Remove a request from the slot that it waits in, if there is one."""
    if retry.slot is not None and retry.in_slot is not None:
        retry.slot.remove(retry.in_slot)
        retry.slot = None


class ParkingGroup:
    """The requests that wait for the same servers."""

    __slots__ = ("lanes", "open", "slots", "watched", "woken")

    def __init__(self, lanes: tuple[Lane, ...]) -> None:
        self.lanes = lanes
        self.slots: dict[float, Slot] = {}
        """The requests whose pause is not over, by the end of it; a slot that is empty stays until then."""
        self.woken: deque[Slot] = deque()
        """The requests that may begin when the lanes have free places."""
        self.open = False
        """Whether the scheduler looks here for requests that may begin."""
        self.watched = False
        """Whether the heap has an entry to try one of them while all servers are down."""

    @property
    def down(self) -> bool:
        """Whether none of the servers answers."""
        return all(lane.down for lane in self.lanes)

    def may_probe(self, now: float) -> bool:
        """Whether a request may find out if one of the servers, all of which are down, is up again."""
        return any(lane.may_probe(now) for lane in self.lanes)

    @property
    def probe_at(self) -> float:
        """When one of the servers, all of which are down, may be tried, in monotonic seconds."""
        return min(lane.breaker.probe_at for lane in self.lanes if lane.breaker is not None)

    @property
    def congested(self) -> Lane | None:
        """The lane for which there is no point in beginning more, if there is one."""
        return next((lane for lane in self.lanes if lane.congested), None)

    def add_ready(self, retry: RetryRequest) -> None:
        """Add a request that waits for free places of the lanes only."""
        if not self.woken:
            self.woken.append(Chain())
        enter_slot(retry, self.woken[-1])

    def wake(self) -> None:
        """Let all requests begin when the lanes have free places."""
        for due, slot in self.slots.items():
            if slot:
                self.woken.append(slot)
                self.slots[due] = Chain()

    def pop(self) -> RetryRequest | None:
        """Remove and return the first request that may begin, if there is one."""
        woken = self.woken
        while woken:
            first = woken[0].first
            if first is not None:
                leave_slot(first.item)
                return first.item
            woken.popleft()
        return None

    def pop_any(self) -> RetryRequest | None:
        """Remove and return a request: the first whose pause ends if none may begin."""
        retry = self.pop()
        if retry is None:
            due = min((due for due, slot in self.slots.items() if slot), default=None)
            if due is not None and (first := self.slots[due].first) is not None:
                retry = first.item
                leave_slot(retry)
        return retry


class ParkingGroups:
    """All parking groups. ``now`` is monotonic seconds."""

    def __init__(self) -> None:
        self._groups: dict[tuple[Lane, ...], ParkingGroup] = {}
        self._by_lane: dict[Lane, list[ParkingGroup]] = {}
        self._open: deque[ParkingGroup] = deque()
        """Groups with requests that may begin; they have their turns one after the other."""
        self._congested: dict[Lane, dict[ParkingGroup, None]] = {}
        """By lane, groups that wait until fewer transactions wait for its free places."""
        self._changed: deque[tuple[Iterator[ParkingGroup], Callable[[ParkingGroup], None]]] = deque()
        """Groups whose servers have changed their state, with what is still to be done for each."""
        self._released: deque[dict[tuple[Lane, ...], ParkingGroup]] = deque()
        """Groups of earlier configurations: all requests in them may begin, wherever that is now."""
        self._heap: list[tuple[float, int, ParkingGroup, bool]] = []
        """When the pause of a slot ends, or (True) when to probe for a group whose servers are down."""
        self._serial = count()

    @property
    def any_ready(self) -> bool:
        """Whether ``pop`` may have something at once, or has more groups to examine."""
        return bool(self._open or self._changed or self._released)

    def find(self, lanes: tuple[Lane, ...]) -> ParkingGroup:
        """Return the group of the requests that need these servers."""
        found = self._groups.get(lanes)
        if found is None:
            found = self._groups[lanes] = ParkingGroup(lanes)
            for lane in lanes:
                self._by_lane.setdefault(lane, []).append(found)
        return found

    def wait(self, retry: RetryRequest, lanes: tuple[Lane, ...], pause: float, now: float) -> float:
        """Park a request for so many seconds at least, or until its servers answer again.

        Returns how many seconds that are at most.
        """
        group = self.find(lanes)
        due = rounded(pause, now)
        slot = group.slots.get(due)
        if slot is None:
            slot = group.slots[due] = Chain()
            heappush(self._heap, (due, next(self._serial), group, False))
        retry.change(Event.PARKS)
        enter_slot(retry, slot)
        self._watch(group)
        return due - now

    def make_ready(self, retry: RetryRequest, lanes: tuple[Lane, ...]) -> None:
        """Add a request that waits for free places of the lanes only."""
        group = self.find(lanes)
        retry.change(Event.PARKS)
        group.add_ready(retry)
        self._let_begin(group)

    def pop(self, now: float) -> RetryRequest | None:
        """Remove and return a request that may begin, or that is to find out whether its servers are back.

        None while ``any_ready``: there are more groups to examine.
        """
        return self._pop_released() or self._pop_due(now) or self._pop_ready()

    def _pop_released(self) -> RetryRequest | None:
        while self._released:
            groups = self._released[0]
            for _ in range(LOOKS):
                if not groups:
                    break
                lanes, group = groups.popitem()
                group.wake()
                retry = group.pop()
                if retry is not None:
                    groups[lanes] = group
                    return retry
            if groups:
                break
            self._released.popleft()
        return None

    def _pop_due(self, now: float) -> RetryRequest | None:
        """Wake the requests whose pause is over; return one that finds out whether its servers are back."""
        heap = self._heap
        for _ in range(LOOKS):
            if not heap or heap[0][0] > now:
                break
            due, _, group, watching = heappop(heap)
            if not watching:
                slot = group.slots.pop(due)
                if slot:
                    group.woken.append(slot)
                    self._let_begin(group)
                continue
            group.watched = False
            if not group.down:
                continue
            if group.probe_at > now:
                self._watch(group)
            elif (retry := group.pop_any()) is not None:
                heappush(heap, (now + PROBE_SECONDS, next(self._serial), group, True))
                group.watched = True
                return retry
        return None

    def _pop_ready(self) -> RetryRequest | None:
        self._note_changes()
        for _ in range(LOOKS):
            if not self._open:
                break
            group = self._open.popleft()
            lane = group.congested
            if lane is not None:
                self._congested.setdefault(lane, {})[group] = None
            elif (retry := group.pop()) is not None:
                self._open.append(group)
                return retry
            group.open = False
        return None

    def _note_changes(self) -> None:
        for _ in range(LOOKS):
            if not self._changed:
                break
            groups, change = self._changed[0]
            group = next(groups, None)
            if group is None:
                self._changed.popleft()
            else:
                change(group)

    def _change(self, groups: Iterable[ParkingGroup], change: Callable[[ParkingGroup], None]) -> None:
        """Change each of what may be very many groups, some now and the others in later calls."""
        self._changed.append((iter(groups), change))
        self._note_changes()

    def no_longer_congested(self, lane: Lane) -> None:
        """Let groups begin that wait until fewer transactions wait for free places of a lane."""
        if lane in self._congested:
            self._change(self._congested.pop(lane), self._let_begin)

    def _let_begin(self, group: ParkingGroup) -> None:
        if not group.open:
            group.open = True
            self._open.append(group)

    def deadline(self) -> float | None:
        """Return when ``pop`` may have something, in monotonic seconds; None: not before one comes."""
        if self._changed or self._released:
            return 0.0
        return self._heap[0][0] if self._heap else None

    def server_up(self, lane: Lane) -> None:
        """Let the requests begin that wait for a server that answers again."""
        self._change(self._by_lane.get(lane, ()), self._wake)

    def _wake(self, group: ParkingGroup) -> None:
        group.wake()
        if group.woken:
            self._let_begin(group)

    def server_down(self, lane: Lane) -> None:
        """Look out for the return of a server that is down."""
        self._change(self._by_lane.get(lane, ()), self._watch)

    def release(self) -> None:
        """Let all requests begin: the servers are other ones now."""
        if self._groups:
            self._released.append(self._groups)
        self._groups = {}
        self._by_lane = {}
        self._open = deque()
        self._congested = {}
        self._changed.clear()
        self._heap = []

    def _watch(self, group: ParkingGroup) -> None:
        if not group.watched and group.down:
            group.watched = True
            heappush(self._heap, (group.probe_at, next(self._serial), group, True))
