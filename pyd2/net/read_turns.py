"""How much is read in one turn of the update thread's loop.

A thousand servers may answer in the same moment. To read all of that in one turn would hold the update thread
for longer than its 5 ms, so the sockets beyond ``MOST`` wait for the next turn, in the order in which they
became readable: a server that answers much has its next batch read behind those of all others.

Each batch that is read, and each turn of the engine, takes a millisecond or two at most. What must not happen
is that all of them come together in one turn of the loop. So one that took ``SECONDS`` already reads no more.
A server whose replies take long, such as those with a thousand records, has fewer read at a time (``Pace``).
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable

MOST: Final = 128
"""What one turn may cost: 1 for each reply, and ``PER_SOCKET`` for each socket that is read."""
PER_SOCKET: Final = 8
"""What it costs to read a socket and to serve its lane, in replies."""
LEAST: Final = 32
"""Replies that a socket may have read once its turn has come."""
SECONDS: Final = 0.0015
"""After which nothing more is read in a turn."""
LONG: Final = 0.003
"""Seconds that the messages of one server may take that come at a time."""
TINY: Final = 1e-9
"""Seconds: less than any message takes."""
SLOW: Final = 0.002
"""Seconds of CPU time for a turn after which the following ones do half as much."""
QUICK: Final = 0.001
"""The same for one after which they do more again."""
SMALLEST: Final = 0.1
"""The share of its usual work that a turn does at least; on cold memory a quarter took 6 ms."""
GROWTH: Final = 1.1
PAUSE: Final = 0.0005
"""Seconds without work after which the loop has waited: a turn has ended then."""


class Pace:
    """How many messages of one server are handed over at a time: fewer where that takes long."""

    __slots__ = ("_limit", "most")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.most = min(LEAST, limit)

    def note(self, count: int, seconds: float) -> None:
        """Note how long it took to hand over so many."""
        fit = int(LONG * count / max(seconds, TINY))
        self.most = max(1, min(fit, 2 * self.most, self._limit))


class ReadTurns:
    """Gives the sockets of all DNS servers their turns to be read."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.left = MOST
        """What this turn may still cost."""
        self.worked_until = 0.0
        """When the last piece of work of the update thread ended, in monotonic seconds."""
        self._began = 0.0
        """When this turn began, in monotonic seconds."""
        self.share = 1.0
        """The share of its usual work that a turn does at present."""
        self._cpu = 0.0
        """The thread's CPU time when this turn began, in seconds."""
        self.request_socket_waits = False
        """Whether the socket for requests was not read, though it could be."""
        self.requests_unread = False
        """Whether requests wait that were received, for they take long to read; then no more are received."""
        self._waiting: OrderedDict[socket.socket, Callable[[], object]] = OrderedDict()

    def begin(self, now: float) -> None:
        """Note that a turn of the loop begins; ``now`` is monotonic seconds.

        The same work may cost several times as much as usual: what waits for long is in no cache, or another
        guest of the host uses the memory. So the work of a turn follows from what the one before has cost.
        """
        self._began = now
        before, self._cpu = self._cpu, time.thread_time()
        cost = self._cpu - before
        if cost > SLOW:
            self.share = max(SMALLEST, self.share / 2)
        elif cost < QUICK and self.share < 1.0:
            self.share = min(1.0, self.share * GROWTH)

    def refill(self) -> None:
        """Allow what a turn may cost; while sockets wait they have it first."""
        if not self._waiting:
            self.left = int(MOST * self.share)

    @property
    def some_wait(self) -> bool:
        """Whether a socket that can be read waits for the next turn."""
        return self.request_socket_waits or bool(self._waiting)

    def used_up(self) -> bool:
        """Whether this turn has taken so long that nothing more is to be read."""
        now = time.monotonic()
        return now - self._began > SECONDS and now - self.worked_until < PAUSE

    def put_off(self, sock: socket.socket, read: Callable[[], object]) -> None:
        """Call ``read`` in a later turn, once for each socket; not if it has been closed meanwhile."""
        if not self._waiting:
            self._loop.call_soon(self._go_on)
        self._waiting.setdefault(sock, read)

    def _go_on(self) -> None:
        self.left = int(MOST * self.share)
        try:
            while self._waiting and self.left > 0:
                sock, read = self._waiting.popitem(last=False)
                if sock.fileno() >= 0:
                    read()
                    if self.used_up():
                        break
        finally:  # after a call that raises, too
            if self._waiting:
                self._loop.call_soon(self._go_on)
