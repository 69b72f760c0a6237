"""The queue of a site on real servers: the four verbs, rights, a cluster whose leader dies."""

from __future__ import annotations

import asyncio
import contextlib
import json
from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast

import pytest

from pyd2.queue.nats.commands import write_header
from pyd2.queue.nats.errors import NatsError
from pyd2.queue.nats.jetstream import JetStream, Stored
from pyd2.queue.nats.site import Site, SiteQueue, SiteReader, batch_fields, create_streams, read_batch
from pyd2.queue.shared.batch import MOST_OCTETS, BatchNumber, RequestBatch, join
from pyd2.queue.shared.interface import OutdatedError, QueuedBatch, SharedQueueError
from pyd2.queue.shared.late import LateBatch, LateName
from pyd2.queue.shared.record import NO_RECORD, Record, RecordError, Revision
from tests.kit.certificates import make_authority, make_certificate
from tests.kit.nats_servers import NatsServer, nats_servers, tls_block
from tests.queue.nats.played import TIMEOUT, connected, of_real
from tests.queue.nats.test_connection import client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from pyd2.queue.nats.connection import Connection
    from pyd2.queue.nats.reader import Reader

T = TypeVar("T")


@pytest.fixture(scope="module")
def server() -> Iterator[NatsServer]:
    with nats_servers() as (one,):
        yield one


def batch(count: int, *datagrams: bytes, receiver: str = "r1.ab") -> RequestBatch:
    return RequestBatch(receiver, BatchNumber(1, count), 1234.5, list(datagrams) or [b"x%d" % count])


def on_site(
    server: NatsServer, name: str, scenario: Callable[[SiteQueue, JetStream], Awaitable[None]]
) -> None:
    """Run a scenario with the queue of a new site."""
    async def run() -> None:
        async with connected(of_real(server)) as connection:
            jetstream = JetStream(connection)
            await create_streams(jetstream, Site(name), 1)
            await scenario(SiteQueue(jetstream, Site(name)), jetstream)

    asyncio.run(run())


class PlayedReader:
    """See Reader: what it has comes at once."""

    def __init__(self, stored: list[Stored]) -> None:
        self._stored = stored

    async def read(self, _: float) -> list[Stored]:
        stored, self._stored = self._stored, []
        return stored


def test_large_batches_that_have_come_together_are_read_in_parts() -> None:
    batches = [batch(number, *[bytes(340)] * 700) for number in range(1, 5)]
    stored = [Stored("pyd2.req.s.0.r1.ab", place, write_header(batch_fields(one)), join(one.datagrams))
              for place, one in enumerate(batches, 1)]
    reader = SiteReader(cast("Reader", PlayedReader(stored)))

    async def read() -> list[list[QueuedBatch]]:
        return [await reader.read(1.0) for _ in range(3)]

    parts = asyncio.run(read())
    assert [len(part) for part in parts] == [2, 2, 0]
    assert [one.batch for part in parts for one in part] == batches
    assert sum(len(stored[0].payload) for _ in parts[0]) < 2 * MOST_OCTETS


@pytest.mark.peers
def test_batches_are_appended_read_and_dropped(server: NatsServer) -> None:
    sent = [batch(1, b"", b"\r\n", bytes(65535)), batch(2), batch(1, receiver="r2.cd"), batch(2)]

    async def scenario(queue: SiteQueue, jetstream: JetStream) -> None:
        assert [await queue.append(one, TIMEOUT) for one in sent] == [1, 2, 3, 4]
        reader = await queue.read(1, TIMEOUT)
        read: list[QueuedBatch] = []
        while len(read) < 3:
            read += await reader.read(TIMEOUT)
        reader.close()
        assert read == [QueuedBatch(number, one) for number, one in enumerate(sent[1:], start=2)]
        assert await queue.batch(1) == QueuedBatch(1, sent[0])
        await queue.drop(2)
        assert await queue.batch(2) is None
        assert await queue.batch(3) == QueuedBatch(3, sent[2])

    on_site(server, "append", scenario)


