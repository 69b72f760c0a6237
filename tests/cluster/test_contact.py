"""Servers that do not answer, or refuse what a node needs: when it goes to another one, and what it logs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.cluster import owner as module
from pyd2.cluster import removal, term
from pyd2.cluster.link import Link
from pyd2.queue.nats.connection import Connection
from pyd2.queue.nats.site import SiteQueue, SiteReader
from pyd2.queue.shared.interface import SharedQueueError, UnansweredError
from tests.cluster.played import Node, append, new_site, until
from tests.kit.nats_servers import nats_servers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kit.nats_servers import NatsServer

pytestmark = pytest.mark.peers

NO_ANSWER = "no answer yet"
RIGHTS = """
authorization { users: [ { user: anyone, password: anyone, permissions: { publish: { deny: [
  "$JS.API.CONSUMER.CREATE.PYD2-OWN-unwatched-0.>", "$JS.API.CONSUMER.MSG.NEXT.PYD2-OWN-unheard-0.>",
  "$JS.API.CONSUMER.CREATE.PYD2-REQ-unread-0.>", "pyd2.own.unwritten.0.record",
  "$JS.API.STREAM.PURGE.PYD2-REQ-unremoved-0", "$JS.API.STREAM.MSG.GET.PYD2-REQ-unshown-0" ] } } } ] }
no_auth_user: anyone
"""
"""Who connects has all rights but these, each of which one site lacks."""


@pytest.fixture
def given_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Why connections were given up; they last all the same."""
    reasons: list[str] = []

    def go_to_next(_: Link, reason: str) -> None:
        if reason == NO_ANSWER:
            reasons.append(reason)

    monkeypatch.setattr(Link, "go_to_next", go_to_next)
    return reasons


@pytest.fixture(scope="module")
def refusing() -> Iterator[NatsServer]:
    with nats_servers(blocks=RIGHTS) as (one,):
        yield one


async def no_answer(*_: object) -> Any:
    raise UnansweredError(NO_ANSWER)


def test_a_standby_does_not_give_up_a_server_that_answers_between(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch, given_up: list[str]
) -> None:
    """It counted from the last write, which a standby never makes.

    The second failure in a month was one too many, and its receiver repeated what was under way.
    """
    record, calls = SiteQueue.record, 0

    async def every_other(queue: SiteQueue) -> Any:
        nonlocal calls
        calls += 1
        return await (record(queue) if calls % 2 else no_answer())

    async def scenario() -> None:
        async with new_site(server, "between"):
            one = Node(server, "between", "n1")
            await one.until_logged("PYD2_CLUSTER_CLAIMED")
            monkeypatch.setattr(SiteQueue, "watch", no_answer)
            monkeypatch.setattr(SiteQueue, "record", every_other)
            monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
            two = Node(server, "between", "n2")
            await until(lambda: calls >= 8, "some looks at the record")
            assert given_up == []
            monkeypatch.setattr(SiteQueue, "record", no_answer)
            await until(lambda: given_up, "the second failure in a row")
            await two.kill()
            await one.kill()

    asyncio.run(scenario())


def test_one_whose_writes_are_not_answered_gives_up_a_server_that_shows_the_record(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch, given_up: list[str]
) -> None:
    """Such is a leader that has no followers any more; for a node that wants to claim the queue, too."""
    async def scenario() -> None:
        async with new_site(server, "isolated"):
            monkeypatch.setattr(SiteQueue, "replace", no_answer)
            node = Node(server, "isolated", "n1")
            await until(lambda: given_up, "the second failure")
            await node.kill()

    asyncio.run(scenario())


