"""A receiver on a real server: batches in order, a server that is gone for a while."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from pyd2.cluster import receiver as module
from pyd2.queue.nats.site import Site, SiteQueue
from pyd2.queue.shared.batch import BatchNumber
from pyd2.queue.shared.record import Record, Revision
from tests.cluster.played import PlayedReceiver, lagging_leader, new_site, until
from tests.kit.nats_servers import nats_servers
from tests.queue.nats.played import TIMEOUT

if TYPE_CHECKING:
    from pyd2.queue.shared.batch import RequestBatch
    from pyd2.queue.shared.interface import QueuedBatch

pytestmark = pytest.mark.peers


@pytest.fixture(autouse=True)
def _no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the server is, requests go to the disk only if a test says so."""
    monkeypatch.setattr(module, "KEEP_SECONDS", 3600.0)


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
            await until(lambda: one.disk.ended == list(range(1, 1001)), "all to be appended")
            batches = await read(queue, 1000)
            assert [text for batch in batches for text in batch.datagrams] == texts
            assert len(batches) < 20
            assert (one.receiver.waiting, one.receiver.appended, one.receiver.oldest) == (0, 1000, None)
            await one.end()

    with nats_servers() as (server,):
        asyncio.run(scenario())


def test_what_the_server_takes_in_time_never_goes_to_the_disk() -> None:
    async def scenario() -> None:
        async with new_site(server, "memory") as queue:
            one = PlayedReceiver(server, "memory", "r1")
            texts = [b"%d" % number for number in range(1000)]
            for at in range(0, 1000, 50):
                one.receiver.take(texts[at : at + 50], ())
                await asyncio.sleep(0)
            assert one.receiver.in_memory
            await until(lambda: one.receiver.appended == 1000, "all to be appended")
            batches = await read(queue, 1000)
            assert [text for batch in batches for text in batch.datagrams] == texts
            assert (one.receiver.in_memory, one.disk.kept, one.disk.ended) == (0, [], [])
            await one.end()

    with nats_servers() as (server,):
        asyncio.run(scenario())


def test_what_it_does_not_take_in_time_goes_to_the_disk_and_leaves_it_before_others_follow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        async with new_site(server, "disk"):
            one = PlayedReceiver(server, "disk", "r1")
            await until(lambda: one.link.server, "the connection")
            server.process.kill()
            server.process.wait_for_exit()
            monkeypatch.setattr(module, "KEEP_SECONDS", 0.02)
            one.receiver.take([b"0", b"1"], ())
            one.receiver.take([b"2"], ())
            await until(lambda: one.disk.kept == [b"0", b"1", b"2"], "the disk")
            one.disk.is_empty = False
            assert (one.receiver.waiting, one.receiver.in_memory) == (3, 0)
            one.receiver.take([b"3"], ())
            await until(lambda: one.disk.kept == [b"0", b"1", b"2", b"3"], "the next one")
            monkeypatch.setattr(module, "KEEP_SECONDS", 3600.0)
            one.disk.safe = 3  # the last one is being written
            server.start()
            server.wait_until_ready()
            await until(lambda: one.disk.ended == [1, 2, 3], "what is on the disk")
            one.disk.safe = 4
            await until(lambda: one.disk.ended == [1, 2, 3, 4], "the last one")
            one.receiver.take([b"4"], ())
            await asyncio.sleep(0.05)
            assert one.receiver.appended == 4  # those before it are still being removed
            one.disk.is_empty = True
            await until(lambda: one.receiver.appended == 5, "the one in memory")
            assert len(one.disk.kept) == 4
            one.receiver.take([b"5"], ())
            one.receiver.keep()
            assert one.disk.kept[4:] == [b"5"]
            one.disk.safe = 5
        async with new_site(server, "disk") as queue:
            batches = await read(queue, 6)
            assert [text for batch in batches for text in batch.datagrams] == \
                [b"%d" % number for number in range(6)]
            await one.end()

    with nats_servers() as (server,):
        asyncio.run(scenario())


def test_without_a_server_requests_wait_and_go_on_in_their_order() -> None:
    async def scenario() -> None:
        async with new_site(server, "gone"):
            one = PlayedReceiver(server, "gone", "r1")
            one.receiver.take([b"0"], [1])
            await until(lambda: one.disk.ended == [1], "the first one")
            server.process.kill()
            server.process.wait_for_exit()
            one.receiver.take([b"%d" % number for number in range(1, 600)], range(2, 601))
            await until(lambda: "PYD2_CLUSTER_SPOOLING" in one.log.ids, "the message")
            assert one.disk.ended == [1]
            assert one.receiver.waiting == 599
            assert one.receiver.fault
            server.start()
            server.wait_until_ready()
            await until(lambda: one.disk.ended == list(range(1, 601)), "all to be appended")
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


# What servers have acknowledged and lose again: a purge takes it from them.

LAST = 1_000_000


@pytest.fixture
def _looks_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(module, "LAG_SECONDS", 0.0)


async def append_alone(one: PlayedReceiver, count: int) -> None:
    """Have a receiver append so many requests, each in a batch of its own."""
    await until(lambda: one.link.server, "the connection")
    for number in range(count):
        one.receiver.take([b"%d" % number], ())
        await until(lambda: one.receiver.appended > number, "it to be appended")  # noqa: B023


