"""Tries in Python: the reference. Each update is made, signed and judged on its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyd2.update.inflight.contract import JUDGE
from pyd2.update.inflight.deadlines import Deadlines
from pyd2.update.inflight.random_numbers import RandomNumbers
from pyd2.update.model.route import ALONE
from pyd2.update.server.window import PythonWindow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyd2.dns.tsig import SigningKey
    from pyd2.dns.update import Zone
    from pyd2.update.inflight.contract import Event, Outgoing, Turn
    from pyd2.update.model.kinds import Step
    from pyd2.update.model.plan import Server
    from pyd2.update.model.route import Route
    from pyd2.update.model.transaction import Purpose
    from pyd2.update.server.lane import Lane
    from pyd2.update.server.window import InFlightWindow


class PythonTries(RandomNumbers):
    """See Tries."""

    def __init__(self) -> None:
        super().__init__()
        self.in_flight = 0
        self._deadlines = Deadlines()
        self._pending: dict[Lane, dict[int, Purpose]] = {}

    def new_window(self) -> InFlightWindow:
        """See Tries."""
        return PythonWindow()

    def route(self, _server: Server, _zone: Zone | None, _step: Step, _key: SigningKey | None) -> Route:
        """See Tries."""
        return ALONE

    def question_route(self, _server: Server, _key: SigningKey | None) -> Route:
        """See Tries."""
        return ALONE

    def is_free(self, lane: Lane, query: int) -> bool:
        """See Tries."""
        return query not in self.pending(lane) and query & 0xFFFF not in lane.quarantined

    def enter(self, tried: Purpose, lane: Lane, query: int, now: float, timeout: float) -> None:
        """See Tries."""
        tried.query = query
        tried.sent_at = now
        self._pending.setdefault(lane, {})[query] = tried
        self._deadlines.add(tried, now, timeout)
        self.in_flight += 1
        lane.window.sent()

    def send(self, _lane: Lane, purposes: Sequence[Purpose], _turn: Turn) -> list[int]:
        """See Tries."""
        return list(range(len(purposes)))

    def posted(self, _lane: Lane) -> list[Outgoing]:
        """See Tries."""
        return []

    def read_replies(self, lane: Lane, slot: int, datagrams: Sequence[bytes], turn: Turn) -> list[Event]:
        """See Tries; what C decides here is decided by ``drive/replies.py``."""
        return [self._read(lane, slot, datagram, turn.now) for datagram in datagrams]

    def _read(self, lane: Lane, slot: int, datagram: bytes, now: float) -> Event:
        tried = None
        if len(datagram) >= 2:
            tried = self._end(lane, slot << 16 | datagram[0] << 8 | datagram[1])
        if tried is not None:
            if tried.feeds_window:
                lane.window.replied(tried.sent_at, now)
            else:
                lane.window.withdrawn(now)
            if (counts := lane.replies) is not None:
                counts.seconds.add(now - tried.sent_at)
        return tried, JUDGE, datagram

    def _end(self, lane: Lane, query: int) -> Purpose | None:
        pending = self._pending.get(lane)
        tried = pending.pop(query, None) if pending is not None else None
        if tried is not None:
            del tried.fifo[tried]
            self.in_flight -= 1
            if not pending:
                del self._pending[lane]
        return tried

    def expire(self, now: float, most: int) -> list[Purpose]:  # noqa: ARG002
        """See Tries; here it is one at a time."""
        first = self._deadlines.first_expired(now)
        if first is None:
            return []
        lane = first.server.lane
        self._end(lane, first.query)
        if first.feeds_window:
            lane.window.timed_out(first.sent_at, now)
        else:
            lane.window.withdrawn(now)
        lane.quarantined.add(first.query & 0xFFFF, now)
        return [first]

    def find(self, lane: Lane, query: int) -> Purpose | None:
        """See Tries."""
        return self.pending(lane).get(query)

    def withdraw(self, lane: Lane, query: int, now: float) -> None:
        """See Tries."""
        self._end(lane, query)
        lane.window.withdrawn(now)

    def deadline(self) -> float | None:
        """See Tries."""
        return self._deadlines.next()

    def abandon(self) -> None:
        """See Tries; the contexts of messages end with their tries."""

    def forget(self, ended: Sequence[Purpose]) -> None:
        """See Tries."""

    def pending(self, lane: Lane) -> Mapping[int, Purpose]:
        """See Tries."""
        return self._pending.get(lane, {})
