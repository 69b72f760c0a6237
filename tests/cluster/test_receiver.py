"""A receiver on a real server: batches in order, a server that is gone for a while."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from pyd2.cluster import receiver as module
from pyd2.queue.nats.site import SiteQueue
from pyd2.queue.shared.batch import BatchNumber
from pyd2.queue.shared.interface import UnansweredError
from pyd2.queue.shared.record import Record, Revision
from tests.cluster.played import PlayedReceiver, new_site, until
from tests.kit.nats_servers import nats_servers
from tests.queue.nats.played import TIMEOUT

if TYPE_CHECKING:
    from pyd2.queue.shared.batch import RequestBatch

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


def test_what_the_servers_have_lost_is_appended_again_before_what_follows() -> None:
    async def scenario() -> None:
        async with new_site(server, "lost") as queue:
            one = PlayedReceiver(server, "lost", "r1")
            await until(lambda: one.link.server, "the connection")
            for number in range(3):
                one.receiver.take([b"%d" % number], ())
                await until(lambda: one.receiver.appended > number, "it to be appended")  # noqa: B023
            await queue.drop(LAST)
            one.receiver.take([b"3"], ())
            await until(lambda: one.receiver.appended == 4, "the next one")
            batches = await read(queue, 4)
            assert [text for batch in batches for text in batch.datagrams] == [b"0", b"1", b"2", b"3"]
            assert one.log.texts("PYD2_CLUSTER_APPENDED_AGAIN")[0].startswith(
                "site lost: the servers have lost 3 batches")
            assert one.receiver.repeated == 3
            await one.end()

    with nats_servers() as (server,):
        asyncio.run(scenario())


def test_a_receiver_with_nothing_to_append_finds_out_what_the_servers_have_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        async with new_site(server, "idle") as queue:
            one = PlayedReceiver(server, "idle", "r1")
            await until(lambda: one.link.server, "the connection")
            one.receiver.take([b"0"], ())
            await until(lambda: one.receiver.appended == 1, "it to be appended")
            await queue.drop(LAST)
            monkeypatch.setattr(module, "LOOK_SECONDS", 0.02)
            one.receiver.take([], ())  # it waits for so long from now on
            await until(lambda: one.receiver.repeated == 1, "it to be appended again")
            assert [batch.datagrams for batch in await read(queue, 1)] == [[b"0"]]
            await one.end()

    with nats_servers() as (server,):
        asyncio.run(scenario())


def test_what_is_done_is_not_appended_again_though_it_was_removed() -> None:
    async def scenario() -> None:
        async with new_site(server, "done") as queue:
            one = PlayedReceiver(server, "done", "r1")
            await until(lambda: one.link.server, "the connection")
            one.receiver.take([b"0"], ())
            await until(lambda: one.receiver.appended == 1, "it to be appended")
            record = Record("n.x", 1, 1, ("r1.x", BatchNumber(1, 1)), {"r1.x": BatchNumber(1, 1)})
            await queue.replace(record, Revision(0, 0), TIMEOUT)
            await queue.drop(LAST)
            one.receiver.take([b"1"], ())
            await until(lambda: one.receiver.appended == 2, "the next one")
            assert [batch.datagrams for batch in await read(queue, 1)] == [[b"1"]]
            assert (one.receiver.repeated, "PYD2_CLUSTER_APPENDED_AGAIN" in one.log.ids) == (0, False)
            await one.end()

    with nats_servers() as (server,):
        asyncio.run(scenario())


def test_a_batch_whose_answer_was_lost_is_found_and_is_there_once(monkeypatch: pytest.MonkeyPatch) -> None:
    append = SiteQueue.append

    async def unanswered(queue: SiteQueue, batch: RequestBatch, behind: int | None, seconds: float) -> int:
        sequence = await append(queue, batch, behind, seconds)
        if batch.number.serial == 2:
            raise UnansweredError("the answer was lost")
        return sequence

    async def scenario() -> None:
        async with new_site(server, "unanswered") as queue:
            one = PlayedReceiver(server, "unanswered", "r1")
            one.receiver.take([b"0"], ())
            await until(lambda: one.receiver.appended == 1, "it to be appended")
            monkeypatch.setattr(SiteQueue, "append", unanswered)
            one.receiver.take([b"1"], [7])
            await until(lambda: one.disk.ended == [7], "the answer to be known")
            one.receiver.take([b"2"], ())
            await until(lambda: one.receiver.appended == 3, "the next one")
            state = await queue._jetstream.stream_state(queue._site.requests)
            assert state is not None
            assert state.messages == 3
            assert [batch.datagrams for batch in await read(queue, 3)] == [[b"0"], [b"1"], [b"2"]]
            await one.end()

    with nats_servers() as (server,):
        asyncio.run(scenario())