@pytest.mark.peers
def test_the_record_is_replaced_by_whoever_knows_its_revision(server: NatsServer) -> None:
    async def scenario(queue: SiteQueue, jetstream: JetStream) -> None:
        first, second = NO_RECORD._replace(node="n1.a", epoch=1), NO_RECORD._replace(node="n2.b", epoch=2)
        assert await queue.record() == (Revision(0, 0), NO_RECORD)
        assert await queue.replace(first, Revision(0, 0), TIMEOUT) == Revision(1, 1)
        with pytest.raises(OutdatedError):
            await queue.replace(second, Revision(0, 0), TIMEOUT)
        assert await queue.record() == (Revision(1, 1), first)
        assert await queue.replace(second, Revision(1, 1), TIMEOUT) == Revision(2, 2)
        # What the owner writes beside it counts, too.
        await jetstream.publish("pyd2.own.record.0.other", b"", {}, seconds=TIMEOUT)
        assert await queue.record() == (Revision(3, 2), second)
        for lagging in (Revision(2, 2), Revision(3, 1), Revision(3, 0)):
            with pytest.raises(OutdatedError):
                await queue.replace(first, lagging, TIMEOUT)
        assert await queue.replace(first, Revision(3, 2), TIMEOUT) == Revision(4, 4)
        assert await queue.record() == (Revision(4, 4), first)

    on_site(server, "record", scenario)


@pytest.mark.peers
def test_what_is_written_beside_the_queue_is_seen_at_once(server: NatsServer) -> None:
    async def scenario(queue: SiteQueue, jetstream: JetStream) -> None:
        first, second = NO_RECORD._replace(node="n1.a", epoch=1), NO_RECORD._replace(node="n2.b", epoch=2)
        revision = await queue.replace(first, Revision(0, 0), TIMEOUT)
        watch = await queue.watch(revision, first, TIMEOUT)
        assert await watch.next(0.0) is None
        revision = await queue.replace(second, revision, TIMEOUT)
        assert await watch.next(TIMEOUT) == (Revision(2, 2), second)
        revision = await queue.keep_late(LateBatch(LateName(2, 7), 1234.5, [b"x"]), revision, TIMEOUT)
        assert await watch.next(TIMEOUT) == (Revision(3, 2), second) == (revision, second)
        await jetstream.publish(Site("watch").record, b'{"format":2}', {}, seconds=TIMEOUT)
        with pytest.raises(RecordError, match="has the format 2"):
            await watch.next(TIMEOUT)
        watch.close()

    on_site(server, "watch", scenario)


@pytest.mark.peers
def test_a_record_that_cannot_be_read_is_no_empty_one(server: NatsServer) -> None:
    async def scenario(queue: SiteQueue, jetstream: JetStream) -> None:
        await jetstream.publish(Site("later").record, b'{"format":2}', {}, seconds=TIMEOUT)
        with pytest.raises(RecordError, match="has the format 2"):
            await queue.record()

    on_site(server, "later", scenario)


@pytest.mark.peers
def test_without_streams_nothing_works_and_says_so(server: NatsServer) -> None:
    async def scenario() -> None:
        async with connected(of_real(server)) as connection:
            queue = SiteQueue(JetStream(connection), Site("nowhere"))
            with pytest.raises(SharedQueueError, match="there is no stream PYD2-OWN-nowhere-0"):
                await queue.record()
            with pytest.raises(SharedQueueError, match="stream not found"):
                await queue.read(0, TIMEOUT)
            with pytest.raises(SharedQueueError, match=r"nothing that serves pyd2.req.nowhere.0.r1.ab"):
                await queue.append(batch(1), TIMEOUT)

    asyncio.run(scenario())


