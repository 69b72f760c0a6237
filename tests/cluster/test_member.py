"""A member that stops: what it hands over before."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from pyd2.cluster import member as module
from pyd2.cluster import receiver
from pyd2.cluster.member import Member
from pyd2.config.nats.switches import NatsSwitches
from pyd2.config.switches import QueueSwitches
from pyd2.queue.nats.site import SiteQueue
from pyd2.queue.shared.interface import UnansweredError
from tests.cluster.played import PlayedDisk, PlayedHost, append, dead_letters, new_site, until
from tests.queue.nats.played import of_real
from tests.update.support import MemoryLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from tests.kit.nats_servers import NatsServer

pytestmark = pytest.mark.peers


@contextlib.asynccontextmanager
async def receiving(server: NatsServer, directory: Path, disk: PlayedDisk) -> AsyncIterator[Member]:
    nats = NatsSwitches((of_real(server),), "stops", "r1", own=False)
    switches = QueueSwitches("nats", str(directory), nats=nats)
    member = Member(asyncio.get_running_loop(), switches, PlayedHost(), disk, MemoryLog())
    member.start()
    yield member
    member.close()
    await asyncio.sleep(0)


@pytest.mark.parametrize("usable", [True, False])
def test_one_that_stops_hands_over_what_its_disk_cannot_keep(
    server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, usable: bool
) -> None:
    append, answers = SiteQueue.append, False

    async def late(*arguments: Any) -> int:
        if not answers:
            raise UnansweredError("no answer yet")
        return await append(*arguments)

    monkeypatch.setattr(SiteQueue, "append", late)

    async def scenario() -> None:
        nonlocal answers
        disk = PlayedDisk()
        disk.usable = usable
        async with new_site(server, "stops"), receiving(server, tmp_path, disk) as member:
            member.take([b"a"], [1])
            left = asyncio.Event()
            member.leave(left.set, lambda: False)
            if not usable:
                await asyncio.sleep(5 * module._LEAVE_PAUSE)
                assert not left.is_set()
                answers = True
            await asyncio.wait_for(left.wait(), module.LEAVE_SECONDS / 2)
            assert disk.ended == ([] if usable else [1])

    asyncio.run(scenario())


def test_one_that_stops_waits_until_its_disk_has_what_was_in_memory(
    server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With good servers the disk has nothing to do, and it shows at the stop only that it is full."""
    async def never(*_: Any) -> int:
        raise UnansweredError("no answer yet")

    monkeypatch.setattr(SiteQueue, "append", never)
    monkeypatch.setattr(receiver, "KEEP_SECONDS", 3600.0)

    async def scenario() -> None:
        disk = PlayedDisk()
        disk.safe = 0
        async with new_site(server, "stops"), receiving(server, tmp_path, disk) as member:
            member.take([b"a"], ())
            member.leave(lambda: None, lambda: False)
            await until(lambda: disk.kept == [b"a"], "the disk to get it")
            await asyncio.sleep(5 * module._LEAVE_PAUSE)
            assert not member.left
            disk.safe = 1
            await until(lambda: member.left, "the end")

    asyncio.run(scenario())


def test_one_that_stops_waits_for_what_still_comes(
    server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the kernel had came behind the last look, and was lost if the disk was full."""
    append = SiteQueue.append
    arriving, answers = True, False

    async def late(*arguments: Any) -> int:
        if not answers:
            raise UnansweredError("no answer yet")
        return await append(*arguments)

    monkeypatch.setattr(SiteQueue, "append", late)
    monkeypatch.setattr(receiver, "KEEP_SECONDS", 3600.0)

    async def scenario() -> None:
        nonlocal arriving, answers
        disk = PlayedDisk()
        async with new_site(server, "stops"), receiving(server, tmp_path, disk) as member:
            member.leave(lambda: None, lambda: arriving)
            await asyncio.sleep(5 * module._LEAVE_PAUSE)
            disk.usable = False
            member.take([b"a"], ())
            arriving = False
            await until(lambda: disk.kept == [b"a"], "the disk to get it")
            await asyncio.sleep(5 * module._LEAVE_PAUSE)
            assert not member.left
            answers = True
            await until(lambda: member.left, "the end")
            assert disk.ended == [1]

    asyncio.run(scenario())


def test_one_that_stops_waits_for_the_servers_no_longer_than_it_may(
    server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEAVE_SECONDS", 0.05)

    async def scenario() -> None:
        disk = PlayedDisk()
        disk.usable = False
        async with receiving(server, tmp_path, disk) as member:  # there is no stream
            member.take([b"a"], [1])
            member.leave(lambda: None, lambda: False)
            await until(lambda: member.left, "the end")

    asyncio.run(scenario())


def test_one_that_stops_does_so_though_it_fails_and_the_fault_is_seen(
    server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon waited for ever, and no message said why."""
    def broken(*_: object) -> Sequence[int]:
        raise RuntimeError("a defect")

    monkeypatch.setattr(receiver, "KEEP_SECONDS", 3600.0)

    async def scenario() -> None:
        disk = PlayedDisk()
        async with receiving(server, tmp_path, disk) as member:  # there is no stream
            monkeypatch.setattr(disk, "keep", broken)
            member.take([b"a"], ())
            member.leave(lambda: None, lambda: False)
            await until(lambda: member.left, "the end")
            assert isinstance(member._host, PlayedHost)
            (fault,) = member._host.faults
            assert fault["message"] == "leaving the shared queue has failed"

    asyncio.run(scenario())


def test_dead_letters_are_buried_again_after_a_fault(
    server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Burying had ended for good, and the floor never rose again."""
    bury, failed = SiteQueue.bury, False

    async def broken(*arguments: Any) -> None:
        nonlocal failed
        if not failed:
            failed = True
            raise RuntimeError("a defect")
        await bury(*arguments)

    monkeypatch.setattr(SiteQueue, "bury", broken)
    monkeypatch.setattr(module, "_FAULT_PAUSE", 0.01)

    async def scenario() -> None:
        async with new_site(server, "buries") as queue:
            nats = NatsSwitches((of_real(server),), "buries", "n1")
            host = PlayedHost()
            switches = QueueSwitches("nats", str(tmp_path), nats=nats)
            member = Member(asyncio.get_running_loop(), switches, host, PlayedDisk(), MemoryLog())
            member.start()
            await append(queue, 1, b"a", b"b")
            await until(lambda: host.texts == [b"a", b"b"], "both to begin")
            host.end(1, {b"a": "in vain"})
            await until(lambda: host.faults, "the fault")
            host.end(1, {b"b": "in vain"})
            await until(lambda: member.status(0.0)["node"]["dead-letters"] == 1, "the other one")
            (dead,) = await dead_letters(server, "buries")
            assert dead.datagram == b"b"
            member.close()
            await asyncio.sleep(0)

    asyncio.run(scenario())
