"""Long runs: ``python -m tests.faults soak --minutes 10 --rate 500``."""

import argparse
import sys
from pathlib import Path

from tests.faults.soak import soak


def main() -> int:
    """Run, print the figures and return 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("run", choices=["soak"], help="what to run")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default %(default)s)")
    parser.add_argument("--rate", type=float, default=500.0, help="requests per second (default %(default)s)")
    parser.add_argument("--d2", default=str(Path(sys.executable).with_name("pyd2")),
                        help="the daemon (default %(default)s)")
    options = parser.parse_args()
    outcome = soak(options.d2, 60 * options.minutes, options.rate, lambda line: print(line, flush=True))
    print(outcome.text())
    return 1 if outcome.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
