"""A receiver with its disk, from start to start: whatever fails, no request is lost in silence.

``python -m tests.cluster disk --count 300`` plays as many seeds. Loop, queue thread, clock, disk and servers
are played, so a seed is the same in each run; SQLite, the queue, its states and the receiver are real.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from pyd2.cluster import member as member_module
from pyd2.cluster import receiver as receiver_module
from pyd2.cluster.member import Member
from pyd2.config.nats.servers import Server
from pyd2.config.nats.switches import NatsSwitches
from pyd2.config.switches import QueueSwitches
from pyd2.counters import Counters
from pyd2.queue import durable as durable_module
from pyd2.queue import lifecycle
from pyd2.queue import ncrs as ncrs_module
from pyd2.queue.durable import DurableQueue
from pyd2.queue.sqlite import folder, opening, store, writer
from pyd2.queue.sqlite.salvage import salvage
from pyd2.queue.sqlite.stores import SqliteStores
from tests.cluster.disk.faults import Disk
from tests.cluster.disk.servers import STATES, PlayedLink, Servers
from tests.cluster.disk.turns import PlayedLoop, Turns
from tests.cluster.played import PlayedHost
from tests.update.support import MemoryLog

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from pyd2.queue.interface import Held

_CLOCKS: Final = receiver_module, durable_module, ncrs_module, opening, store, writer
_PAUSES: Final = 0.0, 0.0, 0.0, 0.001, 0.001, 0.004, 0.004, 0.02, 0.02, 0.06, 0.06, 0.6
_LOST: Final = re.compile(r"(\d+) requests are lost")
MOST: Final = 40
"""Requests that the queue may hold, now and then."""


class Violation(AssertionError):  # noqa: N818  it is what the law is broken by
    """A request is lost, and nothing says so."""


class World:
    """What outlives a start: the directory, the servers, and what was taken."""

    def __init__(self, seed: int, directory: Path, patch: pytest.MonkeyPatch) -> None:
        self.turns = Turns(seed)
        self.disk = Disk(self.turns, patch)
        self.servers = Servers(self.turns)
        self.directory = directory
        self.taken: list[bytes] = []
        """All requests that were accepted, and no message says that they are lost."""
        self.logged = 0
        """Of so many others one does."""
        self.starts = self.made = 0
        for module in _CLOCKS:
            patch.setattr(module, "time", self.turns.time)
        patch.setattr(lifecycle, "RETRY_SECONDS", (0.02,))
        patch.setattr(lifecycle, "STALL_SECONDS", 0.3)
        patch.setattr(writer, "threading", self.turns.threading)
        patch.setattr(member_module, "Link", lambda *_: PlayedLink(self.servers))

    @property
    def draw(self) -> Random:
        return self.turns.random

    def start(self, *, healthy: bool) -> None:
        """One start, some requests, a stop; then all is counted."""
        self.starts += 1
        loop = PlayedLoop(self.turns)
        self.turns.ended = False
        one = Start(self, loop)
        try:
            loop.run_until_complete(one.play(healthy=healthy))
            self.turns.end()
            loop.run_until_complete(asyncio.sleep(0))
        finally:
            if not self.turns.ended:
                self.turns.end()
            loop.close()
            self.disk.end()
        self.count(one)

    def in_files(self) -> tuple[list[bytes], list[bytes]]:
        """Return the requests that a start finds, and all that are in files set aside, or dead letters."""
        self.turns.ended = False
        found = salvage(self.directory)
        aside = [one.datagram for one in found.dead]
        for path in folder.others(str(self.directory)):
            old = salvage(path.parent, path.name)
            aside += [*(one.datagram for one in old.entries), *(one.datagram for one in old.dead)]
        return [entry.datagram for entry in found.entries], aside

    def count(self, one: Start) -> None:
        """See that no request is lost in silence."""
        stream = set(self.servers.found())
        files, aside = self.in_files()
        missing = [request for request in self.taken if request not in stream and request not in files]
        nowhere = [request for request in missing if request not in aside]
        lost = sum(int(found[1]) for found in map(_LOST.search, one.log.texts("PYD2_QUEUE_LOST")) if found)
        if len(nowhere) > lost:
            log = "\n".join(" ".join(line[2:]) for line in one.log.lines)
            raise Violation(f"{len(nowhere)} requests are lost, and {lost} by the log: {nowhere[:5]}\n{log}")
        if one.faults:
            raise Violation(f"an exception: {one.faults[0]}")
        self.logged += len(missing)
        self.taken = [request for request in self.taken if request not in set(missing)]


class Start:
    """One process."""

    def __init__(self, world: World, loop: asyncio.AbstractEventLoop) -> None:
        self.world = world
        self.loop = loop
        self.log = MemoryLog()
        self.counters = Counters()
        self.faults: list[dict[str, Any]] = []
        self.queue = DurableQueue(loop, lambda *_: None, self.counters, self.log,
                                  SqliteStores(loop, self.log), lambda datagrams, _: datagrams)
        loop.set_exception_handler(lambda _, context: self.faults.append(context))
        self.member: Member | None = None
        self.hurry = asyncio.Event()
        """Set when the stop is to come at once."""
        self.ready = self.queue._lifecycle.ready
        self.queue._lifecycle.ready = self.answer  # type: ignore[method-assign]

    def answer(self, after: int) -> Held:
        """Say what the file is to hold; now and then a request follows at once, and perhaps a stop."""
        held = self.ready(after)
        if self.world.draw.random() < 0.5:
            self.world.servers.state = self.world.draw.choice(STATES)
            self.accept([self.request()])
            if self.world.draw.random() < 0.5:
                self.hurry.set()
        return held

    def switches(self, most: int) -> QueueSwitches:
        nats = NatsSwitches((Server("127.0.0.1", 1, tls=False),), "site", "r1", own=False)
        return QueueSwitches("nats", str(self.world.directory), most, nats=nats)

    async def play(self, *, healthy: bool) -> None:
        world, draw = self.world, self.world.draw
        if healthy:
            world.disk.failing, world.disk.hangs, world.servers.state = 0.0, False, "good"
        elif draw.random() < 0.4:
            self.change()
        switches = self.switches(MOST if draw.random() < 0.2 else 10_000)
        self.queue.claim(switches)
        host = PlayedHost()
        self.member = Member(self.loop, switches, host, self.queue, self.log)
        self.queue.hand_to(self.member)
        self.queue.configure(switches)
        self.member.start()
        if healthy:
            await asyncio.sleep(20.0)
        for _ in range(0 if healthy else draw.randrange(1, 60)):
            self.step()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(draw.choice(_PAUSES)):
                    await self.hurry.wait()
                    break
        await self.stop(waits=draw.random() < 0.3)
        self.faults += host.faults

    def step(self) -> None:
        """Something happens."""
        draw, world = self.world.draw, self.world
        what = draw.random()
        if what < 0.6:
            self.accept([self.request() for _ in range(draw.choice((1, 1, 1, 1, 2, 2, 3, 7, 130)))])
        elif what < 0.95:
            self.change()
        elif what < 0.98:
            switches = self.switches(draw.choice((MOST, 10_000)))
            self.queue.claim(switches)
            self.queue.configure(switches)
        elif not self.queue._lifecycle.unread:  # an operator removes what this process has read
            for path in list(world.directory.glob("pyd2-queue/*")):
                path.unlink()

    def change(self) -> None:
        """Let something fail from now on, or work again."""
        world, draw = self.world, self.world.draw
        if draw.random() < 0.5:
            world.servers.state = draw.choice(STATES)
        else:
            world.disk.failing = draw.choice((0.0, 0.0, 0.0, 0.02, 0.1, 0.3, 1.0))
            world.disk.hangs = draw.random() < 0.15

    def request(self) -> bytes:
        self.world.made += 1
        number = self.world.made
        client = self.world.draw.randrange(20) if self.world.starts % 2 else number
        return b'{"n":%d,"s":%d,"dhcid":"%06X"}' % (number, self.world.draw.getrandbits(60), client)

    def accept(self, requests: Sequence[bytes]) -> None:
        before = self.counters.tally.lost
        self.queue.accept(requests)
        lost = self.counters.tally.lost - before
        self.world.taken += requests[: len(requests) - lost]

    async def stop(self, *, waits: bool) -> None:
        """End as the daemon does, or without waiting for what it waits for."""
        assert self.member is not None
        if waits:
            left = asyncio.Event()
            self.member.leave(left.set, lambda: False)
            await left.wait()
        self.member.close()
        self.queue.close()
        await asyncio.sleep(0)


def play(seed: int) -> World:
    """Play some starts by a seed, and a healthy one at the end. Raises Violation."""
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        world = World(seed, Path(place), patch)
        for _ in range(world.draw.randrange(1, 4)):
            world.start(healthy=False)
        world.start(healthy=True)
        return world
