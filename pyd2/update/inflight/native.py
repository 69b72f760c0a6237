"""Tries in C (``cbridge/wire``): what is usual is made, signed and judged there, a batch in each call."""

from __future__ import annotations

from array import array
from math import inf
from typing import TYPE_CHECKING, Any, Final

from pyd2.dns.question import Found
from pyd2.dns.tsig import ContextKey
from pyd2.packets.batch import in_batches
from pyd2.packets.compiled import CompiledContext, CompiledKey, CompiledZone, prepare_template
from pyd2.packets.native_tally import read_histogram, set_bounds
from pyd2.packets.wire import ffi, lib
from pyd2.update.inflight.contract import COMPLETED, FOUND, JUDGE, NEXT, Event, Outgoing
from pyd2.update.inflight.random_numbers import RandomNumbers
from pyd2.update.model.kinds import DONE
from pyd2.update.model.route import ALONE, Route
from pyd2.update.server.reply_counts import REPLY_SECONDS
from pyd2.update.server.window import CAP

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyd2.counters import Histogram
    from pyd2.dns.tsig import SigningKey
    from pyd2.dns.update import Zone
    from pyd2.packets.contexts import NativeContexts
    from pyd2.packets.wire import WireLane
    from pyd2.update.inflight.contract import Turn
    from pyd2.update.model.kinds import Step
    from pyd2.update.model.plan import Server
    from pyd2.update.model.transaction import Purpose
    from pyd2.update.server.lane import Lane

_BATCH: Final = int(lib.WIRE_BATCH_MAX)
_SPARE: Final = 16
"""Random numbers for query IDs that are taken: more than a batch may need, or some go alone."""

_POINTER: Final = "Q" if ffi.sizeof("void *") == 8 else "I"
"""The type code of arrays whose numbers C takes for pointers."""

_WENT_ON: Final = int(lib.WIRE_TRY_NEXT)
_LAST: Final = int(lib.WIRE_TRY_LAST)
_FOUND: Final = {
    int(lib.WIRE_TRY_FREE): Found.FREE, int(lib.WIRE_TRY_WITHOUT): Found.WITHOUT,
    int(lib.WIRE_TRY_OURS): Found.OURS, int(lib.WIRE_TRY_OTHERWISE): Found.OTHERWISE,
}
_read_replies: Final = lib.wire_tries_read_replies
_send: Final = lib.wire_tries_send
_unpack: Final = ffi.unpack


class NativeWindow:
    """See InFlightWindow; with it, all that C knows of a lane."""

    __slots__ = ("_window", "native")

    def __init__(self, cap: int = CAP) -> None:
        lane = lib.wire_lane_new(cap)
        if not lane:
            raise MemoryError("no memory for a DNS server's lane")
        self.native: WireLane = ffi.gc(lane, lib.wire_lane_free)
        self._window: Any = ffi.addressof(lane[0], "window")

    def count_replies(self, bounds: Sequence[float]) -> None:
        """See InFlightWindow."""
        replies = self.native.replies
        replies.on = False
        if bounds:
            for rcode in range(int(lib.WIRE_RCODES)):
                replies.rcodes[rcode] = 0
            set_bounds(replies.seconds, bounds)
            replies.on = True

    def replies_counted(self) -> tuple[list[int], Histogram] | None:
        """See InFlightWindow."""
        replies = self.native.replies
        if not replies.on:
            return None
        return list(replies.rcodes), read_histogram(replies.seconds, REPLY_SECONDS)

    @property
    def in_flight(self) -> int:
        """See InFlightWindow."""
        count: int = self._window.in_flight
        return count

    @property
    def limit(self) -> int:
        """See InFlightWindow."""
        limit: int = self._window.limit
        return limit

    @property
    def cap(self) -> int:
        """See InFlightWindow."""
        return int(self._window.cap)

    @property
    def size(self) -> int:
        """See InFlightWindow."""
        return int(self._window.size)

    def set_cap(self, cap: int) -> None:
        """See InFlightWindow."""
        lib.wire_window_set_cap(self._window, cap)

    def set_beside_batches(self, seconds: float) -> None:
        """See InFlightWindow."""
        lib.wire_window_set_beside_batches(self._window, seconds)

    def free_places(self, now: float) -> int:
        """See InFlightWindow."""
        free_places: int = lib.wire_window_free_places(self._window, now)
        return free_places

    def paced_until(self) -> float:
        """See InFlightWindow."""
        moment: float = lib.wire_window_paced_until(self._window)
        return moment

    def sent(self) -> None:
        """See InFlightWindow."""
        lib.wire_window_sent(self._window)

    def replied(self, sent_at: float, now: float) -> None:
        """See InFlightWindow."""
        lib.wire_window_replied(self._window, sent_at, now)

    def timed_out(self, sent_at: float, now: float) -> None:
        """See InFlightWindow."""
        lib.wire_window_timed_out(self._window, sent_at, now)

    def withdrawn(self, now: float) -> None:
        """See InFlightWindow."""
        lib.wire_window_withdrawn(self._window, now)


