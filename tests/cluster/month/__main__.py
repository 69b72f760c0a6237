"""Many sites for a month in virtual time: ``python -m tests.cluster.month``.

``rates`` has what it assumes. Some minutes on two cores; a site is made again by its seed.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tests.cluster.month.figures import Figures
from tests.cluster.month.play import play
from tests.cluster.month.rates import DAY


def main() -> None:
    """Play the sites and print what was seen."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.month", description=__doc__)
    parser.add_argument("--sites", type=int, default=1000)
    parser.add_argument("--nodes", type=int, default=10, help="of each site (default %(default)s)")
    parser.add_argument("--days", type=float, default=30.0)
    parser.add_argument("--first", type=int, default=0, help="seed of the first site")
    options = parser.parse_args()
    begun = time.monotonic()
    total = Figures()
    seeds = range(options.first, options.first + options.sites)
    with ProcessPoolExecutor() as pool:
        for figures in pool.map(partial(play, nodes=options.nodes, seconds=options.days * DAY), seeds,
                                chunksize=5):
            total.add(figures)
    for line in total.lines():
        print(line)
    print(f"{time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
