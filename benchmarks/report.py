"""The figures as text: on the terminal while they come, and as Markdown for README.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from benchmarks.cases import CASES
from benchmarks.figures import Run, advantage, relative_cost, summarise
from benchmarks.goals import GOALS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.cases import Case

Runs = dict[str, list[Run]]
"""The runs of one case by D2."""

BEGIN: Final = "<!-- results: written by ./dev bench --publish -->"
END: Final = "<!-- end of results -->"
REFERENCE: Final = "kea"
"""The D2 that ratios are to."""

_COLUMNS: Final = (("rate", "NCR/s", "{:,.0f}"), ("cpu_us", "CPU us", "{:.1f}"),
                   ("p50_ms", "p50 ms", "{:.2f}"), ("p99_ms", "p99 ms", "{:.2f}"),
                   ("p999_ms", "p99.9 ms", "{:.2f}"), ("peak_rss_mb", "MB", "{:.0f}"))
_START: Final = (("start_ms", "ms to listening", "{:.0f}"), ("start_cpu_ms", "CPU ms", "{:.0f}"),
                 ("idle_rss_kb", "idle kB", "{:,.0f}"))


def cell(runs: Sequence[Run], figure: str, form: str) -> str:
    """Return the median of a figure; empty where there is none."""
    summary = summarise(runs, figure)
    return form.format(summary.median) if summary else ""


def spread(runs: Sequence[Run], figure: str) -> str:
    """Return how far the runs are apart, in percent of the median."""
    summary = summarise(runs, figure)
    return f"{summary.spread:.0%}" if summary else ""


def lost(runs: Sequence[Run]) -> str:
    """Return how many of the sent requests were lost in all runs; empty when none was sent."""
    sent = sum(run.get("sent", 0) for run in runs)
    gone = sum(run.get("lost", 0) for run in runs)
    if not sent:
        return ""
    return f"{gone:,} ({gone / sent:.1%})" if gone else "0"


def times(runs: Runs, name: str, figure: str) -> str:
    """Return how many times better a D2 is than the reference."""
    if name == REFERENCE or REFERENCE not in runs:
        return ""
    summary = advantage(runs[name], runs[REFERENCE], figure)
    return f"{summary.median:.1f}" if summary else ""


def rows(runs: Runs) -> list[list[str]]:
    """Return the rows of a case in the main table: one for each D2."""
    table = []
    for name, own in runs.items():
        cost = relative_cost(own)
        relative = f"{cost:.2f}" if cost else ""
        table.append([name, *(cell(own, figure, form) for figure, _, form in _COLUMNS), spread(own, "rate"),
                      lost(own), times(runs, name, "rate"), times(runs, name, "cpu_us"), relative])
    return table


HEADINGS: Final = ("D2", *(title for _, title, _ in _COLUMNS), "spread", "lost", "x rate", "x CPU",
                   "cost/base")
START_HEADINGS: Final = ("D2", *(title for _, title, _ in _START))


def start_rows(runs: Runs) -> list[list[str]]:
    """Return the rows of the case that only starts the D2s."""
    return [[name, *(cell(own, figure, form) for figure, _, form in _START)] for name, own in runs.items()]


def terminal(case: Case, runs: Runs) -> str:
    """Return the lines of a case for the terminal."""
    headings = START_HEADINGS if case.starts else HEADINGS
    table = start_rows(runs) if case.starts else rows(runs)
    widths = [max(len(heading), 8) for heading in headings]
    lines = [f"{case.name}: {case.title}"]
    lines += ["  " + "  ".join(f"{text:>{width}}" for text, width in zip(row, widths, strict=True))
              for row in (headings, *table)]
    return "\n".join(lines)


def markdown(about: Mapping[str, Any], results: Mapping[str, Runs], plots: Sequence[tuple[str, str]]) -> str:
    """Return the results for README.md: what was measured where, goals, plots, and all cases."""
    versions = about["versions"]
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    privileges = "as root" if about["root"] else "without privileges"
    before = f"load average before {about['load_before']:.1f}"
    lines = [
        "| | |", "|---|---|",
        f"| commit | {about['commit']}, measured {str(about['date'])[:10]} |",
        f"| machine | {about['cpu']}, {about['memory_mb']} MB, {about['system']} |",
        f"| versions | {named}, Python {about['python']}, {about['openssl']}, {about['compiler']} |",
        f"| run | {about['runs']} of each case, {about['seconds']} s each, {privileges}, {before} |",
        "", "### Goals", "", *_goals(results), "", "### Plots", "",
        *(f"![{title}](results/{file})" for file, title in plots),
        "", "### All cases", "",
        f"| case | {' | '.join(HEADINGS)} |", f"|---|---|{'---:|' * (len(HEADINGS) - 1)}",
    ]
    for case in CASES:
        if case.name in results and not case.starts:
            for number, row in enumerate(rows(results[case.name])):
                lines.append(f"| {case.title if number == 0 else ''} | {' | '.join(row)} |")
    for case in CASES:
        if case.name in results and case.starts:
            lines += ["", f"| {' | '.join(START_HEADINGS)} |", f"|---|{'---:|' * (len(START_HEADINGS) - 1)}",
                      *(f"| {' | '.join(row)} |" for row in start_rows(results[case.name]))]
    return "\n".join(lines)


def _goals(results: Mapping[str, Runs]) -> list[str]:
    lines = ["| | measured | floor | goal | |", "|---|---:|---:|---:|---|"]
    for goal in GOALS:
        value = goal.measure(results)
        if value is not None:
            lines.append(f"| {goal.title} | {goal.show(value)} | {goal.show(goal.floor)} | "
                         f"{goal.show(goal.goal)} | {goal.verdict(value)} |")
    return lines


def between_markers(text: str, fresh: str, begin: str = BEGIN, end: str = END) -> str:
    """Return a document with the text between its markers replaced. Raises ValueError without markers."""
    before, found, rest = text.partition(begin)
    _, found_too, after = rest.partition(end)
    if not (found and found_too):
        raise ValueError(f"there is no {begin} with its {end}")
    return f"{before}{begin}\n\n{fresh}\n\n{end}{after}"