@pytest.mark.parametrize(("header", "payload", "fault"), [
    ({}, b"", "has the format None"),
    ({"Pyd2-Format": "2"}, b"", "has the format '2'"),
    ({"Pyd2-Format": "1"}, b"", "'' is no number of a batch"),
    ({"Pyd2-Format": "1", "Pyd2-Batch": "1.2", "Pyd2-Taken": "nan"}, b"", "'nan' is no time"),
    ({"Pyd2-Format": "1", "Pyd2-Batch": "1.2", "Pyd2-Taken": "5"}, b"\0\5abc", "ends in the middle"),
])
def test_what_is_no_batch_costs_only_itself(header: dict[str, str], payload: bytes, fault: str) -> None:
    read = read_batch(Stored("pyd2.req.a.0.r1.ab", 7, write_header(header), payload))
    assert (read.sequence, read.batch) == (7, None)
    assert fault in read.fault


# A wildcard of NATS is a whole part of a subject, so each stream has its rights.
USERS = """
    authorization { users: [
      { user: "admin@pyd2" }
      { user: "r1@pyd2", permissions: {
          publish: ["pyd2.req.site-a.*.r1.*", "$JS.API.STREAM.MSG.GET.PYD2-REQ-site-a-0",
                    "$JS.API.STREAM.INFO.PYD2-OWN-site-a-0", "$JS.API.STREAM.MSG.GET.PYD2-OWN-site-a-0"],
          subscribe: ["pyd2.inbox.r1.>"] } }
      { user: "n1@pyd2", permissions: {
          publish: ["pyd2.own.site-a.>",
                    "$JS.API.STREAM.INFO.PYD2-OWN-site-a-0", "$JS.API.STREAM.MSG.GET.PYD2-OWN-site-a-0",
                    "$JS.API.STREAM.INFO.PYD2-REQ-site-a-0", "$JS.API.STREAM.MSG.GET.PYD2-REQ-site-a-0",
                    "$JS.API.STREAM.PURGE.PYD2-REQ-site-a-0", "$JS.API.CONSUMER.CREATE.PYD2-REQ-site-a-0.>",
                    "$JS.API.CONSUMER.MSG.NEXT.PYD2-REQ-site-a-0.*"],
          subscribe: ["pyd2.inbox.n1.>"] } }
    ] }
"""


