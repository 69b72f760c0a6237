"""The window, against model servers in virtual time."""

import heapq
from collections import deque
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyd2.update.inflight.native import NativeWindow
from pyd2.update.server.window import CAP, FLOOR, START, InFlightWindow, PythonWindow
from tests.update.server.model_servers import CommittingServer, QueueingServer, Server

TIMEOUT = 0.5


class Load:
    """Keeps a window full, and looks at it."""

    def __init__(self, window: InFlightWindow, server: Server) -> None:
        self.window = window
        self.server = server
        self.now = 0.0
        self.events: list[tuple[float, int, float, bool]] = []
        self.number = self.done = self.timeouts = self.most = 0
        self.limits: list[tuple[float, int]] = []

    def run(self, until: float) -> None:
        while self.now < until:
            while self.window.free_places(self.now) > 0:
                self.window.sent()
                self.number += 1
                at = self.server.take(self.now)
                event = (self.now + TIMEOUT, True) if at is None or at > self.now + TIMEOUT else (at, False)
                heapq.heappush(self.events, (event[0], self.number, self.now, event[1]))
            self.most = max(self.most, self.window.in_flight)
            self.now, _, sent_at, lost = heapq.heappop(self.events)
            if lost:
                self.timeouts += 1
                self.window.timed_out(sent_at, self.now)
            else:
                self.done += 1
                self.window.replied(sent_at, self.now)
            self.limits.append((self.now, self.window.limit))


def test_begins_with_keas_number() -> None:
    assert START == 32
    assert PythonWindow().limit == 32


@pytest.mark.parametrize("cap", [1, 2, 31, 32, 33, 96, 500])
def test_never_above_its_cap(cap: int) -> None:
    load = Load(PythonWindow(cap), QueueingServer(0.02, 0.0001, quota=10_000))
    load.run(2)
    assert load.most <= cap
    assert load.window.limit <= cap


def test_the_default_cap_stays_below_binds_quota() -> None:
    assert CAP < 100
    server = QueueingServer(0.02, 0.0001, quota=100)
    server.pauses = [(2.0, 2.3), (4.0, 4.2)]
    load = Load(PythonWindow(), server)
    load.run(6)
    assert server.dropped == 0
    assert load.timeouts == 0


def test_a_distant_server_is_kept_busy() -> None:
    load = Load(PythonWindow(), QueueingServer(0.02, 0.00005))
    load.run(10)
    # Kea's 32 would give 32 / 20 ms.
    assert load.done > 2.5 * 10 * 32 / 0.02
    assert max(limit for at, limit in load.limits if at > 5) == CAP


def test_a_near_server_gets_no_long_queue() -> None:
    load = Load(PythonWindow(5000), QueueingServer(0.0001, 0.0001, quota=10_000))
    load.run(5)
    # One update is enough to keep it busy; what stands there beyond that is delay for nothing.
    assert max(limit for at, limit in load.limits if at > 1) <= 64
    assert load.done > 0.99 * 5 / 0.0001


@pytest.mark.parametrize("kind", [PythonWindow, NativeWindow])
@pytest.mark.parametrize("quick", [0, 20, 100])
@pytest.mark.parametrize("zones", [1, 2])
def test_a_server_that_takes_the_same_time_for_many_gets_many(
    kind: type[PythonWindow | NativeWindow], zones: int, quick: int
) -> None:
    """A quick reply now and then does not make a queue of what the others take."""
    as_kea = Load(kind(START), CommittingServer(0.01, zones, quick))
    as_kea.run(30)
    load = Load(kind(), CommittingServer(0.01, zones, quick))
    load.run(30)
    assert load.done > 2.5 * as_kea.done
    assert load.timeouts == 0
    assert load.most == CAP


@pytest.mark.parametrize("kind", [PythonWindow, NativeWindow])
@pytest.mark.parametrize("zones", [1, 2])
def test_the_first_commits_after_a_rest_do_not_count(
    kind: type[PythonWindow | NativeWindow], zones: int
) -> None:
    """They take no time; as the base they would hold the window at 32 for ten seconds."""
    load = Load(kind(), CommittingServer(0.01, zones, first=2 * zones))
    load.run(2)
    assert load.most == CAP


@pytest.mark.parametrize("kind", [PythonWindow, NativeWindow])
@pytest.mark.parametrize("begin", range(28, 52, 4))
def test_a_pause_in_the_measurement_does_not_count(
    kind: type[PythonWindow | NativeWindow], begin: int
) -> None:
    """As a part of the base it would let the window grow into a queue for ten seconds."""
    server = QueueingServer(0.0002, 0.001)
    server.pauses = [(begin / 1000, begin / 1000 + 0.15)]
    load = Load(kind(), server)
    load.run(3)
    assert load.most < 1.5 * START + 1


