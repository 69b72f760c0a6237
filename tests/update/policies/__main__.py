"""The machine of states.py for a long time: ``python -m tests.update.policies [--steps 50000]``."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, Final

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from pyd2.backend import NAMES
from tests.update import support
from tests.update.policies.states import PolicyStates

if TYPE_CHECKING:
    from collections.abc import Callable

_STEPS: Final = 100
"""In an example."""


class Counted(PolicyStates):
    """The machine, whose steps are counted."""

    steps = 0

    def check_invariants(self, *args: Any, **more: Any) -> None:
        """Hypothesis calls it after each step."""
        type(self).steps += 1
        super().check_invariants(*args, **more)


def main() -> int:
    """Run half of the steps on each packet layer."""
    parser = argparse.ArgumentParser(prog="python -m tests.update.policies", description=__doc__)
    parser.add_argument("--steps", type=int, default=50_000, help="how many (default %(default)s)")
    options = parser.parse_args()
    for layer in NAMES:
        support.LAYER = layer
        Counted.steps = 0
        while Counted.steps < options.steps / len(NAMES):
            how = settings(
                max_examples=100, stateful_step_count=_STEPS, deadline=None, database=None, derandomize=False,
                phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck),
            )
            run: Callable[..., None] = run_state_machine_as_test
            run(Counted, settings=how)
            print(f"{layer}: {Counted.steps} steps", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
