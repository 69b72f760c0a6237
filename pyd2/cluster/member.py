"""A daemon as a member of a site: its receiver and, unless the configuration forbids it, its owner."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, Final

from pyd2.cluster.link import Link
from pyd2.cluster.numbering import next_numbering
from pyd2.cluster.owner import Owner
from pyd2.cluster.receiver import Receiver
from pyd2.config.tls import ContextReader
from pyd2.queue.nats.connection import Client
from pyd2.queue.nats.site import Site
from pyd2.queue.shared.outgoing import Outgoing
from pyd2.queue.shared.ownership import Ownership

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from pyd2.cluster.interface import Host
    from pyd2.cluster.receiver import Disk
    from pyd2.config.switches import QueueSwitches
    from pyd2.messages import Log

LEAVE_SECONDS: Final = 4.0
"""How long a member takes at most to give up the queue, and to hand over what it cannot keep."""
_LEAVE_PAUSE: Final = 0.005
"""How often it looks whether all of that is handed over."""

_FAULT_PAUSE: Final = 1.0
"""Seconds until a part begins again that has ended by an exception of its own."""


class Member:
    """All but its making is for the update thread."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, switches: QueueSwitches, host: Host, disk: Disk, log: Log
    ) -> None:
        """Count a start in the directory, which is locked."""
        assert switches.nats is not None
        self._loop = loop
        self._host = host
        nats = self._nats = switches.nats
        tls = ContextReader(nats.tls, ()) if nats.tls is not None else None
        numbering = next_numbering(switches.directory)
        client = Client(f"pyd2 {nats.name}", f"pyd2.inbox.{nats.name}", tls, nats.tls_hostname)
        link = self._link = Link(client, nats.servers, Site(nats.site), log)
        outgoing = Outgoing(f"{nats.name}.{numbering.instance}", numbering.boot)
        ownership = Ownership(f"{nats.name}.{os.urandom(8).hex()}", nats.lease, nats.pause)
        self._receiver = Receiver(outgoing, link, disk, log, nats.site, lambda: ownership.record)
        self._owner: Owner | None = None
        if nats.own:
            self._owner = Owner(ownership, nats.lease, host, link, log, nats.site, switches.max_entries)
        self.max_entries = switches.max_entries
        self._tasks: list[asyncio.Task[None]] = []
        self._leaving: asyncio.Task[None] | None = None
        self.left = False
        """Whether it does not own the queue, and will not before ``stay``."""

    def take(self, datagrams: Sequence[bytes], numbers: Sequence[int]) -> None:
        """See Receiver."""
        self._receiver.take(datagrams, numbers)

    @property
    def in_memory(self) -> int:
        """See Receiver."""
        return self._receiver.in_memory

    def keep(self) -> None:
        """See Receiver."""
        self._receiver.keep()

    def configure(self, max_entries: int) -> None:
        """Let the owner have so many requests under way; a reload may change that."""
        self.max_entries = max_entries
        if self._owner is not None:
            self._owner.configure(max_entries)

    def may_send(self) -> bool:
        """See Owner."""
        return self._owner is not None and self._owner.may_send()

    def start(self) -> None:
        """Begin to work."""
        parts = [self._link.run, self._receiver.run]
        if self._owner is not None:
            parts += [self._owner.run, self._owner.burial.run]
        self._tasks = [self._loop.create_task(self._keep(part)) for part in parts]

    async def _keep(self, part: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a part; one that ends by an exception is reported and begins again."""
        while True:
            try:
                await part()
            except Exception as error:  # a defect must not end the work of this machine
                message = "a part of the shared queue's work has ended; it begins again"
                self._host.report({"message": message, "exception": error})
            await asyncio.sleep(_FAULT_PAUSE)

    def leave(self, on_left: Callable[[], None], arriving: Callable[[], bool]) -> None:
        """Give the queue up and call ``on_left``, in LEAVE_SECONDS at most.

        ``arriving`` says whether requests may still come.
        """
        if self._leaving is None:
            self._leaving = self._loop.create_task(self._leave(on_left, arriving))

    async def _leave(self, on_left: Callable[[], None], arriving: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                if self._owner is not None:
                    self._owner.leave()
                    await self._owner.left.wait()
                self._receiver.keep()  # the servers are waited for only if the disk fails
                while arriving() or self._receiver.has_only_copy:  # the disk may work again, too
                    await asyncio.sleep(_LEAVE_PAUSE)
                    self._receiver.keep()
        except TimeoutError:
            pass  # the lease runs out
        except Exception as error:  # a defect must not keep the daemon from stopping
            self._host.report({"message": "leaving the shared queue has failed", "exception": error})
        self.left = True
        on_left()

    def stay(self) -> None:
        """Go on after all."""
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
            self.left = False
            if self._owner is not None:
                self._owner.stay()

    def close(self) -> None:
        """End all of it; the loop must have some more turns."""
        for task in (*self._tasks, self._leaving):
            if task is not None:
                task.cancel()

    def status(self, wall: float) -> dict[str, Any]:
        """Return what status-get shows; ``wall`` is in seconds since the epoch."""
        receiver, oldest = self._receiver, self._receiver.oldest
        status: dict[str, Any] = {
            "type": "nats",
            "site": self._nats.site,
            "name": self._nats.name,
            "server": self._link.server,
            "appended": receiver.appended,
            "repeated": receiver.repeated,
            "unacknowledged": receiver.waiting,
            "oldest-unacknowledged": max(0, int(wall - oldest)) if oldest is not None else 0,
        }
        if receiver.fault:
            status["fault"] = receiver.fault
        if self._owner is not None:
            status["node"] = self._owner.status()
        return status
