"""The goals of the benchmarks, and whether they are reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.figures import LIMIT, Run, advantage, relative_cost, summarise

if TYPE_CHECKING:
    from collections.abc import Mapping

_SUMMED: Final = frozenset({"lost", "timeouts"})
"""Figures of which there is to be none in any run, so that a median would say nothing."""


@dataclass(frozen=True, slots=True)
class Goal:
    """One aim: a figure of one case on pyd2."""

    title: str
    case: str
    figure: str
    floor: float | None
    goal: float | None = None
    against: str = "kea"
    """``kea``: times better than the real server; LIMIT: relative to what the real DNS server does at most;
    ``baseline``: the CPU time relative to the case's baseline; empty: the figure itself."""
    unit: str = "x"
    more: bool = True
    """Whether more is better."""

    def measure(self, results: Mapping[str, dict[str, list[Run]]]) -> float | None:
        """Return the value; None when it was not measured."""
        runs = results.get(self.case, {})
        own = runs.get("pyd2", [])
        if self.against in {"kea", LIMIT}:
            summary = advantage(own, runs.get(self.against, []), self.figure)
            return summary.median if summary else None
        if self.figure in _SUMMED:
            counts = [run[self.figure] for run in own if run.get(self.figure) is not None]
            return float(sum(counts)) if counts else None
        if self.against == "baseline":
            return relative_cost(own)
        mine = summarise(own, self.figure)
        return mine.median if mine else None

    def show(self, value: float | None) -> str:
        """Return a value with its unit; nothing for None."""
        if value is None:
            return ""
        whole = value >= 100 or self.unit in {"bytes", "lost", ""}
        text = f"{value:,.0f}" if whole else f"{value:.{1 if value >= 10 else 2}f}"
        return f"{text}{self.unit}" if self.unit == "x" else f"{text} {self.unit}".rstrip()

    def verdict(self, value: float) -> str:
        """Return what the value says."""
        def reached(aim: float) -> bool:
            return value >= aim if self.more else value <= aim

        if self.goal is not None and reached(self.goal):
            return "goal reached"
        return "floor reached" if self.floor is not None and reached(self.floor) else "**not reached**"


def _less(title: str, case: str, figure: str, floor: float | None, goal: float | None, *, unit: str,
          against: str = "") -> Goal:
    return Goal(title, case, figure, floor, goal, against, unit, more=False)


GOALS: Final = (
    Goal("NCR/s, unsigned", "add", "rate", 9, 10),
    Goal("NCR/s, HMAC-SHA256", "add-sha256", "rate", 12, 15),
    Goal("CPU time for each, HMAC-SHA256: less by", "add-sha256", "cpu_us", 10, 15),
    Goal("NCR/s, unsigned, log level INFO", "add-info", "rate", 6, 10),
    Goal("NCR/s, HMAC-SHA256, log level INFO", "add-sha256-info", "rate", 10, 15),
    Goal("NCR/s, DNS 20 ms away, defaults", "distance-20", "rate", 2.5, 2.8),
    Goal("NCR/s, DNS 20 ms away, max-in-flight 4,096", "distance-20-4096", "rate", 25, 60),
    _less("lost of a burst of 20,000", "burst-20000", "lost", 0, None, unit="lost"),
    _less("lost of a burst of 200,000", "burst-200000", "lost", 0, 0, unit="lost"),
    _less("lost while Python blocks the loop", "blocking", "lost", 0, 0, unit="lost"),
    _less("p99 while Python blocks the loop", "blocking", "p99_ms", None, 2, unit="ms"),
    Goal("p99 at 3,000 NCR/s: less by", "offered-3000", "p99_ms", 1.8, 2),
    Goal("NCR/s, BIND behind, HMAC-SHA256", "bind-sha256", "rate", 1.5),
    Goal("the same, relative to what dnsperf gets from this BIND", "bind-sha256", "rate", 0.9, None, LIMIT),
    Goal("NCR/s, BIND behind, HMAC-SHA256, batches of 50", "bind-batch", "rate", 4, 6),
    Goal("the same, BIND on a disk", "bind-disk-batch", "rate", 8, 15),
    Goal("NCR/s, Knot DNS behind, HMAC-SHA256, batches of 200", "knot-batch", "rate", 5, 10),
    Goal("NCR/s, PowerDNS behind, HMAC-SHA256, batches of 50", "pdns-batch", "rate", 3, 5),
    _less("timeouts, BIND behind, HMAC-SHA256", "bind-sha256", "timeouts", 0, None, unit=""),
    _less("cost at 10,000 domains relative to 1", "domains-10000", "cpu_us", 1.15, 1.05, unit="x",
          against="baseline"),
    _less("cost with 500,000 queued relative to 500", "queue-500000", "cpu_us", 1.15, 1.05, unit="x",
          against="baseline"),
    _less("memory for each queued request", "queue-500000", "queued_bytes", 400, 100, unit="bytes"),
    _less("idle memory", "start", "idle_rss_mb", 45, 30, unit="MB"),
    _less("start to listening", "start", "start_ms", 400, 200, unit="ms"),
    Goal("NCR/s, plain Python layer, unsigned", "plain", "rate", 1, 2),
    Goal("NCR/s, plain Python layer, HMAC-SHA256", "plain-sha256", "rate", 1, 2),
)
