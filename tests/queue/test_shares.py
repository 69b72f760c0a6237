"""The share of the durable queue of a DNS server that does not answer; the queue with a real engine."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any

from pyd2.config.switches import QueueSwitches
from pyd2.queue.durable import DurableQueue
from pyd2.queue.sqlite.stores import SqliteStores
from pyd2.update.engine import Outgoing
from tests.queue.played import TIMEOUT
from tests.update.support import VirtualD2, answer, datagram, domain, make_config, request, simple_map

SICK, HEALTHY = "sick.test.", "healthy.test."
SICK_PORT, HEALTHY_PORT = 1, 2
MOST = 400


def _peer(outgoing: Outgoing, now: float) -> Iterable[tuple[float, bytes]]:
    return [(0.001, answer(outgoing.message))] if outgoing.lane.port == HEALTHY_PORT else []


def _asked(numbers: Iterable[int], zone: str, **more: Any) -> list[bytes]:
    """Return requests of as many clients."""
    return [
        datagram(request(fqdn=f"h{number}.{zone}", dhcid=f"{number:08X}", reverse_change=False,
                         ip_address=f"10.0.{number >> 8}.{number & 255}", **more))
        for number in numbers
    ]


class Served:
    """An engine behind a durable queue."""

    def __init__(self, directory: Path) -> None:
        loop = asyncio.get_running_loop()
        self.d2 = VirtualD2(
            make_config(simple_map([domain(SICK, SICK_PORT), domain(HEALTHY, HEALTHY_PORT)])), _peer,
        )
        self.queue = DurableQueue(loop, self._carry_out, self.d2.counters, self.d2.log,
                                  SqliteStores(loop, self.d2.log), self._admit)
        switches = QueueSwitches("durable", str(directory), MOST)
        self.queue.claim(switches)
        self.queue.configure(switches)

    def _carry_out(self, datagrams: Sequence[bytes], numbers: Sequence[int]) -> None:
        self.d2.engine.receive_requests(datagrams, self.d2.now, self.d2.wall, numbers)
        self.d2.flush()

    def _admit(self, datagrams: Sequence[bytes], free: int) -> Sequence[bytes]:
        return self.d2.engine.admit(datagrams, free, self.d2.now, self.d2.wall)

    async def settle(self) -> None:
        """Wait until the engine has all that was accepted."""
        for _ in range(int(TIMEOUT / 0.001)):
            if self.queue.durable and not self.queue.busy:
                return
            await asyncio.sleep(0.001)
        raise AssertionError("the engine has not got all that was accepted")

    async def accept(self, datagrams: Sequence[bytes]) -> None:
        """Let requests come, a few at a time, and some of them while others wait for the disk."""
        for at in range(0, len(datagrams), 50):
            self.queue.accept(datagrams[at : at + 50])
            if at % 250 == 200:
                await self.settle()
        await self.settle()

    def run(self, seconds: float) -> None:
        """Let the engine go on."""
        self.d2.run(self.d2.now + seconds)
        self.queue.done(self.d2.pop_finished(), {})


@contextlib.asynccontextmanager
async def _served(directory: Path) -> AsyncIterator[Served]:
    served = Served(directory)
    await served.settle()
    try:
        yield served
    finally:
        served.queue.close()


def test_what_waits_for_a_silent_server_leaves_half_of_the_durable_queue(tmp_path: Path) -> None:
    """What is accepted is never lost; what is not is counted and logged."""

    async def scene() -> None:
        async with _served(tmp_path) as served:
            await served.accept(_asked([0], SICK))
            served.run(0.7)  # the server is silent once a try has timed out
            await served.accept(_asked(range(1, 1000), SICK))
            tally, log = served.d2.counters.tally, served.d2.log
            lost = served.d2.counters.queue_full.value
            assert lost == tally.lost == 1000 - served.queue.kept
            assert MOST // 2 <= served.queue.kept <= MOST // 2 + 40  # and those under way
            (text,) = log.texts("PYD2_QUEUE_SHARE_FULL")
            assert f"DNS server {served.d2.engine.lanes[0].text}" in text
            await served.accept(_asked(range(1000, 1100), HEALTHY))
            served.run(0.01)
            assert (tally.done, tally.lost) == (100, lost)
            served.run(3600)
            assert tally.received == 1100 == tally.done + tally.failed + tally.lost
            assert served.queue.kept == 0

    asyncio.run(scene())


def test_a_burst_for_a_server_that_answers_may_use_the_whole_durable_queue(tmp_path: Path) -> None:
    """Also when another server is silent, and for requests that are in disorder."""

    async def scene() -> None:
        async with _served(tmp_path) as served:
            await served.accept(_asked([0], SICK))
            served.run(0.7)
            await served.accept([*_asked(range(1, MOST - 1), HEALTHY), b"disorder"])
            assert served.queue.kept == MOST
            served.run(60)
            tally = served.d2.counters.tally
            assert (tally.done, tally.failed, tally.lost) == (MOST - 2, 1, 0)
            assert served.d2.counters.ncr_invalid.value == 1

    asyncio.run(scene())
