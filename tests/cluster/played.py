"""A node and a receiver on a real server of NATS, with an update service that is played."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from pyd2.cluster.link import Link
from pyd2.cluster.owner import Owner
from pyd2.cluster.receiver import Receiver
from pyd2.queue.nats.connection import Client
from pyd2.queue.nats.dead import SiteDeadLetters
from pyd2.queue.nats.jetstream import JetStream
from pyd2.queue.nats.site import Site, SiteQueue, SiteReader, create_streams
from pyd2.queue.shared.batch import BatchNumber, RequestBatch
from pyd2.queue.shared.interface import UnansweredError
from pyd2.queue.shared.outgoing import Outgoing
from pyd2.queue.shared.ownership import Ownership
from tests.queue.nats.played import connected, of_real
from tests.update.support import MemoryLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

    import pytest

    from pyd2.cluster.term import Term
    from pyd2.queue.interface import DeadLetter
    from pyd2.queue.shared.interface import QueuedBatch
    from tests.kit.nats_servers import NatsServer

LEASE = 2.0
GRACE = 0.5
TIMEOUT = 30.0


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait for something that is sure to happen."""
    for _ in range(int(TIMEOUT / 0.005)):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"waited in vain for {what}")


class PlayedHost:
    """See Host: an engine that begins requests, and ends them when the test says so."""

    def __init__(self) -> None:
        self.ready = True
        self.term: Term | None = None
        self.begun: list[tuple[int, bytes]] = []
        """What the present engine has under way, and has had."""
        self.drops = 0
        self.held = 0
        self.resumed: list[float] = []
        """For how long it was held."""
        self.keeps = self.goes_on = True
        """What it answers to ``hold`` and ``resume``."""
        self.dead: list[DeadLetter] = []
        self.faults: list[dict[str, Any]] = []

    def begin(self, term: Term) -> None:
        self.term = term

    def carry_out(self, datagrams: Sequence[bytes], numbers: Sequence[int]) -> None:
        self.begun += zip(numbers, datagrams, strict=True)

    retries = 0
    turn_limit = 128

    def hold(self) -> bool:
        self.held += 1
        return self.keeps

    def resume(self, seconds: float) -> bool:
        self.resumed.append(seconds)
        return self.goes_on

    def drop(self) -> None:
        self.begun = []
        self.drops += 1

    def bury(self, dead: Sequence[DeadLetter]) -> None:
        self.dead += dead

    def report(self, context: dict[str, Any]) -> None:
        self.faults.append(context)

    def end(self, count: int, dead: Mapping[bytes, str] | None = None) -> None:
        """Let the first so many requests end."""
        assert self.term is not None
        ended, self.begun = self.begun[:count], self.begun[count:]
        reasons = {number: (dead or {})[text] for number, text in ended if text in (dead or {})}
        self.term.done([number for number, _ in ended], reasons)

    def end_only(self, *texts: bytes) -> None:
        """Let these requests end."""
        assert self.term is not None
        numbers = [number for number, text in self.begun if text in texts]
        self.begun = [one for one in self.begun if one[1] not in texts]
        self.term.done(numbers, {})

    @property
    def texts(self) -> list[bytes]:
        """The requests under way."""
        return [text for _, text in self.begun]


class Node:
    """A node that may own the queue."""

    def __init__(self, server: NatsServer, site: str, name: str, most: int = 1000) -> None:
        self.log = MemoryLog()
        self.host = PlayedHost()
        self.link = Link(Client(name, f"pyd2.inbox.{name}"), [of_real(server)], Site(site), self.log)
        self.ownership = Ownership(f"{name}.x", LEASE, GRACE)
        self.owner = Owner(self.ownership, LEASE, self.host, self.link, self.log, site, most)
        parts = self.link.run, self.owner.run, self.owner.burial.run
        self.tasks = [asyncio.ensure_future(part()) for part in parts]

    async def until_logged(self, message_id: str, count: int = 1) -> None:
        await until(lambda: self.log.ids.count(message_id) >= count, f"{message_id}: {self.log.lines}")

    async def until_begun(self, *texts: bytes) -> None:
        await until(lambda: self.host.texts == list(texts), f"{texts} to begin, not {self.host.texts}")

    async def kill(self) -> None:
        """End it without a farewell."""
        self.owner._host = PlayedHost()  # what happens in a process that is gone does not count
        for task in self.tasks:
            task.cancel()
        for task in self.tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


