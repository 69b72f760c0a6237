"""A long run of the model of a shared queue: ``python -m tests.queue.shared --runs 20000``."""

from __future__ import annotations

import argparse
from collections import Counter
from random import Random

from tests.queue.shared.model import World


def main() -> None:
    """Run the model and say what has happened in it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--steps", type=int, default=300, help="of each run")
    parser.add_argument("--first", type=int, default=0, help="seed of the first run")
    options = parser.parse_args()
    happened: Counter[str] = Counter()
    for seed in range(options.first, options.first + options.runs):
        try:
            World(Random(seed), happened).run(options.steps)
        except AssertionError:
            print(f"seed {seed}:")
            raise
    print(f"{options.runs} runs of {options.steps} steps: no rule was broken")
    for what, count in happened.most_common():
        print(f"{count:9} {what}")


if __name__ == "__main__":
    main()
