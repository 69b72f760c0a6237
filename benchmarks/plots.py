"""Charts as SVG, drawn by a few lines of our own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple
from xml.sax.saxutils import escape

from benchmarks.figures import advantage, summarise

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.figures import Run

    Results = Mapping[str, Mapping[str, list[Run]]]

BLUE: Final = "#1f6feb"
RED: Final = "#d1242f"
GREEN: Final = "#2da44e"
_WIDTH: Final = 760
_FONT: Final = 'font-family="Helvetica,Arial,sans-serif" font-size="12"'
_INK: Final = "#24292f"
_GRID: Final = "#d0d7de"


class Series(NamedTuple):
    """A line, or a bar of each group."""

    name: str
    colour: str
    points: list[float | None]
    """A value for each place on the horizontal axis; None where there is none."""
    dashed: bool = False


_BARS: Final = ("add", "add-info", "add-sha256", "add-sha256-info", "remove-sha256", "mixed", "conflicts",
                "ipv6", "distance-20", "bind-sha256", "knot-sha256", "plain", "plain-sha256")


def all_plots(results: Results, titles: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Return the charts that the results have data for: file, title and SVG."""
    charts = [
        ("ratios.svg", "pyd2 against kea-dhcp-ddns, times better", ratio_bars(results, titles)),
        ("offered.svg", "latency in ms by the requests offered",
         lines([f"{rate:,}" for rate in _numbers(results, "offered-")],
               _latencies(results, _numbers(results, "offered-")), "requests a second")),
        ("distance.svg", "NCR/s by the distance of the DNS server",
         lines(["0", *map(str, _numbers(results, "distance-"))], _distances(results),
               "ms to the DNS server")),
        ("cost.svg", "CPU us for each request by the number of domains",
         lines(["1", *(f"{count:,}" for count in _numbers(results, "domains-"))],
               _costs(results), "domains")),
    ]
    return [(file, title, framed(title, body)) for file, title, body in charts if body]


def ratio_bars(results: Results, titles: Mapping[str, str]) -> str:
    """Return bars: for each case how many times better the rate and the CPU time are."""
    rows = []
    for case in _BARS:
        runs = results.get(case, {})
        pair = [advantage(runs.get("pyd2", []), runs.get("kea", []), figure) for figure in ("rate", "cpu_us")]
        if pair[0] or pair[1]:
            rows.append((titles[case], [summary.median if summary else 0.0 for summary in pair]))
    return bars(rows, [("NCR/s", BLUE), ("CPU time for each", GREEN)])


def bars(rows: Sequence[tuple[str, Sequence[float]]], names: Sequence[tuple[str, str]],
         form: str = "{:.1f}") -> str:
    """Return groups of horizontal bars with a line at 1; ``names`` have colours. Empty without rows."""
    if not rows:
        return ""
    left, right, height = 300, 60, 13
    longest = max(1.0, *(value for _, values in rows for value in values))
    scale = (_WIDTH - left - right) / longest
    parts = [legend(names)]
    top = 50
    for title, values in rows:
        parts.append(text(left - 8, top + height * len(values) / 2 + 4, title, "end"))
        for number, value in enumerate(values):
            y = top + number * height
            parts.append(f'<rect x="{left}" y="{y}" width="{value * scale:.1f}" height="{height - 2}" rx="2" '
                         f'fill="{names[number][1]}"/>')
            parts.append(text(left + value * scale + 5, y + height - 3, form.format(value), "start"))
        top += height * len(values) + 9
    one = left + scale
    parts.append(f'<path d="M{one:.1f} 44V{top - 4}" stroke="{_INK}" stroke-dasharray="3 3"/>')
    return sized("".join(parts), top + 6)


