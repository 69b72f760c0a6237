"""Ends are reported to the durable queue when their lines are in the log: all of them, in order, in parts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pyd2.queue.end_reports import ENDS_AT_ONCE, UNREPORTED_PART, EndReports

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class SlowLog:
    """A log whose lines are written when the test says so."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], object]] = []

    def after_written(self, call: Callable[[], object]) -> None:
        self.calls.append(call)

    def write(self, count: int) -> None:
        """Write the lines of so many turns of the engine."""
        for _ in range(count):
            self.calls.pop(0)()


class Stage:
    """Reports behind such a log; ``turn`` runs one pass of the loop."""

    def __init__(self, max_entries: int = 100_000) -> None:
        self.loop = asyncio.new_event_loop()
        self.log = SlowLog()
        self.reported: list[int] = []
        self.reports = EndReports(self.loop, self.log, self._done)
        self.reports.configure(max_entries)

    def _done(self, numbers: Sequence[int], _dead: Mapping[int, str]) -> None:
        self.reported += numbers

    def turn(self) -> None:
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()


def test_ends_are_reported_when_their_lines_are_written() -> None:
    stage = Stage()
    for number in range(1, 5):
        stage.reports.add([number], {})
    stage.turn()
    assert not stage.reported
    stage.log.write(3)
    stage.turn()
    assert stage.reported == [1, 2, 3]
    assert stage.reports.unreported == 1
    stage.loop.close()


class PromptLog:
    """A log without lines that wait."""

    def after_written(self, call: Callable[[], object]) -> None:
        call()


def test_without_lines_that_wait_ends_are_reported_without_another_turn_of_the_loop() -> None:
    reported: list[int] = []
    loop = asyncio.new_event_loop()
    reports = EndReports(loop, PromptLog(), lambda numbers, _: reported.extend(numbers))
    reports.configure(1000)
    reports.add([1, 2], {})
    assert reported == [1, 2]
    assert not reports.unreported
    loop.close()


def test_ends_behind_a_log_that_hung_are_reported_in_parts() -> None:
    stage = Stage()
    for number in range(1, 1001):
        stage.reports.add([number], {})
    del stage.log.calls[:899]
    stage.log.write(1)
    parts = []
    while len(stage.reported) < 900:
        before = len(stage.reported)
        stage.turn()
        parts.append(len(stage.reported) - before)
    assert max(parts) <= ENDS_AT_ONCE + 1
    assert stage.reported == list(range(1, 901))
    stage.loop.close()


def test_a_log_that_hangs_does_not_fill_the_queue() -> None:
    stage = Stage(max_entries=10 * UNREPORTED_PART)
    for number in range(1, 31):
        stage.reports.add([number], {})
    assert stage.reported == list(range(1, 21))
    stage.reports.report_all()
    assert stage.reported == list(range(1, 31))
    stage.loop.close()
