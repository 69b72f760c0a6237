"""Nodes that own a shared queue on a real server: claims, what a claim repeats, leases that are over."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.cluster import owner as module
from pyd2.cluster import removal, term
from pyd2.cluster.link import Link
from pyd2.queue.nats.site import Site, SiteQueue, SiteReader
from pyd2.queue.shared.interface import SharedQueue, SharedQueueError, UnansweredError
from pyd2.queue.shared.ownership import Moment, Ownership
from tests.cluster.played import LEASE, Node, PlayedHost, append, dead_letters, new_site, until
from tests.queue.nats.played import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyd2.queue.shared.interface import QueuedBatch
    from pyd2.queue.shared.record import Record, Revision
    from tests.kit.nats_servers import NatsServer

pytestmark = pytest.mark.peers


@contextlib.contextmanager
def lease_over(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the clocks say that the lease is over, as after a standstill."""
    now = module.moment
    with monkeypatch.context() as patch:
        patch.setattr(module, "moment", lambda: Moment(now().boot, now().wall + LEASE))
        yield


def test_the_owner_works_the_queue_off_and_has_removed_what_is_done(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "DROP_SECONDS", 0.0)

    async def scenario() -> None:
        async with new_site(server, "works") as queue:
            await append(queue, 1, b"a", b"b")
            node = Node(server, "works", "n1")
            await node.until_logged("PYD2_CLUSTER_CLAIMED")
            await node.until_begun(b"a", b"b")
            assert node.owner.may_send()
            for serial, text in enumerate((b"c", b"d", b"e"), 2):
                await append(queue, serial, text)
            await append(queue, 2, b"c")  # the same batch again
            await node.until_begun(b"a", b"b", b"c", b"d", b"e")
            node.host.end(1)
            node.host.end(3, {b"c": "it was in vain"})
            await until(lambda: node.owner.status()["floor"] == 3, "the floor")
            (dead,) = await dead_letters(server, "works")
            assert (dead.datagram, dead.reason, dead.taken) == (b"c", "it was in vain", 1000.0)
            node.host.end(1)
            await until(lambda: node.owner.status()["floor"] == 5, "the floor")
            for _ in range(200):
                if await queue.batch(4) is None:
                    break
                await asyncio.sleep(0.01)
            assert [await queue.batch(number) is None for number in range(1, 6)] == [True] * 4 + [False]
            assert not node.host.faults
            await node.kill()

    asyncio.run(scenario())


@pytest.mark.parametrize("readable", [True, False])
def test_nothing_is_removed_while_the_batch_at_the_floor_is_another_one(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch, *, readable: bool
) -> None:
    """Behind it new batches may have the sequences of those that the servers have lost."""
    monkeypatch.setattr(removal, "DROP_SECONDS", 0.0)
    there = SiteQueue.batch
    asked: list[int] = []

    async def lost(queue: SiteQueue, sequence: int) -> QueuedBatch | None:
        asked.append(sequence)
        return None

    async def scenario() -> None:
        site = f"kept-{readable}"
        async with new_site(server, site) as queue:
            node = Node(server, site, "n1")
            for serial, text in enumerate((b"a", b"b"), 1):
                await append(queue, serial, text)
            if readable:
                await append(queue, 3, b"c")
            else:
                await queue._jetstream.publish(Site(site).subject("r.x"), b"damaged", {}, seconds=TIMEOUT)
            await node.until_begun(*(b"a", b"b", b"c")[: 2 + readable])
            await until(lambda: readable or "PYD2_CLUSTER_BATCH_UNREADABLE" in node.log.ids, "all to be read")
            monkeypatch.setattr(SiteQueue, "batch", lost)
            node.host.end(2 + readable)
            await until(lambda: 3 in asked, "the floor to be compared")
            await node.kill()
            assert await there(queue, 1) is not None

    asyncio.run(scenario())


