"""The last look at the clocks before updates leave: without a lease nothing goes out.

A node that stood still and wakes up as a former owner must not send what it had prepared. So each batch of
messages asks, as near to the system call as can be. What may not go out stays in its outbox, as if the
kernel's buffer were full: it is neither sent nor has it failed. Its owner drops all of that soon.
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
    """The shell of an engine that sends only while ``may_send`` says so, over TCP and TLS, too.

    When it is closed, nothing that its engine still does has an effect.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, engine: Engine, report: Callable[[Output], None],
        datagrams: Datagrams, hand_out: Callable[[Sequence[HookJob[Any]]], None], troubles: Troubles,
        turns: ReadTurns, may_send: Callable[[], bool],
    ) -> None:
        self._may_send = may_send
        fenced = FencedDatagrams(datagrams, self._may)
        super().__init__(loop, engine, report, fenced, hand_out, troubles, turns)

    def _may(self) -> bool:
        return not self._closed and self._may_send()

    def flush(self) -> None:
        """See EngineIO."""
        if not self._closed:
            super().flush()

    def hook_jobs_done(self, hook_jobs: Sequence[HookJob[Any]]) -> None:
        """See EngineIO."""
        if not self._closed:
            super().hook_jobs_done(hook_jobs)

    def _send(self, output: Output) -> None:
        if self._may():
            super()._send(output)

    def _failed(self, outgoing: Outgoing, error: int | str) -> None:
        if self._may():
            super()._failed(outgoing, error)
