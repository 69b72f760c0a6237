"""All nodes and servers are started again under load, one by one: ``python -m tests.cluster rolling``."""

from __future__ import annotations

import signal
import time
from typing import Final

from tests.cluster.apart import apart_site
from tests.cluster.load import Load, finish

MOST_GAP: Final = 2.0
"""Seconds without an update that are allowed."""
_LAME_DUCK_SECONDS: Final = 180.0
"""A server in lame duck mode takes up to two minutes to send its clients away."""


def rolling(binary: str, rounds: int, rate: float, seed: int, lease: float, grace: float) -> bool:
    """Start all again so often; print the longest time without an update for each."""
    with apart_site(binary, lease=lease, grace=grace) as site, Load(site.machines, 0, seed) as load:
        site.start()
        load.rate = rate
        time.sleep(2.0)
        gaps = []
        for _ in range(rounds):
            for machine in site.machines:
                site.until_well()
                what = f"{machine.name}, the owner" if machine.owns() else machine.name
                begun = time.time()
                with load.without(machine):
                    machine.d2.stop()
                    machine.start()
                gaps.append(_show(site.updates.longest_gap(begun, time.time()), what))
            for server in site.servers:
                site.until_well()
                what = f"{server.name}, the leader" if site.leader() is server else server.name
                begun = time.time()
                server.process.stop(signal.SIGUSR2, _LAME_DUCK_SECONDS)
                server.start()
                site.until_well()
                gaps.append(_show(site.updates.longest_gap(begun, time.time()), what))
        outcome = finish(site, load)
    print(f"rolling restart at {rate:g} requests a second: {outcome}; {max(gaps):.2f} s without an update at "
          f"most")
    return outcome.good and max(gaps) <= MOST_GAP


def _show(gap: float, what: str) -> float:
    print(f"{what:16} {gap:5.2f} s without an update", flush=True)
    return gap