@pytest.mark.usefixtures("_looks_soon")
def test_what_the_servers_have_lost_is_appended_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SPOOLED_SECONDS", 0.0)  # all that comes again has waited for so long

    async def scenario() -> None:
        async with new_site(server, "lost") as queue:
            one = PlayedReceiver(server, "lost", "r1")
            await append_alone(one, 3)
            await queue.drop(2)
            await until(lambda: one.receiver.repeated == 2, "them to be appended again")
            batches = await read(queue, 3)
            assert [batch.datagrams for batch in batches] == [[b"2"], [b"0"], [b"1"]]
            assert [batch.number.serial for batch in batches] == [3, 1, 2]
            assert [batch.spooled for batch in batches] == [False, True, True]
            (text,) = one.log.texts("PYD2_CLUSTER_APPENDED_AGAIN")
            assert text.startswith("site lost: the servers have lost 2 batches")
            await one.end()

    with nats_servers() as (server,):
        asyncio.run(scenario())


@pytest.mark.usefixtures("_looks_soon")
def test_what_is_there_or_done_is_not_appended_again(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    batch_of = SiteQueue.batch

    async def noted(queue: SiteQueue, sequence: int) -> QueuedBatch | None:
        looked.append(sequence)
        return await batch_of(queue, sequence)

    async def scenario() -> None:
        async with new_site(server, "done") as queue:
            one = PlayedReceiver(server, "done", "r1")
            await append_alone(one, 2)
            monkeypatch.setattr(SiteQueue, "batch", noted)
            await until(lambda: looked.count(1) > 2, "it to look for the first one")
            record = Record("n.x", 1, 1, ("r1.x", BatchNumber(1, 1)), {"r1.x": BatchNumber(1, 1)})
            await queue.replace(record, Revision(0, 0), TIMEOUT)
            await until(lambda: looked[-3:] == [2, 2, 2], "it to look for the second one only")
            await queue.drop(1)
            seen = len(looked)
            await until(lambda: len(looked) > seen + 2, "it to look again")
            assert set(looked[seen:]) == {2}
            assert (one.receiver.repeated, "PYD2_CLUSTER_APPENDED_AGAIN" in one.log.ids) == (0, False)
            await one.end()

    with nats_servers() as (server,):
        asyncio.run(scenario())


@pytest.mark.usefixtures("_looks_soon")
def test_while_the_record_cannot_be_read_nothing_is_appended_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later pyd2 owns the queue: all that it had done and removed came again, as lost, and again."""
    record, looks = SiteQueue.record, 0

    async def noted(queue: SiteQueue) -> tuple[Revision, Record]:
        nonlocal looks
        looks += 1
        return await record(queue)

    async def scenario() -> None:
        async with new_site(server, "later") as queue:
            await queue._jetstream.publish(Site("later").record, b'{"format": 2}', {}, seconds=TIMEOUT)
            one = PlayedReceiver(server, "later", "r1")
            await append_alone(one, 2)
            await queue.drop(1)
            monkeypatch.setattr(SiteQueue, "record", noted)
            await until(lambda: looks > 4, "it to look some times")
            assert (one.receiver.repeated, "PYD2_CLUSTER_APPENDED_AGAIN" in one.log.ids) == (0, False)
            await one.end()

    with nats_servers() as (server,):
        asyncio.run(scenario())


def test_a_leader_that_lags_behind_has_lost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with new_site(server, "lags"):
            one = PlayedReceiver(server, "lags", "r1")
            await until(lambda: one.link.server, "the connection")
            asked = lagging_leader(monkeypatch)
            one.receiver.take([b"0"], ())
            await until(lambda: len(asked) >= 4, "it to look again")
            assert (one.receiver.repeated, "PYD2_CLUSTER_APPENDED_AGAIN" in one.log.ids) == (0, False)
            await one.end()

    monkeypatch.setattr(module, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(module, "LAG_SECONDS", 3600.0)
    with nats_servers() as (server,):
        asyncio.run(scenario())


def test_another_batch_with_its_sequence_is_no_leader_that_lags_behind(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(module, "LAG_SECONDS", 3600.0)
    batch_of = SiteQueue.batch

    async def another(queue: SiteQueue, sequence: int) -> QueuedBatch | None:
        return await batch_of(queue, 2 if sequence == 1 else sequence)

    async def scenario() -> None:
        async with new_site(server, "another"):
            one = PlayedReceiver(server, "another", "r1")
            await append_alone(one, 2)
            monkeypatch.setattr(SiteQueue, "batch", another)
            await until(lambda: one.receiver.repeated == 1, "it to be appended again")
            await one.end()

    with nats_servers() as (server,):
        asyncio.run(scenario())


@pytest.mark.usefixtures("_looks_soon")
def test_what_is_lost_behind_a_batch_that_is_there_is_appended_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A DNS server that is down keeps the oldest one from being done: the owner does not wait so long."""
    batch_of = SiteQueue.batch

    async def lost(queue: SiteQueue, sequence: int) -> QueuedBatch | None:
        return None if sequence in {2, 3} else await batch_of(queue, sequence)

    async def scenario() -> None:
        async with new_site(server, "middle") as queue:
            one = PlayedReceiver(server, "middle", "r1")
            await append_alone(one, 4)
            monkeypatch.setattr(SiteQueue, "batch", lost)
            await until(lambda: one.receiver.repeated == 2, "them to be appended again")
            for serial in (2, 3):
                found = await batch_of(queue, serial + 3)
                assert found is not None
                assert found.batch is not None
                assert found.batch.number.serial == serial
            await one.end()

    with nats_servers() as (server,):
        asyncio.run(scenario())
