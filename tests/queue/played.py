"""A queue between a listener and an engine that are played."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from pyd2.config.switches import QueueSwitches
from pyd2.counters import Counters
from pyd2.queue.durable import DurableQueue
from pyd2.queue.interface import Entry
from pyd2.queue.sqlite.salvage import salvage
from pyd2.queue.sqlite.store import Store
from pyd2.queue.sqlite.stores import SqliteStores
from tests.update.support import MemoryLog

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    import pytest

TIMEOUT = 20.0


class Daemon:
    """A queue with its loop, between a listener and an engine that keep account."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.log = MemoryLog()
        self.counters = Counters()
        self.queue = DurableQueue(loop, self._carry_out, self.counters, self.log,
                                  SqliteStores(loop, self.log), lambda datagrams, _: datagrams)
        self.begun: dict[bytes, int] = {}
        """Requests that were processed, with their numbers, in order."""
        self.parts: list[int] = []
        """How many the engine got in each call."""
        self.watch: Callable[[bytes], None] = lambda _: None

    def _carry_out(self, datagrams: Sequence[bytes], numbers: Sequence[int]) -> None:
        self.parts.append(len(datagrams))
        for datagram, number in zip(datagrams, numbers or [0] * len(datagrams), strict=True):
            assert datagram not in self.begun, "a request begins twice"
            self.watch(datagram)
            self.begun[datagram] = number

    def use(self, directory: Path | None, max_entries: int = 10000) -> None:
        switches = QueueSwitches("memory") if directory is None else \
            QueueSwitches("durable", str(directory), max_entries)
        self.queue.claim(switches)
        self.queue.configure(switches)

    def end(self, *datagrams: bytes) -> None:
        """Let requests end, as the engine tells it."""
        numbers = [self.begun.pop(datagram) for datagram in datagrams]
        self.queue.done([number for number in numbers if number], {})

    async def until(self, condition: Callable[[], object], what: str = "") -> None:
        for _ in range(int(TIMEOUT / 0.002)):
            if condition():
                return
            await asyncio.sleep(0.002)
        raise AssertionError(f"waited in vain{what and f' for {what}'}; log: {self.log.lines}")

    async def until_begun(self, *datagrams: bytes) -> None:
        await self.until(lambda: set(datagrams) <= set(self.begun), f"{len(datagrams)} requests to begin")

    async def until_logged(self, message_id: str, count: int = 1) -> None:
        await self.until(lambda: self.log.ids.count(message_id) >= count, message_id)


def play(scene: Callable[[Daemon], Awaitable[None]]) -> None:
    """Run a scene with a daemon that is closed at its end."""
    async def run() -> None:
        daemon = Daemon(asyncio.get_running_loop())
        try:
            await scene(daemon)
        finally:
            daemon.queue.close()

    asyncio.run(run())


def in_file(directory: Path) -> list[bytes]:
    """What a start would find, from a copy."""
    return [entry.datagram for entry in salvage(str(directory)).entries]


def fill(directory: Path, *datagrams: bytes) -> None:
    """Leave requests as a daemon leaves them that was killed."""
    store = Store(str(directory))
    store.write([Entry(number, 1000.0, datagram) for number, datagram in enumerate(datagrams, 1)])
    store.close()


def names(*numbers: int) -> list[bytes]:
    return [b"request %d" % number for number in numbers]


def gated(monkeypatch: pytest.MonkeyPatch, method: str) -> threading.Event:
    """Let a method of Store wait, as on a disk that does not answer, until the event is set."""
    gate = threading.Event()
    original = getattr(Store, method)

    def slow(store: Store, *arguments: Any) -> Any:
        assert gate.wait(TIMEOUT)
        return original(store, *arguments)

    monkeypatch.setattr(Store, method, slow)
    return gate
