"""No quorum for minutes under load, and what follows: ``python -m tests.cluster quorum --minutes 10``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from tests.cluster.apart import apart_site
from tests.cluster.load import Load, finish

if TYPE_CHECKING:
    from tests.cluster.apart import ApartSite

LEAST_RATE: Final = 15_000.0
"""Requests a second that are wanted."""
_GIGABYTE: Final = 1 << 30
_LOOK: Final = 0.2


def quorum(binary: str, minutes: float, rate: float, seed: int, lease: float, grace: float) -> bool:
    """Play it, print the figures, and return whether nothing is lost and the rate is reached."""
    more: dict[str, Any] = {"max-entries": 10_000_000}
    with apart_site(binary, nodes=2, lease=lease, grace=grace, octets=(6 * _GIGABYTE, 2 * _GIGABYTE),
                    **more) as site, Load(site.machines, 0, seed) as load:
        site.start()
        load.rate = rate
        time.sleep(5.0)
        for server in site.servers[:2]:
            server.process.kill()
        time.sleep(60 * minutes)
        spooled = _waiting(site)
        for server in site.servers[:2]:
            server.start()
        begun = time.monotonic()
        forwarded, seconds, until_first = _forward(site)
        print(f"{minutes:g} minutes without a quorum at {rate:g} requests a second: {spooled} waited on the "
              f"disks of two machines; {until_first:.1f} s after the servers were started again the first "
              f"ones went on, and {forwarded} in {seconds:.1f} s: {forwarded / seconds:.0f} a second",
              flush=True)
        # BIND takes its time; what counts is that all of it comes, in order.
        outcome = finish(site, load)
        print(f"{outcome}; the zone was right {time.monotonic() - begun:.0f} s after that start")
    return outcome.good and forwarded / seconds >= LEAST_RATE


def _waiting(site: ApartSite) -> int:
    return sum(machine.queue()["unacknowledged"] for machine in site.machines)


def _forward(site: ApartSite) -> tuple[int, float, float]:
    """Wait until little is left; return how many went on, in how many seconds, and the wait before."""
    begun = time.monotonic()
    before, now, at = 0, begun, begun
    end = begun + 600
    while time.monotonic() < end:
        appended = sum(machine.queue()["appended"] for machine in site.machines)
        now = time.monotonic()
        if not before:
            before, at = appended, now
        elif appended == before:
            at = now
        elif _waiting(site) < 2000:
            break
        time.sleep(_LOOK)
    return appended - before, max(_LOOK, now - at), at - begun
