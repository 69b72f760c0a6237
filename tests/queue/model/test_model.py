"""The model of the durable queue, for a minute; ``python -m tests.queue.model`` plays it for hours."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.queue.model.faults import Act
from tests.queue.model.machine import SCRATCH, QueueMachine
from tests.queue.model.power import cut_power
from tests.queue.model.process import Server, server
from tests.queue.model.scenario import enumerate_kills
from tests.queue.model.steps import Steps, replay
from tests.queue.model.world import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="the layer below the files is compiled")


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pyd2-model-", dir=SCRATCH) as directory:
        yield Path(directory)


@pytest.fixture(scope="module")
def there(scratch: Path) -> Iterator[Server]:
    with server(scratch) as it:
        yield it


def test_the_law_holds_whatever_happens(there: Server) -> None:
    machine = type("Machine", (QueueMachine,), {"server": there})
    options = settings(
        max_examples=12, stateful_step_count=20, phases=[Phase.generate], deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(seed(1)(machine), settings=options)


def test_a_kill_at_some_of_the_operations_on_files(there: Server, scratch: Path) -> None:
    said: list[str] = []
    table = enumerate_kills(there, scratch / "kills", every=307, said=said.append)
    assert not said, "\n".join(said)
    assert table.operations > 500
    assert table.runs > table.missed


def test_a_cut_of_power_at_some_of_the_syncs(there: Server, scratch: Path) -> None:
    said: list[str] = []
    table = cut_power(there, scratch / "power", every=67, said=said.append)
    assert not said, "\n".join(said)
    assert table.cuts > 5


def play(there: Server, script: list[tuple[str, list[Any]]]) -> None:
    with tempfile.TemporaryDirectory(prefix="pyd2-model-", dir=SCRATCH) as directory:
        world = Steps(there, Path(directory))
        try:
            replay(world, script)
        finally:
            world.kill()


BEGUN: list[tuple[str, list[Any]]] = [("begin", []), ("take", [[0, 1, 1, 2]]), ("settle", [])]

FOUND = {
    "the WAL is removed after a kill": [*BEGUN, ("crash", []), ("delete_wal", [])],
    "the WAL is removed after a kill, and then the small files": [
        *BEGUN, ("crash", []), ("delete_wal", []), ("delete_small_files", [])],
    "the WAL is removed under the daemon": [*BEGUN, ("delete_wal", []), ("settle", [])],
    "a bit of the WAL's header is flipped": [*BEGUN, ("crash", []), ("flip", [0.0, 3, True])],
    "a bit of the WAL is flipped": [
        *BEGUN, ("take", [[3]]), ("settle", []), ("crash", []), ("flip", [0.5, 3, True])],
    "the database is emptied after a stop": [*BEGUN, ("end", []), ("truncate", [0])],
    "the database is emptied under the daemon": [*BEGUN, ("truncate", [0]), ("settle", [])],
    "a kill just behind a reload to another directory": [*BEGUN, ("reload_elsewhere", []), ("crash", [])],
    "a reload to another directory while the disk hangs": [
        *BEGUN, ("hang", []), ("reload_elsewhere", []), ("crash", [])],
    "a commit with dead letters fails": [
        *BEGUN, ("crash_at", [1, Act.FAIL]), ("bury", [[0]]), ("settle", [])],
    "another daemon's file comes into the place": [
        *BEGUN, ("place_foreign", [5]), ("settle", []), ("take", [[3]]), ("settle", [])],
    "the directory cannot be read at the start": [
        *BEGUN, ("crash", []), ("sicken", [3]), ("begin", []), ("take", [[1]]), ("mend", []), ("settle", [])],
    "the disk hangs at the start": [
        *BEGUN, ("crash", []), ("hang", []), ("begin", []), ("take", [[1]]), ("settle", []), ("mend", []),
        ("settle", [])],
    "a retired file is replaced, and the durable queue asked for again": [
        *BEGUN, ("reload_kind", []), ("place_foreign", [6]), *[("wait", [])] * 4, ("reload_kind", []),
        ("wait", []), ("done", [[0]]), ("wait", []), ("crash", [])],
    "another daemon's file comes into the directory of the next start": [
        ("hang", []), ("begin", []), ("reload_elsewhere", []), ("place_foreign", [1]), ("mend", []),
        ("settle", [])],
    "a second daemon, and nothing but the database": [*BEGUN, ("delete_small_files", []), ("second", [])],
}  # fmt: skip
"""What the model found once, by name: in this queue, or in the one before."""


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_once(there: Server, name: str) -> None:
    play(there, FOUND[name])


# The test of the test: planted defects are found.

DEFECTS: dict[str, tuple[str, list[tuple[str, list[Any]]]]] = {
    "acknowledges before the commit": (
        "lost", [("begin", []), ("hang", []), ("take", [[0, 1]]), ("crash", [])],
    ),
    "forgets what is done": ("stuck", [*BEGUN, ("done", [[0]]), ("settle", [])]),
    "loses one in ten": ("stuck", [("begin", []), ("take", [[0] * 12]), ("settle", [])]),
    "sets aside in silence": ("lost", [*BEGUN, ("place_foreign", [5]), ("settle", [])]),
    "takes any file for its own": ("lost", [*BEGUN, ("place_foreign", [5]), ("settle", [])]),
    "locks nothing": ("two", [*BEGUN, ("second", [])]),
    "begins with the newest": ("order", [("begin", []), ("take", [[0, 0]]), ("settle", [])]),
}  # fmt: skip


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, defect: str) -> None:
    law, script = DEFECTS[defect]
    if law == "stuck":  # which is found when the time is up; the others need theirs on a busy machine
        monkeypatch.setattr("tests.queue.model.world.TIMEOUT", 4.0)
    with server(tmp_path, defect) as there, pytest.raises(Violation, match=f"^{law}: "):
        play(there, script)


def test_a_commit_that_is_not_synced_is_found(tmp_path: Path) -> None:
    said: list[str] = []
    with server(tmp_path, "commits without a sync") as there:
        cut_power(there, tmp_path / "power", every=7, said=said.append, most_lives=1)
    assert said
