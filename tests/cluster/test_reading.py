"""How a term reads on while servers change: what they leave out, have not got yet, or have lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from pyd2.cluster import early, removal, term
from pyd2.queue.nats.site import Site, SiteQueue, create_streams
from pyd2.queue.shared.interface import UnansweredError
from tests.cluster.played import Node, new_site, until
from tests.cluster.test_owner import append, lagging_reader, one_of_two_done

if TYPE_CHECKING:
    from pyd2.queue.nats.jetstream import JetStream
    from pyd2.queue.nats.site import SiteReader
    from pyd2.queue.shared.interface import QueuedBatch
    from tests.kit.nats_servers import NatsServer

pytestmark = pytest.mark.peers


def test_a_batch_that_was_left_out_is_waited_for_while_the_leader_lags_behind(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would never be begun: the floor passes it."""
    there = SiteQueue.batch
    asked = 0

    async def late(queue: SiteQueue, sequence: int) -> QueuedBatch | None:
        nonlocal asked
        asked += sequence == 3
        return None if sequence == 3 and asked < 3 else await there(queue, sequence)

    async def scenario() -> None:
        async with new_site(server, "later-out") as queue:
            node = Node(server, "later-out", "n1")
            await append(queue, 1, b"a")
            await node.until_begun(b"a")
            with lagging_reader(monkeypatch, node, -1):
                await append(queue, 2, b"b")
                await node.until_begun(b"a", b"b")
                monkeypatch.setattr(SiteQueue, "batch", late)
                await append(queue, 3, b"c")
                await append(queue, 4, b"d")
                await node.until_begun(b"a", b"b", b"c", b"d")
            assert asked >= 3
            assert "PYD2_CLUSTER_STREAM_LOST" not in node.log.ids
            await node.kill()

    asyncio.run(scenario())


def test_what_was_begun_before_a_failure_is_not_taken_for_lost(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two batches that were left out the first one is begun; the second one cannot be had for now."""
    there = SiteQueue.batch
    failed = False

    async def failing(queue: SiteQueue, sequence: int) -> QueuedBatch | None:
        nonlocal failed
        if sequence == 4 and not failed:
            failed = True
            raise UnansweredError("the server was killed")
        return await there(queue, sequence)

    async def scenario() -> None:
        async with new_site(server, "two-out") as queue:
            node = Node(server, "two-out", "n1")
            await append(queue, 1, b"a")
            await node.until_begun(b"a")
            with lagging_reader(monkeypatch, node, -2):
                await append(queue, 2, b"b")
                await node.until_begun(b"a", b"b")
                monkeypatch.setattr(SiteQueue, "batch", failing)
                for serial, text in enumerate((b"c", b"d", b"e"), 3):
                    await append(queue, serial, text)
                await until(lambda: failed, "the second one to be asked for")
                await append(queue, 6, b"f")
                await node.until_begun(b"a", b"b", b"c", b"d", b"e", b"f")
                node.host.end(6)
                await until(lambda: node.owner.status()["floor"] == 6, "the floor")
            assert not node.host.faults
            assert "PYD2_CLUSTER_STREAM_LOST" not in node.log.ids
            await node.kill()

    asyncio.run(scenario())


def test_the_batch_at_the_floor_is_compared_again_if_the_first_reader_was_not_made_at_once(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers may have lost it between."""
    monkeypatch.setattr(term, "_LAG_SECONDS", 0.1)
    read, there = SiteQueue.read, SiteQueue.batch
    gone = False

    async def failing(queue: SiteQueue, after: int, seconds: float) -> SiteReader:
        nonlocal gone
        if not gone:
            gone = True
            raise UnansweredError("all servers are gone")
        return await read(queue, after, seconds)

    async def lost(queue: SiteQueue, sequence: int) -> QueuedBatch | None:
        return None if gone and sequence == 1 else await there(queue, sequence)

    async def scenario() -> None:
        async with new_site(server, "between") as queue:
            one = await one_of_two_done(server, "between", queue)
            one.owner.leave()
            await asyncio.wait_for(one.owner.left.wait(), 20)
            await one.kill()
            monkeypatch.setattr(early.EarlyReader, "make", lambda *_: None)
            monkeypatch.setattr(SiteQueue, "read", failing)
            monkeypatch.setattr(SiteQueue, "batch", lost)
            two = Node(server, "between", "n2")
            await two.until_logged("PYD2_CLUSTER_STREAM_LOST")
            await two.until_begun(b"b")
            await two.kill()

    asyncio.run(scenario())


def test_what_is_done_is_removed_from_a_stream_that_was_made_again(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sequences begin at 1: else it would grow until it is full."""
    monkeypatch.setattr(removal, "DROP_SECONDS", 0.0)
    monkeypatch.setattr(term, "_LAG_SECONDS", 0.1)

    async def removed(queue: SiteQueue, sequence: int) -> None:
        for _ in range(1000):
            if await queue.batch(sequence) is None:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"batch {sequence} is still there")

    async def scenario() -> None:
        async with new_site(server, "anew") as queue:
            node = Node(server, "anew", "n1")
            texts = [b"%d" % number for number in range(1, 6)]
            for serial, text in enumerate(texts, 1):
                await append(queue, serial, text)
            await node.until_begun(*texts)
            node.host.end(5)
            await removed(queue, 4)
            jetstream: JetStream = queue._jetstream
            await jetstream._call("STREAM.DELETE.PYD2-REQ-anew-0")
            await create_streams(jetstream, Site("anew"), 1)
            for serial, text in enumerate((b"a", b"b"), 6):
                await append(queue, serial, text)
            await node.until_begun(b"a", b"b")
            node.host.end(2)
            await removed(queue, 1)
            assert await queue.batch(2) is not None
            assert not node.host.faults
            await node.kill()

    asyncio.run(scenario())
