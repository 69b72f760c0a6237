"""Model DNS servers in virtual time: each says when the reply to an update arrives."""

from __future__ import annotations

from collections import deque
from typing import Protocol


class Server(Protocol):
    """The interface."""

    def take(self, sent_at: float) -> float | None:
        """Return when the reply to an update arrives that goes out now; None: never."""


class QueueingServer:
    """One worker behind a path: an update takes ``service`` seconds, one way takes half of ``delay``.

    More than ``quota`` updates at once are dropped, as BIND does.
    """

    def __init__(self, delay: float, service: float, quota: int = 100) -> None:
        self.delay = delay
        self.service = service
        self.quota = quota
        self.free_at = 0.0
        self.inside: deque[float] = deque()
        self.dropped = 0
        self.pauses: list[tuple[float, float]] = []

    def take(self, sent_at: float) -> float | None:
        """See Server."""
        arrival = sent_at + self.delay / 2
        while self.inside and self.inside[0] <= arrival:
            self.inside.popleft()
        if len(self.inside) >= self.quota:
            self.dropped += 1
            return None
        begin = max(arrival, self.free_at)
        for start, end in self.pauses:
            if start <= begin < end:
                begin = end
        self.free_at = begin + self.service
        self.inside.append(self.free_at)
        return self.free_at + self.delay / 2


class CommittingServer:
    """Commits all updates of a zone that have come, together, as Knot DNS does.

    A commit takes ``commit`` seconds, whatever is in it; each ``quick``-th one takes hardly any, nor do the
    ``first`` ones, as after a rest. The updates go to ``zones`` zones in turn, each of which has commits of
    its own.
    """

    def __init__(self, commit: float, zones: int = 1, quick: int = 0, first: int = 0) -> None:
        self.commit = commit
        self.quick = quick
        self.first = first
        self.commits = 0
        self.number = 0
        self.latest = [(float("-inf"), float("-inf"))] * zones
        """Of each zone, when the commit that was planned last begins and ends."""

    def take(self, sent_at: float) -> float | None:
        """See Server."""
        zone = self.number % len(self.latest)
        self.number += 1
        begin, end = self.latest[zone]
        if sent_at > begin:
            self.commits += 1
            begin = max(sent_at, end)
            quick = self.commits <= self.first or (self.quick and self.commits % self.quick == 0)
            end = begin + (0.0003 if quick else self.commit)
            self.latest[zone] = begin, end
        return end
