"""Long runs of a site with a shared queue: ``python -m tests.cluster faults --count 100``.

Each needs root, makes networks of its own, prints its figures and fails if they are not as they should be.
``disk``, ``rate``, ``elsewhere`` and ``suffixes`` need neither.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.cluster import (
    elsewhere,
    faults,
    frozen,
    kills,
    lan,
    power,
    quorum,
    rate,
    rolling,
    suffixes,
    switching,
)
from tests.cluster.disk.runs import disk

if TYPE_CHECKING:
    from collections.abc import Callable

class Run(NamedTuple):
    """A command, and its own defaults."""

    play: Callable[[argparse.Namespace], bool]
    shows: str
    times: int = 1
    rate: float = 300.0
    lease: float = 2.0
    grace: float = 0.5
    minutes: float = 60.0


RUNS: Final = {
    "faults": Run(
        lambda o: faults.faults(o.d2, o.count, o.rate, o.seed, 60 * o.minutes, o.lease, o.grace, o.only),
        "all that may fail does", 100,
    ),
    "kills": Run(
        lambda o: kills.kills(o.d2, o.count, o.rate, o.seed, o.lease, o.grace, o.only),
        "how long there are no updates when an owner or a server is gone", 20, lease=6.0, grace=1.0,
    ),
    "quorum": Run(
        lambda o: quorum.quorum(o.d2, o.minutes, o.rate, o.seed, o.lease, o.grace),
        "no quorum for --minutes, and what follows", rate=1000.0, minutes=10.0,
    ),
    "power": Run(
        lambda o: power.power(o.d2, o.count, o.rate, o.seed, 60 * o.minutes, o.lease, o.grace, o.sync),
        "power cuts of all servers", 10,
    ),
    "frozen": Run(
        lambda o: frozen.frozen(
            o.d2, o.count, o.rate, o.seed, 60 * o.minutes, o.lease, o.grace, o.fudge, o.dns
        ),
        "owners that stand still and wake up", 100, 1000.0,
    ),
    "rolling": Run(
        lambda o: rolling.rolling(o.d2, o.count, o.rate, o.seed, o.lease, o.grace),
        "all nodes and servers are started again", rate=1000.0, lease=6.0, grace=1.0,
    ),
    "switching": Run(
        lambda o: switching.switching(o.d2, o.count, o.rate, o.seed, o.lease, o.grace),
        "from durable to nats and back", 3,
    ),
    "disk": Run(
        lambda o: disk(o.count, o.seed), "a receiver's disk fails and hangs, in played time", 300,
    ),
    "suffixes": Run(
        lambda o: suffixes.suffixes(o.d2), "what repeated requests do, on BIND and Knot DNS",
    ),
    "rate": Run(
        lambda o: rate.rate(o.count),
        "requests a second, CPU time for each, the time of a lone one", 3,
    ),
    "elsewhere": Run(
        lambda o: elsewhere.elsewhere(o.count, o.rate),
        "the same at --rate and at full load, with servers that are played and take no processor", 3,
        10_000.0,
    ),
}


def main() -> int:
    """Run what is asked for; return 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    shown = "; ".join(f"{name}: {run.shows}" for name, run in RUNS.items())
    parser.add_argument("run", choices=RUNS, help=shown)
    parser.add_argument("--count", type=int, help="how often")
    parser.add_argument("--rate", type=float, help="requests a second")
    parser.add_argument("--minutes", type=float, help="without a quorum (10); the most for others (60)")
    parser.add_argument("--lease", type=float, help="seconds")
    parser.add_argument("--grace", type=float, help="seconds")
    parser.add_argument("--sync", default="always", help="sync_interval of the servers, for power")
    parser.add_argument("--fudge", type=int, help="the switch tsig-fudge of frozen: updates are signed")
    parser.add_argument("--dns", choices=("bind", "knot"), default="bind", help="the server of frozen")
    parser.add_argument("--only", action="append", metavar="FAULT",
                        help="of faults and kills, such as owner_killed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--d2", default=str(Path(sys.executable).with_name("pyd2")), metavar="PATH")
    options = parser.parse_args()
    run = RUNS[options.run]
    defaults = {"count": run.times, "rate": run.rate, "minutes": run.minutes, "lease": run.lease,
                "grace": run.grace}
    for name, value in defaults.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    if options.run not in ("disk", "rate", "elsewhere", "suffixes"):
        lan.enter("tests.cluster", sys.argv[1:])
    return 0 if run.play(options) else 1


if __name__ == "__main__":
    sys.exit(main())
