"""Late batches on a real server: the floor passes them, and a claim begins them first."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.cluster import removal
from pyd2.queue.nats.site import SiteQueue
from pyd2.queue.shared import progress as progress_module
from pyd2.queue.shared.interface import OutdatedError, UnansweredError
from pyd2.queue.shared.late import LateBatch, LateName
from pyd2.queue.shared.ownership import Ownership
from tests.cluster.played import Node, PlayedReceiver, append, dead_letters, new_site, until
from tests.kit import ncr
from tests.queue.nats.played import TIMEOUT

if TYPE_CHECKING:
    from pyd2.queue.nats.jetstream import JetStream
    from tests.kit.nats_servers import NatsServer

pytestmark = pytest.mark.peers


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "LATE_SECONDS", 0.05)
    monkeypatch.setattr(removal, "DROP_SECONDS", 0.0)


def status(node: Node, name: str) -> object:
    return node.owner.status().get(name)


def test_the_floor_passes_a_late_batch_and_a_claim_begins_it_first(server: NatsServer) -> None:
    async def scenario() -> None:
        async with new_site(server, "late") as queue:
            one = Node(server, "late", "n1")
            await append(queue, 1, b"a", b"b", b"c")
            await append(queue, 2, b"d")
            await append(queue, 3, b"e")
            await one.until_begun(b"a", b"b", b"c", b"d", b"e")
            one.host.end_only(b"b", b"d", b"e")
            await until(lambda: status(one, "floor") == 3, "the floor to pass what is late")
            assert (status(one, "late"), status(one, "waiting")) == (2, 2)
            one.host.end_only(b"a")
            await until(lambda: status(one, "late") == 1, "what is left of the late batch")
            await append(queue, 4, b"f")
            await one.until_begun(b"c", b"f")
            one.host.end_only(b"f")
            await until(lambda: status(one, "floor") == 4, "the floor")
            await one.kill()

            await append(queue, 5, b"g")
            two = Node(server, "late", "n2")
            await two.until_begun(b"c", b"g")
            assert status(two, "late") == 1
            two.host.end_only(b"c", b"g")
            await until(lambda: status(two, "floor") == 5 and status(two, "late") == 0, "all to be done")
            await until_removed(queue)
            assert [*one.host.faults, *two.host.faults] == []
            await two.kill()

    asyncio.run(scenario())


async def until_removed(queue: SiteQueue) -> None:
    """Wait until nothing is beside the record."""
    for _ in range(1000):
        state = await queue._jetstream.stream_state("PYD2-OWN-late-0")
        assert state is not None
        if state.messages == 1:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("late batches that have ended are still there")


def test_a_late_batch_is_written_by_the_owner_only(server: NatsServer) -> None:
    async def scenario() -> None:
        async with new_site(server, "fenced") as queue:
            one = Node(server, "fenced", "n1")
            await append(queue, 1, b"a")
            await append(queue, 2, b"b")
            await one.until_begun(b"a", b"b")
            # Another node has written the record, and this one does not know it yet.
            revision, record = await queue.record()
            while True:
                try:
                    await queue.replace(record._replace(node="n2.x", epoch=9), revision, TIMEOUT)
                    break
                except OutdatedError:
                    revision, record = await queue.record()
            one.host.end_only(b"b")
            await one.until_logged("PYD2_CLUSTER_FENCED")
            assert await queue.late(revision, TIMEOUT) == []
            await one.kill()

    asyncio.run(scenario())


def test_late_batches_are_read_in_their_order_however_many(server: NatsServer) -> None:
    async def scenario() -> None:
        async with new_site(server, "order") as queue:
            revision, record = await queue.record()
            assert await queue.late(revision, TIMEOUT) == []
            wanted = [LateBatch(LateName(1 + number // 50, number), 5.0, [b"%d" % number])
                      for number in range(90)]
            for batch in reversed(wanted):
                revision = await queue.keep_late(batch, revision, TIMEOUT)
            revision = await queue.replace(record, revision, TIMEOUT)
            assert await queue.late(revision, TIMEOUT) == wanted
            last = wanted.pop()
            ended = await queue.keep_late(last._replace(datagrams=()), revision, TIMEOUT)
            assert await queue.late(ended, TIMEOUT) == [*wanted, last._replace(datagrams=[])]
            await queue.drop_late(last.name, revision)  # too early: it does no harm
            assert len(await queue.late(ended, TIMEOUT)) == 90
            await queue.drop_late(last.name, ended)
            assert await queue.late(ended, TIMEOUT) == wanted

    asyncio.run(scenario())


def request(client: int, address: int) -> bytes:
    name = f"host{client}.example.com."
    return ncr.datagram(ncr.request(name, f"192.0.2.{address}", ncr.dhcid(b"%d" % client, name)))


def test_what_a_receiver_hands_over_when_newer_requests_have_come_is_not_carried_out(
    server: NatsServer,
) -> None:
    async def scenario() -> None:
        async with new_site(server, "overtaken"):
            node = Node(server, "overtaken", "n1")
            old = [request(client, 1) for client in range(3)]
            new = request(1, 2)
            partner, receiver = (PlayedReceiver(server, "overtaken", name) for name in ("r1", "r2"))
            partner.receiver.take([new], [1])
            await node.until_begun(new)
            receiver.disk.times |= dict.fromkeys((1, 2, 3), 1000.0)  # it was on its disk
            receiver.receiver.take(old, [1, 2, 3])
            await node.until_begun(new, old[0], old[2])
            await node.until_logged("PYD2_CLUSTER_OVERTAKEN")
            node.host.end(3)
            await until(lambda: status(node, "floor") == 2, "the floor")
            (dead,) = await dead_letters(server, "overtaken")
            assert (dead.datagram, dead.taken) == (old[1], 1000.0)
            assert "handed it over late" in dead.reason
            assert status(node, "overtaken") == 1
            await partner.end()
            await receiver.end()
            await node.kill()

    asyncio.run(scenario())


def test_without_a_stream_for_them_dead_letters_stay_on_the_machine(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyd2.cluster.burial.HERE_SECONDS", 0.0)

    async def scenario() -> None:
        async with new_site(server, "here") as queue:
            jetstream: JetStream = queue._jetstream
            await jetstream._call("STREAM.DELETE.PYD2-DEAD-here")
            node = Node(server, "here", "n1")
            await append(queue, 1, b"a", b"b")
            await node.until_begun(b"a", b"b")
            node.host.end(2, {b"a": "in vain"})
            await node.until_logged("PYD2_CLUSTER_DEAD_LETTERS_HERE")
            (dead,) = node.host.dead
            assert (dead.datagram, dead.reason) == (b"a", "in vain")
            await until(lambda: status(node, "floor") == 1, "the floor")
            await node.kill()

    asyncio.run(scenario())


def test_while_the_servers_take_nothing_dead_letters_wait(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They went to the disk, and the message had the operator make streams that were there."""
    monkeypatch.setattr("pyd2.cluster.burial.HERE_SECONDS", 0.02)
    monkeypatch.setattr("pyd2.cluster.burial._PAUSE", 0.01)
    bury, tries, works = SiteQueue.bury, 0, False

    async def unanswered(*arguments: Any) -> None:
        nonlocal tries
        tries += 1
        if not works:
            raise UnansweredError("no answer")
        await bury(*arguments)

    async def scenario() -> None:
        nonlocal works
        async with new_site(server, "waits") as queue:
            node = Node(server, "waits", "n1")
            await append(queue, 1, b"a")
            await node.until_begun(b"a")
            monkeypatch.setattr(SiteQueue, "bury", unanswered)
            monkeypatch.setattr(Ownership, "may_send", lambda *_: works)
            node.host.end(1, {b"a": "in vain"})
            await until(lambda: tries > 10, "some tries")
            assert node.host.dead == []
            works = True
            await until(lambda: status(node, "dead-letters") == 1, "it to be taken")
            assert "PYD2_CLUSTER_DEAD_LETTERS_HERE" not in node.log.ids
            await node.kill()

    asyncio.run(scenario())
