"""How evenly this machine works: what a hold of a few milliseconds means on it.

A virtual machine's memory and processors are the host's, and what the host does counts as CPU time of the
thread that waits for it. So the same small piece of work sometimes takes many times as long, whoever does it.
"""

import time
from typing import Final, NamedTuple, Self

KEPT: Final = 150_000
"""Objects after which the memory is given back."""


class Evenness(NamedTuple):
    """How long a piece of work took, which is always the same; times are in seconds of CPU time."""

    median: float
    longest: float
    outliers: int
    """How often it took more than five times the median."""
    times: int

    @classmethod
    def measure(cls, seconds: float) -> Self:
        """Do the work each millisecond: make some hundred objects that stay for a while, as requests do."""
        kept: list[object] = []
        took = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            began = time.thread_time()
            kept += [{"name": f"h{number}.example.", "data": bytes(300)} for number in range(300)]
            took.append(time.thread_time() - began)
            if len(kept) > KEPT:
                kept.clear()
            time.sleep(0.001)
        took.sort()
        median = took[len(took) // 2]
        return cls(median, took[-1], sum(each > 5 * median for each in took), len(took))

    def text(self) -> str:
        """Return it as a line."""
        return (f"this machine, with nothing else to do: work of {1000 * self.median:.2f} ms of CPU took "
                f"{1000 * self.longest:.1f} ms at most, and {self.outliers} times of {self.times} more than "
                f"five times as long")
