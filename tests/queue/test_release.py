"""The way of requests to the engine."""

import asyncio
from collections.abc import Sequence

import pytest

from pyd2.queue.interface import Entries
from pyd2.queue.release import CHUNK, Release


def test_requests_behind_a_fault_begin_all_the_same() -> None:
    """Not only when others have come."""
    count = 2 * CHUNK + 10
    begun: list[int] = []

    def carry_out(_: Sequence[bytes], numbers: Sequence[int]) -> None:
        if numbers[0] == 1:
            raise RuntimeError("a defect")
        begun.extend(numbers)

    async def scene() -> None:
        release = Release(asyncio.get_running_loop(), carry_out)
        release.add(Entries(list(range(1, count + 1)), [0.0] * count, [b"request"] * count))
        with pytest.raises(RuntimeError, match="a defect"):
            release.up_to(count)
        for _ in range(count):
            await asyncio.sleep(0)
        assert not release.busy

    asyncio.run(scene())
    assert begun == list(range(CHUNK + 1, count + 1))
