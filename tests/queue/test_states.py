"""The table of states: the queue takes each way with the message that the table has, and no other way."""

from __future__ import annotations

import asyncio
import re
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyd2.config.switches import QueueSwitches
from pyd2.counters import Counters
from pyd2.queue.durable import DurableQueue
from pyd2.queue.interface import Entries, Identity, StoreError
from pyd2.queue.sqlite.stores import SqliteStores
from pyd2.queue.states import TABLE, State, Trigger, moved
from tests.kit.profile import MESSAGES
from tests.update.support import MemoryLog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyd2.queue.interface import Held, QueueStore

ROOT = Path(__file__).parents[2]
DURABLE = QueueSwitches("durable", "/queue")
FILE = Identity(1, 2, b"3")


class PlayedWriter:
    """A thread that does nothing: the test says what it tells."""

    def __init__(self, *arguments: object) -> None:
        self.directory = "/queue"
        self.closing = False
        self.steps = self.dead_count = 0
        self.mark = None
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> object:
        def call(*_: object, **__: object) -> None:
            self.calls.append(name)

        return call

    def close(self, timeout: float | None, held: Held | None = None, behind: Sequence[bytes] = ()) -> bool:
        self.closing = True
        return True


class Stage:
    """A queue with a played thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.log = MemoryLog()
        self.begun: list[bytes] = []
        self.queue = DurableQueue(loop, lambda datagrams, _: self.begun.extend(datagrams),
                                  Counters(), self.log, SqliteStores(loop, self.log),
                                  lambda datagrams, _: datagrams)
        self.loop = loop

    @property
    def store(self) -> QueueStore:
        assert self.queue._lifecycle.store is not None
        return self.queue._lifecycle.store

    def fire(self, trigger: Trigger) -> None:
        """Let happen what is a trigger."""
        queue = self.queue
        if trigger is Trigger.WANTED:
            queue.configure(DURABLE)
        elif trigger is Trigger.READ:
            queue._lifecycle.opened(FILE)
        elif trigger is Trigger.RESTORED:
            queue._lifecycle.restored(FILE)
        elif trigger is Trigger.STALLED:
            queue.accept([b"waits"])
            queue._lifecycle._look(queue._lifecycle._progress())
        elif trigger is Trigger.FAILED:
            queue._lifecycle.failed(StoreError(f"fault {len(self.log.ids)}"))
        elif trigger is Trigger.RETRY:
            queue._lifecycle._try_again()
        elif trigger is Trigger.WAIVED:
            queue.configure(QueueSwitches("memory"))
        elif trigger is Trigger.EMPTIED:
            queue.done(list(range(100)), {})
            queue._lifecycle.ended()
        else:
            queue.close()


WAYS = {
    State.CLOSED: (),
    State.OPENING: (Trigger.WANTED,),
    State.IN_USE: (Trigger.WANTED, Trigger.READ),
    State.UNUSABLE: (Trigger.WANTED, Trigger.READ, Trigger.FAILED),
    State.RESUMING: (Trigger.WANTED, Trigger.READ, Trigger.FAILED, Trigger.RETRY),
    State.RETIRED: (Trigger.WANTED, Trigger.READ, Trigger.WAIVED),
}
"""How each state is reached."""


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr("pyd2.queue.sqlite.writer.Writer", PlayedWriter)
    loop = asyncio.new_event_loop()
    return Stage(loop)


@pytest.mark.parametrize(("state", "trigger"), list(TABLE))
def test_each_way_is_taken_and_logged(stage: Stage, state: State, trigger: Trigger) -> None:
    for step in WAYS[state]:
        stage.fire(step)
        if step is Trigger.READ and trigger is Trigger.STOPPED:
            stage.queue.accept([b"waits"])
    assert stage.queue._lifecycle.state is state
    stage.log.lines.clear()
    stage.fire(trigger)
    to, message = TABLE[state, trigger]
    assert stage.queue._lifecycle.state is to
    if trigger is Trigger.STOPPED:
        expected = {State.OPENING: [], State.RETIRED: ["PYD2_QUEUE_KEPT_RETIRED"]}
        assert stage.log.ids == expected.get(state, ["PYD2_QUEUE_KEPT"])
    else:
        assert stage.log.ids == ([message] if message else [])
    stage.loop.close()


@pytest.mark.parametrize(("state", "trigger"), sorted(product(State, Trigger), key=str))
def test_there_is_no_other_way(state: State, trigger: Trigger) -> None:
    if (state, trigger) in TABLE:
        assert moved(state, trigger) == TABLE[state, trigger]
    else:
        with pytest.raises(RuntimeError, match=f"^the durable queue is {state.value}, and "):
            moved(state, trigger)


def test_every_state_is_reached_and_left() -> None:
    assert {to for to, _ in TABLE.values()} == set(State)
    assert {state for state, _ in TABLE} == set(State)
    assert {trigger for _, trigger in TABLE} == set(Trigger)


def test_every_message_of_the_table_is_in_the_catalogue() -> None:
    for _, message in TABLE.values():
        for word in message.replace(",", " ").split():
            assert not word.startswith("PYD2") or word in MESSAGES


def test_the_state_changes_nowhere_else() -> None:
    text = (ROOT / "pyd2/queue/lifecycle.py").read_text()
    assert text.count("self.state =") == 1  # at the beginning
    assert len(re.findall(r"self\.state[^=\n]*[^=!<>]=[^=]", text)) == 2
    assert "self.state, message = moved(self.state, trigger)" in text


def as_markdown() -> str:
    """Return the table for the documentation."""
    lines = ["| from | when | to | message |", "|---|---|---|---|"]
    for (state, trigger), (to, message) in TABLE.items():
        lines.append(f"| {state.value} | {trigger.value} | {to.value} | {message and _marked(message)} |")
    return "\n".join(lines) + "\n"


def _marked(message: str) -> str:
    return re.sub(r"PYD2_\w+", r"`\g<0>`", message)


def test_the_documentation_has_the_tables() -> None:
    page = (ROOT / "docs/durable-queue.md").read_text()
    assert as_markdown() in page
    _, _, promises = page.partition("| state | a new request |")
    assert [line.split(" | ")[0] for line in promises.splitlines()[2:8]] == [f"| {it.value}" for it in State]


@pytest.mark.parametrize("state", [state for state in State if state is not State.CLOSED])
def test_what_each_state_promises_a_new_request(stage: Stage, state: State) -> None:
    for step in WAYS[state]:
        stage.fire(step)
    stage.queue.accept([b"new"])
    begins = state in (State.UNUSABLE, State.RESUMING, State.RETIRED)
    assert (b"new" in stage.begun) == begins
    written = "append" in getattr(stage.store, "calls")  # noqa: B009
    assert written == (state is State.IN_USE)
    if state is State.IN_USE:
        stage.queue._lifecycle.safe(1)
        assert stage.begun == [b"new"]
    stage.loop.close()


def test_a_queue_that_is_retired_and_wanted_again_is_asked_for_what_it_holds(stage: Stage) -> None:
    for step in WAYS[State.RETIRED]:
        stage.fire(step)
    stage.fire(Trigger.WANTED)
    stage.queue.accept([b"held"])
    assert not stage.begun
    stage.queue._lifecycle.ready(0)
    stage.queue._lifecycle.restored(FILE)
    stage.queue._lifecycle.safe(1)
    assert stage.begun == [b"held"]
    stage.loop.close()


def test_the_queue_has_resumed_when_what_came_meanwhile_is_on_the_disk(stage: Stage) -> None:
    for step in WAYS[State.RESUMING]:
        stage.fire(step)
    lifecycle = stage.queue._lifecycle
    stage.queue.accept([b"before"])
    lifecycle.ready(0)
    stage.queue.accept([b"meanwhile"])
    lifecycle.restored(FILE)
    assert lifecycle.state is State.IN_USE
    assert stage.log.ids == ["PYD2_QUEUE_OPENED", "PYD2_QUEUE_FAILED"]
    lifecycle.safe(1)
    assert stage.log.ids == ["PYD2_QUEUE_OPENED", "PYD2_QUEUE_FAILED"]
    lifecycle.safe(2)
    assert stage.log.ids == ["PYD2_QUEUE_OPENED", "PYD2_QUEUE_FAILED", "PYD2_QUEUE_RESUMED"]
    stage.loop.close()


def test_a_queue_that_fails_before_it_has_resumed_says_so_once(stage: Stage) -> None:
    for step in WAYS[State.RESUMING]:
        stage.fire(step)
    lifecycle = stage.queue._lifecycle
    lifecycle.ready(0)
    stage.queue.accept([b"meanwhile"])
    lifecycle.restored(FILE)
    lifecycle.failed(StoreError(lifecycle.reason))
    lifecycle._try_again()
    lifecycle.ready(0)
    lifecycle.restored(FILE)
    assert stage.log.ids == ["PYD2_QUEUE_OPENED", "PYD2_QUEUE_FAILED", "PYD2_QUEUE_RESUMED"]
    stage.loop.close()


def test_pieces_of_a_file_that_come_late_do_not_get_numbers_that_others_have(stage: Stage) -> None:
    stage.fire(Trigger.WANTED)
    stage.queue._lifecycle.found(Entries([5, 6], [1.0, 1.0], [b"five", b"six"]))
    stage.fire(Trigger.STALLED)
    stage.queue._lifecycle.found(Entries([7], [1.0], [b"seven"]))
    assert list(stage.queue._pending.hold_all().entries.numbers) == [5, 6, 7, 8]
    assert stage.begun == [b"five", b"six", b"waits", b"seven"]
    stage.loop.close()