@pytest.mark.parametrize("kind", [PythonWindow, NativeWindow])
@pytest.mark.parametrize("replies", [28, 31, 34])
def test_our_own_process_may_be_stopped_in_the_measurement(
    kind: type[PythonWindow | NativeWindow], replies: int
) -> None:
    """The replies are there when it continues, and are read before the tries are found to be late."""
    server = QueueingServer(0.0002, 0.001)
    load = Load(kind(), server)
    while load.window.limit > FLOOR:
        load.run(load.now + 1e-9)
    for _ in range(replies):  # 28 have no part in the measurement: more than 4 were under way
        load.run(load.now + 1e-9)
    load.events = [(at + 60, number, sent_at, False) for at, number, sent_at, _ in load.events]
    load.now += 60
    server.free_at += 60
    load.run(63)
    assert load.most < 1.5 * START + 1


@pytest.mark.parametrize("kind", [PythonWindow, NativeWindow])
def test_a_measurement_ends_though_no_round_is_like_the_one_before(kind: type[InFlightWindow]) -> None:
    load = Load(kind(), CommittingServer(0.01, quick=2))
    load.run(12)
    small = [at for at, limit in load.limits if limit == FLOOR and at < 1]
    assert small[-1] - small[0] < 0.05
    assert max(limit for at, limit in load.limits if at > 1) == CAP


@pytest.mark.parametrize("kind", [PythonWindow, NativeWindow])
@pytest.mark.parametrize(("service", "pause"), [(0.001, 0.15), (0.003, 0.15), (0.01, 0.0)])
def test_a_slow_server_gets_hardly_more_than_from_kea(
    kind: type[InFlightWindow], service: float, pause: float
) -> None:
    """Also when a pause of its own falls into the measurement of the empty path."""
    server = QueueingServer(0.0002, service)
    server.pauses = [(second, second + pause) for second in range(30)]
    load = Load(kind(), server)
    load.run(30)
    assert sum(limit for _, limit in load.limits) / len(load.limits) < START + 8
    assert load.most <= CAP
    assert load.timeouts == 0


def test_it_shrinks_when_the_server_slows_down() -> None:
    server = QueueingServer(0.02, 0.0001, quota=10_000)
    load = Load(PythonWindow(1000), server)
    load.run(4)
    assert load.window.limit > 150
    server.service = 0.001
    load.run(8)
    # 20 keep it busy now; all beyond that would stand in its queue.
    assert max(limit for at, limit in load.limits if at > 7) <= 64
    assert load.timeouts == 0


@pytest.mark.parametrize("kind", [PythonWindow, NativeWindow])
def test_beside_batches_a_commit_is_no_queue(kind: type[InFlightWindow]) -> None:
    """Nor is the path measured, with the few updates that takes: it is not empty."""
    server = CommittingServer(0.01, first=8)
    load = Load(kind(), server)
    load.window.set_beside_batches(0.025)
    load.run(15)
    assert all(limit >= START for _, limit in load.limits)
    assert all(limit == CAP for at, limit in load.limits if at > 1)


@pytest.mark.parametrize("kind", [PythonWindow, NativeWindow])
def test_beside_batches_a_slow_server_gets_hardly_more_than_from_kea(kind: type[InFlightWindow]) -> None:
    load = Load(kind(), QueueingServer(0.0002, 0.003))
    load.run(1)
    load.window.set_beside_batches(0.025)
    load.run(10)
    assert max(limit for at, limit in load.limits if at > 2) < START + 8
    assert load.timeouts == 0


@pytest.mark.parametrize("kind", [PythonWindow, NativeWindow])
def test_batches_end_the_measurement_of_the_empty_path(kind: type[InFlightWindow]) -> None:
    load = Load(kind(), QueueingServer(0.02, 0.00005))
    while load.window.limit > FLOOR:
        load.run(load.now + 1e-9)
    load.window.set_beside_batches(0.025)
    assert load.window.limit >= START
    batches = len(load.limits)
    load.run(load.now + 11)
    alone = len(load.limits)
    load.window.set_beside_batches(0.0)
    load.run(load.now + 1)
    assert FLOOR not in {limit for _, limit in load.limits[batches:alone]}
    assert FLOOR in {limit for _, limit in load.limits[alone:]}