@pytest.mark.peers
def test_a_receiver_and_a_node_can_do_their_work_and_no_more(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    server_certificate = make_certificate(tmp_path, authority, "IP:127.0.0.1")
    own = {name: make_certificate(tmp_path, authority, f"email:{name}@pyd2", name)
           for name in ("admin", "r1", "n1")}
    record = NO_RECORD._replace(node="n1.a", epoch=1)

    async def scenario(server: NatsServer) -> None:
        @contextlib.asynccontextmanager
        async def jetstream_of(name: str) -> AsyncIterator[JetStream]:
            there = of_real(server, tls=True)
            async with connected(there, client(authority, own[name], name)) as connection:
                yield JetStream(connection)

        async with jetstream_of("admin") as admin, jetstream_of("r1") as receiver, jetstream_of("n1") as node:
            for name in ("site-a", "site-b"):
                await create_streams(admin, Site(name), 1)
            a, b = (SiteQueue(receiver, Site(name)) for name in ("site-a", "site-b"))
            assert await a.append(batch(1), TIMEOUT) == 1
            assert await a.batch(1) == QueuedBatch(1, batch(1))
            assert await a.record() == (Revision(0, 0), NO_RECORD)
            refused = [
                a.append(batch(1, receiver="r2.ab"), TIMEOUT), b.append(batch(1), TIMEOUT),
                b.record(), b.batch(1), a.read(0, TIMEOUT),
                a.replace(record, Revision(0, 0), TIMEOUT), a.drop(1),
                admin_call(receiver, "STREAM.DELETE.PYD2-REQ-site-a-0"),
            ]
            for call in refused:
                with pytest.raises((SharedQueueError, NatsError), match="Permissions Violation for Publish"):
                    await call
            a, b = (SiteQueue(node, Site(name)) for name in ("site-a", "site-b"))
            assert await a.record() == (Revision(0, 0), NO_RECORD)
            assert await a.replace(record, Revision(0, 0), TIMEOUT) == Revision(1, 1)
            reader = await a.read(0, TIMEOUT)
            assert await reader.read(TIMEOUT) == [QueuedBatch(1, batch(1))]
            reader.close()
            assert await a.batch(1) == QueuedBatch(1, batch(1))
            await a.drop(1)
            refused = [
                a.append(batch(2), TIMEOUT), b.record(), b.read(0, TIMEOUT), b.drop(1),
                b.replace(record, Revision(0, 0), TIMEOUT),
                admin_call(node, "STREAM.DELETE.PYD2-REQ-site-a-0"),
                admin_call(node, "STREAM.PURGE.PYD2-OWN-site-a-0"),
            ]
            for call in refused:
                with pytest.raises((SharedQueueError, NatsError), match="Permissions Violation for Publish"):
                    await call
            assert await SiteQueue(admin, Site("site-a")).append(batch(2), TIMEOUT) == 2

    with nats_servers(blocks=tls_block(server_certificate, authority) + USERS) as (server,):
        asyncio.run(scenario(server))


async def admin_call(jetstream: JetStream, name: str) -> None:
    await jetstream.connection.request(f"$JS.API.{name}", seconds=TIMEOUT)


# A cluster

@pytest.mark.peers
def test_three_servers_keep_all_that_was_acknowledged_when_the_leader_dies() -> None:
    """Each batch is appended again to the next server until one acknowledges it, as a receiver does."""
    site = Site("three")

    async def scenario(servers: list[NatsServer]) -> None:
        async with contextlib.AsyncExitStack() as stack:
            connections = [await stack.enter_async_context(connected(of_real(server))) for server in servers]
            queues = [SiteQueue(JetStream(connection), site) for connection in connections]
            await until_done(lambda: create_streams(JetStream(connections[0]), site, 3))
            acknowledged = []
            for count in range(1, 31):
                if count == 16:
                    leader = await leader_of(connections[0], site.requests)
                    servers[leader].process.kill()
                    del queues[leader]
                await append(queues, batch(count))
                acknowledged.append(BatchNumber(1, count))
            read = await read_numbers(queues[0], acknowledged[-1])
            first = list(dict.fromkeys(read))
            assert first == acknowledged
            # The record, too, is one for the two that are left.
            revision, _ = await until_done(queues[0].record)
            one, two = (Record(node, 1, 0, None, {}) for node in ("n1.a", "n2.b"))
            outcomes = await asyncio.gather(
                queues[0].replace(one, revision, TIMEOUT), queues[1].replace(two, revision, TIMEOUT),
                return_exceptions=True)
            assert sorted(type(outcome).__name__ for outcome in outcomes) == ["OutdatedError", "Revision"]
            _, record = await queues[1].record()
            assert record == (one if isinstance(outcomes[0], Revision) else two)

    async def append(queues: list[SiteQueue], one: RequestBatch) -> int:
        while True:
            for queue in queues:
                with contextlib.suppress(SharedQueueError):
                    return await queue.append(one, 1.0)

    async def read_numbers(queue: SiteQueue, last: BatchNumber) -> list[BatchNumber]:
        """Return the numbers of all batches in their order; some may be there twice."""
        numbers: list[BatchNumber] = []
        after = 0
        while last not in numbers:
            reader = await until_done(partial(queue.read, after, 1.0))
            with contextlib.suppress(SharedQueueError):  # its consumer may be lost with a server
                while last not in numbers:
                    for one in await reader.read(TIMEOUT):
                        assert one.batch is not None
                        numbers.append(one.batch.number)
                        after = one.sequence
            reader.close()
        return numbers

    with nats_servers(3) as servers:
        asyncio.run(scenario(servers))


async def leader_of(connection: Connection, stream: str) -> int:
    """Return the number of the server that leads a stream."""
    message = await connection.request(f"$JS.API.STREAM.INFO.{stream}", seconds=TIMEOUT)
    return int(json.loads(message.payload)["cluster"]["leader"].removeprefix("s"))


async def until_done(call: Callable[[], Awaitable[T]]) -> T:
    """Return what a call returns: a cluster may have no leader for some seconds."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(SharedQueueError, NatsError):
                return await call()
            await asyncio.sleep(0.05)