def lines(places: Sequence[str], series: Sequence[Series], below: str) -> str:
    """Return lines over evenly spaced places, on a logarithmic scale; empty without values."""
    values = [value for line in series for value in line.points if value]
    if not values or len(places) < 2:
        return ""
    left, top, width, height = 70, 60, _WIDTH - 100, 260
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    high = max(high, low + 1)

    def x(place: int) -> float:
        return left + width * place / (len(places) - 1)

    def y(value: float) -> float:
        return top + height * (1 - (math.log10(value) - low) / (high - low))

    parts = [legend([(line.name, line.colour) for line in series])]
    for power in range(low, high + 1):
        level = y(10.0**power)
        parts.append(f'<path d="M{left} {level:.1f}h{width}" stroke="{_GRID}"/>')
        parts.append(text(left - 8, level + 4, f"{10**power:,}", "end"))
    for place, label in enumerate(places):
        parts.append(text(x(place), top + height + 18, label, "middle"))
    parts.append(text(left + width / 2, top + height + 38, below, "middle"))
    for line in series:
        known = [(x(place), y(value)) for place, value in enumerate(line.points) if value]
        path = " ".join(f"{across:.1f},{down:.1f}" for across, down in known)
        dashes = ' stroke-dasharray="5 4"' if line.dashed else ""
        parts.append(f'<polyline points="{path}" fill="none" stroke="{line.colour}" stroke-width="2"'
                     f'{dashes}/>')
        parts += [f'<circle cx="{across:.1f}" cy="{down:.1f}" r="3" fill="{line.colour}"/>'
                  for across, down in known]
    return sized("".join(parts), top + height + 50)


def legend(names: Sequence[tuple[str, str]]) -> str:
    """Return the names of what is drawn, each with its colour."""
    parts, across = [], 20.0
    for name, colour in names:
        parts.append(f'<rect x="{across}" y="28" width="11" height="11" rx="2" fill="{colour}"/>')
        parts.append(text(across + 16, 38, name, "start"))
        across += 40 + 6.6 * len(name)
    return "".join(parts)


def text(x: float, y: float, words: str, anchor: str) -> str:
    """Return a text."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{_INK}">{escape(words)}</text>'


def sized(body: str, height: float) -> str:
    """Return the open part of a chart: framed() gives it its title."""
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" width="{_WIDTH}" '
            f'height="{height:.0f}" {_FONT}><rect width="100%" height="100%" fill="#ffffff"/>{body}</svg>\n')


def framed(title: str, chart: str) -> str:
    """Return a chart with its title."""
    heading = f'<text x="20" y="18" font-weight="bold" fill="{_INK}">{escape(title)}</text>'
    return chart.replace("</svg>", f"<title>{escape(title)}</title>{heading}</svg>")


def _numbers(results: Results, prefix: str) -> list[int]:
    """Return the numbers that cases with a prefix have in their names, and nothing behind them."""
    names = (name.removeprefix(prefix) for name in results if name.startswith(prefix))
    return sorted(int(name) for name in names if name.isdecimal())


def _value(results: Results, case: str, name: str, figure: str) -> float | None:
    summary = summarise(results.get(case, {}).get(name, []), figure)
    return summary.median if summary else None


def _latencies(results: Results, rates: Sequence[int]) -> list[Series]:
    return [Series(f"{name} {title}{' (dashed)' if title == 'p50' else ''}", colour,
                   [_value(results, f"offered-{rate}", name, figure) for rate in rates],
                   dashed=title == "p50")
            for name, colour in (("pyd2", BLUE), ("kea", RED))
            for figure, title in (("p50_ms", "p50"), ("p99_ms", "p99"))]


def _distances(results: Results) -> list[Series]:
    distances = _numbers(results, "distance-")
    wide = [_value(results, f"distance-{ms}-4096", "pyd2", "rate") for ms in distances]
    return [*(Series(name, colour, [_value(results, case, name, "rate") for case in
                                    ("add", *(f"distance-{ms}" for ms in distances))])
              for name, colour in (("pyd2", BLUE), ("kea", RED))),
            Series("pyd2, max-in-flight 4,096", GREEN, [None, *wide])]


def _costs(results: Results) -> list[Series]:
    cases = ["add", *(f"domains-{count}" for count in _numbers(results, "domains-"))]
    return [Series(name, colour, [_value(results, case, name, "cpu_us") for case in cases])
            for name, colour in (("pyd2", BLUE), ("kea", RED))]
