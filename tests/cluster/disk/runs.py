"""Many seeds: ``python -m tests.cluster disk --count 300``."""

from __future__ import annotations

import time

from tests.cluster.disk.world import Violation, play


def disk(count: int, first: int) -> bool:
    """Play so many seeds from one on; print what came of them, and return whether no law was broken."""
    begun = time.monotonic()
    requests = logged = operations = failed = violations = 0
    for seed in range(first, first + count):
        try:
            world = play(seed)
        except Violation as violation:
            violations += 1
            print(f"seed {seed}: {violation}", flush=True)
            continue
        requests += world.made
        logged += world.logged
        operations += world.disk.operations
        failed += world.disk.failed
    print(
        f"{count} seeds from {first} on: {requests:,} requests, {operations:,} operations of the disk, "
        f"{failed:,} of which failed; {logged:,} requests lost as PYD2_QUEUE_LOST said, "
        f"{violations} violations, {time.monotonic() - begun:.0f} s"
    )
    return not violations
