"""How long there are no updates when an owner or a server is gone: ``python -m tests.cluster kills``."""

from __future__ import annotations

import signal
import time
from statistics import median
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.cluster.apart import SETTLE_SECONDS, apart_site
from tests.cluster.load import Load, finish
from tests.kit.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.cluster.apart import ApartSite

MOST_KILL: Final = 8.5
MOST_TERM: Final = 0.3
MOST_SERVER: Final = 11.0
"""Seconds that are allowed."""


def kills(
    binary: str, count: int, rate: float, seed: int, lease: float, grace: float,
    only: Sequence[str] | None = None,
) -> bool:
    """Kill and stop so many owners, and kill a fourth as many servers, or some of that; print the times."""
    some = [row for row in _ROWS if not only or row.name in only]
    assert some, f"choose among {', '.join(row.name for row in _ROWS)}"
    with apart_site(binary, lease=lease, grace=grace) as site, Load(site.machines, 0, seed) as load:
        site.start()
        load.rate = rate
        time.sleep(2.0)
        times = [[_timed(row, site, load) for _ in range(max(1, count // row.part))] for row in some]
        outcome = finish(site, load)
    print(f"at {rate:g} requests a second, lease {lease:g} s, grace {grace:g} s; seconds:")
    shown = [_show(row, found) for row, found in zip(some, times, strict=True)]
    print(outcome)
    return all(shown) and outcome.good


def _timed(row: _Row, site: ApartSite, load: Load) -> float:
    site.until_well()
    seconds = row.play(site, load)
    print(f"{row.name:14} {seconds:6.2f} s", flush=True)
    return seconds


def _end_owner(site: ApartSite, load: Load, number: signal.Signals) -> float:
    """End the owner; return how long there was no update."""
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


def _kill_leader(site: ApartSite, _: Load) -> float:
    """Kill the leader of the stream; return how long there was no update."""
    leader = site.leader()
    begun = time.time()
    leader.process.kill()
    time.sleep(MOST_SERVER + 4)
    gap = site.updates.longest_gap(begun, time.time())
    leader.start()
    return gap


class _Row(NamedTuple):
    """Something that happens to a site."""

    name: str
    what: str
    play: Callable[[ApartSite, Load], float]
    most: float
    """Seconds that are allowed."""
    part: int = 1
    """It happens once where others do so often."""


_ROWS: Final = (
    _Row("owner_killed", "owner killed, to the next update",
         lambda site, load: _end_owner(site, load, signal.SIGKILL), MOST_KILL),
    _Row("owner_stopped", "owner got SIGTERM, without an update",
         lambda site, load: _end_owner(site, load, signal.SIGTERM), MOST_TERM),
    _Row("leader_killed", "leader of the stream killed, without an update", _kill_leader, MOST_SERVER, 4),
)


def _show(row: _Row, times: Sequence[float]) -> bool:
    within = sum(one <= row.most for one in times)
    print(f"{row.what:48} {len(times):3} times: median {median(times):.2f}, most {max(times):.2f}; "
          f"{within} within {row.most:g}", flush=True)
    return within == len(times)