def test_refusals_that_pass_soon_are_not_logged_however_many_there_were(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were counted over all of a term: the fourth in a year was an error in the log."""
    read, calls = SiteQueue.read, 0

    async def every_other(queue: SiteQueue, after: int, seconds: float) -> Any:
        nonlocal calls
        calls += 1
        if calls % 2:
            raise SharedQueueError("not now")
        return await read(queue, after, seconds)

    async def ends(*_: object) -> Any:
        raise SharedQueueError("it has ended")

    monkeypatch.setattr(SiteQueue, "read", every_other)
    monkeypatch.setattr(SiteReader, "read", ends)
    monkeypatch.setattr(term, "_PAUSE", 0.01)

    async def scenario() -> None:
        async with new_site(server, "soon"):
            node = Node(server, "soon", "n1")
            await until(lambda: calls >= 12, "some refusals")
            assert "PYD2_CLUSTER_UNREAD" not in node.log.ids
            await node.kill()

    asyncio.run(scenario())


@pytest.mark.parametrize(("site", "message", "what"), [
    ("unwatched", "PYD2_CLUSTER_UNWATCHED", "CONSUMER.CREATE"),
    ("unheard", "PYD2_CLUSTER_REFUSED", "CONSUMER.MSG.NEXT"),
    ("unread", "PYD2_CLUSTER_UNREAD", "CONSUMER.CREATE"),
    ("unwritten", "PYD2_CLUSTER_RECORD_UNREADABLE", "pyd2.own.unwritten.0.record"),
])  # fmt: skip
def test_rights_that_do_not_suffice_are_logged_once(
    refusing: NatsServer, monkeypatch: pytest.MonkeyPatch, site: str, message: str, what: str
) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.02)

    async def scenario() -> None:
        async with new_site(refusing, site):
            one = Node(refusing, site, "n1")
            two = Node(refusing, site, "n2")
            nodes = [one, two]
            await until(lambda: any(message in node.log.ids for node in nodes), message)
            await until(lambda: refused > 12, "more refusals")
            for node in nodes:
                texts = node.log.texts(message)
                assert len(texts) <= 1
                assert all("Permissions Violation" in text and what in text for text in texts)
            if site in ("unwatched", "unheard"):
                await until(lambda: any(node.owner.may_send() for node in nodes), "an owner all the same")
            await one.kill()
            await two.kill()

    refused = 0
    handle = Connection._refused

    def count(connection: Connection, text: str) -> None:
        nonlocal refused
        refused += 1
        handle(connection, text)

    monkeypatch.setattr(Connection, "_refused", count)
    asyncio.run(scenario())


def test_who_may_not_remove_what_is_done_hears_of_it_before_the_stream_is_full(
    refusing: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing said so: after days the servers took no more requests, though all of them were done."""
    monkeypatch.setattr(removal, "DROP_SECONDS", 0.0)

    async def scenario() -> None:
        async with new_site(refusing, "unremoved") as queue:
            node = Node(refusing, "unremoved", "n1")
            for serial in range(1, 12):
                await append(queue, serial, b"a")
                await node.until_begun(b"a")
                node.host.end(1)
                await until(lambda: node.owner.status()["floor"] == serial, "the floor")  # noqa: B023
            await node.until_logged("PYD2_CLUSTER_UNREMOVED")
            (text,) = node.log.texts("PYD2_CLUSTER_UNREMOVED")
            assert "Permissions Violation" in text
            assert node.owner.may_send()
            assert await queue.batch(1) is not None
            await node.kill()

    asyncio.run(scenario())


def test_who_may_read_but_not_look_at_a_batch_finds_that_in_the_log(
    refusing: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the first quiet moment on nothing was read any more, and nothing said so."""
    monkeypatch.setattr(term, "_READ_SECONDS", 0.1)

    async def scenario() -> None:
        async with new_site(refusing, "unshown") as queue:
            node = Node(refusing, "unshown", "n1")
            await append(queue, 1, b"a")
            await node.until_begun(b"a")
            await node.until_logged("PYD2_CLUSTER_UNREAD")
            (text,) = node.log.texts("PYD2_CLUSTER_UNREAD")
            assert "Permissions Violation" in text
            await node.kill()

    asyncio.run(scenario())
