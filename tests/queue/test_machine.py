"""The whole queue, loop and thread, against a model: killed at each commit, with a disk that fails."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from pyd2.queue import lifecycle
from pyd2.queue.sqlite import DATABASE, writer
from pyd2.queue.sqlite.database import map_mark
from pyd2.queue.sqlite.store import Change, Store
from pyd2.queue.states import State
from tests.queue.played import TIMEOUT, Daemon, in_file
from tests.queue.sqlite.test_store import copied

if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable, Sequence

    from tests.update.support import MemoryLog


class Watched(Daemon):
    """A daemon that looks into the file when requests begin; one that was replaced is dead."""

    def __init__(self, machine: QueueMachine) -> None:
        self.machine = machine
        super().__init__(machine.loop)

    def _carry_out(self, datagrams: Sequence[bytes], numbers: Sequence[int]) -> None:
        in_use = self.queue._lifecycle.state is State.IN_USE
        if self.machine.daemon is self and in_use and not self.machine.sick:
            with tempfile.TemporaryDirectory() as there:
                found = in_file(copied(str(self.machine.folder), Path(there)))
            if not set(datagrams) <= set(found):
                self.machine.faults.append("a request begins before it is on the disk")
        super()._carry_out(datagrams, numbers)


class QueueMachine(RuleBasedStateMachine):
    """Requests come, begin, end; the daemon is killed, reconfigured, and its disk fails.

    At each commit the thread looks at a copy of the files, as a start after a kill there would. While
    the disk works, all that has begun and not ended is in it, in order.
    """

    sick: ClassVar[bool] = False

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.places = [tempfile.TemporaryDirectory()]
        self.taken: list[bytes] = []
        """All requests, in order."""
        self.ended: set[bytes] = set()
        self.faults: list[str] = []
        self.logs: list[MemoryLog] = []
        """Of all daemons."""
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(lifecycle, "RETRY_SECONDS", (0.005,))
        self.patch.setattr(Store, "write", self.looking_around(Store.write))
        self.patch.setattr(Store, "_change", self.failing(Store._change))
        self.make_sick(sick=False)
        self.start()

    def teardown(self) -> None:
        if hasattr(self, "daemon"):
            self.make_sick(sick=False)
            self.daemon.queue.close()
            self.patch.undo()
            self.loop.close()
            for place in self.places:
                place.cleanup()
            assert not self.faults
            reasons = [text for log in self.logs for text in log.texts("PYD2_QUEUE_FAILED")]
            assert [text for text in reasons if ": sick (" not in text and "not answered" not in text] == []

    @property
    def folder(self) -> Path:
        return Path(self.places[-1].name)

    def make_sick(self, *, sick: bool) -> None:
        type(self).sick = sick

    def looking_around(self, write: Callable[..., None]) -> Callable[..., None]:
        def looking(store: Store, *changes: Any) -> None:
            begun = set(self.daemon.begun)
            write(store, *changes)
            if store.path == self.folder / DATABASE and self.daemon.queue.durable and not self.sick:
                with tempfile.TemporaryDirectory() as there:
                    found = in_file(copied(str(self.folder), Path(there)))
                # What has ended meanwhile may be missing; only the loop's thread knows, and it only adds.
                if not begun - set(self.daemon.begun) - self.ended <= set(found):
                    self.faults.append("what has begun is not in the file")
                if found != sorted(found):
                    self.faults.append("out of order")

        return looking

    def failing(self, change: Callable[..., None]) -> Callable[..., None]:
        def fail(store: Store, rows: list[Change]) -> None:
            if self.sick and any(row.octets for row in rows):
                error = sqlite3.OperationalError("sick")
                error.sqlite_errorcode = sqlite3.SQLITE_FULL
                with store._db.failing():
                    raise error
            change(store, rows)

        return fail

    def start(self) -> None:
        self.daemon = Watched(self)
        self.logs.append(self.daemon.log)
        self.use(self.folder)

    def use(self, directory: Path | None) -> None:
        async def use() -> None:
            self.daemon.use(directory)

        self.loop.run_until_complete(use())

    def wait(self, condition: Callable[[], Any], what: str) -> None:
        self.loop.run_until_complete(self.daemon.until(condition, what))

    def works(self) -> bool:
        """Whether the file has all that has begun; the queue logs that it works when that is so."""
        life = self.daemon.queue._lifecycle
        return life.state is State.IN_USE and not life._unlogged

    def settle(self) -> None:
        """Wait until all that was taken has begun, and the file says what the model says."""
        expected = [request for request in self.taken if request not in self.ended]
        self.wait(lambda: list(self.daemon.begun) == expected, "all to begin, in order")
        if not self.sick:
            self.wait(lambda: in_file(self.folder) == expected, "the file to be right")

    @rule(count=st.integers(1, 30))
    def come(self, count: int) -> None:
        first = len(self.taken)
        new = [b"request %06d" % number for number in range(first, first + count)]
        self.taken += new

        async def take() -> None:
            self.daemon.queue.accept(new)

        self.loop.run_until_complete(take())

    @rule(turns=st.integers(1, 5))
    def time_passes(self, turns: int) -> None:
        for _ in range(turns):
            self.loop.run_until_complete(asyncio.sleep(0.001))

    @rule(picks=st.lists(st.integers(0, 10**6), max_size=20))
    def some_end(self, picks: list[int]) -> None:
        """Which have begun depends on the disk's speed, so what is drawn must not."""
        begun = list(self.daemon.begun)
        chosen = {begun[pick % len(begun)] for pick in picks} if begun else set()
        self.ended |= chosen

        async def end() -> None:
            self.daemon.end(*chosen)

        self.loop.run_until_complete(end())

    @rule()
    def all_is_quiet(self) -> None:
        self.settle()

    @precondition(lambda self: not self.sick)
    @rule()
    def stop_and_start(self) -> None:
        self.wait(lambda: self.daemon.queue.durable and not self.daemon.queue.busy, "the file to work")
        self.daemon.queue.close()
        assert in_file(self.folder) == [request for request in self.taken if request not in self.ended]
        self.start()
        self.settle()

    @precondition(lambda self: not self.sick)
    @rule()
    def kill(self) -> None:
        """At any moment: what was taken and had not begun may be lost, what had begun may not."""
        self.wait(self.works, "the file to work")
        begun = set(self.daemon.begun)
        place = tempfile.TemporaryDirectory()
        found = in_file(copied(str(self.folder), Path(place.name)))
        self.daemon.queue.close()
        self.places.append(place)
        assert begun <= set(found)
        assert found == sorted(found)
        assert set(found) <= set(self.taken)
        # Those that ended may be there again; those that waited for the disk may be lost.
        self.ended -= set(found)
        self.taken = [request for request in self.taken if request in self.ended or request in set(found)]
        self.start()
        self.settle()

    @rule()
    def fall_sick(self) -> None:
        self.make_sick(sick=True)

    @precondition(lambda self: self.sick)
    @rule()
    def recover(self) -> None:
        self.make_sick(sick=False)
        self.wait(self.works, "the file to work again")
        self.settle()


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(
    max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def test_a_kill_while_the_file_gets_what_began_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that came when the file worked again, and the loop did not know yet; it is written soon."""
    machine = QueueMachine()
    machine.begin()
    gate = threading.Event()
    change = Store._change

    def waiting(database: Path) -> mmap.mmap | None:
        assert gate.wait(TIMEOUT)
        return map_mark(database)

    def slow(store: Store, rows: list[Change]) -> None:
        threading.Event().wait(0.05)
        change(store, rows)

    try:
        machine.settle()
        machine.fall_sick()
        machine.come(1)
        machine.wait(lambda: machine.daemon.begun, "the request to begin without the file")
        monkeypatch.setattr(writer, "map_mark", waiting)
        machine.make_sick(sick=False)
        machine.wait(lambda: in_file(machine.folder) == machine.taken, "the file to have it")
        machine.come(1)
        assert len(machine.daemon.begun) == 2
        monkeypatch.setattr(Store, "_change", slow)
        gate.set()
        machine.kill()
    finally:
        gate.set()
        machine.teardown()
