"""The last look at the clocks before updates leave: without a lease nothing goes out.

A node that stood still and wakes up as a former owner must not send what it had prepared. So each batch of
messages asks, as near to the system call as can be. What may not go out stays in its outbox, as if the
kernel's buffer were full: it is neither sent nor has it failed. Nor does the engine get a turn, whose tries
would only run out of time. If no other node has become the owner meanwhile, all goes on (``resume``), else it
is dropped.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from pyd2.net.engine_io import EngineIO

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable, Sequence
    from typing import Any

    from pyd2.net.datagrams import Datagrams
    from pyd2.net.outbox import Outbox
    from pyd2.net.read_turns import ReadTurns
    from pyd2.net.troubles import Troubles
    from pyd2.update.drive.hook_jobs import HookJob
    from pyd2.update.engine import Engine, Outgoing
    from pyd2.update.output import Output
    from pyd2.update.server.lane import Lane

_NOT_NOW = 0, errno.EAGAIN
"""None was sent, and the buffer is full."""


class FencedDatagrams:
    """Datagrams (see there) that leave only if ``may_send`` says so."""

    def __init__(self, datagrams: Datagrams, may_send: Callable[[], bool]) -> None:
        self._datagrams = datagrams
        self._may_send = may_send
        self.receive = datagrams.receive
        self.waiting = datagrams.waiting

    def send(self, sock: socket.socket, messages: Sequence[bytes]) -> tuple[int, int]:
        """See Datagrams."""
        return self._datagrams.send(sock, messages) if self._may_send() else _NOT_NOW

    def posted(self, lane: Lane, refused: Callable[[int], None]) -> Outbox:
        """See Datagrams."""
        return _FencedOutbox(self._datagrams.posted(lane, refused), self._may_send)


class _FencedOutbox:
    """See Outbox."""

    def __init__(self, outbox: Outbox, may_send: Callable[[], bool]) -> None:
        self._outbox = outbox
        self._may_send = may_send
        self.skip = outbox.skip
        self.clear = outbox.clear

    @property
    def slot(self) -> int:
        """See Outbox."""
        return self._outbox.slot

    def send(self, sock: socket.socket) -> tuple[int, int]:
        """See Outbox."""
        return self._outbox.send(sock) if self._may_send() else _NOT_NOW


class FencedEngineIO(EngineIO):
    """The shell of an engine that works and sends only while ``may_send`` says so, over TCP and TLS, too.

    When it is closed, nothing that its engine still does has an effect. Signatures are good for ``valid``
    seconds. TCP gives up after ``lease`` seconds what a server does not acknowledge: a process that stands
    still cannot reset its connections.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, engine: Engine, report: Callable[[Output], None],
        datagrams: Datagrams, hand_out: Callable[[Sequence[HookJob[Any]]], None], troubles: Troubles,
        turns: ReadTurns, may_send: Callable[[], bool], valid: float, lease: float,
    ) -> None:
        self._may_send = may_send
        self._valid = valid
        self._complete = True
        """Whether all that the engine gave to be sent was sent, or waits."""
        fenced = FencedDatagrams(datagrams, self._may)
        super().__init__(loop, engine, report, fenced, hand_out, troubles, turns)
        self._unread_seconds = lease

    def _may(self) -> bool:
        """See EngineIO."""
        return not self._closed and self._may_send()

    def hold(self) -> bool:
        """Keep what waits to be sent; return whether that is all: what TCP has may go out at any time."""
        kept = [sockets.hold() for sockets in self._servers.values()]
        return self._complete and all(kept)

    def resume(self, seconds: float) -> bool:
        """Go on after ``hold``; return whether that is possible: messages may be so many seconds old."""
        prepared = self._engine.has_messages or any(sockets.unsent for sockets in self._servers.values())
        if seconds > self._valid and prepared:
            return False
        for sockets in self._servers.values():
            sockets.go_on()
        self._plan_flush()
        return True

    def flush(self) -> None:
        """See EngineIO."""
        if self._may():
            super().flush()

    def _wake(self) -> None:
        if self._may():
            super()._wake()
        else:
            self._timer = None  # flush sets it again

    @property
    def retries(self) -> int:
        """Requests that wait to be tried again."""
        return self._engine.retries

    def hook_jobs_done(self, hook_jobs: Sequence[HookJob[Any]]) -> None:
        """See EngineIO."""
        if not self._closed:
            super().hook_jobs_done(hook_jobs)

    def _send(self, output: Output) -> None:
        if not self._may() and any(message.tcp for message in output.outgoing):
            # They have no outbox in which they would stay.
            self._complete = False
            output = output._replace(outgoing=[message for message in output.outgoing if not message.tcp])
        super()._send(output)

    def _failed(self, outgoing: Outgoing, error: int | str) -> None:
        if not self._closed:
            super()._failed(outgoing, error)
