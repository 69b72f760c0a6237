"""Long runs: ``python -m tests.faults soak --minutes 10 --rate 500``.

``python -m tests.faults isolation --load backlog`` chooses rows of that table; see isolation.py.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.daemon import end_on_sigterm
from tests.faults import gaps, http, isolation, outages, rows, rude, scarce, wide
from tests.faults.soak import soak


def _soak(binary: str, seconds: float, rate: float) -> bool:
    outcome = soak(binary, seconds, rate, lambda line: print(line, flush=True))
    print(outcome.text())
    return not outcome.complaints


RUNS: Final[dict[str, Callable[[str, float, float], bool]]] = {
    "soak": _soak, "dead-zone": rows.dead_zone, "reloads": rows.reloads, "storm": rows.storm,
    "outage": outages.outage, "adversity": outages.adversity, "gaps": gaps.gaps,
    "rude": rude.rude, "scarce": scarce.scarce, "wide": wide.wide,
}
"""Each takes the daemon, the seconds and the rate, prints its figures and says whether all is well."""


def main() -> int:
    """Run, print the figures and return 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("run", choices=["isolation", "http", *RUNS], help="what to run")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default %(default)s)")
    parser.add_argument("--seconds", type=float, help="the same in seconds; for outage, that of the outage")
    parser.add_argument("--rate", type=float,
                        help="requests per second, for storm forged replies (default 300)")
    parser.add_argument("--d2", default=str(Path(sys.executable).with_name("pyd2")),
                        help="the daemon (default %(default)s)")
    rows_of = parser.add_argument_group("isolation", "at 500 requests per second for 10 seconds, if not said")
    rows_of.add_argument("--load", action="append", choices=list(isolation.KINDS), help="rows (default: all)")
    rows_of.add_argument("--switches", action="append", choices=list(isolation.SWITCHES),
                         help="what is switched on (default: each in turn)")
    rows_of.add_argument("--backlog", type=int, default=300_000,
                         help="how many requests are very many (default %(default)s)")
    rows_of.add_argument("--burst", type=float, default=isolation.BURST,
                         help="how many of these are sent per second (default %(default)s)")
    parser.add_argument("--attack", action="append", choices=list(http.ATTACKS),
                        help="rows of http, which takes 10 seconds for each (default: all)")
    options = parser.parse_args()
    if options.run == "isolation":
        fine = isolation.isolation(options.load or (), options.switches or (), options.seconds or 10.0,
                                   options.rate or 500.0, options.backlog, options.burst)
        return 0 if fine else 1
    if options.run == "http":
        return 0 if http.http(options.attack or (), options.seconds or 10.0, options.rate or 300.0) else 1
    options.rate = options.rate or 300.0
    seconds = 60 * options.minutes if options.seconds is None else options.seconds
    return 0 if RUNS[options.run](options.d2, seconds, options.rate) else 1


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())
