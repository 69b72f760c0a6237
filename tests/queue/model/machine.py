"""The steps as a Hypothesis state machine."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.queue.model.faults import Act
from tests.queue.model.steps import RUNNING, Steps, can, finish
from tests.queue.model.world import CLIENTS, Violation

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.queue.model.process import Server

SCRATCH: Final = "/dev/shm" if Path("/dev/shm").is_dir() else None

_clients = st.lists(st.integers(0, CLIENTS - 1), min_size=1, max_size=12)
_some = st.sets(st.integers(0, CLIENTS - 1), min_size=1)
_kills = st.sampled_from([int(Act.KILL_BEFORE), int(Act.KILL_AFTER), int(Act.KILL_TORN)])
_acts = st.sampled_from([int(act) for act in Act if act is not Act.NOTHING])



class QueueMachine(RuleBasedStateMachine):
    """One world; its steps go on until the law is broken, and a start at the end must account for all."""

    server: ClassVar[Server]
    report: ClassVar[Callable[[Steps, Violation], bool] | None] = None
    """Called with a violation; returns whether the run goes on, with another world."""
    on_end: ClassVar[Callable[[Steps], None] | None] = None

    def __init__(self) -> None:
        super().__init__()
        self._base = Path(tempfile.mkdtemp(prefix="pyd2-model-", dir=SCRATCH))
        self.world = Steps(self.server, self._base)
        self._over = False

    def _play(self, name: str, *arguments: Any) -> None:
        """Do a step. There are no preconditions: what a process has died of must not change what is drawn."""
        if self._over:
            return
        try:
            if self.world.child is None and name in RUNNING:
                self.world.play("begin")
            elif self.world.child is not None and name in ("flip", "spoil"):
                self.world.play("crash")
            if can(self.world, name):
                self.world.play(name, *arguments)
        except Violation as violation:
            self._found(violation)

    def _found(self, violation: Violation) -> None:
        self._over = True
        report = type(self).report
        if report is None or not report(self.world, violation):
            raise violation

    def teardown(self) -> None:
        """See that all is accounted for."""
        try:
            if not self._over:
                finish(self.world)
        except Violation as violation:
            self._found(violation)
        finally:
            self._over = True
            self.world.kill()
            on_end = type(self).on_end
            if on_end is not None:
                on_end(self.world)
            shutil.rmtree(self._base, ignore_errors=True)

    @rule()
    def begin(self) -> None:
        self._play("begin")

    @rule(at=st.integers(1, 70), act=_acts)
    def begin_and_die(self, at: int, act: int) -> None:
        self._play("begin_and_die", at, act)

    @rule()
    def go_elsewhere(self) -> None:
        self._play("go_elsewhere")

    @rule(clients=_clients)
    def take(self, clients: list[int]) -> None:
        self._play("take", clients)

    @rule(clients=_clients)
    def take_and_settle(self, clients: list[int]) -> None:
        self._play("take", clients)
        self._play("settle")

    @rule(some=_some)
    def done(self, some: set[int]) -> None:
        self._play("done", sorted(some))

    @rule(some=_some)
    def dead(self, some: set[int]) -> None:
        self._play("bury", sorted(some))

    @rule(some=_some)
    def amend(self, some: set[int]) -> None:
        self._play("amend", sorted(some))

    @rule()
    def settle(self) -> None:
        self._play("settle")

    @rule()
    def wait(self) -> None:
        self._play("wait")

    @rule()
    def crash(self) -> None:
        self._play("crash")

    @rule()
    def end(self) -> None:
        self._play("end")

    @rule(after=st.integers(1, 40), act=_acts)
    def crash_at(self, after: int, act: int) -> None:
        self._play("crash_at", after, act)

    @rule(after=st.integers(1, 12), act=_kills, clients=_clients, some=_some)
    def crash_at_work(self, after: int, act: int, clients: list[int], some: set[int]) -> None:
        self._play("crash_at", after, act)
        self._play("take", clients)
        self._play("done", sorted(some))
        self._play("settle")

    @rule()
    def second(self) -> None:
        self._play("second")

    @rule()
    def reload_elsewhere(self) -> None:
        self._play("reload_elsewhere")

    @rule()
    def reload_kind(self) -> None:
        self._play("reload_kind")

    @rule(which=st.integers(0, 3))
    def sicken(self, which: int) -> None:
        self._play("sicken", which)

    @rule()
    def mend(self) -> None:
        self._play("mend")

    @rule()
    def hang(self) -> None:
        self._play("hang")

    @rule()
    def delete_wal(self) -> None:
        self._play("delete_wal")

    @rule(size=st.sampled_from([0, 1, 100, 8192, 20000]))
    def truncate(self, size: int) -> None:
        self._play("truncate", size)

    @rule(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), wal=st.booleans())
    def flip(self, where: float, bit: int, wal: bool) -> None:
        self._play("flip", where, bit, wal)

    @rule(which=st.integers(0, 30), bit=st.integers(0, 7))
    def spoil(self, which: int, bit: int) -> None:
        self._play("spoil", which, bit)

    @rule()
    def delete_small_files(self) -> None:
        self._play("delete_small_files")

    @rule()
    def move_away(self) -> None:
        self._play("move_away")

    @rule()
    def put_back(self) -> None:
        self._play("put_back")

    @rule()
    def copy(self) -> None:
        self._play("copy")

    @rule(which=st.integers(0, 2))
    def place_copy(self, which: int) -> None:
        self._play("place_copy", which)

    @rule(count=st.integers(1, 9))
    def place_foreign(self, count: int) -> None:
        self._play("place_foreign", count)
