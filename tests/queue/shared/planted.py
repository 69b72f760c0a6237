"""A wrong rule of a shared queue, which a model and the simulation of a month must both find."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyd2.queue.shared.progress import Progress

if TYPE_CHECKING:
    import pytest


def floor_does_not_wait(patch: pytest.MonkeyPatch) -> None:
    """The floor rises though requests are not done."""
    begin = Progress.begin

    def hasty(self: Progress, sequence: int, batch: object, now: float, *, waits: bool = False) -> bool:
        new = begin(self, sequence, batch, now, waits=waits)  # type: ignore[arg-type]
        self._begun[-1].left = 0
        return new

    patch.setattr(Progress, "begin", hasty)
    patch.setattr(Progress, "done", lambda self, sequence, count=1: None)
