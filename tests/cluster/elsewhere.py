"""What pyd2 itself takes for the shared queue: ``python -m tests.cluster elsewhere``.

As ``rate``, but the servers of NATS are played (``stand_in``) and take next to none of the two processors
and no disk: each write is answered after ANSWER_MS, as by three servers that write to a disk of their own
(docs/cluster.md). So it shows what could be done with servers elsewhere, and not what such servers can do;
that only real ones show (``rate``).
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.daemon import free_port
from benchmarks.measure import raise_limits
from tests.cluster.rate import (
    KINDS,
    LONE_RATE,
    MOST_CPU_US,
    MOST_LONE_MS,
    cpu_more,
    middle,
    run_kind,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.figures import Run

ANSWER_MS: Final = 4.5
"""What three servers with a disk of their own took for a batch of 256 (median, nats-server 2.10.27)."""
LEAST_RATE: Final = 22_000.0


def elsewhere(rounds: int, offered: float) -> bool:
    """Measure each kind of queue so often at a rate, at full load, and with lone requests; print medians."""
    raise_limits()
    loads = {f"{offered:g}/s": ("--rate", f"{offered:g}"), "full": ("--window", "2000"),
             "lone": ("--rate", str(LONE_RATE))}
    found: dict[tuple[str, str], list[Run]] = {(kind, load): [] for kind in KINDS for load in loads}
    with stand_in(ANSWER_MS) as url:
        for number in range(rounds):
            for kind in KINDS if number % 2 == 0 else KINDS[::-1]:
                for load, options in loads.items():
                    found[kind, load].append(run_kind(kind, [url], *options, "--direction", "forward"))
    print(f"medians of {rounds}; forward updates only; the servers of NATS are played: a write is answered "
          f"after {ANSWER_MS:g} ms\n"
          f"{'queue':8} {'load':>8} requests/s  CPU us a request, of which a processor carries   p50, p99 ms")
    for (kind, load), runs in found.items():
        cpu = middle(runs, "cpu_us")
        # At less than full load a turn has fewer requests, and each takes more.
        carries = f"{1e6 / cpu:.0f}/s" if load == "full" else ""
        print(f"{kind:8} {load:>8} {middle(runs, 'rate'):10.0f} {cpu:17.1f} {carries:>30} "
              f"{middle(runs, 'p50_ms'):14.2f} {middle(runs, 'p99_ms'):6.2f}")
    rate = middle(found["nats", "full"], "rate")
    more = {load: cpu_more(found["nats", load], found["memory", load]) for load in loads if load != "lone"}
    slowest = middle(found["nats", "lone"], "p99_ms")
    shown = ", ".join(f"{us:.1f} us of CPU time more ({load})" for load, us in more.items())
    print(f"beside memory: {shown} (at most {MOST_CPU_US:g} are wanted); {rate:.0f} requests/s (at least "
          f"{LEAST_RATE:.0f}); a lone request within {slowest:.1f} ms (p99; at most {MOST_LONE_MS:g})")
    return max(more.values()) <= MOST_CPU_US and rate >= LEAST_RATE and slowest <= MOST_LONE_MS


@contextlib.contextmanager
def stand_in(milliseconds: float) -> Iterator[str]:
    """Play the servers, which answer after so long; yield their address."""
    port = free_port()
    command = [sys.executable, "-m", "tests.cluster.stand_in", str(port), str(milliseconds)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline(), "the stand-in has not begun to listen"
            yield f"nats://127.0.0.1:{port}"
        finally:
            process.kill()
