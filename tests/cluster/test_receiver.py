"""A receiver on a real server: batches in order, a server that is gone for a while."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.cluster.played import PlayedReceiver, new_site, until
from tests.kit.nats_servers import nats_servers
from tests.queue.nats.played import TIMEOUT

if TYPE_CHECKING:
    from pyd2.queue.nats.site import SiteQueue
    from pyd2.queue.shared.batch import RequestBatch

pytestmark = pytest.mark.peers


async def read(queue: SiteQueue, requests: int) -> list[RequestBatch]:
    """Return the batches from the first one on, until they have so many requests; each batch once."""
    reader = await queue.read(0, TIMEOUT)
    found: dict[object, RequestBatch] = {}
    while sum(len(batch.datagrams) for batch in found.values()) < requests:
        for queued in await reader.read(TIMEOUT):
            assert queued.batch is not None
            found.setdefault((queued.batch.receiver, queued.batch.number), queued.batch)
    reader.close()
    return list(found.values())


def test_requests_arrive_in_their_order_and_leave_the_disk_when_they_are_in_the_queue() -> None:
    async def scenario() -> None:
        async with new_site(server, "order") as queue:
            one = PlayedReceiver(server, "order", "r1")
            texts = [b"%d" % number for number in range(1000)]
            for at in range(0, 1000, 50):
                one.receiver.take(texts[at : at + 50], range(at + 1, at + 51))
                await asyncio.sleep(0)
            await until(lambda: one.done == list(range(1, 1001)), "all to be appended")
            batches = await read(queue, 1000)
            assert [text for batch in batches for text in batch.datagrams] == texts
            assert len(batches) < 20
            assert (one.receiver.waiting, one.receiver.appended, one.receiver.oldest) == (0, 1000, None)
            await one.end()

    with nats_servers() as (server,):
        asyncio.run(scenario())


def test_without_a_server_requests_wait_and_go_on_in_their_order() -> None:
    async def scenario() -> None:
        async with new_site(server, "gone"):
            one = PlayedReceiver(server, "gone", "r1")
            one.receiver.take([b"0"], [1])
            await until(lambda: one.done == [1], "the first one")
            server.process.kill()
            server.process.wait_for_exit()
            one.receiver.take([b"%d" % number for number in range(1, 600)], range(2, 601))
            await until(lambda: "PYD2_CLUSTER_SPOOLING" in one.log.ids, "the message")
            assert one.done == [1]
            assert one.receiver.waiting == 599
            assert one.receiver.fault
            server.start()
            server.wait_until_ready()
            await until(lambda: one.done == list(range(1, 601)), "all to be appended")
            await until(lambda: "PYD2_CLUSTER_FORWARDED" in one.log.ids, "the message")
            assert one.receiver.fault == ""
            assert one.log.ids.count("PYD2_CLUSTER_SPOOLING") == 1
        async with new_site(server, "gone") as queue:
            batches = await read(queue, 600)
            assert [text for batch in batches for text in batch.datagrams] == \
                [b"%d" % number for number in range(600)]
            await one.end()

    with nats_servers() as (server,):
        asyncio.run(scenario())
