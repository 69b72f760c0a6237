"""What the page computes: quantiles, minutes, causes, and the parameters of requests."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyd2.counters import Counters, Histogram
from pyd2.update.model.faults import Result
from pyd2.update.observing.recent import MOST_CAUSES, MOST_RECENT, Cause, RecentFailures
from pyd2.update.observing.requests import End
from pyd2.web.answers import MOST, ApiError, parameters
from pyd2.web.tables import quantile
from pyd2.web.watch import CAUSE_MINUTES, MINUTES, Watch


@given(st.lists(st.floats(0, 3), min_size=1), st.sampled_from([0.5, 0.95]))
def test_a_quantile_lies_in_the_interval_of_the_right_value(values: list[float], share: float) -> None:
    bounds = (0.5, 1.0, 2.0)
    histogram = Histogram(bounds)
    for value in values:
        histogram.add(value)
    exact = sorted(values)[max(0, -int(-share * len(values) // 1) - 1)]
    found = quantile(histogram, share)
    assert found is not None
    least = max((bound for bound in (0.0, *bounds) if bound < exact), default=0.0)
    most = min((bound for bound in bounds if bound >= exact), default=bounds[-1])
    assert 1000 * least <= found <= 1000 * most


def test_without_a_value_there_is_no_quantile() -> None:
    assert quantile(Histogram((1.0,)), 0.5) is None


def test_parameters_have_their_defaults() -> None:
    known: dict[str, int | str] = {"q": "", "limit": 50, "before": 0}
    assert parameters("", known) == known
    assert parameters("q=a%26b&limit=7", known) == {"q": "a&b", "limit": 7, "before": 0}
    assert parameters("q=", known)["q"] == ""


@given(st.text(max_size=60))
def test_any_query_is_read_or_refused(query: str) -> None:
    try:
        found = parameters(query, {"q": "", "limit": 50, "before": 0})
    except ApiError as error:
        status = error.response.status
    else:
        status = 400
        assert 1 <= found["limit"] <= MOST
        assert 0 <= found["before"] < 2**63
        assert "\0" not in found["q"]
    assert status == 400


class Request:
    facts = (0, "h.example.com.", ip_address("192.0.2.1").packed, b"\1" * 20, 1, 0.0)


def end(result: Result = Result.FAILED, fault: str = "REFUSED", zone: str = "example.com.") -> End:
    return End(result, zone, cast("Any", Request()), None, fault, "")


def test_failures_are_bounded_and_counted() -> None:
    passed: list[int] = []
    recent = RecentFailures()
    recent.then = cast("Any", SimpleNamespace(add=lambda *given: passed.append(len(given[3]))))
    recent.add(1.0, 1.0, (), [end()] * 100 + [end(Result.SUPERSEDED)])
    recent.add(2.0, 2.0, (), [end(zone=f"z{number}.") for number in range(2 * MOST_CAUSES)])
    taken = recent.take()
    assert passed == [101, 2 * MOST_CAUSES]
    assert len(taken.recent) == MOST_RECENT
    assert len(taken.causes) == MOST_CAUSES
    assert taken.causes[Cause("example.com.", "", "REFUSED")][0] == 100
    assert taken.total == 100 + 2 * MOST_CAUSES
    assert recent.take() == ((), {}, 0)


class Daemon:
    """As much of the daemon as the watch looks at."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.recent = RecentFailures()
        self.web = True

    def failures(self) -> Any:
        return self.recent.take()

    def config(self) -> Any:
        return SimpleNamespace(config=SimpleNamespace(web=self.web))


@pytest.fixture
def watched() -> Any:
    daemon, loop = Daemon(), asyncio.new_event_loop()
    clock = SimpleNamespace(wall=6000.0)
    watch = Watch(loop, cast("Any", daemon), lambda: None, lambda: clock.wall)
    yield daemon, watch, clock, loop
    if watch._timer is not None:
        watch._timer.cancel()
    loop.close()


def test_minutes_are_what_was_counted_in_each(watched: Any) -> None:
    daemon, watch, clock, _ = watched
    for minute in range(MINUTES + 10):
        daemon.counters.tally.received += minute
        clock.wall = 6000.0 + 60 * minute
        watch._look()
        clock.wall += 30
        watch._look()
    minutes = watch.minutes()
    assert len(minutes) == MINUTES
    assert minutes[-1] == (6000 + 60 * (MINUTES + 9), MINUTES + 9, 0, 0)


def test_causes_are_forgotten_after_some_minutes(watched: Any) -> None:
    daemon, watch, clock, _ = watched
    daemon.recent.add(clock.wall, 0.0, (), [end(), end(), end(fault="SERVFAIL")])
    watch._look()
    assert [(cause.fault, count) for cause, count, _ in watch.causes()] == [("REFUSED", 2), ("SERVFAIL", 1)]
    assert watch.last_failure("example.com.") == (6000.0, "SERVFAIL")
    clock.wall += 60 * CAUSE_MINUTES
    assert watch.causes() == []
    assert watch.last_failure("other.") == (0.0, "")


def test_causes_do_not_stay_when_the_clock_is_set_back(watched: Any) -> None:
    daemon, watch, clock, _ = watched
    daemon.recent.add(clock.wall, 0.0, (), [end(fault="SERVFAIL")])
    watch._look()
    clock.wall -= 3600
    daemon.recent.add(clock.wall, 0.0, (), [end()])
    watch._look()
    assert [(cause.fault, count) for cause, count, _ in watch.causes()] == [("REFUSED", 1)]


def test_it_ends_with_the_last_page_and_begins_again(watched: Any) -> None:
    daemon, watch, _, _ = watched
    ended: list[bool] = []
    watch.on_end = lambda: ended.append(True)
    watch.begin()
    daemon.web = False
    watch._look()
    assert ended == [True]
    assert watch._timer is None
    watch.begin()
    assert watch._timer is not None