def test_losses_halve_it_once_per_loss() -> None:
    window = PythonWindow()
    for _ in range(32):
        window.free_places(0.0)
        window.sent()
    window.replied(0.0, 0.01)
    for _ in range(31):
        window.timed_out(0.0, 0.5)
    assert (window.limit, window.in_flight) == (16, 0)


def test_not_below_its_floor() -> None:
    window = PythonWindow()
    now = 0.0
    for _ in range(20):
        window.free_places(now)
        window.sent()
        window.free_places(now)
        window.sent()
        window.replied(now, now + 0.001)
        window.timed_out(now, now + 0.5)
        now += 0.5
    assert window.limit == FLOOR


def test_a_congested_server_gets_fewer() -> None:
    server = QueueingServer(0.0002, 0.001, quota=10)
    load = Load(PythonWindow(), server)
    load.run(20)
    assert load.timeouts < 0.05 * load.done
    assert load.done > 0.3 * 20 / 0.001


def test_after_a_time_without_losses_it_is_back_at_keas_number() -> None:
    server = QueueingServer(0.001, 0.0001)
    load = Load(PythonWindow(), server)
    load.run(1)
    server.pauses = [(load.now, load.now + 0.7)]
    load.run(8)
    assert load.window.limit >= START


def test_a_dead_server_keeps_keas_number() -> None:
    load = Load(PythonWindow(), QueueingServer(0.02, 0.0001, quota=0))
    load.run(20)
    assert load.done == 0
    assert {limit for _, limit in load.limits} == {START}


def test_a_server_that_dies_comes_down_to_keas_number_and_back() -> None:
    server = QueueingServer(0.02, 0.00005)
    load = Load(PythonWindow(), server)
    load.run(3)
    assert load.window.limit == CAP
    server.quota = 0
    load.run(8)
    assert load.window.limit == START
    server.quota = 100
    load.run(14)
    assert max(limit for at, limit in load.limits if at > 12) > 80


@pytest.mark.parametrize("kind", [PythonWindow, NativeWindow])
def test_a_server_that_dies_while_the_path_is_measured_keeps_keas_number(kind: type[InFlightWindow]) -> None:
    """The few updates of a measurement must not be all that it ever gets: others wait behind them."""
    server = QueueingServer(0.02, 0.00005)
    load = Load(kind(), server)
    while load.now < 1 or load.window.limit > FLOOR:
        load.run(load.now + 1e-9)
    server.quota = 0
    load.run(load.now + 5)
    assert load.window.limit == START


def test_the_empty_path_is_measured_again() -> None:
    """The path grows longer: without a new measurement the old base would hold the window down for ever."""
    server = QueueingServer(0.002, 0.0002, quota=10_000)
    load = Load(PythonWindow(500), server)
    load.run(3)
    server.delay = 0.02
    load.run(9)
    # To fill this path takes 100; as the short one was, 32 look like a queue.
    assert max(limit for at, limit in load.limits if at > 4) < 60
    load.run(25)
    assert [at for at, limit in load.limits if limit == FLOOR]
    assert 80 < max(limit for at, limit in load.limits if at > 20) < 200


def test_a_pause_brings_it_back_to_the_start() -> None:
    load = Load(PythonWindow(), QueueingServer(0.02, 0.00005))
    load.run(3)
    window = load.window
    assert window.limit > START
    while window.in_flight:
        now, _, sent_at, _ = heapq.heappop(load.events)
        window.replied(sent_at, now)
    window.free_places(now + 0.04)
    window.sent()
    assert window.limit > START
    window.replied(now + 0.04, now + 0.06)
    window.free_places(now + 10)
    window.sent()
    assert window.limit == START


def test_a_withdrawn_update_says_nothing() -> None:
    window = PythonWindow()
    before = window.limit
    for _ in range(100):
        window.free_places(0.0)
        window.sent()
        window.withdrawn(0.0)
    assert (window.limit, window.in_flight) == (before, 0)


def test_the_cap_may_change_under_way() -> None:
    window = PythonWindow()
    for _ in range(32):
        window.free_places(0.0)
        window.sent()
    window.set_cap(8)
    assert (window.limit, window.in_flight) == (8, 32)
    window.set_cap(64)
    assert window.limit >= 8


@given(st.lists(st.tuples(st.sampled_from(["sent", "replied", "timed_out", "withdrawn"]),
                          st.floats(0, 2)), max_size=200), st.integers(1, 200))