class PlayedDisk:
    """See Disk: it keeps account."""

    def __init__(self) -> None:
        self.is_empty = True
        """As the test says."""
        self.usable = True
        self.safe = 1_000_000
        self.kept: list[bytes] = []
        """What was put there, in order."""
        self.ended: list[int] = []
        """What was removed."""
        self.times: dict[int, float] = {}
        """When requests came that were there at the start."""

    def keep(self, datagrams: Sequence[bytes], _: float) -> Sequence[int]:
        numbers = range(len(self.kept) + 1, len(self.kept) + 1 + len(datagrams))
        self.kept += datagrams
        return numbers

    def taken(self, number: int) -> float | None:
        return self.times.get(number)

    def done(self, numbers: Sequence[int], _: Mapping[int, str]) -> None:
        self.ended += numbers


class PlayedReceiver:
    """A receiver, whose disk is played."""

    def __init__(self, server: NatsServer, site: str, name: str, boot: int = 1) -> None:
        self.log = MemoryLog()
        self.link = Link(Client(name, f"pyd2.inbox.{name}"), [of_real(server)], Site(site), self.log)
        self.disk = PlayedDisk()
        self.receiver = Receiver(Outgoing(f"{name}.x", boot), self.link, self.disk, self.log, site)
        self.tasks = [asyncio.ensure_future(self.link.run()), asyncio.ensure_future(self.receiver.run())]

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        for task in self.tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


@contextlib.asynccontextmanager
async def new_site(server: NatsServer, name: str) -> AsyncIterator[SiteQueue]:
    """Make a site; yield its queue over a connection of the test's own."""
    async with connected(of_real(server)) as connection:
        jetstream = JetStream(connection)
        await create_streams(jetstream, Site(name), 1)
        yield SiteQueue(jetstream, Site(name))


async def dead_letters(server: NatsServer, site: str) -> list[DeadLetter]:
    """Return the dead letters of a site."""
    async with connected(of_real(server)) as connection:
        return await SiteDeadLetters(JetStream(connection), Site(site)).read()


async def append(queue: SiteQueue, serial: int, *datagrams: bytes) -> None:
    """Append a batch of a receiver ``r.x``."""
    await queue.append(RequestBatch("r.x", BatchNumber(1, serial), 1000.0, datagrams), TIMEOUT)


async def one_of_two_done(server: NatsServer, site: str, queue: SiteQueue) -> Node:
    """Return an owner that has done the batch of ``a``, and has that of ``b`` under way."""
    node = Node(server, site, "n1")
    for serial, text in enumerate((b"a", b"b"), 1):
        await append(queue, serial, text)
    await node.until_begun(b"a", b"b")
    node.host.end(1)
    await until(lambda: node.owner.status()["floor"] == 1, "the floor")
    return node


def lagging_leader(patch: pytest.MonkeyPatch) -> list[int]:
    """Let a leader have no batch before it is asked for the third time; return what it was asked for."""
    there = SiteQueue.batch
    asked: list[int] = []

    async def late(queue: SiteQueue, sequence: int) -> QueuedBatch | None:
        asked.append(sequence)
        return None if len(asked) < 3 else await there(queue, sequence)

    patch.setattr(SiteQueue, "batch", late)
    return asked


@contextlib.contextmanager
def lagging_reader(
    monkeypatch: pytest.MonkeyPatch, node: Node, batches: int
) -> Iterator[list[QueuedBatch]]:
    """Have a node's reader fail behind its next batch; the one that follows begins so many batches too early.

    Yields what that one has read.
    """
    with monkeypatch.context() as patch:
        read, receive = SiteQueue.read, SiteReader.read
        found: list[QueuedBatch] = []
        begun, opened = len(node.host.texts), False

        async def early(queue: SiteQueue, after: int, seconds: float) -> SiteReader:
            nonlocal opened
            opened = True
            return await read(queue, after - batches, seconds)

        async def failing(reader: SiteReader, seconds: float) -> list[QueuedBatch]:
            if not opened and len(node.host.texts) > begun:
                raise UnansweredError("the server was killed")
            came = await receive(reader, seconds)
            if opened:
                found.extend(came)
            return came

        patch.setattr(SiteQueue, "read", early)
        patch.setattr(SiteReader, "read", failing)
        yield found
