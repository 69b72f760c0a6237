"""The figures as a table and as a chart."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any, Final

from benchmarks.plots import BLUE, GREEN, RED, bars, framed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Results = dict[str, dict[str, list[dict[str, Any]]]]
"""The runs by DNS server and variant."""

BEGIN: Final = "<!-- end to end: written by python -m benchmarks.end_to_end --publish -->"
END: Final = "<!-- end of end to end -->"
TITLES: Final = {"bind": "BIND", "knot": "Knot DNS", "pdns": "PowerDNS"}
_COLOURS: Final = (RED, BLUE, GREEN)


def headings(at: Sequence[float]) -> list[str]:
    """Return the heads of the columns."""
    return ["DNS server", "D2", "leases", *(f"right after {seconds:g} s" for seconds in at),
            "waiting", "lost", "s until quiet", "updates for each", "CPU us for each", "server's CPU us"]


def rows(results: Results) -> list[list[str]]:
    """Return a row for each server and variant: medians of its runs."""
    table = []
    for server, variants in results.items():
        for name, runs in variants.items():
            if not runs:
                continue
            leases = median(run["leases"] for run in runs)
            looks = [median(run["looks"][at][1] for run in runs) for at in range(len(runs[0]["looks"]))]

            table.append([
                TITLES[server], name, f"{leases:,.0f}", *(f"{right:,.0f}" for right in looks),
                *(f"{median(run[name] for run in runs):,.0f}" for name in ("waiting", "lost")),
                f"{median(run['ended_s'] for run in runs):.0f}", f"{_for_each(runs, 'updates'):.2f}",
                f"{_for_each(runs, 'cpu_s') * 1e6:.0f}", f"{_for_each(runs, 'server_cpu_s') * 1e6:.0f}",
            ])
    return table


def _for_each(runs: Sequence[Mapping[str, Any]], figure: str) -> float:
    """Return the median of a figure, for each lease."""
    return float(median(run[figure] / max(1, run["leases"]) for run in runs))


def terminal(results: Results, at: Sequence[float]) -> str:
    """Return the table for the terminal."""
    table = [headings(at), *rows(results)]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return "\n".join("  ".join(f"{text:>{width}}" for text, width in zip(row, widths, strict=True))
                     for row in table)


def markdown(about: Mapping[str, Any], results: Results) -> str:
    """Return what README.md shows."""
    at = about["at"]
    place = "on a disk" if about["disk"] else "in memory"
    lines = [
        (f"Commit {about['commit']}, {str(about['date'])[:10]}, {about['cpu']}. {about['leases']:,} clients, "
         f"{about['rate']:,} a second; the DNS server's files {place}; medians of {about['runs']}; "
         f"load average before {about['load_before']:.0f}."),
        "", f"| {' | '.join(headings(at))} |", f"|---|---|{'---:|' * (len(headings(at)) - 2)}",
        *(f"| {' | '.join(row)} |" for row in rows(results)),
        "", "![share of the leases that the DNS shows](results/end-to-end.svg)",
    ]
    return "\n".join(lines)


def chart(results: Results, at: Sequence[float]) -> str:
    """Return bars: which part of the leases is right at each look."""
    groups = [(f"{TITLES[server]}, {name}",
               [median(run["looks"][look][1] / max(1, run["leases"]) for run in runs)
                for look in range(len(at))])
              for server, variants in results.items() for name, runs in variants.items() if runs]
    names = [(f"after {seconds:g} s", colour) for seconds, colour in zip(at, _COLOURS, strict=False)]
    title = "share of the leases that the DNS shows as it should"
    return framed(title, bars(groups, names, "{:.1%}"))
