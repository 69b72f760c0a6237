"""A hole that was there once, to show that the runs find such."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyd2.queue.interface import Entries, StoreError
from pyd2.queue.sqlite.writer import Writer

if TYPE_CHECKING:
    import pytest

    from pyd2.queue.interface import Held


def answer_before_the_stop(patch: pytest.MonkeyPatch) -> None:
    """Let the queue thread take an answer that came before the stop in the place of what the stop says."""
    def ask(writer: Writer) -> Held:
        whole = Entries([], [], [])
        while True:
            held = writer._ask(writer._listener.ready, whole.numbers[-1] if whole else 0)
            if held is None:
                held, whole = writer._held, Entries([], [], [])
            if held is None:
                raise StoreError("it was to be closed")
            whole.extend(held.entries)
            if held.complete:
                writer._mirror = writer._held = None
                return held._replace(entries=whole)

    patch.setattr(Writer, "_ask_for_held", ask)
