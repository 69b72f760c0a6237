"""Writes metrics in the text format of Prometheus, version 0.0.4, and in OpenMetrics 1.0.0.

The two differ in the names of counters in the comments, and in the last line. A text of megabytes is made in
parts: no other thread runs while Python joins one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pyd2.metrics.families import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyd2.counters import Histogram

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
LINES_AT_ONCE: Final = 512
"""Lines of a part: a fraction of a millisecond."""

_UNUSUAL: Final = re.compile(r'["\\\n]')
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def labels(*pairs: tuple[str, str]) -> str:
    """Return labels as a sample has them."""
    return "{" + ",".join([f'{name}="{_escaped(value)}"' for name, value in pairs]) + "}"


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES) if _UNUSUAL.search(text) else text


def template(name: str, labelled: Iterable[str]) -> str:
    """Return the lines of a metric's samples, one for each set of labels, with ``%d`` for the values."""
    sample = BY_NAME[name].sample
    return "\n".join([f"{sample}{each} ".replace("%", "%%") + "%d" for each in labelled])


def wants_open_metrics(accept: str) -> bool:
    """Whether a client prefers OpenMetrics, by its header Accept."""
    best: dict[bool, float] = {}
    for entry in accept.lower().split(","):
        media, *parameters = (part.strip() for part in entry.split(";"))
        weight = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip() == "q":
                try:
                    weight = float(value)
                except ValueError:
                    weight = 0.0
        open_metrics = media == "application/openmetrics-text"
        if open_metrics or media in {"text/plain", "text/*", "*/*"}:
            best[open_metrics] = max(weight, best.get(open_metrics, 0.0))
    return best.get(True, 0.0) > 0.0 and best[True] >= best.get(False, 0.0)


class Exposition:
    """The text of one scrape."""

    def __init__(self, *, open_metrics: bool) -> None:
        self._open_metrics = open_metrics
        self._lines: list[str] = []
        self._parts: list[bytes] = []
        self._sample = ""

    def family(self, name: str) -> None:
        """Begin a metric; all its samples follow."""
        family = BY_NAME[name]
        self._sample = family.sample
        shown = family.name if self._open_metrics else family.sample
        text = family.text.replace("\\", r"\\").replace("\n", r"\n")
        self._lines += (f"# HELP {shown} {text}", f"# TYPE {shown} {family.kind}")

    def value(self, value: float, labelled: str = "") -> None:
        """Add a sample of a counter or a gauge; ``labelled`` is what ``labels`` has made."""
        self._lines.append(f"{self._sample}{labelled} {_number(value)}")

    def counts(self, values: Iterable[int], labelled: Sequence[str]) -> None:
        """Add samples, one for each set of labels."""
        sample = self._sample
        self._lines += [f"{sample}{each} {value}" for each, value in zip(labelled, values, strict=True)]
        if len(self._lines) >= LINES_AT_ONCE:
            self._end_part()

    def lines(self, texts: list[str]) -> None:
        """Add samples that are written already."""
        self._lines += texts
        if len(self._lines) >= LINES_AT_ONCE:
            self._end_part()

    def histogram(self, histogram: Histogram, labelled: str = "") -> None:
        """Add the samples of a histogram."""
        sample, lines = self._sample, self._lines
        before = labelled[:-1] + "," if labelled else "{"
        total = 0
        for bound, count in zip((*map(str, histogram.bounds), "+Inf"), histogram.counts, strict=True):
            total += count
            lines.append(f'{sample}_bucket{before}le="{bound}"}} {total}')
        lines.append(f"{sample}_sum{labelled} {_number(histogram.sum)}")
        lines.append(f"{sample}_count{labelled} {total}")
        if len(lines) >= LINES_AT_ONCE:
            self._end_part()

    def one(self, name: str, value: float, labelled: str = "") -> None:
        """Add a counter or a gauge with one sample."""
        self.family(name)
        self.value(value, labelled)

    def end(self) -> tuple[str, tuple[bytes, ...]]:
        """Return the content type, and the text in parts."""
        if self._open_metrics:
            self._lines.append("# EOF")
        self._end_part()
        return OPEN_METRICS if self._open_metrics else TEXT, tuple(self._parts)

    def _end_part(self) -> None:
        if self._lines:
            # A name of the configuration may hold octets that are no UTF-8: they would spoil the scrape.
            self._parts.append("\n".join((*self._lines, "")).encode("utf-8", "replace"))
            self._lines = []


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else repr(float(value))



