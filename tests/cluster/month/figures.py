"""What the simulation has seen."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass
class Figures:
    """Of one site or of many; times in seconds."""

    sites: int = 0
    nodes: int = 0
    seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    claims: int = 0
    fenced: int = 0
    """How often an owner has found another one in its place."""
    repeated: list[int] = field(default_factory=list)
    """Requests that were carried out again, for each claim or new term."""
    late: int = 0
    """Writes of late batches."""
    recognised: int = 0
    """Batches that had come twice and were skipped."""
    stale_prepared: int = 0
    """Updates that were sent too late because the node stood still behind its last look at the clocks."""
    stale_clocks: int = 0
    """Updates of former owners whose clocks had stood still."""
    stale_other: int = 0
    """Any others: the rules forbid them."""
    standstills: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """For how long no node sent updates, by what had failed last before that."""
    spools: list[int] = field(default_factory=list)
    """The most requests that have waited on a node's disk, each time that the servers took none."""
    lost: int = 0
    """Requests on disks that are gone for good."""
    skipped: int = 0
    """Requests that were accepted and never carried out, though nothing was gone for good."""

    def add(self, other: Figures) -> None:
        """Add those of other sites."""
        for name in ("sites", "nodes", "requests", "claims", "fenced", "late", "recognised", "stale_prepared",
                     "stale_clocks", "stale_other", "lost", "skipped"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.seconds = max(self.seconds, other.seconds)
        self.faults += other.faults
        self.repeated += other.repeated
        self.spools += other.spools
        for cause, times in other.standstills.items():
            self.standstills[cause] += times

    def lines(self) -> Iterator[str]:
        """Yield them as a text."""
        days = self.seconds / 86400
        yield (f"{self.sites} sites, {self.nodes} nodes, {days:g} days, {sum(self.faults.values())} faults, "
               f"{self.requests} requests")
        yield (f"claims: {self.claims}, {self.claims / self.sites:.2f} for each site; owners fenced: "
               f"{self.fenced}")
        again = [count for count in self.repeated if count]
        yield (f"requests repeated: {sum(again)}, after {len(again)} of {len(self.repeated)} terms; "
               f"of these {spread(again)}; late batches written: {self.late}")
        yield (f"stale updates: {self.stale_prepared} behind the last look at the clocks, "
               f"{self.stale_clocks} of nodes whose clocks had stood still, {self.stale_other} others")
        yield (f"spools: {len(self.spools)} times requests waited on a disk for 1.5 s or more; the most at "
               f"once: {spread(self.spools)}")
        yield (f"requests lost: {self.lost}, on disks gone for good; skipped: {self.skipped}; batches that "
               f"came twice: {self.recognised}")
        yield f"{'without updates, after':24} faults   times  {'median':>8} {'99%':>8} {'most':>8} s"
        for cause, count in self.faults.most_common():
            times = sorted(self.standstills.get(cause, ()))
            shown = " ".join(f"{time:8.2f}" for time in quantiles(times)) if times else ""
            yield f"{cause:24} {count:6} {len(times):7}  {shown}"


def quantiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the median, the 99th percentile and the largest."""
    found = sorted(values)
    return found[len(found) // 2], found[min(len(found) - 1, int(0.99 * len(found)))], found[-1]


def spread(values: Sequence[float]) -> str:
    """Return a text of these."""
    if not values:
        return "none"
    median, most_of, largest = quantiles(values)
    return f"median {median:g}, 99% {most_of:g}, most {largest:g}"
