"""``python -m tests.queue.model``: the model of the durable queue for as long as one likes."""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.queue.model import process, world
from tests.queue.model.machine import SCRATCH, QueueMachine
from tests.queue.model.power import cut_power
from tests.queue.model.process import server
from tests.queue.model.scenario import enumerate_kills
from tests.queue.model.steps import LEFT_OUT, Steps, replay
from tests.queue.model.world import Violation

if TYPE_CHECKING:
    from tests.queue.model.process import Server

STEPS_OF_A_WORLD = 40


class Account:
    """Of a run."""

    def __init__(self, steps: int, findings: Path) -> None:
        self.steps = self.kills = self.worlds = self.requests = 0
        self.laws: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.seconds: dict[str, float] = defaultdict(float)
        self._most = steps
        self._findings = findings
        self._began = time.monotonic()

    def found(self, it: Steps, violation: Violation) -> bool:
        """Keep the script of a violation."""
        self.laws[violation.law] += 1
        path = self._findings / f"{violation.law}-{self.laws[violation.law]}.json"
        path.write_text(json.dumps({"violation": str(violation), "script": it.script,
                                    "log": [message.text for message in it.log[-20:]]}, indent=1))
        print(f"{path}: {str(violation)[:300]}", flush=True)
        return True

    def ended(self, it: Steps) -> None:
        """Count a world."""
        self.worlds += 1
        self.steps += len(it.script)
        self.kills += it.kills
        self.requests += len(it.requests)
        for name, seconds in it.seconds.items():
            self.seconds[name] += seconds
        self.done += Counter(name for name, _ in it.script)
        if self.worlds % 100 == 0:
            print(self, flush=True)
        if self.steps >= self._most:
            raise KeyboardInterrupt

    def __str__(self) -> str:
        seconds = time.monotonic() - self._began
        return (f"{self.steps:,} steps in {self.worlds:,} worlds, {self.requests:,} requests, "
                f"{self.kills:,} kills, "
                f"{sum(self.laws.values())} violations {dict(self.laws)}, {seconds:.0f} s")


def run(there: Server, steps: int, number: int, findings: Path) -> int:
    """Play steps; return the number of violations."""
    account = Account(steps, findings)
    machine = type("Machine", (QueueMachine,), {"server": there, "report": staticmethod(account.found),
                                                "on_end": staticmethod(account.ended)})
    options = settings(
        max_examples=steps, stateful_step_count=STEPS_OF_A_WORLD, phases=[Phase.generate], deadline=None,
        database=None, suppress_health_check=list(HealthCheck),
    )
    with contextlib.suppress(KeyboardInterrupt):
        run_state_machine_as_test(seed(number)(machine), settings=options)
    print("| step | times | ms each |\n|---|---|---|")
    for name, times in account.done.most_common():
        print(f"| {name} | {times:,} | {1000 * account.seconds[name] / times:.1f} |")
    print(account)
    return sum(account.laws.values())


def once(there: Server, script: list[Any]) -> Violation | None:
    """Play a script; return what it breaks."""
    base = Path(tempfile.mkdtemp(prefix="pyd2-model-", dir=SCRATCH))
    it = Steps(there, base)
    try:
        replay(it, [(name, arguments) for name, arguments in script])
    except Violation as violation:
        return violation
    finally:
        it.kill()
        shutil.rmtree(base, ignore_errors=True)
    return None


def shrink(there: Server, script: list[Any], law: str, tries: int) -> list[Any]:
    """Leave steps out as long as the same law is broken in one of some tries."""
    def broken(some: list[Any]) -> bool:
        return any((found := once(there, some)) is not None and found.law == law for _ in range(tries))

    size = len(script) // 2
    while size:
        at = 0
        while at < len(script):
            less = script[:at] + script[at + size :]
            if broken(less):
                script = less
            else:
                at += size
        size //= 2
    return script


def main() -> int:
    """Run what the options ask for; the exit status is 1 when something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.queue.model", description=__doc__)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--findings", type=Path, default=Path(tempfile.gettempdir(), "pyd2-model-findings"),
                        help="the folder for the scripts of violations")
    parser.add_argument("--defect", default="", help="plant a defect first")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="play the script of a violation")
    parser.add_argument("--shrink", action="store_true", help="with --replay: leave out what is not needed")
    parser.add_argument("--enumerate", action="store_true",
                        help="instead: a fixed scenario, killed at each of its operations on files")
    parser.add_argument("--power", action="store_true",
                        help="instead: the same scenario, with a cut of power at each fsync")
    parser.add_argument("--every", type=int, default=1, help="only each so many-th of --enumerate or --power")
    parser.add_argument("--without", nargs="*", default=[], metavar="STEP", help="steps that are left out")
    parser.add_argument("--timeout", type=float, default=world.TIMEOUT, metavar="SECONDS",
                        help="how long what must come may take")
    parser.add_argument("--tries", type=int, default=3, help="of a script")
    arguments = parser.parse_args()
    LEFT_OUT.update(arguments.without)
    world.TIMEOUT = process.ANSWER_SECONDS = arguments.timeout
    arguments.findings.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pyd2-model-", dir=SCRATCH) as scratch, \
            server(Path(scratch), arguments.defect) as there:
        if arguments.enumerate or arguments.power:
            play = enumerate_kills if arguments.enumerate else cut_power
            table = play(there, Path(scratch), every=arguments.every, said=print)
            print(table)
            return 1 if table.violations else 0
        if arguments.replay is None:
            return 1 if run(there, arguments.steps, arguments.seed, arguments.findings) else 0
        reported = json.loads(arguments.replay.read_text())
        script = reported["script"]
        if arguments.shrink:
            script = shrink(there, script, reported["violation"].split(":")[0], arguments.tries)
            print(json.dumps(script))
        found = [once(there, script) for _ in range(arguments.tries)]
        for one in found:
            print(one)
        return 1 if any(found) else 0


if __name__ == "__main__":
    sys.exit(main())