def test_a_window_always_allows_a_try(events: list[tuple[str, float]], cap: int) -> None:
    window = PythonWindow(cap)
    now, under_way = 0.0, []
    for event, pause in events:
        now += pause
        if event == "sent":
            if window.free_places(now) > 0:
                window.sent()
                under_way.append(now)
        elif under_way:
            sent_at = under_way.pop(0)
            if event == "withdrawn":
                window.withdrawn(now)
            else:
                getattr(window, event)(sent_at, now)
        assert window.in_flight == len(under_way)
        assert 1 <= window.limit <= cap


# Pacing.

FAR = 1 / 64
"""Seconds; with steps of a power of two, too, the window's arithmetic is exact."""


def paced(window: InFlightWindow, base: float = FAR, size: int = 1000) -> float:
    """Let a window grow over a distant, quick server; return the time."""
    window.set_cap(size)
    now = 0.0
    while window.limit < size:
        sent = []
        while window.in_flight < window.limit:
            now += 2**-13
            for _ in range(window.free_places(now)):
                window.sent()
                sent.append(now)
        for sent_at in sent:
            now = max(now, sent_at + base)
            window.replied(sent_at, sent_at + base)
    return now


@pytest.mark.parametrize("kind", [PythonWindow, NativeWindow])
def test_a_large_window_to_a_distant_server_is_paced(kind: type[InFlightWindow]) -> None:
    window = kind()
    now = paced(window) + 2 * FAR
    pace = 1.25 * 1000 / FAR
    first = window.free_places(now)
    assert first == int(pace * 0.002) == 160
    for _ in range(first):
        window.sent()
    assert window.free_places(now) == 0
    assert window.paced_until() == pytest.approx(now + 0.001)
    assert window.free_places(now + 0.001) == pytest.approx(pace * 0.001, abs=1)
    for _ in range(1000 - first):
        window.sent()
    assert window.free_places(now + 1) == 0
    assert window.paced_until() == inf


@pytest.mark.parametrize("kind", [PythonWindow, NativeWindow])
@pytest.mark.parametrize("delays", [(FAR, 1.75 * FAR), (1.75 * FAR, FAR)])
def test_the_pace_is_that_of_the_shortest_way_that_was_measured(
    kind: type[InFlightWindow], delays: tuple[float, float]
) -> None:
    """A window that a longer one holds down is not used up, and would not be measured again."""
    window = kind()
    now = 0.0
    for delay in (FAR, *delays):
        count = window.free_places(now)
        for _ in range(count):
            window.sent()
        for _ in range(count):
            window.replied(now, now + delay)
        now += delay
    assert window.limit == START
    now = paced(window) + 2 * FAR
    assert window.free_places(now) == int(1.25 * 1000 / FAR * 0.002)


@pytest.mark.parametrize("kind", [PythonWindow, NativeWindow])
@pytest.mark.parametrize(("base", "size"), [(0.0005, 1000), (0.02, 96)])
def test_near_servers_and_small_windows_are_not_paced(
    kind: type[InFlightWindow], base: float, size: int
) -> None:
    window = kind()
    now = paced(window, base, size)
    assert window.free_places(now + base) == size
    assert window.paced_until() == inf


@given(st.integers(1, 400), st.lists(st.tuples(
    st.sampled_from(["send", "send", "reply", "reply", "timeout", "withdraw", "wait", "cap", "batches"]),
    st.floats(1e-6, 0.2), st.integers(1, 400),
), max_size=200))
def test_c_is_the_same(cap: int, steps: list[tuple[str, float, int]]) -> None:
    python, compiled = PythonWindow(cap), NativeWindow(cap)
    sent: deque[float] = deque()
    now = 0.0
    for what, seconds, number in steps:
        now += seconds
        if what == "send":
            free = python.free_places(now)
            assert compiled.free_places(now) == free
            for _ in range(min(free, number)):
                python.sent()
                compiled.sent()
                sent.append(now)
        elif what == "wait":
            now += 100 * seconds
        elif what == "cap":
            python.set_cap(number)
            compiled.set_cap(number)
        elif what == "batches":
            for window in (python, compiled):
                window.set_beside_batches(seconds if number % 2 else 0.0)
        else:
            for _ in range(min(len(sent), number)):
                at = sent.popleft()
                for window in (python, compiled):
                    if what == "reply":
                        window.replied(at, now)
                    elif what == "timeout":
                        window.timed_out(at, now)
                    else:
                        window.withdrawn(now)
        assert (compiled.in_flight, compiled.limit) == (python.in_flight, python.limit)
        assert compiled.paced_until() == pytest.approx(python.paced_until())