class NativeTries(RandomNumbers):
    """See Tries."""

    def __init__(self) -> None:
        super().__init__()
        tries = lib.wire_tries_new()
        if not tries:
            raise MemoryError("no memory for the tries under way")
        self._tries: Any = ffi.gc(tries, lib.wire_tries_free)
        self._tried: list[Purpose | None] = []
        """What tries are for, by number."""
        self._free: list[int] = []
        self._events: Any = ffi.new("wire_event[]", _BATCH)
        self._events_as_numbers: Any = ffi.cast("int32_t *", self._events)
        self._numbers: Any = ffi.new("int32_t[]", _BATCH)
        self._turn: Any = ffi.new("wire_turn *")
        self._declined: Any = ffi.new("uint32_t[]", _BATCH)
        self._mac: Any = ffi.new("uint8_t[]", int(lib.WIRE_MAC_MAX))

    @property
    def in_flight(self) -> int:
        """See Tries."""
        count: int = lib.wire_tries_count(self._tries)
        return count

    def new_window(self) -> NativeWindow:
        """See Tries."""
        return NativeWindow()

    def route(self, server: Server, zone: Zone | None, step: Step, key: SigningKey | None) -> Route:
        """See Tries."""
        prepared, contexts = _prepared(key)
        if server.tcp or prepared is None or step.alone or not isinstance(zone, CompiledZone):
            return ALONE
        template = prepare_template(step.template)
        route = ffi.new("wire_route *", {
            "update": template, "zone": zone.prepared, "key": prepared,
            "contexts": _native(contexts), "forward": step.forward,
            "done": sum(1 << rcode for rcode, to in step.on.items() if to is DONE),
        })
        return Route(int(ffi.cast("uintptr_t", route)), key, route, template, zone, contexts)

    def question_route(self, server: Server, key: SigningKey | None) -> Route:
        """See Tries."""
        prepared, contexts = _prepared(key)
        if server.tcp or prepared is None:
            return ALONE
        route = ffi.new("wire_route *", {"key": prepared, "contexts": _native(contexts), "forward": True})
        return Route(int(ffi.cast("uintptr_t", route)), key, route, contexts)

    def is_free(self, lane: Lane, query: int) -> bool:
        """See Tries."""
        box = lane.native
        assert box is not None
        return (lib.wire_tries_find(self._tries, box, query) < 0
                and not lib.wire_quarantine_has(ffi.addressof(box.quarantined), query & 0xFFFF))

    def _numbers_of(self, purposes: Sequence[Purpose]) -> list[int]:
        """Return the numbers of what tries are for, new ones for those that have none yet."""
        tried, free = self._tried, self._free
        numbers = []
        for purpose in purposes:
            number = purpose.number
            if number < 0:
                if free:
                    number = free.pop()
                    tried[number] = purpose
                else:
                    number = len(tried)
                    tried.append(purpose)
                purpose.number = number
            numbers.append(number)
        return numbers

    def forget(self, ended: Sequence[Purpose]) -> None:
        """See Tries."""
        tried, free = self._tried, self._free
        for purpose in ended:
            number = purpose.number
            if number >= 0:
                tried[number] = None
                free.append(number)
                purpose.number = -1

    def enter(self, tried: Purpose, lane: Lane, query: int, now: float, timeout: float) -> None:
        """See Tries."""
        (number,) = self._numbers_of((tried,))
        feeds = tried.feeds_window
        if lib.wire_tries_enter(self._tries, lane.native, query, number, now, timeout, feeds) != 0:
            raise MemoryError("no memory for a try")

    def _set_turn(self, turn: Turn, count: int) -> bytes:
        """Tell C of a turn in which so many updates may go out; what it returns must be kept meanwhile."""
        random = self._draw_some(count + _SPARE)
        into = self._turn
        into.now, into.wall, into.timeout, into.slot, into.goes_on, _ = turn
        into.random = ffi.from_buffer("uint8_t[]", random)
        into.random_size = len(random)
        return random

    def send(self, lane: Lane, purposes: Sequence[Purpose], turn: Turn) -> list[int]:
        """See Tries."""
        count = len(purposes)
        numbers = array("I", self._numbers_of(purposes))
        routes = array(_POINTER, [purpose.route.address for purpose in purposes])
        then = array(_POINTER, [purpose.then.address for purpose in purposes])
        records = b"".join([purpose.ncr for purpose in purposes])  # type: ignore[misc]
        if count > len(self._declined):
            self._declined = ffi.new("uint32_t[]", 2 * count)
        kept = self._set_turn(turn, count)
        left_out: int = _send(
            self._tries, lane.native, self._turn, ffi.from_buffer("wire_route *[]", routes),
            ffi.from_buffer("wire_route *[]", then), ffi.from_buffer("uint32_t[]", numbers), count, records,
            len(records), self._declined,
        )
        del kept
        return _unpack(self._declined, left_out) if left_out else []  # type: ignore[return-value]

    def posted(self, lane: Lane) -> list[Outgoing]:
        """See Tries."""
        box = lane.native
        assert box is not None
        found = []
        while box.first < box.count:
            first = box.messages[box.first]
            message = bytes(ffi.buffer(box.octets + first.at, first.size))
            found.append(Outgoing(lane, first.slot, first.query_id, False, message))  # noqa: FBT003
            lib.wire_lane_skip(box)
        return found

    def read_replies(self, lane: Lane, slot: int, datagrams: Sequence[bytes], turn: Turn) -> list[Event]:
        """See Tries."""
        found: list[Event] = []
        together = turn.together
        completed: list[Any] | None = None
        went_on: list[Any] = []
        for batch in in_batches(datagrams, _BATCH):
            count = len(batch)
            kept = self._set_turn(turn, count)
            _read_replies(
                self._tries, lane.native, slot & 0xFFFFFFFF, batch.buffer, batch.stride, batch.sizes, count,
                self._turn, self._events,
            )
            del kept
            tried = self._tried
            outcomes: list[int] = _unpack(self._events_as_numbers, 2 * count)  # type: ignore[assignment]
            for at, (number, rcode) in enumerate(zip(outcomes[::2], outcomes[1::2], strict=True)):
                if rcode == _WENT_ON:
                    went_on.append(tried[number])
                    continue
                if rcode >= _LAST and together:
                    if completed is None:
                        completed = []
                        found.append((completed, COMPLETED, b""))
                    completed.append(tried[number])
                    continue
                completed = None
                if rcode >= 0:
                    found.append((tried[number], rcode & ~_LAST, b""))
                elif rcode in _FOUND:
                    found.append((tried[number], FOUND, _FOUND[rcode]))
                elif number < 0:
                    found.append((None, JUDGE, batch[at]))
                else:
                    found.append((self._resumed(number), JUDGE, batch[at]))
        if went_on:
            found.append((went_on, NEXT, b""))
        return found

    def _resumed(self, number: int) -> Purpose | None:
        """Return what a try is for, with what is needed to judge the reply if C has signed the update."""
        tried = self._tried[number]
        size = lib.wire_tries_mac(self._tries, number, self._mac)
        if size and tried is not None:
            mac = bytes(ffi.buffer(self._mac, size))
            if isinstance(tried.key, CompiledKey):
                tried.context = CompiledContext.resume(tried.key, mac)
            elif isinstance(tried.key, ContextKey):
                tried.context = tried.key.resume(lib.wire_tries_context(self._tries, number), mac)
        return tried

    def expire(self, now: float, most: int) -> list[Purpose]:
        """See Tries."""
        count: int = lib.wire_tries_expire(self._tries, now, self._numbers, min(most, _BATCH))
        found = [self._tried[self._numbers[at]] for at in range(count)]
        return [tried for tried in found if tried is not None]

    def find(self, lane: Lane, query: int) -> Purpose | None:
        """See Tries."""
        number: int = lib.wire_tries_find(self._tries, lane.native, query)
        return self._tried[number] if number >= 0 else None

    def withdraw(self, lane: Lane, query: int, now: float) -> None:
        """See Tries."""
        lib.wire_tries_withdraw(self._tries, lane.native, query, now)

    def abandon(self) -> None:
        """See Tries."""
        lib.wire_tries_abandon(self._tries)

    def deadline(self) -> float | None:
        """See Tries."""
        moment: float = lib.wire_tries_deadline(self._tries)
        return moment if moment < inf else None

    def pending(self, lane: Lane) -> Mapping[int, Purpose]:
        """See Tries."""
        box = lane.native
        most = lane.window.in_flight
        numbers = ffi.new("uint32_t[]", most)
        count = lib.wire_tries_of_lane(self._tries, box, numbers, most)
        found: dict[int, Purpose] = {}
        under_way: list[int] = _unpack(numbers, count)  # type: ignore[assignment]
        for number in under_way:
            tried = self._tried[number]
            if tried is not None:
                found[lib.wire_tries_query(self._tries, number, box)] = tried
        return found


def _prepared(key: SigningKey | None) -> tuple[Any, NativeContexts | None]:
    """Return a key as C wants it, and the contexts that sign in its place; None, None: C cannot use it."""
    if key is None:
        return ffi.NULL, None
    if isinstance(key, CompiledKey):
        return key.prepared, None
    contexts = key.prepared if isinstance(key, ContextKey) else None
    return (None if contexts is None else ffi.NULL), contexts


def _native(contexts: NativeContexts | None) -> Any:  # noqa: ANN401  cffi's objects have no types
    return ffi.NULL if contexts is None else contexts.native
