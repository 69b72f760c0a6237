"""The arithmetic: medians, spread, ratios."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

Run = dict[str, Any]
"""The figures of one run of one case on one D2, by name; None where there is no such figure."""

LIMIT: Final = "dnsperf"
"""The name of the rows that say what a real DNS server does at most."""

SMALLER_IS_BETTER: Final = frozenset(
    {"cpu_us", "p50_ms", "p99_ms", "p999_ms", "start_ms", "start_cpu_ms", "idle_rss_kb", "peak_rss_kb"})


@dataclass(frozen=True, slots=True)
class Summary:
    """Some values in short."""

    median: float
    low: float
    high: float

    @property
    def spread(self) -> float:
        """How far the extremes are apart, as a part of the median."""
        return (self.high - self.low) / self.median if self.median else 0.0


def summarise(runs: Sequence[Run], figure: str) -> Summary | None:
    """Return a figure of several runs; None when no run has it."""
    values = [run[figure] for run in runs if run.get(figure) is not None]
    return Summary(median(values), min(values), max(values)) if values else None


def relative_cost(runs: Sequence[Run]) -> float | None:
    """Return the CPU time of a request relative to the baseline, run by run; None when no run has both."""
    ratios = [run["cpu_us"] / run["base_cpu_us"]
              for run in runs if run.get("cpu_us") and run.get("base_cpu_us")]
    return median(ratios) if ratios else None


def advantage(runs: Sequence[Run], others: Sequence[Run], figure: str) -> Summary | None:
    """Return how many times better a figure is than another D2's, run by run; None when there is no pair.

    What is better depends on the figure: a higher rate, a lower cost. Run N is compared with run N: they
    were made one after the other.
    """
    ratios = []
    for run, other in zip(runs, others, strict=False):
        one, two = run.get(figure), other.get(figure)
        if figure in SMALLER_IS_BETTER:
            one, two = two, one
        if one is not None and two:
            ratios.append(one / two)
    return Summary(median(ratios), min(ratios), max(ratios)) if ratios else None

