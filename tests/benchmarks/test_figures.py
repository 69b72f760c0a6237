"""Medians, spread and ratios."""

from __future__ import annotations

import pytest

from benchmarks.figures import Run, Summary, advantage, summarise


def runs(figure: str, *values: float | None) -> list[Run]:
    return [{figure: value} for value in values]


def test_a_summary_is_the_median_with_the_extremes() -> None:
    summary = summarise(runs("rate", 100, 80, 120, 90, 1000), "rate")
    assert summary == Summary(100, 80, 1000)
    assert summary.spread == 9.2


def test_what_no_run_has_has_no_summary() -> None:
    assert summarise([{"rate": 1.0}, {}], "p99_ms") is None
    assert summarise(runs("p99_ms", None, None), "p99_ms") is None
    assert summarise(runs("p99_ms", None, 4.0), "p99_ms") == Summary(4, 4, 4)


@pytest.mark.parametrize(("figure", "own", "others", "expected"), [
    ("rate", (200, 300, 400), (100, 100, 100), Summary(3, 2, 4)),          # more is better
    ("cpu_us", (10, 20, 40), (100, 100, 100), Summary(5, 2.5, 10)),        # less is better
    ("p99_ms", (1.0, None, 4.0), (2.0, 2.0, 2.0), Summary(1.25, 0.5, 2)),  # a run without the figure
    ("rate", (200, 300), (100,), Summary(2, 2, 2)),                        # a run without its counterpart
])
def test_ratios_are_those_of_runs_side_by_side(figure: str, own: tuple[float | None, ...],
                                               others: tuple[float | None, ...], expected: Summary) -> None:
    assert advantage(runs(figure, *own), runs(figure, *others), figure) == expected


def test_nothing_is_compared_with_nothing() -> None:
    assert advantage(runs("rate", 1), [], "rate") is None
    assert advantage(runs("rate", 1), runs("rate", 0), "rate") is None
