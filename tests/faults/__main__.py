"""Long runs: ``python -m tests.faults soak --minutes 10 --rate 500``."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.faults import gaps, outages, rows, rude, scarce, wide
from tests.faults.soak import soak


def _soak(binary: str, seconds: float, rate: float) -> bool:
    outcome = soak(binary, seconds, rate, lambda line: print(line, flush=True))
    print(outcome.text())
    return not outcome.complaints


RUNS: Final[dict[str, Callable[[str, float, float], bool]]] = {
    "soak": _soak, "isolation": rows.isolation, "reloads": rows.reloads, "storm": rows.storm,
    "outage": outages.outage, "adversity": outages.adversity, "gaps": gaps.gaps,
    "rude": rude.rude, "scarce": scarce.scarce, "wide": wide.wide,
}
"""Each takes the daemon, the seconds and the rate, prints its figures and says whether all is well."""


def main() -> int:
    """Run, print the figures and return 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("run", choices=list(RUNS), help="what to run")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default %(default)s)")
    parser.add_argument("--seconds", type=float, help="the same in seconds; for outage, that of the outage")
    parser.add_argument("--rate", type=float, default=300.0,
                        help="requests per second, for storm forged replies (default %(default)s)")
    parser.add_argument("--d2", default=str(Path(sys.executable).with_name("pyd2")),
                        help="the daemon (default %(default)s)")
    options = parser.parse_args()
    seconds = 60 * options.minutes if options.seconds is None else options.seconds
    return 0 if RUNS[options.run](options.d2, seconds, options.rate) else 1


if __name__ == "__main__":
    sys.exit(main())
