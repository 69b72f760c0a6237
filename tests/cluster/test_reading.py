"""How a term reads on while servers change: what they leave out, have not got yet, or have lost."""

from __future__ import annotations

import asyncio
import time
from itertools import accumulate, islice
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from pyd2.cluster import early, link, removal, term
from pyd2.cluster.early import EarlyReader
from pyd2.cluster.term import Term
from pyd2.queue.nats.site import Site, SiteQueue, SiteReader, create_streams
from pyd2.queue.shared import order
from pyd2.queue.shared.batch import BatchNumber, RequestBatch
from pyd2.queue.shared.interface import QueuedBatch, UnansweredError
from pyd2.queue.shared.progress import Progress
from pyd2.queue.shared.record import NO_RECORD, Revision
from tests.cluster.played import (
    TIMEOUT,
    Node,
    append,
    lagging_leader,
    lagging_reader,
    new_site,
    one_of_two_done,
    until,
)
from tests.kit import ncr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyd2.cluster.link import Link
    from pyd2.cluster.term import TermEvents
    from pyd2.queue.nats.jetstream import JetStream
    from pyd2.queue.shared.record import Record
    from tests.kit.nats_servers import NatsServer

pytestmark = pytest.mark.peers


def test_batches_that_a_lagging_server_gives_again_are_not_begun_again(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JetStream begins with what a server has if that is less than what the reader was to begin with."""

    async def scenario() -> None:
        async with new_site(server, "lagging") as queue:
            node = Node(server, "lagging", "n1")
            for serial, text in enumerate((b"a", b"b", b"c"), 1):
                await append(queue, serial, text)
            await node.until_begun(b"a", b"b", b"c")
            with lagging_reader(monkeypatch, node, 2) as found:
                await append(queue, 4, b"d")
                await until(lambda: [one.sequence for one in found] == [3, 4], "two batches to come again")
                await append(queue, 5, b"e")
                await node.until_begun(b"a", b"b", b"c", b"d", b"e")
                node.host.end(5)
                await until(lambda: node.owner.status()["floor"] == 5, "the floor")
            assert not node.host.faults
            assert node.owner.claims == 1
            assert "PYD2_CLUSTER_STREAM_LOST" not in node.log.ids
            await node.kill()

    asyncio.run(scenario())


def test_a_batch_that_a_reader_leaves_out_is_begun_in_its_place(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with new_site(server, "left-out") as queue:
            node = Node(server, "left-out", "n1")
            await append(queue, 1, b"a")
            await node.until_begun(b"a")
            with lagging_reader(monkeypatch, node, -2) as found:
                await append(queue, 2, b"b")
                await node.until_begun(b"a", b"b")
                for serial, text in enumerate((b"c", b"d", b"e"), 3):
                    await append(queue, serial, text)
                await node.until_begun(b"a", b"b", b"c", b"d", b"e")
                assert found[0].sequence > 3
                node.host.end(5)
                await until(lambda: node.owner.status()["floor"] == 5, "the floor")
            assert not node.host.faults
            await node.kill()

    asyncio.run(scenario())


def test_a_leader_that_lags_behind_has_lost_nothing(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with new_site(server, "late") as queue:
            node = Node(server, "late", "n1")
            await append(queue, 1, b"a")
            await node.until_begun(b"a")
            with lagging_reader(monkeypatch, node, 0), monkeypatch.context() as patch:
                asked = lagging_leader(patch)
                await append(queue, 2, b"b")
                await until(lambda: len(asked) >= 3, "the last batch to be there")
                await append(queue, 3, b"c")
                await node.until_begun(b"a", b"b", b"c")
            assert "PYD2_CLUSTER_STREAM_LOST" not in node.log.ids
            await node.kill()

    asyncio.run(scenario())


def test_a_batch_with_the_sequence_of_another_one_begins_another_term(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers have lost what they had acknowledged, while this node owned the queue."""

    async def scenario() -> None:
        async with new_site(server, "reused") as queue:
            node = await one_of_two_done(server, "reused", queue)
            with lagging_reader(monkeypatch, node, 0), monkeypatch.context() as patch:
                receive = SiteReader.read

                async def reused(reader: SiteReader, seconds: float) -> list[QueuedBatch]:
                    return [found._replace(sequence=2) if found.sequence == 4 else found
                            for found in await receive(reader, seconds)]

                patch.setattr(SiteReader, "read", reused)
                await append(queue, 3, b"c")
                await node.until_begun(b"b", b"c")
                await append(queue, 4, b"d")
                await node.until_logged("PYD2_CLUSTER_STREAM_LOST")
            await node.until_begun(b"b", b"c", b"d")
            node.host.end(3)
            await until(lambda: node.owner.status()["floor"] == 4, "the floor")
            assert not node.host.faults
            await node.kill()

    asyncio.run(scenario())


def test_a_reader_that_is_opened_again_may_not_begin_behind_what_was_lost(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else new batches with the sequences of lost ones would never be read."""
    monkeypatch.setattr(term, "_LAG_SECONDS", 0.3)

    async def scenario() -> None:
        async with new_site(server, "behind") as queue:
            node = await one_of_two_done(server, "behind", queue)
            with lagging_reader(monkeypatch, node, 0), monkeypatch.context() as patch:
                there = SiteQueue.batch

                async def lost(queue: SiteQueue, sequence: int) -> QueuedBatch | None:
                    return None if sequence == 3 else await there(queue, sequence)

                patch.setattr(SiteQueue, "batch", lost)
                await append(queue, 3, b"c")
                await node.until_logged("PYD2_CLUSTER_STREAM_LOST")
            await append(queue, 4, b"d")
            await node.until_begun(b"b", b"c", b"d")
            node.host.end(3)
            await until(lambda: node.owner.status()["floor"] == 4, "the floor")
            assert not node.host.faults
            await node.kill()

    asyncio.run(scenario())


def test_what_is_asked_while_there_is_no_leader_is_asked_again(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers lose it: an owner that waits for the answer stands still when there is a leader again."""
    monkeypatch.setattr(link, "ANSWER_SECONDS", 0.1)
    there = SiteQueue.batch
    asked = 0

    async def answered_late(queue: SiteQueue, sequence: int) -> QueuedBatch | None:
        nonlocal asked
        asked += 1
        if asked < 3:
            await asyncio.Event().wait()
        return await there(queue, sequence)

    async def scenario() -> None:
        async with new_site(server, "leaderless") as queue:
            node = await one_of_two_done(server, "leaderless", queue)
            with lagging_reader(monkeypatch, node, 0), monkeypatch.context() as patch:
                patch.setattr(SiteQueue, "batch", answered_late)
                await append(queue, 3, b"c")
                await until(lambda: asked >= 3, "questions for a batch")
            await node.until_begun(b"b", b"c")
            assert not node.host.faults
            await node.kill()

    asyncio.run(scenario())


def test_tries_to_read_are_short_while_servers_choose_a_leader_and_longer_later() -> None:
    tries = list(islice(term._open_seconds(), 40))
    while_they_choose = [one for one, before in zip(tries, accumulate(tries, initial=0.0), strict=False)
                         if before < 9.0]
    assert max(while_they_choose) <= 1.0
    assert tries[-1] == 5.0


def test_what_cannot_be_tried_without_a_connection_makes_no_later_try_longer(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, drawn = 0, []

    class Unconnected:
        @property
        def queue(self) -> SiteQueue:
            nonlocal asked
            asked += 1
            raise UnansweredError("there is no connection to a server")

    def tries() -> Iterator[float]:
        while True:
            drawn.append(0.5)
            yield 0.5

    async def scenario() -> None:
        events = cast("TermEvents", SimpleNamespace())
        one = Term(Progress(NO_RECORD), events, 1000, 1)
        unconnected = cast("Link", Unconnected())
        reading = asyncio.ensure_future(one.read(unconnected, Revision(0, 0), EarlyReader()))
        await until(lambda: asked > 20, "it to look for a connection")
        reading.cancel()

    monkeypatch.setattr(term, "_open_seconds", tries)
    monkeypatch.setattr(term, "_PAUSE", 0.001)
    asyncio.run(scenario())
    assert drawn == []


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


def test_the_last_batch_is_begun_though_a_reader_leaves_it_out(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other one comes behind it: it would wait until one does, on a quiet site for hours."""
    monkeypatch.setattr(term, "_READ_SECONDS", 0.2)

    async def scenario() -> None:
        async with new_site(server, "last-out") as queue:
            node = Node(server, "last-out", "n1")
            await append(queue, 1, b"a")
            await node.until_begun(b"a")
            with lagging_reader(monkeypatch, node, -2) as found:
                await append(queue, 2, b"b")
                await node.until_begun(b"a", b"b")
                await append(queue, 3, b"c")
                await append(queue, 4, b"d")
                await node.until_begun(b"a", b"b", b"c", b"d")
                assert found == []
            node.host.end(4)
            await until(lambda: node.owner.status()["floor"] == 4, "the floor")
            await node.kill()

    asyncio.run(scenario())


def test_a_missing_batch_has_its_time_however_long_servers_show_none(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While they choose a leader its receiver cannot append it again either."""
    monkeypatch.setattr(term, "_WAIT_SECONDS", 0.05)
    there = SiteQueue.batch
    passed = 0.0

    async def slow(queue: SiteQueue, sequence: int) -> QueuedBatch | None:
        nonlocal passed
        passed += order.WAIT_SECONDS
        return await there(queue, sequence)

    def clock() -> float:
        return time.monotonic() + passed

    async def scenario() -> None:
        async with new_site(server, "time") as queue:
            monkeypatch.setattr(SiteQueue, "batch", slow)
            monkeypatch.setattr(term, "time", SimpleNamespace(monotonic=clock, time=time.time))
            node = Node(server, "time", "n1")
            await append(queue, 1, b"a")
            await append(queue, 3, b"c")
            await until(lambda: passed, "a question for a batch")
            await append(queue, 2, b"b")
            await node.until_begun(b"a", b"b", b"c")
            assert node.log.ids == ["PYD2_CLUSTER_CONNECTED", "PYD2_CLUSTER_CLAIMED"]
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


def test_a_batch_that_comes_again_behind_others_is_begun_before_them(server: NatsServer) -> None:
    async def scenario() -> None:
        async with new_site(server, "again") as queue:
            node = Node(server, "again", "n1")
            for serial, text in ((1, b"a"), (3, b"c"), (4, b"d"), (3, b"c"), (2, b"b"), (5, b"e")):
                await append(queue, serial, text)
            await node.until_begun(b"a", b"b", b"c", b"d", b"e")
            node.host.end_only(b"a", b"c", b"d", b"e")
            await until(lambda: node.owner.status()["floor"] == 1, "the floor")
            node.host.end(1)
            await until(lambda: node.owner.status()["floor"] == 6, "the floor")
            assert node.log.ids == ["PYD2_CLUSTER_CONNECTED", "PYD2_CLUSTER_CLAIMED"]
            await node.kill()

    asyncio.run(scenario())


def test_batches_that_do_not_come_again_are_logged_and_counted(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order, "WAIT_SECONDS", 0.2)
    monkeypatch.setattr(term, "_WAIT_SECONDS", 0.05)

    async def scenario() -> None:
        async with new_site(server, "missing") as queue:
            node = Node(server, "missing", "n1")
            for serial, text in ((1, b"a"), (2, b"b"), (5, b"c"), (6, b"d")):
                await append(queue, serial, text)
            await node.until_begun(b"a", b"b", b"c", b"d")
            assert node.log.ids.count("PYD2_CLUSTER_STREAM_LOST") == 1  # all is read again first
            (line,) = node.log.texts("PYD2_CLUSTER_BATCHES_MISSING")
            assert "have lost 2 batches of receiver r.x before its batch 1.5." in line
            assert node.owner.status()["missing"] == 2
            await node.kill()

    asyncio.run(scenario())


def test_a_reader_may_have_passed_a_batch_with_the_sequence_of_a_lost_one(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives nothing more: without other requests that would not be found out."""
    monkeypatch.setattr(term, "_READ_SECONDS", 0.2)
    receive = SiteReader.read
    readers: list[SiteReader] = []

    async def as_before(reader: SiteReader, seconds: float) -> list[QueuedBatch]:
        if reader not in readers:
            readers.append(reader)
        found = await receive(reader, seconds)
        lost = QueuedBatch(2, RequestBatch("r.y", BatchNumber(1, 1), 1000.0, [b"lost"]))
        return [lost if queued.sequence == 2 and reader is readers[0] else queued for queued in found]

    async def scenario() -> None:
        async with new_site(server, "idle") as queue:
            node = Node(server, "idle", "n1")
            await append(queue, 1, b"a")
            await append(queue, 2, b"b")
            await node.until_begun(b"a", b"lost")
            await node.until_begun(b"a", b"b")
            assert node.log.ids.count("PYD2_CLUSTER_STREAM_LOST") == 1
            await node.kill()

    monkeypatch.setattr(SiteReader, "read", as_before)
    asyncio.run(scenario())


def test_batches_that_wait_do_not_keep_the_missing_one_from_being_read(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the owner, and each one after it, would stand still for good."""
    monkeypatch.setattr(term, "READ_AHEAD", 3)

    async def scenario() -> None:
        async with new_site(server, "full") as queue:
            for serial, text in ((1, b"a"), (3, b"c"), (4, b"d"), (5, b"e"), (6, b"f"), (2, b"b")):
                await append(queue, serial, text)
            node = Node(server, "full", "n1")
            await node.until_begun(b"a", b"b", b"c", b"d", b"e", b"f")
            assert node.log.ids == ["PYD2_CLUSTER_CONNECTED", "PYD2_CLUSTER_CLAIMED"]
            await node.kill()

    asyncio.run(scenario())


def test_too_many_requests_that_wait_are_not_waited_with(server: NatsServer) -> None:
    async def scenario() -> None:
        async with new_site(server, "too-many") as queue:
            for serial, text in ((1, b"a"), (3, b"c"), (4, b"d"), (5, b"e"), (6, b"f")):
                await append(queue, serial, text)
            node = Node(server, "too-many", "n1", most=4)
            await node.until_logged("PYD2_CLUSTER_BATCHES_MISSING")
            await node.until_begun(b"a", b"c", b"d", b"e")
            node.host.end(4)
            await node.until_begun(b"f")
            await node.kill()

    asyncio.run(scenario())


def test_a_batch_is_waited_for_while_no_more_can_be_read(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a backlog it may be there, behind all that is to be done first."""
    monkeypatch.setattr(order, "WAIT_SECONDS", 0.5)
    monkeypatch.setattr(term, "_WAIT_SECONDS", 0.05)
    monkeypatch.setattr(term, "READ_AHEAD", 2)

    async def scenario() -> None:
        async with new_site(server, "backlog") as queue:
            await append(queue, 1, b"a")
            await append(queue, 3, b"c")
            await queue.append(RequestBatch("q.x", BatchNumber(1, 1), 1000.0, [b"x", b"y"]), TIMEOUT)
            await append(queue, 2, b"b")
            node = Node(server, "backlog", "n1")
            await node.until_begun(b"a", b"x", b"y")
            await asyncio.sleep(0.8)  # time passes
            node.host.end(3)
            await node.until_begun(b"b", b"c")
            assert node.log.ids == ["PYD2_CLUSTER_CONNECTED", "PYD2_CLUSTER_CLAIMED"]
            await node.kill()

    asyncio.run(scenario())


def test_all_is_read_again_once_for_all_that_is_missing(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order, "WAIT_SECONDS", 0.3)
    monkeypatch.setattr(term, "_WAIT_SECONDS", 0.05)

    async def scenario() -> None:
        async with new_site(server, "gaps") as queue:
            await queue.append(RequestBatch("q.x", BatchNumber(1, 2), 1000.0, [b"x"]), TIMEOUT)
            for serial, text in ((1, b"a"), (3, b"c"), (5, b"e")):
                await append(queue, serial, text)
            node = Node(server, "gaps", "n1")
            await node.until_logged("PYD2_CLUSTER_BATCHES_MISSING", 3)
            await node.until_begun(b"a", b"x", b"c", b"e")
            assert node.log.ids.count("PYD2_CLUSTER_STREAM_LOST") == 1
            assert node.owner.status()["missing"] == 3
            await node.kill()

    asyncio.run(scenario())


def test_what_has_waited_does_not_undo_newer_requests_of_another_receiver(server: NatsServer) -> None:
    async def scenario() -> None:
        async with new_site(server, "newer") as queue:
            old = ncr.datagram(ncr.request("a.example.com.", "192.0.2.1", ncr.dhcid(b"1", "a.")))
            await append(queue, 1, b"a")
            await append(queue, 3, old)
            await queue.append(RequestBatch("q.x", BatchNumber(1, 1), 1003.0, [old]), TIMEOUT)
            node = Node(server, "newer", "n1")
            await node.until_begun(b"a", old)
            await append(queue, 2, b"b")
            await node.until_begun(b"a", old, b"b")
            await until(lambda: node.owner.status()["overtaken"] == 1, "the old one to be overtaken")
            await node.kill()

    asyncio.run(scenario())


def test_the_batch_at_the_floor_is_waited_for_while_the_leader_lags_behind(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with new_site(server, "floor-later") as queue:
            one = await one_of_two_done(server, "floor-later", queue)
            await one.kill()
            asked = lagging_leader(monkeypatch)
            two = Node(server, "floor-later", "n2")
            await two.until_begun(b"b")
            assert len(asked) >= 3
            assert "PYD2_CLUSTER_STREAM_LOST" not in two.log.ids
            await two.kill()

    asyncio.run(scenario())


def test_what_a_record_says_is_removed_when_the_next_one_stands(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The servers may lose a record that they had acknowledged: what it says was done is needed then."""
    dropped: list[tuple[int, list[int]]] = []
    drop = SiteQueue.drop

    async def noted(queue: SiteQueue, up_to: int) -> None:
        dropped.append((up_to, floors[:-1]))
        await drop(queue, up_to)

    floors: list[int] = []
    go_on = removal.Removal.go_on

    def noting(self: removal.Removal, queue: SiteQueue, record: Record) -> None:
        floors.append(record.floor)
        go_on(self, queue, record)

    async def scenario() -> None:
        async with new_site(server, "removed") as queue:
            node = Node(server, "removed", "n1")
            for serial, text in enumerate((b"a", b"b", b"c"), 1):
                await append(queue, serial, text)
                await node.until_begun(text)
                node.host.end(1)
                await until(lambda: node.owner.status()["floor"] == serial, "the floor")  # noqa: B023
            await until(lambda: dropped and dropped[-1][0] == 2, "all but the last one to be removed")
            assert all(up_to + 1 in before for up_to, before in dropped)
            await node.kill()

    monkeypatch.setattr(removal, "DROP_SECONDS", 0.0)
    monkeypatch.setattr(SiteQueue, "drop", noted)
    monkeypatch.setattr(removal.Removal, "go_on", noting)
    asyncio.run(scenario())


def test_what_is_missing_may_have_a_sequence_that_was_read_as_another_one(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The servers have lost the batch that was read, and given its sequence to one that the reader passes."""
    receive = SiteReader.read
    readers: list[SiteReader] = []

    async def as_before(reader: SiteReader, seconds: float) -> list[QueuedBatch]:
        if reader not in readers:
            readers.append(reader)
        found = await receive(reader, seconds)
        lost = QueuedBatch(2, RequestBatch("r.y", BatchNumber(1, 1), 1000.0, [b"lost"]))
        return [lost if queued.sequence == 2 and reader is readers[0] else queued for queued in found]

    async def scenario() -> None:
        async with new_site(server, "passed") as queue:
            node = Node(server, "passed", "n1")
            await append(queue, 1, b"a")
            await append(queue, 2, b"b")
            await node.until_begun(b"a", b"lost")
            await append(queue, 3, b"c")
            await node.until_begun(b"a", b"b", b"c")
            assert node.log.ids.count("PYD2_CLUSTER_STREAM_LOST") == 1
            assert "PYD2_CLUSTER_BATCHES_MISSING" not in node.log.ids
            await node.kill()

    monkeypatch.setattr(SiteReader, "read", as_before)
    monkeypatch.setattr(order, "WAIT_SECONDS", 0.2)
    monkeypatch.setattr(term, "_WAIT_SECONDS", 0.05)
    asyncio.run(scenario())
