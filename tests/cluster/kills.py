"""How long there are no updates when an owner or a server is gone: ``python -m tests.cluster kills``."""

from __future__ import annotations

import signal
import time
from statistics import median
from typing import TYPE_CHECKING, Final

from tests.cluster.apart import SETTLE_SECONDS, apart_site
from tests.cluster.load import Load, finish
from tests.kit.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.cluster.apart import ApartSite

MOST_KILL: Final = 8.5
MOST_TERM: Final = 0.3
MOST_SERVER: Final = 11.0
"""Seconds that are allowed."""


def kills(binary: str, count: int, rate: float, seed: int, lease: float, grace: float) -> bool:
    """Kill and stop so many owners, and kill a fourth as many servers; print the times."""
    with apart_site(binary, lease=lease, grace=grace) as site, Load(site.machines, 0, seed) as load:
        site.start()
        load.rate = rate
        time.sleep(2.0)
        killed = [_end_owner(site, load, signal.SIGKILL) for _ in range(count)]
        stopped = [_end_owner(site, load, signal.SIGTERM) for _ in range(count)]
        leaders = [_kill_leader(site) for _ in range((count + 3) // 4)]
        outcome = finish(site, load)
    print(f"at {rate:g} requests a second, lease {lease:g} s, grace {grace:g} s; seconds:")
    good = _show("owner killed, to the next update", killed, MOST_KILL)
    good &= _show("owner got SIGTERM, without an update", stopped, MOST_TERM)
    good &= _show("leader of the stream killed, without an update", leaders, MOST_SERVER)
    print(outcome)
    return good and outcome.good


def _end_owner(site: ApartSite, load: Load, number: signal.Signals) -> float:
    """End the owner; return how long there was no update."""
    site.until_well()
    owner = site.owner()
    with load.without(owner):
        begun = time.time()
        owner.d2.process.send_signal(number)
        first = wait_until(lambda: site.updates.after(begun, other_than=owner.name), "the next owner",
                           SETTLE_SECONDS)
        assert first is not None
        owner.d2.process.wait_for_exit()
        owner.start()
    return first.at - begun if number == signal.SIGKILL else site.updates.longest_gap(begun, first.at)


def _kill_leader(site: ApartSite) -> float:
    """Kill the leader of the stream; return how long there was no update."""
    site.until_well()
    leader = site.leader()
    begun = time.time()
    leader.process.kill()
    time.sleep(MOST_SERVER + 4)
    gap = site.updates.longest_gap(begun, time.time())
    leader.start()
    return gap


def _show(what: str, times: Sequence[float], most: float) -> bool:
    within = sum(one <= most for one in times)
    print(f"{what:48} {len(times):3} times: median {median(times):.2f}, most {max(times):.2f}; "
          f"{within} within {most:g}", flush=True)
    return within == len(times)
