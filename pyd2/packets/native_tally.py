"""Counts requests that have ended, in C: see EndedTally."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyd2.counters import Histogram
from pyd2.packets.wire import ffi, lib

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyd2.packets.layer import Request


def set_bounds(histogram: Any, bounds: Sequence[float]) -> None:  # noqa: ANN401  of cffi's
    """Empty a histogram of C and give it these bounds."""
    for at, bound in enumerate(bounds):
        histogram.bounds[at] = bound
    for at in range(len(bounds) + 1):
        histogram.counts[at] = 0
    histogram.sum = 0.0
    histogram.size = len(bounds)


def read_histogram(in_c: Any, bounds: Sequence[float]) -> Histogram:  # noqa: ANN401  of cffi's
    """Return a histogram of C."""
    found = Histogram(bounds)
    found.counts = [int(in_c.counts[at]) for at in range(len(found.counts))]
    found.sum = in_c.sum
    return found


class NativeTally:
    """See EndedTally."""

    __slots__ = ("_bounds", "_counts", "_in_c")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._in_c: Any = ffi.new("wire_histogram *")
        set_bounds(self._in_c, bounds)
        self._counts: Any = self.new_counts(0)

    def new_counts(self, domains: int) -> object:
        """Return counts for domains with numbers below this."""
        counts: object = ffi.new("uint64_t[]", domains)
        return counts

    def use(self, counts: object) -> None:
        """Count in these from now on."""
        self._counts = counts

    def read(self, counts: Any) -> list[int]:  # noqa: ANN401  of cffi's
        """Return counts by the numbers of the domains."""
        found: list[int] = ffi.unpack(counts, len(counts))  # type: ignore[assignment]
        return found

    def read_seconds(self) -> Histogram:
        """Return the seconds from reading to the end."""
        return read_histogram(self._in_c, self._bounds)

    def add(self, requests: Sequence[Request], now: float) -> None:
        """Count packed requests."""
        records = b"".join(requests)  # type: ignore[arg-type]
        lib.wire_requests_ended(records, len(records), now, self._counts, len(self._counts), self._in_c)
