"""One life of a queue: all that it does to its files, and a kill at each of these operations."""

from __future__ import annotations

import copy
import errno
import shutil
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tests.queue.model.faults import Act
from tests.queue.model.steps import Steps, can, finish
from tests.queue.model.world import Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.queue.model.faults import Operation
    from tests.queue.model.process import Server

_ALL: Final = [0, 1, 2, 3, 4, 5]
_SETTLE: Final[tuple[str, list[Any]]] = ("settle", [])

LIVES: Final[list[list[tuple[str, list[Any]]]]] = [
    # A new queue: fifty requests, of which some are done, amended, or dead letters.
    [("begin", []), ("take", [_ALL * 2]), _SETTLE, ("take", [_ALL * 2 + [0]]), _SETTLE, ("done", [[0, 1, 2]]),
     _SETTLE, ("amend", [[3]]), _SETTLE, ("take", [_ALL * 4 + [1]]), _SETTLE, ("bury", [[4, 5]]), _SETTLE,
     *[("done", [_ALL]), _SETTLE] * 4, ("take", [_ALL]), _SETTLE, ("crash", [])],
    # What was killed goes on, and is stopped in order.
    [("begin", []), ("done", [_ALL]), _SETTLE, ("take", [_ALL]), _SETTLE, ("end", [])],
    # A damaged file is set aside.
    [("spoil", [2, 3]), ("begin", []), ("take", [_ALL]), _SETTLE, ("done", [_ALL]), _SETTLE,
     ("crash", [])],
    # One that is cut off, too.
    [("truncate", [9000]), ("begin", []), ("take", [_ALL * 2]), _SETTLE, ("end", [])],
    # A file that comes into the place of the one in use.
    [("begin", []), ("place_foreign", [5]), ("take", [_ALL]), _SETTLE, ("done", [_ALL]), _SETTLE,
     ("crash", [])],
    # From the durable queue to none, and back.
    [("begin", []), ("take", [_ALL]), _SETTLE, ("reload_kind", []), ("take", [[0]]), _SETTLE,
     ("done", [_ALL]), _SETTLE, ("reload_kind", []), ("take", [_ALL]), _SETTLE, ("end", [])],
    # A disk that fails, and is mended.
    [("begin", []), ("sicken", [0]), ("take", [_ALL * 3]), _SETTLE, ("done", [_ALL]), ("mend", []), _SETTLE,
     ("bury", [[2]]), _SETTLE, ("crash", [])],
    # Another directory is named, and then used.
    [("begin", []), ("take", [_ALL]), _SETTLE, ("reload_elsewhere", []), ("take", [_ALL]), _SETTLE,
     ("end", [])],
    [("begin", []), ("take", [_ALL]), _SETTLE, ("done", [_ALL]), _SETTLE, ("end", [])],
    [("go_elsewhere", []), ("begin", []), *[("done", [_ALL]), _SETTLE] * 3, ("end", [])],
]  # fmt: skip


class Snapshot:
    """A world between two of its daemons, to begin from again."""

    def __init__(self, world: Steps, directory: Path) -> None:
        assert world.child is None
        self._world = world
        self._tree = directory
        shutil.copytree(world.base, directory)
        self._known = self._copied(vars(world))

    @staticmethod
    def _copied(known: dict[str, Any]) -> dict[str, Any]:
        mine = {name: value for name, value in known.items() if name not in ("_server", "child")}
        return copy.deepcopy(mine)

    def restore(self) -> Steps:
        """Have all be as it was."""
        self._world.kill()
        shutil.rmtree(self._world.base)
        shutil.copytree(self._tree, self._world.base)
        vars(self._world).update(self._copied(self._known))
        return self._world


class Life(NamedTuple):
    """One daemon of the scenario."""

    number: int
    before: Snapshot
    """Behind what the operator does first."""
    script: list[tuple[str, list[Any]]]
    operations: list[Operation]


def live(world: Steps, script: Sequence[tuple[str, list[Any]]]) -> None:
    """Do the steps that can be done; a process that has died makes most of them impossible."""
    for name, arguments in script:
        if can(world, name):
            world.play(name, *arguments)


