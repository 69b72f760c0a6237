"""The servers that are played for times keep what a receiver and an owner ask of them."""

from __future__ import annotations

import asyncio

import pytest

from pyd2.config.nats.servers import Server
from pyd2.queue.nats.jetstream import JetStream
from pyd2.queue.nats.site import Site, SiteQueue
from pyd2.queue.shared.batch import BatchNumber, RequestBatch
from pyd2.queue.shared.interface import OutdatedError
from pyd2.queue.shared.record import NO_RECORD
from tests.cluster.stand_in import Client, Streams
from tests.queue.nats.played import TIMEOUT, connected


def test_the_stand_in_keeps_batches_and_the_record() -> None:
    async def run() -> None:
        streams = Streams(0.001)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Client(streams), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with connected(Server("127.0.0.1", port, tls=False)) as connection:
            queue = SiteQueue(JetStream(connection), Site("s"))
            batches = [RequestBatch("r.x", BatchNumber(1, serial), 5.0, [b"a%d" % serial, bytes(400)])
                       for serial in (1, 2, 3)]
            assert [await queue.append(one, TIMEOUT) for one in batches[:2]] == [1, 2]
            reader = await queue.read(1, TIMEOUT)
            assert [one.batch for one in await reader.read(TIMEOUT)] == batches[1:2]
            await queue.append(batches[2], TIMEOUT)
            assert [one.batch for one in await reader.read(TIMEOUT)] == batches[2:]
            reader.close()
            revision, record = await queue.record()
            assert record == NO_RECORD
            record = record._replace(node="n1", epoch=1)
            written = await queue.replace(record, revision, TIMEOUT)
            with pytest.raises(OutdatedError):
                await queue.replace(record, revision, TIMEOUT)
            assert await queue.record() == (written, record)
            await queue.drop(2)
            assert [await queue.batch(number) is None for number in (1, 2, 3)] == [True, True, False]
        server.close()
        await server.wait_closed()

    asyncio.run(run())
