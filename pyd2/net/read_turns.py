"""How much is read from DNS servers in one turn of the update thread's loop.

A thousand servers may answer in the same moment. To read all of that in one turn would hold the update thread
for longer than its 5 ms, so the sockets beyond ``MOST`` wait for the next turn, in the order in which they
became readable: a server that answers much has its next batch read behind those of all others.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable

MOST: Final = 128
"""What one turn may cost: 1 for each reply, and ``PER_SOCKET`` for each socket that is read."""
PER_SOCKET: Final = 8
"""What it costs to read a socket and to go on with its server, in replies."""
LEAST: Final = 32
"""Replies that a socket may have read once its turn has come."""


class ReadTurns:
    """Gives the sockets of all DNS servers their turns to be read."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.left = MOST
        """What this turn may still cost."""
        self._waiting: OrderedDict[socket.socket, Callable[[], object]] = OrderedDict()

    def begin(self) -> None:
        """Note that a turn of the loop begins; while sockets wait they have it first."""
        if not self._waiting:
            self.left = MOST

    def put_off(self, sock: socket.socket, read: Callable[[], object]) -> None:
        """Call ``read`` in a later turn, once for each socket; not if it has been closed meanwhile."""
        if not self._waiting:
            self._loop.call_soon(self._go_on)
        self._waiting.setdefault(sock, read)

    def _go_on(self) -> None:
        self.left = MOST
        try:
            while self._waiting and self.left > 0:
                sock, read = self._waiting.popitem(last=False)
                if sock.fileno() >= 0:
                    read()
        finally:  # after a call that raises, too
            if self._waiting:
                self._loop.call_soon(self._go_on)