def lives(server: Server, base: Path, snapshots: Path) -> Iterator[Life]:
    """Play the scenario without a fault, and give each life with all its operations."""
    world = Steps(server, base)
    for number, script in enumerate(LIVES):
        first = next(at for at, (name, _) in enumerate(script) if name == "begin")
        live(world, script[:first])
        before = Snapshot(world, snapshots / f"{number}")
        world.keeps_operations = True
        live(world, script[first:])
        world.keeps_operations = False
        assert world.child is None
        operations, world.last_operations = world.last_operations, []
        after = Snapshot(world, snapshots / f"{number}-after")
        yield Life(number, before, script[first:], operations)
        world = after.restore()


class Table:
    """What was killed where."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._times: Counter[tuple[str, str]] = Counter()
        self._acts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self.operations = self.runs = self.missed = self.violations = 0

    def add(self, operation: Operation, base: Path) -> tuple[str, str]:
        """Count an operation; return its row."""
        row = operation.kind, _family(operation.path, base)
        self._times[row] += 1
        self.operations += 1
        return row

    def count(self, row: tuple[str, str], what: str) -> None:
        """Count what was done at one."""
        self._acts[row][what] += 1

    def __str__(self) -> str:
        heads = ["killed before", "killed after", "killed within", "failed", "not reached", "violations"]
        lines = [f"| operation | file | times | {' | '.join(heads)} |", "|" + "---|" * (3 + len(heads))]
        for row, times in sorted(self._times.items()):
            cells = (str(self._acts[row][head] or "") for head in heads)
            lines.append(f"| {row[0]} | {row[1]} | {times} | {' | '.join(cells)} |")
        seconds = time.monotonic() - self._began
        lines.append(f"{self.operations} operations, {self.runs} runs, {self.missed} not reached, "
                     f"{self.violations} violations, {seconds:.0f} s")
        return "\n".join(lines)


def _family(path: str, base: Path) -> str:
    name = Path(path)
    if name.is_relative_to(base):
        name = name.relative_to(base)
    return "/".join(part.rstrip("0123456789") for part in name.parts[1:]) or "the directory"


_ACTS: Final = {
    "killed before": Act.KILL_BEFORE, "killed after": Act.KILL_AFTER, "killed within": Act.KILL_TORN,
    "failed": Act.FAIL,
}


def enumerate_kills(
    server: Server, scratch: Path, *, every: int = 1, said: Callable[[str], None] = lambda _: None
) -> Table:
    """Kill before, within and after each operation of the scenario, and let each fail once.

    ``every``: only each so many-th; ``said`` gets the violations.
    """
    table = Table()
    turn = 0
    for life in lives(server, scratch / "world", scratch / "snapshots"):
        for at, operation in enumerate(life.operations, 1):
            row = table.add(operation, scratch / "world")
            for what, act in _ACTS.items():
                if act is Act.KILL_TORN and operation.kind != "write":
                    continue
                turn += 1
                if turn % every:
                    continue
                table.runs += 1
                world = life.before.restore()
                try:
                    reached = _live_with(world, life.script, at, act)
                    if reached:
                        table.count(row, what)
                    else:
                        table.missed += 1
                        table.count(row, "not reached")
                except Violation as violation:
                    table.violations += 1
                    table.count(row, "violations")
                    said(f"life {life.number}, {what} operation {at}, {operation}: {violation}")
                finally:
                    world.kill()
    return table


def _live_with(world: Steps, script: Sequence[tuple[str, list[Any]]], at: int, act: Act) -> bool:
    """Live a life with a fault; return whether it came so far. Raises Violation."""
    world.start(at, act, errno.EIO if at % 2 else errno.ENOSPC)
    if world.child is not None:
        world.settle()
    live(world, script[1:])
    reached = world.last_count >= at
    finish(world)
    live(world, [("take", [_ALL]), _SETTLE, ("done", [_ALL]), _SETTLE, ("end", []), ("begin", [])])
    return reached