def test_the_reader_is_made_while_the_queue_is_claimed(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One behind the other, they are two writes to the disks of the servers without an update.
    read, replace = SiteQueue.read, SiteQueue.replace

    async def scenario() -> None:
        asked = asyncio.Event()

        async def asking(queue: SiteQueue, after: int, seconds: float) -> SiteReader:
            asked.set()
            return await read(queue, after, seconds)

        async def waiting(
            queue: SiteQueue, record: Record, expected: Revision, seconds: float
        ) -> Revision:
            await asked.wait()
            return await replace(queue, record, expected, seconds)

        monkeypatch.setattr(SiteQueue, "read", asking)
        monkeypatch.setattr(SiteQueue, "replace", waiting)
        async with new_site(server, "early") as queue:
            await append(queue, 1, b"a")
            node = Node(server, "early", "n1")
            await node.until_begun(b"a")
            await node.kill()

    asyncio.run(scenario())


@pytest.mark.parametrize("fault", [SharedQueueError("it is refused"), UnansweredError("no answer")])
def test_a_claim_that_fails_again_and_again_makes_one_reader_only(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch, fault: SharedQueueError
) -> None:
    """Each try left the servers a consumer."""
    read = SiteQueue.read
    claims = readers = 0

    async def refused(*_: object) -> Revision:
        nonlocal claims
        claims += 1
        raise fault

    async def counted(queue: SiteQueue, after: int, seconds: float) -> SiteReader:
        nonlocal readers
        readers += 1
        return await read(queue, after, seconds)

    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(module, "_PAUSE", 0.01)
    monkeypatch.setattr(SiteQueue, "replace", refused)
    monkeypatch.setattr(SiteQueue, "read", counted)

    async def scenario() -> None:
        async with new_site(server, "again"):
            node = Node(server, "again", "n1")
            await until(lambda: claims >= 6, "some claims")
            assert readers <= 1
            await node.kill()

    asyncio.run(scenario())


def test_when_an_owner_is_killed_another_node_repeats_what_is_behind_the_floor(server: NatsServer) -> None:
    async def scenario() -> None:
        async with new_site(server, "killed") as queue:
            one = Node(server, "killed", "n1")
            await one.until_logged("PYD2_CLUSTER_CLAIMED")
            two = Node(server, "killed", "n2")
            for serial, text in enumerate((b"a", b"b", b"c"), 1):
                await append(queue, serial, text)
            await one.until_begun(b"a", b"b", b"c")
            one.host.end(1)
            await until(lambda: one.owner.status()["floor"] == 1, "the floor")
            assert not two.owner.may_send()
            await one.kill()
            await append(queue, 4, b"d")
            await two.until_begun(b"b", b"c", b"d")
            assert two.owner.status()["epoch"] == 2
            assert two.owner.may_send()
            await two.kill()

    asyncio.run(scenario())


def test_one_that_leaves_finishes_what_is_under_way_and_the_next_one_goes_on_at_once(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So the next one learns it from the record as it is written, not from a look at any time.
    monkeypatch.setattr(module, "LOOK_SECONDS", 2 * TIMEOUT)
    monkeypatch.setattr(Ownership, "seconds_to_claim",
                        lambda self, _: 2 * TIMEOUT if self.record.node else 0.0)

    async def scenario() -> None:
        async with new_site(server, "leaves") as queue:
            one = Node(server, "leaves", "n1")
            await one.until_logged("PYD2_CLUSTER_CLAIMED")
            two = Node(server, "leaves", "n2")
            await append(queue, 1, b"a")
            await append(queue, 2, b"b")
            await one.until_begun(b"a", b"b")
            one.owner.leave()
            await asyncio.sleep(0)
            one.host.end(1)
            await asyncio.wait_for(one.owner.left.wait(), TIMEOUT)
            assert one.log.ids[-1] == "PYD2_CLUSTER_RELEASED"
            assert not one.owner.may_send()
            await two.until_begun(b"b")
            two.host.end(1)
            # It may stay after all, and owns the queue again when that is free.
            one.owner.stay()
            two.owner.leave()
            await asyncio.wait_for(two.owner.left.wait(), TIMEOUT)
            await append(queue, 3, b"c")
            await one.until_begun(b"c")
            await one.kill()
            await two.kill()

    asyncio.run(scenario())


def test_one_that_leaves_does_not_wait_for_what_it_has_not_begun(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FINISH_SECONDS", 2 * TIMEOUT)
    texts = [b"%d" % number for number in range(2 * PlayedHost.turn_limit)]

    async def scenario() -> None:
        async with new_site(server, "half") as queue:
            node = Node(server, "half", "n1")
            begin = node.host.carry_out

            def leave_after(datagrams: Sequence[bytes], numbers: Sequence[int]) -> None:
                begin(datagrams, numbers)
                node.owner.leave()

            monkeypatch.setattr(node.host, "carry_out", leave_after)
            await append(queue, 1, *texts)
            await node.until_begun(*texts[: PlayedHost.turn_limit])
            node.host.end(PlayedHost.turn_limit)
            await asyncio.wait_for(node.owner.left.wait(), TIMEOUT)
            await node.kill()

    asyncio.run(scenario())


def test_a_lease_that_is_over_when_something_is_to_be_sent_pauses_the_term(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a standstill: the clocks have gone on, and no call has noticed it yet."""
    async def scenario() -> None:
        async with new_site(server, "pauses") as queue:
            node = Node(server, "pauses", "n1")
            await node.until_logged("PYD2_CLUSTER_CLAIMED")
            await append(queue, 1, b"a")
            await append(queue, 2, b"b")
            await node.until_begun(b"a", b"b")
            before = node.host.term
            with lease_over(monkeypatch):
                assert not node.owner.may_send()
                node.host.end(1)  # it was sent before
            assert not node.owner.may_send()
            await node.until_logged("PYD2_CLUSTER_RESUMED")
            assert node.log.ids.count("PYD2_CLUSTER_PAUSED") == 1
            assert (node.host.held, node.host.drops, len(node.host.resumed)) == (1, 0, 1)
            assert 0 <= node.host.resumed[0] < TIMEOUT
            assert node.host.term is before
            assert node.host.texts == [b"b"]
            assert node.owner.may_send()
            node.host.end(1)
            await until(lambda: node.owner.status()["floor"] == 2, "the floor")
            await node.kill()

    asyncio.run(scenario())


def test_a_term_is_held_before_it_goes_on_however_soon_the_lease_is_renewed(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to a write that was under way comes in the turn of the loop in which the lease is over."""
    async def scenario() -> None:
        async with new_site(server, "soon") as queue:
            node = Node(server, "soon", "n1")
            await node.until_logged("PYD2_CLUSTER_CLAIMED")
            await append(queue, 1, b"a")
            await node.until_begun(b"a")
            write, held = node.owner._write, node.host.hold
            calls: list[str] = []

            def hold() -> bool:
                calls.append("hold")
                return held()

            def resume(_: float) -> bool:
                calls.append("resume")
                return True

            async def write_late(*arguments: Any) -> None:
                await write(*arguments)
                with lease_over(monkeypatch):
                    assert not node.owner.may_send()
                monkeypatch.setattr(node.owner, "_write", write)

            monkeypatch.setattr(node.host, "hold", hold)
            monkeypatch.setattr(node.host, "resume", resume)
            monkeypatch.setattr(node.owner, "_write", write_late)
            await node.until_logged("PYD2_CLUSTER_RESUMED")
            await asyncio.sleep(0)
            assert calls == ["hold", "resume"]
            await node.kill()

    asyncio.run(scenario())


@pytest.mark.parametrize("keeps", [True, False])
def test_a_term_that_cannot_go_on_after_a_pause_is_repeated(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch, *, keeps: bool
) -> None:
    """Something of it was sent in part, or is too old to be sent."""
    async def scenario() -> None:
        site = f"over{keeps}"
        async with new_site(server, site) as queue:
            node = Node(server, site, "n1")
            node.host.keeps, node.host.goes_on = keeps, False
            await node.until_logged("PYD2_CLUSTER_CLAIMED")
            await append(queue, 1, b"a")
            await append(queue, 2, b"b")
            await node.until_begun(b"a", b"b")
            before = node.host.term
            with lease_over(monkeypatch):
                assert not node.owner.may_send()
            assert not node.owner.may_send()
            await node.until_logged("PYD2_CLUSTER_RESUMED")
            assert node.log.ids.count("PYD2_CLUSTER_PAUSED") == 1
            assert node.host.drops == 1
            assert node.host.term is not before
            await node.until_begun(b"a", b"b")
            assert node.owner.may_send()
            await node.kill()

    asyncio.run(scenario())


def test_an_owner_that_was_cut_off_is_fenced_and_becomes_a_standby(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with new_site(server, "cut") as queue:
            one = Node(server, "cut", "n1")
            await one.until_logged("PYD2_CLUSTER_CLAIMED")
            await append(queue, 1, b"a")
            await one.until_begun(b"a")
            two = Node(server, "cut", "n2")
            real = type(one.link).queue
            cut = True

            def queue_of(link: object) -> SharedQueue:
                if link is one.link and cut:
                    raise UnansweredError("cut off")
                found: SharedQueue = real.fget(link)  # type: ignore[attr-defined]
                return found

            monkeypatch.setattr(type(one.link), "queue", property(queue_of))
            await two.until_logged("PYD2_CLUSTER_CLAIMED")
            assert not one.owner.may_send()
            await two.until_begun(b"a")
            assert two.owner.may_send()
            cut = False
            await one.until_logged("PYD2_CLUSTER_FENCED")
            assert not one.owner.may_send()
            assert one.owner.status()["state"] == "standby"
            assert two.owner.may_send()
            await two.kill()
            await one.until_begun(b"a")
            await one.kill()

    asyncio.run(scenario())


def test_a_claim_that_is_heard_of_when_another_node_has_claimed_is_none(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer was lost, another node took over meanwhile, and a server that lags behind shows it."""
    replace, there = SiteQueue.replace, SiteQueue.record
    old: list[tuple[Revision, Record]] = []

    async def overtaken(
        queue: SiteQueue, record: Record, expected: Revision, seconds: float
    ) -> Revision:
        revision = await replace(queue, record, expected, seconds)
        if record.epoch == 1:
            other = record._replace(node="n2.x", epoch=2)
            await replace(queue, other, revision, seconds)
            old.append((revision, record))
            raise UnansweredError("the answer was lost")
        return revision

    async def lagging(queue: SiteQueue) -> tuple[Revision, Record]:
        return old.pop() if old else await there(queue)

    monkeypatch.setattr(SiteQueue, "replace", overtaken)
    monkeypatch.setattr(SiteQueue, "record", lagging)

    async def scenario() -> None:
        async with new_site(server, "heard-late"):
            node = Node(server, "heard-late", "n1")
            await node.until_logged("PYD2_CLUSTER_FENCED")
            assert "PYD2_CLUSTER_CLAIMED" not in node.log.ids
            assert node.owner.claims == 0
            await node.until_logged("PYD2_CLUSTER_CLAIMED")  # the other one does not renew
            assert (node.owner.status()["epoch"], node.owner.claims) == (3, 1)
            await node.kill()

    asyncio.run(scenario())


def test_no_two_nodes_may_send_at_a_time(server: NatsServer) -> None:
    """The owner is killed, and all are asked at each moment."""
    async def scenario() -> None:
        async with new_site(server, "many") as queue:
            nodes = [Node(server, "many", f"n{number}") for number in range(2)]
            for serial in range(1, 3):
                await append(queue, serial, b"x%d" % serial)
                senders: list[Node] = []
                while not senders:
                    senders = [node for node in nodes if node.owner.may_send()]
                    assert len(senders) < 2
                    await asyncio.sleep(0.002)
                nodes.remove(senders[0])
                await senders[0].kill()
            assert nodes == []

    asyncio.run(scenario())


def test_what_is_no_batch_is_skipped_and_logged(server: NatsServer) -> None:
    async def scenario() -> None:
        async with new_site(server, "odd") as queue:
            node = Node(server, "odd", "n1")
            await queue._jetstream.publish("pyd2.req.odd.0.r.x", b"nonsense", {}, seconds=TIMEOUT)
            await append(queue, 1, b"a")
            await node.until_begun(b"a")
            assert "PYD2_CLUSTER_BATCH_UNREADABLE" in node.log.ids
            node.host.end(1)
            await until(lambda: node.owner.status()["floor"] == 2, "the floor")
            await node.kill()

    asyncio.run(scenario())


def test_servers_that_are_slow_to_make_a_consumer_are_waited_for(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A try that ends too soon makes more work for them, and the queue would never be read."""
    monkeypatch.setattr(term, "_PAUSE", 0.001)
    read = SiteQueue.read

    async def slow(queue: SiteQueue, after: int, seconds: float) -> Any:
        if seconds < 4.0:
            raise UnansweredError("no answer yet")
        return await read(queue, after, seconds)

    monkeypatch.setattr(SiteQueue, "read", slow)

    async def scenario() -> None:
        async with new_site(server, "slow") as queue:
            node = Node(server, "slow", "n1")
            await append(queue, 1, b"a")
            await node.until_begun(b"a")
            await node.kill()

    asyncio.run(scenario())


def test_one_that_cannot_watch_the_record_looks_at_it_over_the_same_connection(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_answer(*_: object) -> Any:
        raise UnansweredError("no answer yet")

    given_up: list[str] = []
    monkeypatch.setattr(SiteQueue, "watch", no_answer)
    monkeypatch.setattr(Link, "go_to_next", lambda _, reason: given_up.append(reason))

    async def scenario() -> None:
        async with new_site(server, "unwatched"):
            one = Node(server, "unwatched", "n1")
            await one.until_logged("PYD2_CLUSTER_CLAIMED")
            given_up.clear()
            two = Node(server, "unwatched", "n2")
            await until(lambda: two.owner.status().get("owner") == "n1.x", "a look at the record")
            await one.kill()
            await two.until_logged("PYD2_CLUSTER_CLAIMED")
            assert set(given_up) <= {"there is no connection to a server"}
            await two.kill()

    asyncio.run(scenario())


def test_a_node_does_not_claim_a_queue_whose_record_it_cannot_read(server: NatsServer) -> None:
    async def scenario() -> None:
        async with new_site(server, "later") as queue:
            await queue._jetstream.publish("pyd2.own.later.0.record", b'{"format":9}', {}, seconds=TIMEOUT)
            node = Node(server, "later", "n1")
            await node.until_logged("PYD2_CLUSTER_RECORD_UNREADABLE")
            await asyncio.sleep(3 * module.LOOK_SECONDS)
            assert "PYD2_CLUSTER_CLAIMED" not in node.log.ids
            assert node.log.ids.count("PYD2_CLUSTER_RECORD_UNREADABLE") == 1
            await node.kill()

    asyncio.run(scenario())


def test_no_more_than_so_many_requests_are_read_ahead(server: NatsServer) -> None:
    async def scenario() -> None:
        async with new_site(server, "ahead") as queue:
            texts = [b"%d" % number for number in range(300)]
            for serial in range(30):
                await append(queue, serial + 1, *texts[10 * serial : 10 * serial + 10])
            node = Node(server, "ahead", "n1", most=10)
            ended: list[bytes] = []
            while len(ended) < len(texts):
                await until(lambda: node.host.begun, "requests to begin")
                assert len(node.host.begun) <= 20
                ended += node.host.texts[:7]
                node.host.end(7)
                await asyncio.sleep(0)
            assert ended == texts
            await until(lambda: node.owner.status()["floor"] == 30, "the floor")
            await node.kill()

    asyncio.run(scenario())


def test_requests_that_are_tried_again_do_not_keep_others_from_being_read(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(term, "READ_AHEAD", 10)

    async def scenario() -> None:
        async with new_site(server, "retries") as queue:
            texts = [b"%d" % number for number in range(40)]
            for serial in range(40):
                await append(queue, serial + 1, texts[serial])
            node = Node(server, "retries", "n1", most=30)
            await node.until_begun(*texts[:10])
            node.host.retries = 5
            await node.until_begun(*texts[:15])
            node.host.retries = 25
            await node.until_begun(*texts[:30])  # no more than 30 of any kind
            node.host.end(10)
            await node.until_begun(*texts[10:])
            await node.kill()

    asyncio.run(scenario())


def test_how_much_may_be_under_way_can_be_changed_while_it_runs(server: NatsServer) -> None:
    """A reload changed it for what comes in, and not for what the owner reads."""
    async def scenario() -> None:
        async with new_site(server, "most") as queue:
            node = Node(server, "most", "n1", most=2)
            for serial, text in enumerate((b"a", b"b", b"c", b"d"), 1):
                await append(queue, serial, text)
            await node.until_begun(b"a", b"b")
            node.owner.configure(3)
            await node.until_begun(b"a", b"b", b"c")
            await node.kill()

    asyncio.run(scenario())


def test_a_defect_in_reading_does_not_make_term_after_term(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each throws an engine away, and fills the log: there were twenty in a second."""
    replace, writes, broken = SiteQueue.replace, 0, True
    begin = term.Term._begin

    async def fails(one: term.Term, queued: QueuedBatch) -> None:
        if broken:
            raise RuntimeError("a defect")
        await begin(one, queued)

    async def counted(*arguments: Any) -> Revision:
        nonlocal writes
        writes += 1
        return await replace(*arguments)

    monkeypatch.setattr(term.Term, "_begin", fails)
    monkeypatch.setattr(SiteQueue, "replace", counted)

    async def scenario() -> None:
        nonlocal broken
        with monkeypatch.context() as patch:
            patch.setattr(module, "_FAULT_PAUSE", 2 * TIMEOUT)
            async with new_site(server, "defect") as queue:
                await append(queue, 1, b"a")
                node = Node(server, "defect", "n1")
                await until(lambda: node.host.faults, "the fault")
                since = writes
                await until(lambda: writes >= since + 3, "some renewals")
                assert len(node.host.faults) == 1
                broken = False
                node.owner._begin_at = 0.0
                await node.until_begun(b"a")
                await node.kill()

    asyncio.run(scenario())
