"""Tables, plots and aims made of figures."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest

from benchmarks.cases import CASES
from benchmarks.goals import GOALS, Goal
from benchmarks.plots import all_plots
from benchmarks.report import BEGIN, END, Runs, between_markers, markdown, terminal

ABOUT = {"commit": "abc", "date": "2030-01-02T00:00:00", "cpu": "2 x CPU", "memory_mb": 1, "system": "S",
         "versions": {"pyd2": "1", "kea": "2"}, "python": "3", "openssl": "O", "compiler": "C", "runs": 2,
         "seconds": 1.0, "root": True, "load_before": 0.5}
TITLES = {case.name: case.title for case in CASES}


def figures(rate: float, cpu: float, **more: float) -> dict[str, Any]:
    return {"sent": 100, "lost": 0, "rate": rate, "cpu_us": cpu, "p50_ms": 1.0, "p99_ms": 2.0,
            "p999_ms": 3.0, "timeouts": 0, "queued_bytes": 90.0, "start_ms": 150.0, "start_cpu_ms": 100.0,
            "idle_rss_kb": 2048, "idle_rss_mb": 2.0, "peak_rss_mb": 30.0} | more


def both(**more: float) -> Runs:
    return {"pyd2": [figures(1000, 10, **more), figures(1200, 12, **more)],
            "kea": [figures(100, 120), figures(100, 100)]}


RESULTS = {case.name: both(base_cpu_us=11.0) if case.baseline else both() for case in CASES}


def test_every_case_is_in_the_report() -> None:
    text = markdown(ABOUT, RESULTS, [("a.svg", "a plot")])
    for case in CASES:
        assert case.starts or f"| {case.title} |" in text
    assert "![a plot](results/a.svg)" in text
    assert text.count("| pyd2 |") == len(CASES)


def test_a_table_shows_medians_losses_and_ratios() -> None:
    runs = both()
    runs["kea"][0]["lost"] = 50
    add = next(case for case in CASES if case.name == "add")
    heading, columns, own, other = (line.split() for line in terminal(add, runs).splitlines())
    assert heading[0] == "add:"
    assert columns[0] == "D2"
    assert own == ["pyd2", "1,100", "11.0", "1.00", "2.00", "3.00", "30", "18%", "0", "11.0", "10.2"]
    assert other == ["kea", "100", "110.0", "1.00", "2.00", "3.00", "30", "0%", "50", "(25.0%)"]


def test_cost_is_relative_to_the_baseline_that_was_measured_beside_it() -> None:
    case = next(case for case in CASES if case.name == "domains-10000")
    pairs = ((22, 11), (60, 20), (24, 12))  # the machine was slow meanwhile
    dear = {"pyd2": [figures(1000, cost) | {"base_cpu_us": base} for cost, base in pairs]}
    assert terminal(case, dear).split()[-1] == "2.00"


def test_every_baseline_and_aim_is_a_case() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert {case.baseline for case in CASES} - {""} <= set(names)
    assert {goal.case for goal in GOALS} <= set(names)
    assert {goal.figure for goal in GOALS} <= figures(0, 0).keys()


@pytest.mark.parametrize(("goal", "value", "verdict"), [
    (Goal("", "add", "rate", 6, 10), 11.0, "goal reached"),
    (Goal("", "add", "cpu_us", 6, 10), 10.17, "goal reached"),
    (Goal("", "add", "rate", 11, 12), 11.0, "floor reached"),
    (Goal("", "add", "rate", 12, 15), 11.0, "**not reached**"),
    (Goal("", "add", "rate", 11), 11.0, "floor reached"),
    (Goal("", "add", "lost", 0, None, "", "lost", more=False), 0.0, "floor reached"),
    (Goal("", "add", "p99_ms", None, 1, "", "ms", more=False), 2.0, "**not reached**"),
    (Goal("", "domains-10", "cpu_us", 1.15, 1.05, "baseline", more=False), 1.0, "goal reached"),
])
def test_an_aim_is_reached_or_not(goal: Goal, value: float, verdict: str) -> None:
    measured = goal.measure(RESULTS)
    assert measured == pytest.approx(value, rel=0.001)
    assert goal.verdict(value) == verdict


def test_an_aim_that_was_not_measured_is_left_out() -> None:
    assert [goal for goal in GOALS if goal.measure({}) is not None] == []
    assert "NCR/s, unsigned |" not in markdown(ABOUT, {}, [])


def test_runs_that_went_wrong_have_lost_nothing_and_proved_nothing() -> None:
    aim = Goal("", "add", "lost", 0, None, "", "lost", more=False)
    assert aim.measure({"add": {"pyd2": [{}, {}]}}) is None
    assert aim.measure({"add": {"pyd2": [{}, figures(1, 1, lost=3)]}}) == 3.0


@pytest.mark.parametrize("figure", ["lost", "timeouts"])
def test_a_fault_in_one_run_only_is_reported(figure: str) -> None:
    aim = Goal("", "add", figure, 0, None, "", "", more=False)
    assert aim.measure({"add": {"pyd2": [figures(1, 1), figures(1, 1, **{figure: 7}), figures(1, 1)]}}) == 7.0


def test_plots_are_well_formed() -> None:
    plots = all_plots(RESULTS, TITLES)
    assert [file for file, _, _ in plots] == ["ratios.svg", "offered.svg", "distance.svg", "cost.svg"]
    for _, title, drawing in plots:
        root = ET.fromstring(drawing)
        texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
        assert title in texts
        width, height = (float(root.attrib[side]) for side in ("width", "height"))
        for element in root.iter():
            across, down = element.get("x") or element.get("cx"), element.get("y") or element.get("cy")
            assert across is None or 0 <= float(across) <= width
            assert down is None or 0 <= float(down) <= height


def test_there_is_no_plot_without_figures() -> None:
    assert all_plots({}, TITLES) == []
    assert [file for file, _, _ in all_plots({"add": both()}, TITLES)] == ["ratios.svg"]


def test_what_stands_between_the_markers_is_replaced() -> None:
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    once = between_markers(text, "new")
    assert once == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    assert between_markers(once, "new") == once
    with pytest.raises(ValueError, match="there is no"):
        between_markers("no markers", "new")
