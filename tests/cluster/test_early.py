"""A reader that is made before its term begins: it is taken once, or closed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from pyd2.cluster.early import EarlyReader
from pyd2.queue.shared.interface import SharedQueueError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pyd2.queue.shared.interface import SharedQueue


class PlayedReader:
    """See BatchReader."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.closed = False

    def close(self) -> None:
        self.closed = True


class PlayedQueue:
    """See SharedQueue: it makes readers, the first ones in vain if the test says so."""

    def __init__(self, faults: int = 0) -> None:
        self.made: list[PlayedReader] = []
        self._faults = faults

    async def read(self, after: int, _: float) -> PlayedReader:
        await asyncio.sleep(0)
        if self._faults:
            self._faults -= 1
            raise SharedQueueError("it does not work")
        self.made.append(PlayedReader(after))
        return self.made[-1]


def on_queue(
    scenario: Callable[[EarlyReader, SharedQueue], Awaitable[object]], played: PlayedQueue | None = None
) -> list[PlayedReader]:
    """Run a scenario; return the readers that were made."""
    queue = played or PlayedQueue()

    async def run() -> None:
        await scenario(EarlyReader(), cast("SharedQueue", queue))

    asyncio.run(run())
    return queue.made


def test_it_is_taken_once() -> None:
    async def scenario(early: EarlyReader, queue: SharedQueue) -> None:
        early.make(queue, 7, 1.0)
        taken = await early.take(queue, 7, 1.0)
        early.close()  # it is the term's
        assert await early.take(queue, 8, 1.0) is not taken

    assert [(one.after, one.closed) for one in on_queue(scenario)] == [(7, False), (8, False)]


def test_one_that_begins_elsewhere_is_closed() -> None:
    async def scenario(early: EarlyReader, queue: SharedQueue) -> None:
        early.make(queue, 7, 1.0)
        await asyncio.sleep(0.01)
        await early.take(queue, 0, 1.0)

    assert [(one.after, one.closed) for one in on_queue(scenario)] == [(7, True), (0, False)]


def test_one_that_no_term_takes_is_closed_or_not_made() -> None:
    async def scenario(early: EarlyReader, queue: SharedQueue) -> None:
        early.make(queue, 7, 1.0)
        early.close()
        early.make(queue, 8, 1.0)
        await asyncio.sleep(0.01)
        early.close()

    assert [(one.after, one.closed) for one in on_queue(scenario)] == [(8, True)]


def test_one_whose_taker_is_cancelled_as_it_comes_is_closed() -> None:
    """It was left open, with its subscription, until the connection ended."""
    played = PlayedQueue()

    async def scenario(early: EarlyReader, queue: SharedQueue) -> None:
        early.make(queue, 7, 1.0)
        taking = asyncio.ensure_future(early.take(queue, 7, 1.0))
        while not played.made:  # noqa: ASYNC110  the very next turn
            await asyncio.sleep(0)
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking

    assert [(one.after, one.closed) for one in on_queue(scenario, played)] == [(7, True)]


def test_who_takes_it_hears_that_it_could_not_be_made() -> None:
    async def scenario(early: EarlyReader, queue: SharedQueue) -> None:
        early.make(queue, 7, 1.0)
        with pytest.raises(SharedQueueError, match="does not work"):
            await early.take(queue, 7, 1.0)
        await early.take(queue, 7, 1.0)

    assert [(one.after, one.closed) for one in on_queue(scenario, PlayedQueue(faults=1))] == [(7, False)]
